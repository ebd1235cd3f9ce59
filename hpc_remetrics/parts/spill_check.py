"""Reading spills as what they are: bytes from a process that parsed hostile input and may be
broken.

Everything that later stages rely on is checked here, block by block: enum words in range, contents
only where contents can be, types that exist, and the sums against the layer's row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ..records import CAUSES, CHUNK_METHODS, COMPRESSIONS, KINDS, STAGES, STATUSES
from ..wording import counted
from .spill_format import NO_CONTENT, NO_TYPE, Block, LayerProfile, read_blocks

_FILE, _HARDLINK = KINDS["file"], KINDS["hardlink"]
_COUNTED = {
    "files": ("file",),
    "symlinks": ("symlink",),
    "hardlinks": ("hardlink",),
    "devices": ("character_device", "block_device", "fifo"),
    "whiteouts": ("whiteout", "opaque"),
    "others": ("other",),
}
_BOUNDS = {"depth": 1 << 31, "notes": 1 << 32}
_NUMBERS = (
    "CLS",
    "TLS",
    "FLS",
    "entries",
    "directories",
    "path_bytes",
    "link_bytes",
    *_COUNTED,
    *_BOUNDS,
)
_HEX = re.compile(r"(sha256:)?([0-9a-f]{64})?\Z")


def check_profile(profile: LayerProfile) -> None:
    """Raise `ValueError` if a layer's row holds what can't be: other words, negative or huge
    numbers."""
    for value, words in ((profile.status, STATUSES), (profile.compression, COMPRESSIONS)):
        if value not in words:
            raise ValueError(f"{str(value)[:40]!r} is none of {', '.join(words)}")
    for value, words in ((profile.stage, STAGES), (profile.cause, CAUSES)):
        if value and value not in words:
            raise ValueError(f"{str(value)[:40]!r} is no stage or cause")
    for name in _NUMBERS:
        value = getattr(profile, name)
        if not isinstance(value, int) or not 0 <= value < _BOUNDS.get(name, 1 << 62):
            raise ValueError(f"{name} is {str(value)[:40]}")
    if profile.status == "failed" and profile.entries:
        raise ValueError(f"a failed layer with {counted(profile.entries, 'entry', 'entries')}")
    if not isinstance(profile.diff_id, str) or not _HEX.match(profile.diff_id):
        raise ValueError(f"diff_id is {str(profile.diff_id)[:80]!r}")
    if not isinstance(profile.message, str) or not isinstance(profile.offset, int):
        raise ValueError("message or offset is of a wrong type")


def checked_blocks(
    profile: LayerProfile, spill: Path | None, types: Mapping[int, str]
) -> Iterator[Block]:
    """Yield the blocks of a layer's spill; `ValueError` where they are not what the profile says.

    :param spill: None for a layer without entries.
    :param types: the type numbers that exist; an entry with content may also have `NO_TYPE`.
    """
    tally = _Tally(types)
    for block in _blocks(spill):
        tally.add(block)
        if tally.rows > profile.entries:
            break
        yield block
    tally.compare(profile)


def _blocks(spill: Path | None) -> Iterator[Block]:
    if spill is None:
        return
    try:
        yield from read_blocks(spill)
    except (MemoryError, OverflowError) as error:
        raise ValueError(f"{spill}: a block's header names sizes that can't be ({error})") from None


class _Tally:
    """Checks blocks and adds them up."""

    def __init__(self, types: Mapping[int, str]) -> None:
        self.types = np.array(sorted({*types, NO_TYPE}), np.uint32)
        self.kinds = np.zeros(len(KINDS), np.int64)
        self.rows = self.path_bytes = self.link_bytes = self.file_bytes = 0

    def add(self, block: Block) -> None:
        columns = block.columns
        kind, size = columns["kind"], columns["size"]
        if block.rows and int(kind.max()) >= len(KINDS):
            raise ValueError(f"an entry's kind is {int(kind.max())}")
        has = size != NO_CONTENT
        if np.any(has & (kind != _FILE) & (kind != _HARDLINK)) or np.any(~has & (kind == _FILE)):
            raise ValueError("a content where there can't be one, or a file without")
        if np.any(size[has] >= 1 << 62):
            raise ValueError("a file's size is beyond 2**62")
        if not np.isin(columns["type"][has], self.types).all():
            raise ValueError("a type's number that nobody gave")
        if np.any(columns["mode"] > 0o7777) or np.any(columns["mtime_ns"] > 999_999_999):
            raise ValueError("a mode or a time out of range")
        samples = block.extras["samples"]
        if any(
            np.any((samples[name] < 0) | (samples[name] >= 1 << 62)) for name in ("gzip", "zstd")
        ):
            raise ValueError("a content's compressed size is out of range")
        if np.any(block.extras["chunks"]["method"] >= len(CHUNK_METHODS)):
            raise ValueError("a chunk's method that nobody knows")
        self._sum(block, size[kind == _FILE])

    def _sum(self, block: Block, sizes: np.ndarray) -> None:
        self.rows += block.rows
        self.path_bytes += len(block.paths)
        self.link_bytes += len(block.links)
        self.kinds += np.bincount(block.columns["kind"], minlength=len(KINDS))
        # In two halves, so that the sum of hostile sizes can't wrap around.
        self.file_bytes += (int((sizes >> np.uint64(32)).sum()) << 32) + int(
            (sizes & np.uint64(0xFFFFFFFF)).sum()
        )

    def compare(self, profile: LayerProfile) -> None:
        found = {
            name: sum(int(self.kinds[KINDS[kind]]) for kind in kinds)
            for name, kinds in _COUNTED.items()
        }
        found |= {
            "entries": self.rows,
            "path_bytes": self.path_bytes,
            "link_bytes": self.link_bytes,
        }
        found["FLS"] = self.file_bytes
        for name, value in found.items():
            if value != getattr(profile, name):
                raise ValueError(
                    f"the entries have {name} {value}, the layer's row says {getattr(profile, name)}"
                )
