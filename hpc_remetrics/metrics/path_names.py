"""The paths of many entries at once: cleaned, hashed, cut into directories, names and
extensions."""

from __future__ import annotations

import numpy as np

from ..tar.paths import clean
from .hashing import PADDING, hash_slices
from .sorting import distinct

_SLASH, _DOT = 0x2F, 0x2E


class Paths:
    """Paths as slices of one array of bytes, cleaned as `profile.paths.clean` does.

    :ivar data: the bytes; behind those given stand the few that had to be written anew.
    :ivar start: where each path begins in `data`.
    :ivar length: bytes of each path.
    """

    def __init__(self, data: np.ndarray, start: np.ndarray, stop: np.ndarray) -> None:
        """Take bytes, and where each path begins, rising, and ends in them."""
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
        """Leave out one `./` or `/` before and one `/` behind, which is all that most paths
        need."""
        data = self.data
        start = start + 2 * (
            (stop - start > 1) & (data[start] == _DOT) & (data[start + 1] == _SLASH)
        )
        start = start + ((stop > start) & (data[start] == _SLASH))
        stop = stop - ((stop > start) & (data[stop - 1] == _SLASH))
        return start, stop - start

    def _unclean(self) -> np.ndarray:
        """Return the rows that still have an empty part, a `.` or a `..`."""
        stop = self.start + self.length
        before = np.flatnonzero(self.data[:-PADDING] == _SLASH)
        after = self.data[before + 1]
        before = before[(after == _SLASH) | (after == _DOT)]
        # A slash belongs to the path that begins before it, if that has not ended.
        row = np.searchsorted(self.start, before, "right") - 1
        row, before = row[row >= 0], before[row >= 0]
        within = before < stop[row]
        row, begin = row[within], before[within] + 1
        first = np.flatnonzero(np.isin(self.data[self.start], (_SLASH, _DOT)) & (self.length > 0))
        row, begin = np.append(row, first), np.append(begin, self.start[first])
        return distinct(row[self._needless(begin, stop[row])])

    def _needless(self, begin: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """Say of parts, by where they begin and their paths end, if they are (or may be) empty, `.`
        or `..`."""
        one, two, three = (self.data[begin + place] for place in range(3))
        ends = [(begin + n == stop) | (byte == _SLASH) for n, byte in enumerate((one, two, three))]
        return ends[0] | ((one == _DOT) & (ends[1] | ((two == _DOT) & ends[2])))

    def _clean(self, rows: np.ndarray) -> None:
        """Write the paths of some rows anew, behind the others."""
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
        """Return the hashes of the paths."""
        return hash_slices(self.data, self.start, self.length, lanes)

    @property
    def parts(self) -> np.ndarray:
        """Return the number of directories above each path."""
        return self._high - self._low

    def directory(self, parts: int | None = None, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the bytes of each path, or of some, that are its directory, or the first `parts`
        parts of it."""
        chosen = slice(None) if rows is None else rows
        low, high = self._low[chosen], self._high[chosen]
        last = high - 1 if parts is None else np.minimum(low + parts, high) - 1
        return np.where(last >= low, self._slashes[last] - self.start[chosen], 0)

    def extensions(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where the extension of each name begins and its bytes: 0 where there is none."""
        end = self.start + self.length
        directory = self.directory()
        name = (
            self.start + directory + (directory > 0) + ((self._high > self._low) & (directory == 0))
        )
        dots = np.flatnonzero(self.data == _DOT)
        place = np.searchsorted(dots, end) - 1
        dot = np.where(place >= 0, np.append(dots, -1)[place], -1)
        has = dot > name
        return np.where(has, dot + 1, end), np.where(has, end - dot - 1, 0)
