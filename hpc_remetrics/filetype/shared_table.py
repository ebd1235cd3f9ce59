"""A table, shared by the processes of a node, from the digest of a content to its type.

What one process asked libmagic, no other asks again. Two files in one directory of the node's tmpfs
hold it:

    types.table    words of 64 bits, mapped by every process: sets of eight, each a cache line
    types.names    descriptions, one a line, appended to: line 0 is type 4

    digest     bytes 0 to 7: | tag: 46 bits | not used |     bytes 8 to 11: | not used | set |
    word                     | tag: 46 bits | uses: 2 bits | number + 1: 16 bits |  0: empty

A content is in its set or nowhere: in the word that the tag chooses, if it was the first to come
there, else in any of the eight. So the table is lossy: where a set is full, a new content takes the
word of the one that was used least, which then costs one more question to libmagic. An example with
sets of three (uses in parentheses), of which A is looked up, and then D is new:

    A(0) B(2) C(1)   → A is used   → A(1) B(2) C(1)   → D takes the place of A, all others lose 1
    D(0) B(1) C(0)

So what comes once does not drive out what comes often. `benchmarks/type_table.py` simulates how
much that gains.

No lock is needed to read either file, and none to write a word: it is stored by one aligned 64-bit
store, so a reader sees the old word or the new one. Two processes that write the same word at once
lose one of the two contents, or a count.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct

from ..errors import OutputError
from ..files.writing import private_descriptor, private_file, rename, shared_file

FIXED = ("untyped", "empty", "timed out", "unreadable by libmagic")
"""Types that the program gives by itself; their numbers are the same in every table."""

UNTYPED, EMPTY, TIMED_OUT, UNREADABLE = range(len(FIXED))

SLOTS = 1 << 21
"""Words of a table, by default and at least where there is room: 16 MiB of tmpfs a node."""

_MAX_SLOTS = 1 << 32
_FEWEST_SLOTS = 1 << 12
"""Words of the table that a full tmpfs is asked for last."""

_NAMES_ROOM = 1 << 18
"""Bytes that a table leaves free for the names; a table that fills a tmpfs could learn none."""

_WAYS = 8
"""Words of a set; 64 bytes, which a processor fetches together."""

# A content that was never seen gets another one's type when a tag in its set agrees by chance. A
# look-up compares eight words, so the probability is at most 2**-43 each; for 10**9 contents
# on one node 1e-4 wrong types are expected. (Set and tag together are 64 bits of SHA-256 or more:
# with 2**32 hashes somebody can make two files of their own share a type, and no more than that.)
_NUMBER_MASK = (1 << 16) - 1
_USE = 1 << 16
_MOST_USES = 3 * _USE
_TAG_SHIFT = 18

_KEY = Struct("<QI")
"""The bytes of a digest that are looked at: one number for the tag, one for the set."""


def slots_for(files: float, size: int) -> int:
    """Return how many words the table of a node should have.

    About 2 * files^0.88 contents are distinct, as in the images of 2017 (docs/filetype.md); there
    is a word for each of them, and :data:`SLOTS` at least.

    >>> [slots_for(files, 1 << 40).bit_length() - 1 for files in (0, 10**6, 10**8, 10**9)]
    [21, 21, 25, 28]

    :param files: how many the node will profile, about.
    :param size: bytes that the table may take, but for the least table.
    """
    contents = 2 * files**0.88
    slots = SLOTS
    while slots < contents and 16 * slots <= size and slots < _MAX_SLOTS:
        slots *= 2
    return slots


class TypeTable:
    """Maps SHA-256 digests to type numbers, and numbers to descriptions, on one node.

    The directory must be of one version of libmagic and of the rule (`typer.signature()` in its
    name), and on a tmpfs, or it is slow. An object belongs to one process: make it after a fork.

    :param directory: made if missing; any number of processes may create or join it at once.
    :param slots: words of a new table, a power of two from 2**3 to 2**32. Where there is no room
        for them it gets fewer; a table that is there already keeps its size.
    :ivar size: bytes of the table.
    :raises ValueError: `slots` is no such power.
    :raises OutputError: the directory has no room or can't be written.
    """

    def __init__(self, directory: Path, slots: int = SLOTS) -> None:
        if not _is_table_size(8 * slots):
            raise ValueError(f"slots must be a power of two from 2**3 to 2**32, got {slots}")
        self._directory = directory
        self._descriptions = list(FIXED)
        self._numbers = {description: number for number, description in enumerate(FIXED)}
        self._consumed = 0  # bytes of the names file that are in _descriptions
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._names = private_descriptor(directory / "types.names", os.O_APPEND)
            with self._locked():
                self._map = _joined(directory) or _created(directory, slots)
        except OSError as error:
            raise OutputError(
                f"can't make the table of types in {directory}: {error.strerror}",
                "choose another --scratch",
            ) from error
        self._words = memoryview(self._map).cast("Q")
        self.size = self._words.nbytes
        self._set_mask = len(self._words) // _WAYS - 1

    def get(self, digest: bytes) -> int:
        """Return the type number of a content, -1 if it isn't known.

        :param digest: SHA-256 of the content, 32 raw bytes.
        """
        key, set_bits = _KEY.unpack_from(digest)
        tag = key >> _TAG_SHIFT
        first = (set_bits & self._set_mask) * _WAYS
        place = first + tag % _WAYS
        word = self._words[place]
        # A content is in its first word unless another one was there before.
        if word and word >> _TAG_SHIFT != tag:
            place = self._place_of(tag, first)
            word = self._words[place] if place >= 0 else 0
        # Store only what is new: a store takes the cache line from the other cores.
        if word and word & _MOST_USES != _MOST_USES:
            self._words[place] = word + _USE
        return (word & _NUMBER_MASK) - 1

    def put(self, digest: bytes, number: int) -> None:
        """Remember the type number of a content; it may be forgotten at any time.

        Only "timed out" stays: else another content of the same set would make it be tried again.

        :param digest: SHA-256 of the content, 32 raw bytes.
        """
        if not 0 <= number < _NUMBER_MASK:
            return
        key, set_bits = _KEY.unpack_from(digest)
        tag = key >> _TAG_SHIFT
        first = (set_bits & self._set_mask) * _WAYS
        place = first + tag % _WAYS
        if self._words[place]:
            place = self._place_of(tag, first)
            if place < 0:
                place = self._place_for(tag, first)
            elif _number(self._words[place]) == TIMED_OUT:
                return
        if place >= 0:
            self._words[place] = tag << _TAG_SHIFT | (number + 1)

    def _place_of(self, tag: int, first: int) -> int:
        """Return in which word of a set a tag is, -1 if it is in none.

        :param first: the first word of the set.
        """
        for place, word in enumerate(self._words[first : first + _WAYS], first):
            if word >> _TAG_SHIFT == tag and word:
                return place
        return -1

    def _place_for(self, tag: int, first: int) -> int:
        """Return which word of a set a new content takes: an empty one, or the one used least.

        :param first: the first word of the set.
        :returns: -1 if it has to take none.
        """
        # Begin at a word that depends on the content, so that equal ones are taken in turns.
        places = [first + (tag + turn) % _WAYS for turn in range(_WAYS)]
        words = {place: self._words[place] for place in places}
        words = {place: word for place, word in words.items() if _number(word) != TIMED_OUT}
        for place, word in words.items():
            if not word:
                return place
        if not words:
            return -1
        chosen = min(words, key=lambda place: words[place] & _MOST_USES)

        # What all had beyond the least of them counts from now on.
        least = words[chosen] & _MOST_USES
        if least:
            for place, word in words.items():
                self._words[place] = word - least
        return chosen

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
        """Return whether this is the node's first call for `what`, for warnings once a node."""
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
        data = os.pread(self._names, new_bytes, self._consumed)
        lines = data[: data.rfind(b"\n") + 1]
        self._consumed += len(lines)
        for line in lines.split(b"\n")[:-1]:
            description = line.decode("utf-8", "replace")
            self._numbers.setdefault(description, len(self._descriptions))
            self._descriptions.append(description)

    def _append(self, description: str) -> None:
        """Append one line under the lock, over what a line that was cut short left."""
        os.ftruncate(self._names, self._consumed)
        line = description.encode() + b"\n"
        if os.write(self._names, line) != len(line):
            raise OSError(errno.ENOSPC, "no space left for the names of types")
        # On a disk, no word may be kept without the name that it means; free on tmpfs.
        os.fsync(self._names)


def _number(word: int) -> int:
    """Return the type number of a word, -1 of an empty one."""
    return (word & _NUMBER_MASK) - 1


def _is_table_size(size: int) -> bool:
    """Return whether a table can have so many bytes."""
    return 8 * _WAYS <= size <= 8 * _MAX_SLOTS and not size & (size - 1)


def _joined(directory: Path) -> mmap.mmap | None:
    """Map the table that is there, None if there is none; the caller holds the lock."""
    with contextlib.suppress(FileNotFoundError), shared_file(directory / "types.table") as file:
        size = os.fstat(file.fileno()).st_size
        # Whatever has another size was not made here, and is replaced.
        if _is_table_size(size):
            return mmap.mmap(file.fileno(), size)
    return None


def _created(directory: Path, slots: int) -> mmap.mmap:
    """Make a table, with fewer words if there is no room, and map it; the caller holds the lock.

    It gets its name when it is whole: a process may be killed while it makes one.
    """
    unfinished = directory / "types.unfinished"
    with private_file(unfinished, "w+b") as file:
        # Allocate all now: a store into a hole of a full tmpfs would end the process by SIGBUS.
        while True:
            try:
                os.posix_fallocate(file.fileno(), 0, 8 * slots + _NAMES_ROOM)
                break
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or slots <= _FEWEST_SLOTS:
                    raise
            file.truncate(0)
            slots //= 2
        file.truncate(8 * slots)
        table = mmap.mmap(file.fileno(), 8 * slots)
    rename(unfinished, directory / "types.table")
    return table
