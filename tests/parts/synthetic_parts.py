"""Writes synthetic layers as parts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from support.synthetic import SIGNATURE, TYPES, SyntheticLayer, make_layer

from hpc_remetrics.parts.part_writer import write_part
from hpc_remetrics.records import Failure


def write(
    directory: Path, name: str, layers: list[SyntheticLayer], failures: Sequence[Failure] = ()
) -> Path:
    """Write a part to `directory / "parts"`, by way of `directory / "scratch"`."""
    scratch = directory / "scratch"
    output = directory / "parts"
    scratch.mkdir(exist_ok=True)
    output.mkdir(exist_ok=True)
    items = [
        (layer.digest, layer.profile, layer.spill(scratch) if layer.rows else None)
        for layer in layers
    ]
    return write_part(output, name, items, failures, TYPES, SIGNATURE, scratch)


def seven_layers() -> list[SyntheticLayer]:
    """Return five ok layers, a partial and a failed one."""
    rng = random.Random(1)
    made = [make_layer(rng, number, rng.randrange(200)) for number in range(5)]
    partial = make_layer(rng, "p", 9, status="partial")
    return [*made, partial, make_layer(rng, "f", 0, status="failed")]
