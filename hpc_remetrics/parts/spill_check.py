"""Check spills while they are read: the process that wrote one parsed hostile input.

Everything that later stages rely on is checked here, block by block: enum words are known, only
files and hard links have contents, types exist, and the sums are those of the row of the layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ..records import CAUSES, COMPRESSIONS, KINDS, STAGES, STATUSES
from ..wording import counted
from .spill_format import (
    MAX_BYTES,
    MAX_MODE,
    MAX_NANOSECONDS,
    NO_CONTENT,
    NO_TYPE,
    LayerProfile,
    SpillBlock,
    in_range,
    read_blocks,
)

_FILE = KINDS["file"]
_HARDLINK = KINDS["hardlink"]

_COUNTED = {
    "files": ("file",),
    "symlinks": ("symlink",),
    "hardlinks": ("hardlink",),
    "devices": ("character_device", "block_device", "fifo"),
    "whiteouts": ("whiteout", "opaque"),
    "others": ("other",),
}
"""Field of a `LayerProfile` -> the kinds of entries that it counts."""

_BOUNDS = {"depth": 1 << 31, "notes": 1 << 32}
"""Field of a `LayerProfile` -> it is below this, where its column is narrower than 64 bits."""

_NUMBERS = (
    *("CLS", "TLS", "FLS", "entries", "directories", "path_bytes", "link_bytes"),
    *_COUNTED,
    *_BOUNDS,
)
_HEX_DIGEST = re.compile(r"(sha256:)?([0-9a-f]{64})?\Z")


def check_profile(profile: LayerProfile) -> None:
    """Check the row of a layer: known words, numbers in range.

    :raises ValueError: it holds a value that no layer can have.
    """
    # Words are of their lists.
    for value, words in ((profile.status, STATUSES), (profile.compression, COMPRESSIONS)):
        if value not in words:
            raise ValueError(f"{str(value)[:40]!r} is none of {', '.join(words)}")
    for value, words in ((profile.stage, STAGES), (profile.cause, CAUSES)):
        if value and value not in words:
            raise ValueError(f"{str(value)[:40]!r} is no stage or cause")

    # Numbers are in range.
    for name in _NUMBERS:
        value = getattr(profile, name)
        if not isinstance(value, int) or not 0 <= value < _BOUNDS.get(name, MAX_BYTES):
            raise ValueError(f"{name} is {str(value)[:40]}")
    if profile.status == "failed" and profile.entries:
        raise ValueError(f"a failed layer with {counted(profile.entries, 'entry', 'entries')}")

    # Texts are texts.
    if not isinstance(profile.diff_id, str) or not _HEX_DIGEST.match(profile.diff_id):
        raise ValueError(f"diff_id is {str(profile.diff_id)[:80]!r}")
    if not isinstance(profile.message, str) or not isinstance(profile.offset, int):
        raise ValueError("message or offset is of a wrong type")


def checked_blocks(
    profile: LayerProfile, spill: Path | None, types: Mapping[int, str]
) -> Iterator[SpillBlock]:
    """Yield the blocks of a layer's spill, each checked before it is yielded.

    :param profile: the row of the layer, which the entries must add up to.
    :param spill: None for a layer without entries.
    :param types: the type numbers that exist; an entry with content may also have `NO_TYPE`.
    :raises ValueError: a block holds what no layer can have, or not what the row says.
    """
    sums = _SpillSums(types)
    for block in _blocks(spill):
        sums.add(block)
        if sums.rows > profile.entries:
            break
        yield block
    sums.compare(profile)


def _blocks(spill: Path | None) -> Iterator[SpillBlock]:
    if spill is None:
        return
    try:
        yield from read_blocks(spill)
    except (MemoryError, OverflowError) as error:
        raise ValueError(f"{spill}: impossible sizes in the header of a block ({error})") from None


class _SpillSums:
    """Checks the blocks of one layer, and adds up what its row says of them."""

    def __init__(self, types: Mapping[int, str]) -> None:
        self.types = np.array(sorted({*types, NO_TYPE}), np.uint32)
        self.kinds = np.zeros(len(KINDS), np.int64)
        self.rows = 0
        self.path_bytes = 0
        self.link_bytes = 0
        self.file_bytes = 0

    def add(self, block: SpillBlock) -> None:
        """Check one block and add it; `ValueError` where a value can't be."""
        columns = block.columns
        kind = columns["kind"]
        size = columns["size"]

        # Check that files, and only files and hard links, have a content with a known type
        if block.rows and int(kind.max()) >= len(KINDS):
            raise ValueError(f"an entry's kind is {int(kind.max())}")
        has_content = size != NO_CONTENT
        may_have_content = (kind == _FILE) | (kind == _HARDLINK)
        if np.any(has_content & ~may_have_content) or np.any(~has_content & (kind == _FILE)):
            raise ValueError("a content where there can't be one, or a file without")
        if np.any(size[has_content] >= MAX_BYTES):
            raise ValueError("a file's size is beyond 2**62")
        if not np.isin(columns["type"][has_content], self.types).all():
            raise ValueError("an unknown type number")

        # Check the ranges of the other columns and of the extra records
        if np.any(columns["mode"] > MAX_MODE) or np.any(columns["mtime_ns"] > MAX_NANOSECONDS):
            raise ValueError("a mode or a time out of range")
        for kind_of_records, records in block.extras.items():
            if not in_range(kind_of_records, records):
                raise ValueError(f"{kind_of_records} have values out of range")
        self._add_up(block, size[kind == _FILE])

    def _add_up(self, block: SpillBlock, sizes: np.ndarray) -> None:
        """Add a block to the sums.

        :param sizes: (files,) uint64, bytes of its files.
        """
        self.rows += block.rows
        self.path_bytes += len(block.paths)
        self.link_bytes += len(block.links)
        self.kinds += np.bincount(block.columns["kind"], minlength=len(KINDS))
        # In two halves, so that the sum of hostile sizes can't wrap around
        high = int((sizes >> np.uint64(32)).sum())
        low = int((sizes & np.uint64(0xFFFFFFFF)).sum())
        self.file_bytes += (high << 32) + low

    def compare(self, profile: LayerProfile) -> None:
        """Compare the sums with the row of the layer; `ValueError` where they differ."""
        sums = {
            "entries": self.rows,
            "path_bytes": self.path_bytes,
            "link_bytes": self.link_bytes,
            "FLS": self.file_bytes,
        }
        for name, kinds in _COUNTED.items():
            sums[name] = sum(int(self.kinds[KINDS[kind]]) for kind in kinds)
        for name, value in sums.items():
            said = getattr(profile, name)
            if value != said:
                raise ValueError(f"the entries have {name} {value}, the layer's row says {said}")
