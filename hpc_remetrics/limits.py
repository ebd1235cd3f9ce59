"""Limits on what hostile or broken input may cost: their names, defaults and help texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .options import COUNT, POSITIVE, option

NODE_LAYERS = (60, 20, 5, 5)
"""Layers of each size bucket with room on a node's scratch at once: the 2017 tool's workers."""

AHEAD_LAYERS = 3
"""Layers that a rank may prefetch at once, those that are ready included."""

AHEAD_BYTES = 1 << 30
"""Bytes that prefetched layers may take; a single layer may be longer."""

UNPACKED = 4
"""Bytes that an unpacked layer may take for each compressed byte, before a try with more."""

START_SECONDS = 900.0
"""Seconds that the start of MPI may last, by default."""

PACKET_BYTES = 1 << 16
"""Bytes of the longest message between a rank and its child."""

EMPTY_PAGES = 100
"""Pages in a row without anything new, after which a listing is given up: real ones have none."""

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30

MANIFEST_BYTES = 4 * MiB
"""Maximum bytes of a manifest or config, as in registries and skopeo."""

LAYER_BYTES = 256 * GiB
"""Maximum uncompressed bytes of a layer."""


def _limit(default: float, help: str) -> Any:
    """Define a limit; one with a default of type int is a whole number."""
    return option(value=COUNT if isinstance(default, int) else POSITIVE, default=default, help=help)


@dataclass(frozen=True)
class Limits:
    """Limits of one run; the names of the fields are those of `--limit NAME=VALUE`."""

    header_bytes: int = _limit(MiB, "bytes of a PAX header, a GNU long name or a sparse map")
    path_bytes: int = _limit(MiB, "bytes of a path or a link target")
    entries: int = _limit(20_000_000, "entries of a layer, and directories of more than 128 names")
    layer_bytes: int = _limit(LAYER_BYTES, "bytes of an uncompressed layer")
    ratio: int = _limit(2_000, "uncompressed bytes for each compressed one, beyond ratio_grace")
    ratio_grace: int = _limit(GiB, "uncompressed bytes before ratio counts")
    sparse_bytes: int = _limit(
        16 * GiB, "bytes of holes that the sparse files of a layer may expand to"
    )
    type_seconds: float = _limit(5.0, "CPU seconds of libmagic on one file")
    layer_seconds: float = _limit(60.0, "seconds of a layer, besides what its size earns it")
    layer_bytes_per_second: int = _limit(
        2_000_000, "compressed bytes that earn a layer one more second"
    )
    exec_seconds: float = _limit(3600.0, "seconds of the command of --exec on one layer")
    child_bytes: int = _limit(2 * GiB, "bytes of memory of the child process")
    manifest_bytes: int = _limit(MANIFEST_BYTES, "bytes of a manifest or a config")
    index_depth: int = _limit(4, "indexes within indexes")
    index_manifests: int = _limit(1_000, "manifests that the indexes under one name may list")
    image_layers: int = _limit(5_000, "layers of an image")

    def layer_time(self, size: int) -> float:
        """Return the seconds that a layer of `size` compressed bytes may take."""
        return self.layer_seconds + max(size, 0) / self.layer_bytes_per_second
