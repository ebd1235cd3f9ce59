"""Paths of many entries at once: cleaned, hashed, cut into directories and extensions."""

from __future__ import annotations

import numpy as np

from ..arrays import distinct
from ..hashing import PADDING, hash_slices
from ..tar.paths import clean

_SLASH, _DOT = 0x2F, 0x2E


class Paths:
    """Paths as slices of one array of bytes, cleaned as `tar.paths.clean` does.

    Most paths need no more than other bounds; the few others are written anew behind the data:

        data    ./usr/lib/a.so  /etc//motd       etc/motd
        start     2                              27          length 12, 8

    :param data: (bytes,) uint8.
    :param start: (n,) int64, where each path begins, ascending, and `stop` where it ends.
    :ivar data: the bytes given, and those written anew.
    :ivar start: (n,) int64, where each cleaned path begins in `data`; `length` its bytes.
    """

    def __init__(self, data: np.ndarray, start: np.ndarray, stop: np.ndarray) -> None:
        self.data = np.concatenate([data, np.zeros(PADDING, np.uint8)])
        self.start, self.length = self._trimmed(start, stop)
        self._clean(self._unclean())
        slashes = np.flatnonzero(self.data == _SLASH)
        self._low = np.searchsorted(slashes, self.start)
        self._high = np.searchsorted(slashes, self.start + self.length)
        self._slashes = np.append(slashes, 0)

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, row: int) -> bytes:
        start = int(self.start[row])
        return self.data[start : start + int(self.length[row])].tobytes()

    def _trimmed(self, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return start and length without one `./` and `/` before, and one `/` behind."""
        data = self.data
        has_dot = (stop - start > 1) & (data[start] == _DOT) & (data[start + 1] == _SLASH)
        start = start + 2 * has_dot
        start = start + ((stop > start) & (data[start] == _SLASH))
        stop = stop - ((stop > start) & (data[stop - 1] == _SLASH))
        return start, stop - start

    def _unclean(self) -> np.ndarray:
        """Return the paths that still have an empty part, a `.` or a `..`, (n,) int64."""
        stop = self.start + self.length
        # Find parts that begin behind a slash, with a slash or a dot.
        before = np.flatnonzero(self.data[:-PADDING] == _SLASH)
        after = self.data[before + 1]
        before = before[(after == _SLASH) | (after == _DOT)]
        # A slash belongs to the path that begins before it, if that has not ended.
        row = np.searchsorted(self.start, before, "right") - 1
        before = before[row >= 0]
        row = row[row >= 0]
        within = before < stop[row]
        row = row[within]
        begin = before[within] + 1
        # Add the first parts of paths.
        first = np.flatnonzero(np.isin(self.data[self.start], (_SLASH, _DOT)) & (self.length > 0))
        row = np.append(row, first)
        begin = np.append(begin, self.start[first])
        return distinct(row[self._needless(begin, stop[row])])

    def _needless(self, begin: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """Return whether parts are (or may be) empty, `.` or `..`, (n,) bool.

        :param begin: (n,) int64, where each part begins, and `stop` where its path ends.
        """
        one, two, three = (self.data[begin + place] for place in range(3))
        ends = [(begin + n == stop) | (byte == _SLASH) for n, byte in enumerate((one, two, three))]
        return ends[0] | ((one == _DOT) & (ends[1] | ((two == _DOT) & ends[2])))

    def _clean(self, rows: np.ndarray) -> None:
        """Clean some paths, and write them behind the data."""
        if not len(rows):
            return
        cleaned = [clean(self[row]) for row in rows.tolist()]
        lengths = np.array([len(path) for path in cleaned])
        at = len(self.data) - PADDING
        self.start[rows] = at + np.cumsum(lengths) - lengths
        self.length[rows] = lengths
        added = np.frombuffer(b"".join(cleaned) + bytes(PADDING), np.uint8)
        self.data = np.concatenate([self.data[:at], added])

    def hashes(self, lanes: int = 2) -> list[np.ndarray]:
        """Return the hashes of the paths, as one (n,) uint64 array a lane."""
        return hash_slices(self.data, self.start, self.length, lanes)

    @property
    def parts(self) -> np.ndarray:
        """Number of directories above each path, (n,) int64."""
        return self._high - self._low

    def directory(self, parts: int | None = None, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the length of the directory of each path, (n,) int64 bytes.

        :param parts: count at most this many parts of it.
        :param rows: (n,) int64, the paths; None: all.
        """
        chosen = slice(None) if rows is None else rows
        low = self._low[chosen]
        high = self._high[chosen]
        last = high - 1 if parts is None else np.minimum(low + parts, high) - 1
        return np.where(last >= low, self._slashes[last] - self.start[chosen], 0)

    def extensions(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where each path's extension begins, and its length: 0 where there is none.

        It follows the last dot of the name, unless the name begins with that.
        """
        end = self.start + self.length
        # A name begins behind its directory's slash; the directory may be an empty one.
        directory = self.directory()
        has_slash = (directory > 0) | (self._high > self._low)
        name = self.start + directory + has_slash
        dots = np.flatnonzero(self.data == _DOT)
        place = np.searchsorted(dots, end) - 1
        dot = np.where(place >= 0, np.append(dots, -1)[place], -1)
        has_extension = dot > name
        begin = np.where(has_extension, dot + 1, end)
        return begin, np.where(has_extension, end - dot - 1, 0)
