"""Index of one layer as other layers of an image meet it: names, directories, whiteouts.

A *name* is a regular file, or a hard link to one: a file's bytes are shipped once, and hidden when
its last name is.
"""

from __future__ import annotations

import numpy as np

from ..arrays import distinct, is_among
from ..dataset.path_names import Paths
from ..hashing import PADDING, hash_slices
from ..records import KINDS
from ..tar.paths import clean, whiteout_target
from .file_rows import read_paths
from .inputs import MetricsInputs

_LONGEST = 4096
"""Bytes of the longest directory that is looked at; Linux takes no longer path."""

_FILE, _HARDLINK, _OPAQUE = KINDS["file"], KINDS["hardlink"], KINDS["opaque"]
_MARKS = (KINDS["whiteout"], _OPAQUE)


class LayerIndex:
    """The entries of a layer by the 64-bit hashes of their cleaned paths.

    :ivar names: (names,) uint64, hashes of the names, ascending.
    :ivar file: (names,) int64, place of each name's file in `sizes` and `links`.
    :ivar sizes: (files,) int64, bytes; `links` (files,) int64, names of each file.
    :ivar directories: the directories above the names.
    :ivar entries: hashes of all entries but whiteouts, distinct and ascending, as are the others.
    :ivar others: hashes of the entries that are no directories.
    :ivar whiteouts: hashes of the paths that whiteouts remove.
    :ivar opaque: hashes of the directories with an opaque marker.
    """

    def __init__(self, inputs: MetricsInputs, layer: int) -> None:
        first = int(inputs.layer("first_entry")[layer])
        stop = first + int(inputs.layer("entries")[layer])
        kind = inputs.entry.column("kind", first, stop)
        # Take whiteouts and opaque markers apart from the entries.
        self.whiteouts, self.opaque = _marks(inputs, first, stop, kind)
        rows = np.flatnonzero(~np.isin(kind, _MARKS))
        paths = read_paths(inputs, first, stop, rows)
        kind = kind[rows]
        hashes = paths.hashes(1)[0]
        self.entries = distinct(hashes)
        # Nothing replaces the root directory, whatever a tar says.
        is_other = (kind != KINDS["directory"]) & (paths.length > 0)
        self.others = distinct(hashes[is_other])
        # Files, and the hard links to them.
        content = inputs.entry.column("content", first, stop)[rows]
        files = np.flatnonzero((kind == _FILE) & (content >= 0))
        self.sizes = np.empty(0, np.int64)
        if len(files):
            self.sizes = np.asarray(inputs.sizes[content[files]])
        links = _resolved(inputs, first + rows, kind, hashes, files)
        # Names in order of their hashes.
        names = np.append(files, np.array([link for link, _ in links], np.int64))
        file = np.append(np.arange(len(files)), np.array([target for _, target in links], np.int64))
        order = np.argsort(hashes[names], kind="stable")
        self.names = hashes[names[order]]
        self.file = file[order]
        self.links = np.bincount(file, minlength=len(files))
        self.directories = DirectoryIndex(paths, names[order])

    @property
    def nbytes(self) -> int:
        """Bytes that the index takes, about."""
        return sum(
            value.nbytes
            for one in (self, self.directories)
            for value in vars(one).values()
            if hasattr(value, "nbytes")
        )


class DirectoryIndex:
    """The directories above some names, parents before children:

        place   0        1     2     3           levels = [0, 1, 3, 4]: one range a depth
        path    (root)   etc   usr   usr/bin
        above   0        0     0     2

    :param paths: paths of a layer.
    :param names: (names,) int64, places of the names among the paths.
    :ivar hashes: (directories,) uint64, ascending within each depth; the first is the root.
    :ivar above: (directories,) int32, place of the parent; the root's is its own.
    :ivar levels: (depths + 1,) int64, where each depth begins, and the end.
    :ivar parent: (names,) int32, place of each name's directory.
    :ivar order: (directories,) int32, the places by ascending hash.
    """

    def __init__(self, paths: Paths, names: np.ndarray) -> None:
        depth = paths.parts[names]
        depth[paths.directory()[names] > _LONGEST] = 0
        # From the deepest up: a depth has the directories of its names, and those of deeper ones.
        by_depth: list[tuple[np.ndarray, np.ndarray]] = []
        rows = np.empty(0, np.int64)
        for level in range(int(depth.max(initial=0)), -1, -1):
            rows = np.append(rows, names[depth == level])
            hashes = hash_slices(paths.data, paths.start[rows], paths.directory(level, rows), 1)[0]
            hashes, at = np.unique(hashes, return_index=True)
            rows = rows[at]
            by_depth.append((hashes, rows))
        by_depth.reverse()
        if not len(names):
            by_depth = [(hashed([b""]), rows)]
        self.levels = np.cumsum([0, *(len(hashes) for hashes, _ in by_depth)])
        self.hashes = np.concatenate([hashes for hashes, _ in by_depth])
        # Point from directories to their parents, and from names to their directories.
        self.above = np.zeros(len(self.hashes), np.int32)
        self.parent = np.zeros(len(names), np.int32)
        for level, (_, rows) in enumerate(by_depth):
            if level:
                mine = slice(self.levels[level], self.levels[level + 1])
                self.above[mine] = self._places(paths, level - 1, rows)
            here = np.flatnonzero(depth == level)
            self.parent[here] = self._places(paths, level, names[here])
        self.order = np.argsort(self.hashes, kind="stable").astype(np.int32)

    def _places(self, paths: Paths, level: int, rows: np.ndarray) -> np.ndarray:
        """Return the places of the directories of a depth that are above some paths."""
        hashes = hash_slices(paths.data, paths.start[rows], paths.directory(level, rows), 1)[0]
        low = self.levels[level]
        high = self.levels[level + 1]
        return low + np.searchsorted(self.hashes[low:high], hashes)


def hashed(paths: list[bytes]) -> np.ndarray:
    """Return the hashes of cleaned paths, (n,) uint64."""
    lengths = np.array([len(path) for path in paths], np.int64)
    data = np.frombuffer(b"".join(paths) + bytes(PADDING), np.uint8)
    return hash_slices(data, np.cumsum(lengths) - lengths, lengths, 1)[0]


def _marks(
    inputs: MetricsInputs, first: int, stop: int, kind: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashes of what whiteouts remove, and of the directories with an opaque marker.

    :param kind: (stop - first,) the kinds of the rows `first` to `stop` of /entries.
    """
    chosen = np.flatnonzero(np.isin(kind, _MARKS))
    removed: list[bytes] = []
    opaque: list[bytes] = []
    if len(chosen):
        paths = read_paths(inputs, first, stop, chosen)
        for number, mark in enumerate(kind[chosen].tolist()):
            if mark == _OPAQUE:
                opaque.append(paths[number].rpartition(b"/")[0])
            elif (gone := whiteout_target(paths[number])) is not None:
                removed.append(gone)
    return distinct(hashed(removed)), distinct(hashed(opaque))


def _resolved(
    inputs: MetricsInputs, rows: np.ndarray, kind: np.ndarray, hashes: np.ndarray, files: np.ndarray
) -> list[tuple[int, int]]:
    """Return the hard links to files, as (place in `rows`, place in `files`).

    As in the pass over the layer, a link names the latest entry of that path before it, or else
    the next file of that path after it.

    :param rows: (n,) int64, rows of /entries; `kind` and `hashes` are theirs.
    :param files: (files,) int64, places of the regular files in `rows`.
    """
    places = np.flatnonzero(kind == _HARDLINK).tolist()
    if not places:
        return []
    named = hashed([clean(inputs.dataset.links(row, row + 1)[0]) for row in rows[places].tolist()])
    target_of = dict(zip(places, named.tolist(), strict=True))
    number = dict(zip(files.tolist(), range(len(files)), strict=True))
    latest: dict[int, int] = {}
    waiting: dict[int, list[int]] = {}
    ends: dict[int, int] = {}
    # Go through the links and the entries that they name, in the order of the tar.
    is_named = is_among(hashes, named)
    for place in distinct(np.concatenate([np.flatnonzero(is_named), places])).tolist():
        if place in target_of:
            path = target_of[place]
            if path in latest:
                ends[place] = latest[path]
            else:
                waiting.setdefault(path, []).append(place)
        path = int(hashes[place])
        latest[path] = place
        if place in number:
            ends.update(dict.fromkeys(waiting.pop(path, ()), place))
    return [(place, number[end]) for place in places if (end := _end(ends, place)) in number]


def _end(ends: dict[int, int], place: int) -> int:
    """Follow links to links; this ends, since each but the last names an earlier entry."""
    while place in ends:
        place = ends[place]
    return place
