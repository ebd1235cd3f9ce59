"""One layer as the layers above it see it: its names, its directories, and what it does to layers
below.

A *name* is a regular file, or a hard link to one: a file's bytes are shipped once and hidden when
its last name is.
"""

from __future__ import annotations

import numpy as np

from ..records import KINDS
from ..tar.paths import WHITEOUT, clean
from .file_rows import read_paths
from .hashing import PADDING, hash_slices
from .inputs import Inputs
from .path_names import Paths
from .sorting import distinct

_LONGEST = 4096
"""Bytes of the longest directory that is looked at; no Linux file system takes a longer one."""

_FILE, _HARDLINK, _OPAQUE = KINDS["file"], KINDS["hardlink"], KINDS["opaque"]
_MARKS = (KINDS["whiteout"], _OPAQUE)


class LayerIndex:
    """The entries of a layer by the 64-bit hashes of their paths.

    :ivar names: hashes of the names, rising.
    :ivar file: of each name, its place in `sizes` and `links`.
    :ivar sizes: bytes of each file; `links`: its names.
    :ivar tree: the directories above the names.
    :ivar entries: hashes of all entries but whiteouts, rising.
    :ivar others: hashes of those that are no directories, rising.
    :ivar whiteouts: hashes of what whiteouts remove, rising.
    :ivar opaque: hashes of the directories with an opaque marker, rising.
    """

    def __init__(self, inputs: Inputs, layer: int) -> None:
        first = int(inputs.layer("first_entry")[layer])
        stop = first + int(inputs.layer("entries")[layer])
        kind = inputs.entry.column("kind", first, stop)
        marks = np.isin(kind, _MARKS)
        self.whiteouts, self.opaque = _marks(inputs, first, stop, kind)
        rows = np.flatnonzero(~marks)
        paths, kind = read_paths(inputs, first, stop, rows), kind[rows]
        hashes = paths.hashes(1)[0]
        self.entries = distinct(hashes)
        # Nothing can stand in place of the root, whatever a tar says.
        self.others = distinct(hashes[(kind != KINDS["directory"]) & (paths.length > 0)])
        content = inputs.entry.column("content", first, stop)[rows]
        files = np.flatnonzero((kind == _FILE) & (content >= 0))
        self.sizes = (
            np.asarray(inputs.sizes[content[files]]) if len(files) else np.empty(0, np.int64)
        )
        links = _resolved(inputs, first + rows, kind, hashes, files)
        names = np.append(files, np.array([link for link, _ in links], np.int64))
        file = np.append(np.arange(len(files)), np.array([target for _, target in links], np.int64))
        order = np.argsort(hashes[names], kind="stable")
        self.names, self.file = hashes[names[order]], file[order]
        self.links = np.bincount(file, minlength=len(files))
        self.tree = Tree(paths, names[order])

    @property
    def nbytes(self) -> int:
        """Bytes that the index takes, about."""
        return sum(
            value.nbytes
            for one in (self, self.tree)
            for value in vars(one).values()
            if hasattr(value, "nbytes")
        )


class Tree:
    """The directories above some names, parents before children.

    :ivar hashes: their hashes, rising within each depth; the first is the root.
    :ivar above: of each its parent's place, of the root its own.
    :ivar levels: where each depth begins, and the end.
    :ivar parent: of each name its directory's place.
    :ivar order: the places by rising hash.
    """

    def __init__(self, paths: Paths, names: np.ndarray) -> None:
        depth = paths.parts[names]
        depth[paths.directory()[names] > _LONGEST] = 0
        deepest = int(depth.max(initial=0))
        found: list[tuple[np.ndarray, np.ndarray]] = []
        rows = np.empty(0, np.int64)
        for level in range(deepest, -1, -1):
            rows = np.append(rows, names[depth == level])
            hashes = hash_slices(paths.data, paths.start[rows], paths.directory(level, rows), 1)[0]
            hashes, at = np.unique(hashes, return_index=True)
            rows = rows[at]
            found.append((hashes, rows))
        found.reverse()
        if not len(names):
            found = [(hashed([b""]), rows)]
        self.levels = np.cumsum([0, *(len(hashes) for hashes, _ in found)])
        self.hashes = np.concatenate([hashes for hashes, _ in found])
        self.above, self.parent = (
            np.zeros(len(self.hashes), np.int32),
            np.zeros(len(names), np.int32),
        )
        for level, (_, rows) in enumerate(found):
            if level:
                self.above[self.levels[level] : self.levels[level + 1]] = self._places(
                    paths, level - 1, rows
                )
            mine = np.flatnonzero(depth == level)
            self.parent[mine] = self._places(paths, level, names[mine])
        self.order = np.argsort(self.hashes, kind="stable").astype(np.int32)

    def _places(self, paths: Paths, level: int, rows: np.ndarray) -> np.ndarray:
        """Return the places of the directories of a depth that lie above some paths."""
        hashes = hash_slices(paths.data, paths.start[rows], paths.directory(level, rows), 1)[0]
        low, high = self.levels[level], self.levels[level + 1]
        return low + np.searchsorted(self.hashes[low:high], hashes)


def hashed(paths: list[bytes]) -> np.ndarray:
    """Return the hashes of some cleaned paths."""
    lengths = np.array([len(path) for path in paths], np.int64)
    data = np.frombuffer(b"".join(paths) + bytes(PADDING), np.uint8)
    return hash_slices(data, np.cumsum(lengths) - lengths, lengths, 1)[0]


def _marks(
    inputs: Inputs, first: int, stop: int, kind: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashes of what whiteouts remove, and of the directories with an opaque marker."""
    chosen = np.flatnonzero(np.isin(kind, _MARKS))
    removed, opaque = [], []
    paths = read_paths(inputs, first, stop, chosen) if len(chosen) else None
    for number, mark in enumerate(kind[chosen].tolist() if paths else ()):
        directory, slash, name = paths[number].rpartition(b"/") if paths else (b"", b"", b"")
        if mark == _OPAQUE:
            opaque.append(directory)
        elif (gone := name[len(WHITEOUT) :]) not in (b"", b".", b".."):
            removed.append(directory + slash + gone)
    return distinct(hashed(removed)), distinct(hashed(opaque))


def _resolved(
    inputs: Inputs, rows: np.ndarray, kind: np.ndarray, hashes: np.ndarray, files: np.ndarray
) -> list[tuple[int, int]]:
    """Return the hard links to files, as (place in `rows`, place in `files`).

    As in the pass over the layer: what is named is the latest entry of that path before the link,
    or else the next file of that path after it.
    """
    places = np.flatnonzero(kind == _HARDLINK).tolist()
    if not places:
        return []
    named = hashed([clean(inputs.dataset.links(row, row + 1)[0]) for row in rows[places].tolist()])
    target = dict(zip(places, named.tolist(), strict=True))
    number = dict(zip(files.tolist(), range(len(files)), strict=True))
    latest: dict[int, int] = {}
    waiting: dict[int, list[int]] = {}
    found: dict[int, int] = {}
    for place in np.union1d(np.flatnonzero(np.isin(hashes, named)), places).tolist():
        if place in target:
            if (path := target[place]) in latest:
                found[place] = latest[path]
            else:
                waiting.setdefault(path, []).append(place)
        path = int(hashes[place])
        latest[path] = place
        if place in number:
            found.update(dict.fromkeys(waiting.pop(path, ()), place))
    return [(place, number[end]) for place in places if (end := _end(found, place)) in number]


def _end(found: dict[int, int], place: int) -> int:
    """Follow links to links; they end, since each but the last names an earlier entry."""
    while place in found:
        place = found[place]
    return place
