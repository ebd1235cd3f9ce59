"""Limits on what hostile or broken input may cost: their names, defaults and help texts."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from .errors import UsageError

NODE_LAYERS = (60, 20, 5, 5)
"""Layers of each size bucket with room on a node's scratch at once: the 2017 tool's workers."""

AHEAD_LAYERS = 3
"""Layers that a rank may prefetch at once, those that are ready included."""

AHEAD_BYTES = 1 << 30
"""Bytes that prefetched layers may take; a single layer may be longer."""

UNPACKED = 4
"""Bytes that an unpacked layer may take for each compressed byte, before a try with more."""

EMPTY_PAGES = 100
"""Pages in a row without anything new, after which a listing is given up: real ones have none."""

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30

MANIFEST_BYTES = 4 * MiB
"""Maximum bytes of a manifest or config, as in registries and skopeo."""

LAYER_BYTES = 256 * GiB
"""Maximum uncompressed bytes of a layer."""


def _limit(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Limits:
    """Limits of one run; the field names are the names of `--limit NAME=VALUE`."""

    header_bytes: int = _limit(MiB, "a PAX header, a GNU long name or a sparse map, bytes")
    path_bytes: int = _limit(MiB, "a path or a link, bytes")
    entries: int = _limit(20_000_000, "entries a layer, and directories of more than 128 names")
    layer_bytes: int = _limit(LAYER_BYTES, "an uncompressed layer, bytes")
    ratio: int = _limit(2_000, "uncompressed over compressed bytes, after ratio_grace")
    ratio_grace: int = _limit(GiB, "uncompressed bytes before ratio counts")
    sparse_bytes: int = _limit(
        16 * GiB, "holes that the sparse files of a layer may expand to, bytes"
    )
    type_seconds: float = _limit(5.0, "libmagic on one file, CPU seconds")
    layer_seconds: float = _limit(60.0, "a layer, seconds, before the share of its size")
    layer_bytes_per_second: int = _limit(
        2_000_000, "compressed bytes that earn a layer one more second"
    )
    exec_seconds: float = _limit(3600.0, "the tool of --exec on a layer, seconds")
    child_bytes: int = _limit(2 * GiB, "memory of the child process, bytes")
    manifest_bytes: int = _limit(MANIFEST_BYTES, "a manifest or a config, bytes")
    index_depth: int = _limit(4, "indexes within indexes")
    index_manifests: int = _limit(1_000, "manifests that the indexes under one name may name")
    image_layers: int = _limit(5_000, "layers an image")

    @classmethod
    def from_options(cls, options: dict[str, object]) -> Limits:
        """Return limits from names and numbers (or strings of numbers).

        :raises UsageError: a name is unknown, or a value is not a number above 0.

        >>> Limits.from_options({"entries": "10"}).entries
        10
        """
        known: dict[str, Any] = {f.name: type(f.default) for f in fields(cls)}
        values: dict[str, Any] = {}
        for name, value in options.items():
            if name not in known:
                raise UsageError(f"unknown limit {name!r}", f"choose from {', '.join(known)}")
            try:
                number = known[name](float(str(value).replace("_", "")))
            except (ValueError, OverflowError):
                raise UsageError(f"limit {name}: {value!r} is not a number") from None
            if number <= 0:
                raise UsageError(f"limit {name}: {value!r} is not above 0")
            values[name] = number
        return cls(**values)

    def layer_time(self, size: int) -> float:
        """Return the seconds that a layer of `size` compressed bytes may take."""
        return self.layer_seconds + max(size, 0) / self.layer_bytes_per_second
