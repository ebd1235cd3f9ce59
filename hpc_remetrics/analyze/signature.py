"""What rows depend on besides the layers themselves: parts that were made otherwise are not
mixed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

from ..config import AnalyzeOptions
from ..errors import UsageError
from ..filetype import typer
from ..parts.part_format import PartIndex
from ..records import Catalog

_OF_TIME = (
    "exec_seconds",
    "layer_seconds",
    "layer_bytes_per_second",
    "type_seconds",
    "child_bytes",
)
"""Limits that decide whether a layer is done, and not what its rows are."""

_OF_IMAGES = ("index_manifests", "image_layers")
"""Limits that decide which layers there are."""

_FLAGS = {
    "types": "libmagic and --types",
    "compress_sample": "--compress-sample",
    "chunk_sample": "--chunks and --chunk-sample",
}
"""How people write what is not an option by its own name."""

_BEFORE = {"compress_sample": "0", "chunk_sample": "0"}
"""What parts that don't say it were made with."""


def chunk_share(options: AnalyzeOptions) -> Fraction:
    """Return the share of the chunks that is kept, 0 where contents are not cut."""
    return options.chunk_sample if options.chunks else Fraction(0)


def probe_settings(options: AnalyzeOptions) -> dict[str, str]:
    """Return the probes of this run, by their names in `profile.probe.PROBE_CLASSES`: settings."""
    shares = {"compression": options.compress_sample, "chunks": chunk_share(options)}
    return {name: str(share) for name, share in shares.items() if share}


def signature_of(options: AnalyzeOptions) -> dict[str, str]:
    """Return what a part's rows depend on besides the layers."""
    limits = {
        name: str(value)
        for name, value in asdict(options.limits).items()
        if name not in _OF_TIME + _OF_IMAGES
    }
    shares = {
        "compress_sample": str(options.compress_sample),
        "chunk_sample": str(chunk_share(options)),
    }
    return {"types": typer.signature(options.types), **limits, **shares}


def check_signatures(
    parts: Iterable[PartIndex], signature: Mapping[str, str], folder: Path
) -> None:
    """Refuse to mix parts whose rows were made under other options.

    :raises UsageError: some were.
    """
    for part in parts:
        for name, value in signature.items():
            if (made := part.signature.get(name, _BEFORE.get(name))) != value:
                raise UsageError(
                    f"{folder} holds parts made with {name}={made}, this run has {name}={value}",
                    f"use the same {_FLAGS.get(name, 'options')}, or another output with -o",
                )


def fingerprint_of(options: AnalyzeOptions, catalog: Catalog) -> str:
    """Return a digest of all that a dataset's rows depend on."""
    rows = sorted(map(repr, [*catalog.images, *catalog.skipped]))
    return hashlib.sha256(repr((sorted(signature_of(options).items()), rows)).encode()).hexdigest()
