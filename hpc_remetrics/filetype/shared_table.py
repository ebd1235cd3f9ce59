"""A table, shared by the processes of a node, from the digest of a content to its type.

What one process asked libmagic, no other asks again. Two files in one directory of the node's tmpfs
hold it::

    types-2097152.table    2^21 words of 64 bits, mapped by every process
    types.names            descriptions, one a line, appended to: line 0 is type 4

    digest  |.. 65 bits ..| = | tag: 44 bits | slot: 21 bits |   which word
    word                      | tag: 44 bits | number + 1: 20 bits |   0: empty

No lock is needed to read either file, and none to write a word: it is stored by one aligned 64-bit
store, so a reader sees the old word or the new one. The table is lossy: a content overwrites another
one of the same slot, which then costs one more question to libmagic.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError
from ..files.writing import private_descriptor

FIXED = ("untyped", "empty", "timed out", "unreadable by libmagic")
"""Types that the program gives by itself; their numbers are the same in every table."""

UNTYPED, EMPTY, TIMED_OUT, UNREADABLE = range(len(FIXED))

SLOTS = 1 << 21
"""Default number of slots: 16 MiB of tmpfs a node."""

# A content that was never seen gets another one's type when slot and tag agree by chance. A look-up
# compares one word, so the probability is at most 2**-44 each; for 10**9 distinct contents on one
# node 6e-5 wrong types are expected. (Slot and tag together are 65 bits of SHA-256: with 2**33 hashes
# somebody can make two files of their own share a type, and no more than that.)
_TAG_BITS = 44
_TAG_MASK = (1 << _TAG_BITS) - 1
_NUMBER_BITS = 20
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1
_DIGEST_BYTES = 9  # 72 bits: 44 of tag and up to 28 of slot
_MAX_SLOTS = 1 << 28


class TypeTable:
    """Maps SHA-256 digests to type numbers, and numbers to descriptions, on one node.

    The directory must be of one version of libmagic and of the rule (`typer.signature()` in its
    name), and on a tmpfs, or it is slow. An object belongs to one process: make it after a fork.

    :param directory: made if missing; any number of processes may create or join it at once.
    :param slots: a power of two up to 2**28; tables of different size in one directory don't
        disturb each other.
    :raises ValueError: `slots` is no such power.
    :raises OutputError: the directory has no room or can't be written.
    """

    def __init__(self, directory: Path, slots: int = SLOTS) -> None:
        if slots < 1 or slots > _MAX_SLOTS or slots & (slots - 1):
            raise ValueError(f"slots must be a power of two up to 2**28, got {slots}")
        self._directory = directory
        self._slot_mask = slots - 1
        self._slot_bits = slots.bit_length() - 1
        self._descriptions = list(FIXED)
        self._numbers = {description: number for number, description in enumerate(FIXED)}
        self._consumed = 0  # bytes of the names file that are in _descriptions
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._names = private_descriptor(directory / "types.names", os.O_APPEND)
            with self._locked():
                self._map = _mapped(directory / f"types-{slots}.table", slots * 8)
        except OSError as error:
            raise OutputError(
                f"can't make the table of types in {directory}: {error.strerror}",
                "choose another --scratch",
            ) from error
        self._words = memoryview(self._map).cast("Q")

    def get(self, digest: bytes) -> int:
        """Return the type number of a content, -1 if it isn't known.

        :param digest: SHA-256 of the content, 32 raw bytes.
        """
        bits = int.from_bytes(digest[:_DIGEST_BYTES], "little")
        word = self._words[bits & self._slot_mask]
        if word >> _NUMBER_BITS != (bits >> self._slot_bits) & _TAG_MASK:
            return -1
        return (word & _NUMBER_MASK) - 1  # an empty word gives -1

    def put(self, digest: bytes, number: int) -> None:
        """Remember the type number of a content; it may be forgotten at any time.

        Only "timed out" stays: else another content of the same slot would make it be tried again.

        :param digest: SHA-256 of the content, 32 raw bytes.
        """
        bits = int.from_bytes(digest[:_DIGEST_BYTES], "little")
        slot = bits & self._slot_mask
        tag = (bits >> self._slot_bits) & _TAG_MASK
        word = self._words[slot]
        if (word & _NUMBER_MASK) - 1 == TIMED_OUT or not 0 <= number < _NUMBER_MASK:
            return
        self._words[slot] = tag << _NUMBER_BITS | (number + 1)

    def number(self, description: str) -> int:
        """Return the number of a description, given by the first process of the node that asks.

        :raises ValueError: the description is empty or not one line.
        :raises OSError: the names file can't grow.
        """
        number = self._numbers.get(description)
        if number is not None:
            return number
        if not description or "\n" in description:
            raise ValueError(f"not a description: {description[:100]!r}")
        with self._locked():
            self._read_names()
            if description not in self._numbers:
                self._append(description)
                self._read_names()
        return self._numbers[description]

    def description(self, number: int) -> str:
        """Return the description of a number of this table.

        :raises IndexError: nobody was given this number.
        """
        if number >= len(self._descriptions):
            self._read_names()
        if not 0 <= number < len(self._descriptions):
            raise IndexError(
                f"type number {number} is unknown, there are {len(self._descriptions)}"
            )
        return self._descriptions[number]

    def descriptions(self) -> list[str]:
        """Return all descriptions that the node knows by now, in order of their numbers."""
        self._read_names()
        return list(self._descriptions)

    def is_first(self, what: str) -> bool:
        """Tell whether this is the node's first call for `what`: a warning is logged once a node."""
        try:
            os.close(private_descriptor(self._directory / f"said.{what}", os.O_EXCL))
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close both files; they stay for the node's other processes."""
        if self._names >= 0:
            self._words.release()
            self._map.close()
            os.close(self._names)
            self._names = -1

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the names; the kernel releases it if the process dies."""
        fcntl.flock(self._names, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._names, fcntl.LOCK_UN)

    def _read_names(self) -> None:
        """Read the lines that others appended; one without its line feed isn't there (yet)."""
        new_bytes = os.fstat(self._names).st_size - self._consumed
        data = os.pread(self._names, new_bytes, self._consumed) if new_bytes > 0 else b""
        lines = data[: data.rfind(b"\n") + 1]
        self._consumed += len(lines)
        for line in lines.split(b"\n")[:-1]:
            description = line.decode("utf-8", "replace")
            self._numbers.setdefault(description, len(self._descriptions))
            self._descriptions.append(description)

    def _append(self, description: str) -> None:
        """Append one line under the lock, over what a killed process left of its own."""
        os.ftruncate(self._names, self._consumed)
        line = description.encode() + b"\n"
        if os.write(self._names, line) != len(line):
            os.ftruncate(self._names, self._consumed)
            raise OSError(errno.ENOSPC, "no space left for the names of types")
        # On a disk, no word may be kept without the name that it means; on tmpfs this costs nothing.
        os.fsync(self._names)


def _mapped(path: Path, size: int) -> mmap.mmap:
    """Map a file of `size` zero bytes, made if it is missing; the caller holds the lock."""
    descriptor = private_descriptor(path)
    try:
        # Allocate all now: a store into a hole of a full tmpfs would end the process by SIGBUS.
        if os.fstat(descriptor).st_size < size:
            os.posix_fallocate(descriptor, 0, size)
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)
