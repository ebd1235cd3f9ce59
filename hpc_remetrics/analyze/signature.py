"""The signature of parts: what their rows depend on besides the layers themselves.

Parts whose signatures differ are never mixed in one dataset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from fractions import Fraction
from itertools import chain
from pathlib import Path

from ..config import AnalyzeOptions
from ..errors import UsageError
from ..parts.part_format import PartIndex
from ..records import Catalog
from ..sources.secrets import table_version

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
    "compress_with": "versions of zlib and zstd",
}
"""The flags behind names in a signature that are no option themselves."""

_PROBE = "--probe "
"""What the name of a probe of another package has before it in a signature."""

_DEFAULTS = {"compress_sample": "0", "chunk_sample": "0"}
"""Values of parts that were made before these names were in signatures."""


def chunk_share(options: AnalyzeOptions) -> Fraction:
    """Return the fraction of the chunks that is kept; 0 if contents are not cut into chunks."""
    return options.chunk_sample if options.chunks else Fraction(0)


def probe_settings(options: AnalyzeOptions) -> dict[str, str]:
    """Return the settings of the probes of this run, by their names in `PROBE_CLASSES`."""
    shares = {"compression": options.compress_sample, "chunks": chunk_share(options)}
    return {name: str(share) for name, share in shares.items() if share} | dict(options.probes)


def check_probes(options: AnalyzeOptions) -> None:
    """Load the probes of other packages once, before anything is made.

    :raises UsageError: nothing is registered by a name, or a probe refuses its setting.
    :raises MissingComponentError: a probe can't be imported.
    """
    if not options.probes:
        return
    from ..profile.probe import PROBE_CLASSES, load_probes

    for name, _ in options.probes:
        if name in PROBE_CLASSES.builtin:
            message = f"the probe {name!r} is built in and has a flag of its own"
            raise UsageError(message, "use --compress-sample or --chunks")
    load_probes(dict(options.probes))


def signature_of(options: AnalyzeOptions) -> dict[str, str]:
    """Return the signature of the parts that a run with these options makes."""
    # Only rank 0 asks, so the other ranks don't load it.
    from ..filetype import typer

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
        **{f"{_PROBE}{name}": f"{setting!r}" for name, setting in options.probes},
    }


def recorded_signature(options: AnalyzeOptions) -> dict[str, str]:
    """Return the signature that `/run` of a dataset keeps: that of parts, and what compressed."""
    signature = signature_of(options)
    if options.compress_sample:
        from ..profile.compression_sample import codecs

        signature["compress_with"] = codecs()
    return signature


def check_signatures(
    parts: Iterable[PartIndex], signature: Mapping[str, str], directory: Path
) -> None:
    """Refuse to mix parts that were made with other options.

    :param directory: of the parts, for the message.
    :raises UsageError: it names the option, and both values.
    """
    for part in parts:
        if differs := _first_difference(part.signature, signature):
            name, text = differs
            raise UsageError(
                f"{directory} holds parts made {text}",
                f"use the same {_flag_of(name)}, or another output with -o",
            )


def check_recorded_signature(
    recorded: Mapping[str, str], signature: Mapping[str, str], path: Path
) -> None:
    """Refuse to take layers of a dataset that was made with other options.

    :param recorded: of the dataset, `signature`: of this run; as `recorded_signature` gives them.
    :param path: of the dataset, for the message.
    :raises UsageError: it names the option, and both values.
    """
    if not recorded:
        raise UsageError(
            f"{path} does not say how its layers were profiled, so none can be reused",
            "leave it out of --reuse, or take a dataset that `analyze` of this version made",
        )
    if differs := _first_difference(recorded, signature):
        name, text = differs
        raise UsageError(
            f"{path} can't be reused: it was made {text}",
            f"use the same {_flag_of(name)}, or leave it out of --reuse",
        )


def _first_difference(
    made: Mapping[str, str], signature: Mapping[str, str]
) -> tuple[str, str] | None:
    """Return the first name that has another value in two signatures, and both values in words."""
    # Older versions may have kept names that say nothing today, but never those of probes.
    probes = [name for name in made if name.startswith(_PROBE)]
    for name in dict.fromkeys([*signature, *probes]):
        value = signature.get(name)
        earlier = made.get(name, _DEFAULTS.get(name))
        if earlier != value:
            was = f"without {name}" if earlier is None else f"with {name}={earlier}"
            now = f"no {name}" if value is None else f"{name}={value}"
            return name, f"{was}, this run has {now}"
    return None


def _flag_of(name: str) -> str:
    return _FLAGS.get(name, "options")


def fingerprint_of(options: AnalyzeOptions, catalog: Catalog) -> str:
    """Return a SHA-256 in hex of everything that the rows of a dataset depend on."""
    # A million images have 5 GB of text: keep the digest of each row alone.
    rows = sorted(
        hashlib.sha256(repr(row).encode()).digest()
        for row in chain(catalog.images, catalog.skipped)
    )
    secrets = "kept" if options.keep_secrets else table_version()
    everything = (sorted(signature_of(options).items()), rows, secrets)
    return hashlib.sha256(repr(everything).encode()).hexdigest()
