"""One account a node of what the ranks of a job took of its scratch: bytes in each tier, layers in
each size bucket.

A small file in memory that the ranks of the node map, under a lock that the kernel gives back when
its holder dies. What a dead rank took is given back by whoever looks next; the file goes with the
job's folder.
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

_SLOTS = 1024
_HEAD = struct.Struct("<8Q")
"""Room of each tier, bytes."""

_ROW = struct.Struct("<IHHQQ8x")
"""Process, tier, bucket, when the process began, bytes; process 0: an empty slot."""

_PATIENCE = 1.0
"""Seconds after which a lock whose holder does not move counts as no room for now."""

MOST_TIERS = 8


class _Row(NamedTuple):
    process: int
    tier: int
    bucket: int
    began: int
    bytes: int


class ScratchQuota:
    """The account of this job on this node.

    :param path: in a folder that the node's ranks share.
    :param rooms: bytes of each tier; those of the rank that comes first count.
    :param most: layers of each bucket that may be granted at once.
    """

    def __init__(self, path: Path, rooms: Sequence[int], most: Sequence[int]) -> None:
        if len(rooms) > MOST_TIERS:
            raise ValueError(f"an account has at most {MOST_TIERS} tiers, got {len(rooms)}")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = _HEAD.size + _SLOTS * _ROW.size
        try:
            self._begin(path, size, rooms)
        except OSError:
            os.close(self._file)
            raise
        self._map = mmap.mmap(self._file, size)
        self._most = tuple(most)
        self.rooms = _HEAD.unpack_from(self._map)[: len(rooms)]
        self._me = os.getpid(), _began(os.getpid())

    def _begin(self, path: Path, size: int, rooms: Sequence[int]) -> None:
        with self._locked() as ours:
            if not ours:
                raise OSError(errno.EAGAIN, "the account of the node stays locked", str(path))
            if os.fstat(self._file).st_size < size:
                os.posix_fallocate(
                    self._file, 0, size
                )  # a hole on a full tmpfs would be a SIGBUS later
                os.pwrite(self._file, _HEAD.pack(*rooms, *[0] * (MOST_TIERS - len(rooms))), 0)

    def take(self, size: int, bucket: int) -> tuple[int, int] | None:
        """Return (slot, tier) of the first tier with room for `size` bytes more, or None if there
        is no room now."""
        with self._locked() as ours:
            if not ours:
                return None
            rows = self._living()
            if sum(row.bucket == bucket for row in rows.values()) >= self._most[bucket]:
                return None
            for tier, room in enumerate(self.rooms):
                if sum(row.bytes for row in rows.values() if row.tier == tier) + size <= room:
                    slot = next((number for number in range(_SLOTS) if number not in rows), -1)
                    if slot < 0:
                        return None
                    self._write(slot, _Row(self._me[0], tier, bucket, self._me[1], size))
                    return slot, tier
        return None

    def give_back(self, slot: int) -> None:
        """Free what `take` gave; the slot is this process's own, so no lock is needed."""
        self._write(slot, _Row(0, 0, 0, 0, 0))

    def taken(self) -> list[int]:
        """Return the bytes that are taken of each tier."""
        rows = self._living().values()
        return [
            sum(row.bytes for row in rows if row.tier == tier) for tier in range(len(self.rooms))
        ]

    def close(self) -> None:
        self._map.close()
        os.close(self._file)

    def _living(self) -> dict[int, _Row]:
        """Return the rows in use, less those of dead processes, which are freed."""
        rows = {
            n: _Row(*row)
            for n, row in enumerate(_ROW.iter_unpack(self._map[_HEAD.size :]))
            if row[0]
        }
        began = {process: _began(process) for process in {row.process for row in rows.values()}}
        dead = [slot for slot, row in rows.items() if began[row.process] != row.began]
        for slot in dead:
            self._write(slot, _Row(0, 0, 0, 0, 0))
            del rows[slot]
        return rows

    def _write(self, slot: int, row: _Row) -> None:
        _ROW.pack_into(self._map, _HEAD.size + slot * _ROW.size, *row)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[bool]:
        """Hold the lock, and say so; False if its holder does not give it back in time."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
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
        with open(f"/proc/{process}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except OSError:
        return -1
