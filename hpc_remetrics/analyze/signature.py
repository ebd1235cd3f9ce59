"""The signature of parts: what their rows depend on besides the layers themselves.

Parts whose signatures differ are never mixed in one dataset.
"""

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

_LIMITS_OF_TIME = (
    "exec_seconds",
    "layer_seconds",
    "layer_bytes_per_second",
    "type_seconds",
    "child_bytes",
)
"""Limits that decide whether a layer can be profiled, not what its rows are."""

_LIMITS_OF_IMAGES = ("index_manifests", "image_layers")
"""Limits that decide which layers there are."""

_FLAGS = {
    "types": "libmagic and --types",
    "compress_sample": "--compress-sample",
    "chunk_sample": "--chunks and --chunk-sample",
}
"""The flags behind names in a signature that are no option themselves."""

_DEFAULTS = {"compress_sample": "0", "chunk_sample": "0"}
"""Values of parts that were made before these names were in signatures."""


def chunk_share(options: AnalyzeOptions) -> Fraction:
    """Return the fraction of the chunks that is kept; 0 if contents are not cut into chunks."""
    return options.chunk_sample if options.chunks else Fraction(0)


def probe_settings(options: AnalyzeOptions) -> dict[str, str]:
    """Return the probes of this run, by their names in `profile.probe.PROBE_CLASSES`: settings."""
    shares = {"compression": options.compress_sample, "chunks": chunk_share(options)}
    return {name: str(share) for name, share in shares.items() if share}


def signature_of(options: AnalyzeOptions) -> dict[str, str]:
    """Return the signature of the parts that a run with these options makes."""
    passed_over = _LIMITS_OF_TIME + _LIMITS_OF_IMAGES
    limits = {
        name: str(value)
        for name, value in asdict(options.limits).items()
        if name not in passed_over
    }
    return {
        "types": typer.signature(options.types),
        **limits,
        "compress_sample": str(options.compress_sample),
        "chunk_sample": str(chunk_share(options)),
    }


def check_signatures(
    parts: Iterable[PartIndex], signature: Mapping[str, str], directory: Path
) -> None:
    """Refuse to mix parts that were made with other options.

    :param directory: of the parts, for the message.
    :raises UsageError: it names the option, and both values.
    """
    for part in parts:
        for name, value in signature.items():
            made = part.signature.get(name, _DEFAULTS.get(name))
            if made != value:
                raise UsageError(
                    f"{directory} holds parts made with {name}={made}, this run has {name}={value}",
                    f"use the same {_FLAGS.get(name, 'options')}, or another output with -o",
                )


def fingerprint_of(options: AnalyzeOptions, catalog: Catalog) -> str:
    """Return a SHA-256 in hex of everything that the rows of a dataset depend on."""
    rows = sorted(map(repr, [*catalog.images, *catalog.skipped]))
    everything = (sorted(signature_of(options).items()), rows)
    return hashlib.sha256(repr(everything).encode()).hexdigest()
