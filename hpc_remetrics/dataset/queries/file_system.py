"""The file system of an image, as a container sees it: its layers merged by the OCI rules.

Layers are taken from the top down. What a layer shows, and what its whiteouts remove, hides entries
of the layers below it:

    layer (top first)                    hides below                        shown of it
    3  etc/motd, var/.wh.log             etc/motd, var/log, var/log/…       etc/motd
    2  var/log/a, srv/.wh..wh..opq       all below srv/                     –  (var/log is removed)
    1  etc/motd, srv/x, usr/bin/sh       –                                  usr/bin/sh

These are the rules by which `/metrics/hidden` is computed (docs/metrics.md, "Hidden bytes").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...records import KINDS
from ...tar.paths import whiteout_target
from ..arrow import import_pandas
from ..text_values import path_text
from .selection import image_layers

if TYPE_CHECKING:
    import pandas

    from ..reader import Dataset

_LONGEST = 4096
"""Bytes of the longest directory that is looked at; Linux takes no longer path."""

_WHITEOUT, _OPAQUE, _DIRECTORY = KINDS["whiteout"], KINDS["opaque"], KINDS["directory"]

_NOT_EXTRACTED = KINDS["other"]
"""Entries that no tool extracts: they hide what lies below them, and are not shown."""

_ROOT = b""

_COLUMNS = ("kind", "content", "mode", "uid", "gid", "mtime")
"""Columns of /entries that the frame has as they are."""


@dataclass
class UpperLayers:
    """What some layers hide in the layers below them; all paths are cleaned.

    :ivar entries: paths of their entries.
    :ivar others: of these, the paths that are no directories.
    :ivar removed: paths that their whiteouts name.
    :ivar emptied: directories with an opaque marker.
    """

    entries: set[bytes] = field(default_factory=set)
    others: set[bytes] = field(default_factory=set)
    removed: set[bytes] = field(default_factory=set)
    emptied: set[bytes] = field(default_factory=set)
    _is_hidden_in: dict[bytes, bool] = field(default_factory=dict)
    """Directory -> whether all of it is hidden; forgotten when a layer is added."""

    def hide(self, path: bytes) -> bool:
        """Return whether they hide an entry of a lower layer."""
        if path in self.entries or path in self.removed:
            return True
        parent = path.rpartition(b"/")[0]
        return self._hide_all_of(parent if len(parent) <= _LONGEST else _ROOT)

    def _hide_all_of(self, directory: bytes) -> bool:
        """Return whether they hide everything in a directory of a lower layer."""
        known = self._is_hidden_in
        # Go up to a directory that is known, or that hides all that is in it.
        passed = []
        path = directory
        while path not in known:
            passed.append(path)
            if path in self.removed or path in self.emptied or path in self.others:
                known[path] = True
            elif path == _ROOT:
                known[path] = False
            else:
                path = path.rpartition(b"/")[0]
        # The directories below that one are as it is.
        for below in passed:
            known[below] = known[path]
        return known[directory]

    def add(self, paths: list[bytes], kinds: list[int]) -> None:
        """Add a layer below those that are here."""
        for path, kind in zip(paths, kinds, strict=True):
            if kind == _OPAQUE:
                self.emptied.add(path.rpartition(b"/")[0])
            elif kind == _WHITEOUT:
                if (gone := whiteout_target(path)) is not None:
                    self.removed.add(gone)
            else:
                self.entries.add(path)
                if kind != _DIRECTORY and path != _ROOT:
                    self.others.add(path)
        self._is_hidden_in.clear()


@dataclass(frozen=True)
class VisibleEntries:
    """The entries of one image that are visible, by path.

    :ivar paths: cleaned paths, ascending.
    :ivar rows: (n,) int64, rows in /entries.
    :ivar layers: (n,) int64, rows in /layers.
    """

    paths: list[bytes]
    rows: np.ndarray
    layers: np.ndarray


def visible_entries(data: Dataset, image: int) -> VisibleEntries:
    """Return the entries of an image that a container sees.

    Of a path that occurs twice in one layer, the last entry is shown.

    :param image: row in /images.
    """
    upper = UpperLayers()
    found: list[tuple[bytes, int, int]] = []
    for layer in reversed(image_layers(data, image).tolist()):
        entries = data.entries_of(layer)
        paths = data.paths(entries.start, entries.stop, clean=True)
        kinds = data.entries.column("kind", entries.start, entries.stop).tolist()
        # Keep the last entry of each path that no upper layer hides.
        row_of = {
            path: row
            for row, (path, kind) in enumerate(zip(paths, kinds, strict=True), entries.start)
            if kind not in (_WHITEOUT, _OPAQUE, _NOT_EXTRACTED)
        }
        found += [(path, row, layer) for path, row in row_of.items() if not upper.hide(path)]
        upper.add(paths, kinds)
    found.sort()
    return VisibleEntries(
        [path for path, _, _ in found],
        np.array([row for _, row, _ in found], np.int64),
        np.array([layer for _, _, layer in found], np.int64),
    )


def file_system(data: Dataset, image: int) -> pandas.DataFrame:
    """Return the frame of `Dataset.file_system`."""
    pandas = import_pandas()
    seen = visible_entries(data, image)
    values = _entry_columns(data, seen)
    links = values.pop("link")
    content = values["content"]
    has_none = content < 0

    # Look up sizes and types; what is no file has none.
    size = data.contents.take(content, "size").filled(0)
    types = data.types.take(data.contents.take(content, "type"), "description")
    columns = {
        "path": [path_text(path) for path in seen.paths],
        "kind": pandas.Categorical.from_codes(values["kind"], list(KINDS)),
        "size": pandas.arrays.IntegerArray(size, has_none),
        "type": types.tolist(),
        "link": [path_text(link) for link in links],
        "layer": seen.layers,
        "content": pandas.arrays.IntegerArray(content.astype(np.int64), has_none),
        **{name: values[name] for name in _COLUMNS if name not in ("kind", "content")},
    }
    return pandas.DataFrame(columns, pandas.Index(seen.rows, name="entry"))


def _entry_columns(data: Dataset, seen: VisibleEntries) -> dict[str, Any]:
    """Return columns of the visible entries, each layer's read in one piece.

    :returns: name -> (n,) values; `link` -> list of bytes.
    """
    columns: dict[str, Any] = {}
    for name in _COLUMNS:
        columns[name] = np.zeros(len(seen.rows), data.entries.column(name, 0, 0).dtype)
    links = np.full(len(seen.rows), b"", object)
    for layer in np.unique(seen.layers).tolist():
        entries = data.entries_of(layer)
        here = np.flatnonzero(seen.layers == layer)
        within = seen.rows[here] - entries.start
        for name in _COLUMNS:
            columns[name][here] = data.entries.column(name, entries.start, entries.stop)[within]
        links[here] = np.array([*data.links(entries.start, entries.stop), None], object)[within]
    columns["link"] = links.tolist()
    return columns
