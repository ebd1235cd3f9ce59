"""Scratch quota of a node: what the job's ranks hold of each tier's bytes and of each size bucket.

A small file in memory that the ranks of the node map, under a lock that the kernel releases when
its holder dies:

    head        room of tier 0 … 7, bytes
    slot 0      process 4711, tier 0, bucket 1, when the process began, 50,000,000 bytes
    slot 1      empty
    …

What a dead rank holds is freed by whoever looks next. The file goes with the job's directory.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..programs import process_stat

MOST_TIERS = 8

_SLOTS = 1024
_HEAD = struct.Struct(f"<{MOST_TIERS}Q")
"""Room of each tier, bytes."""

_SLOT = struct.Struct("<IHHQQ8x")
"""The fields of `_Holding`; process 0: an empty slot."""

_FILE_BYTES = _HEAD.size + _SLOTS * _SLOT.size

_PATIENCE = 1.0
"""Seconds after which a lock whose holder does not move counts as no room for now."""


class _Holding(NamedTuple):
    """What one layer holds.

    :ivar process: that it was granted to.
    :ivar began: when that process began, ticks; tells it from a later one of the same number.
    """

    process: int
    tier: int
    bucket: int
    began: int
    bytes: int


_EMPTY = _Holding(0, 0, 0, 0, 0)


class ScratchQuota:
    """The scratch quota of this job on this node.

    :param path: of the file, in a directory that the node's ranks share.
    :param rooms: bytes of each tier; those of the rank that comes first count.
    :param most: layers of each size bucket that may hold room at once.
    :raises OSError: the file can't be made, or its lock stays taken.
    """

    def __init__(self, path: Path, rooms: Sequence[int], most: Sequence[int]) -> None:
        if len(rooms) > MOST_TIERS:
            raise ValueError(f"scratch has at most {MOST_TIERS} tiers, got {len(rooms)}")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._prepare(path, rooms)
        except OSError:
            os.close(self._file)
            raise
        self._map = mmap.mmap(self._file, _FILE_BYTES)
        self._most = tuple(most)
        self.rooms = _HEAD.unpack_from(self._map)[: len(rooms)]
        self._process = os.getpid()
        self._process_began = _began(self._process)

    def _prepare(self, path: Path, rooms: Sequence[int]) -> None:
        """Allocate the file and write its head, unless another rank has done it."""
        with self._locked() as has_lock:
            if not has_lock:
                raise OSError(errno.EAGAIN, "the scratch quota of the node stays locked", str(path))
            if os.fstat(self._file).st_size < _FILE_BYTES:
                # To write into a hole of a mapped file on a full tmpfs would be a SIGBUS later.
                os.posix_fallocate(self._file, 0, _FILE_BYTES)
                os.pwrite(self._file, struct.pack(f"<{len(rooms)}Q", *rooms), 0)

    def take(self, size: int, bucket: int) -> tuple[int, int] | None:
        """Hold room for a layer in the first tier that has it.

        :param size: bytes.
        :param bucket: the layer's size bucket.
        :returns: (slot, tier), or None if there is no room now.
        """
        with self._locked() as has_lock:
            if not has_lock:
                return None

            # See whether the bucket and the table have a place.
            holdings = self._living()
            if sum(one.bucket == bucket for one in holdings.values()) >= self._most[bucket]:
                return None
            free_slot = next((slot for slot in range(_SLOTS) if slot not in holdings), None)
            if free_slot is None:
                return None

            # Take the first tier with enough room.
            for tier, (room, taken) in enumerate(
                zip(self.rooms, self._sums(holdings), strict=True)
            ):
                if taken + size <= room:
                    holding = _Holding(self._process, tier, bucket, self._process_began, size)
                    self._write(free_slot, holding)
                    return free_slot, tier
        return None

    def give_back(self, slot: int) -> None:
        """Free a slot that `take` returned; it is this process's own, so no lock is needed."""
        self._write(slot, _EMPTY)

    def taken(self) -> list[int]:
        """Return the bytes that are held of each tier."""
        return self._sums(self._living())

    def _sums(self, holdings: dict[int, _Holding]) -> list[int]:
        sums = [0] * len(self.rooms)
        for holding in holdings.values():
            sums[holding.tier] += holding.bytes
        return sums

    def close(self) -> None:
        """Unmap and close the file."""
        self._map.close()
        os.close(self._file)

    def _living(self) -> dict[int, _Holding]:
        """Return what is held, by slot, and free what dead processes hold."""
        slots = map(_Holding._make, _SLOT.iter_unpack(self._map[_HEAD.size :]))
        holdings = {slot: holding for slot, holding in enumerate(slots) if holding.process}
        began = {process: _began(process) for process in {one.process for one in holdings.values()}}
        dead = [slot for slot, one in holdings.items() if began[one.process] != one.began]
        for slot in dead:
            self._write(slot, _EMPTY)
            del holdings[slot]
        return holdings

    def _write(self, slot: int, holding: _Holding) -> None:
        _SLOT.pack_into(self._map, _HEAD.size + slot * _SLOT.size, *holding)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[bool]:
        """Hold the lock and yield True; yield False if its holder does not release it in time."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    yield False
                    return
                time.sleep(0.001)
        try:
            yield True
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


def _began(process: int) -> int:
    """Return when a process began, in ticks since the machine's start; -1 if there is none."""
    try:
        return int(process_stat(process)[1][19])
    except OSError:
        return -1
