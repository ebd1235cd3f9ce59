"""Reduce: every figure's numbers of a dataset, by all ranks, in bounded memory, exactly.

1. /contents is read once: sizes, copies, types, where duplicates are (`contents.py`).
2. /entries is read once: paths are hashed, files travel to the home of their path's hash, directories and extensions
   to that of theirs (`files.py`); there paths and their contents are counted (`paths.py`), and the most frequent
   names found (`common_names.py`).
3. Files travel to the home of their content: layers, names and growth are counted (`carriers.py`, `growth.py`).
4. Images are taken in the order of their layers: what they hide (`hidden.py`).
5. The root puts the tables together (`small.py`, `amounts.py`, `distribution.py`).

Every number is a sum, a least or a greatest value of whole numbers over all ranks, or made from such on the root, so
any number of ranks finds the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..cluster.comm import Comm
from ..profile.paths import clean
from ..records import STATUSES
from ..store.dataset import Dataset
from ..store.metrics_schema import HOW, METRICS, SCENARIOS
from . import small
from .amounts import Whole, by_name, by_type, shown
from .carriers import Carriers
from .common_names import CommonNames
from .contents import ContentPass, top_contents
from .distribution import Distributions
from .files import FilePass
from .growth import ratio, spread
from .hidden import HiddenPass
from .inputs import Inputs, combined
from .paths import PathPass, top_paths
from .sorting import distinct

Tables = dict[str, dict[str, Any]]
"""Table of `/metrics` -> column -> values."""

DEFAULT_MEMORY = 1 << 30
"""Bytes that a rank may take for rows on their way."""


def reduce(comm: Comm, dataset: Dataset, scratch: Path, memory: int = DEFAULT_MEMORY) -> Tables:
    """Return the tables of `/metrics` on the root, nothing elsewhere; all ranks call it on the same file.

    :param scratch: a folder of this rank's own on node-local disk.
    :param memory: bytes that each rank may take for rows on their way.
    """
    return _Reduction(Inputs(comm, dataset, scratch, memory)).run()


class _Reduction:
    """One reduction on one rank."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs, self.comm, self.dataset = inputs, inputs.comm, inputs.dataset
        self.distributions = Distributions()
        self.tables: Tables = {}

    @property
    def is_root(self) -> bool:
        return self.comm.rank == self.comm.root

    def run(self) -> Tables:
        self._contents()
        self._files()
        self._hidden()
        if self.is_root:
            self._small()
        return self.tables

    def _sum(self, values: np.ndarray) -> np.ndarray:
        return combined(self.comm, values)

    def _contents(self) -> None:
        found = ContentPass(self.inputs)
        found.run()
        for name, tally in found.tallies.items():
            self.distributions.take(self.comm, name, tally)
        self.types = {name: self._sum(values) for name, values in found.types.items()}
        self.whole = Whole.of(self.types)
        self.levels = self._sum(found.levels.reshape(-1)).reshape(2, 2)
        self.empty_files = sum(self.comm.allgather(found.empty_files))
        self.top = {
            by: top_contents(np.concatenate(self.comm.allgather(rows)))["content"] for by, rows in found.top.items()
        }

    def _files(self) -> None:
        comm, wanted = self.comm, distinct(np.concatenate(list(self.top.values())))
        files = FilePass(self.inputs, wanted)
        files.run()
        common = CommonNames(comm, files.names)
        carriers = Carriers(self.inputs)
        paths = PathPass(self.inputs, files.paths, carriers.paths_of, carriers.bounds)
        paths.run()
        carriers.send(files, common)
        carriers.count()
        self.kinds = self._sum(files.kinds)
        for name, tally in (("paths/contents", paths.contents), ("paths/files", paths.files)):
            self.distributions.take(comm, name, tally)
        self.distributions.take(comm, "contents/paths", carriers.paths)
        self.pairs = sum(comm.allgather(paths.pairs))
        self.same = [self._sum(counts.reshape(-1)).reshape(2, 2) for counts in (paths.counts, carriers.same)]
        self.layers = {name: self._sum(values) for name, values in carriers.layers.items()}
        names = {name: self._sum(values) for name, values in carriers.names.items()}
        first = combined(comm, files.first, np.minimum)
        top = top_paths(np.concatenate(comm.allgather(paths.top)))
        texts = common.texts(comm)
        self._growth(carriers)
        if self.is_root:
            self.tables |= by_name(texts, names, self.whole)
            self._top_files(dict(zip(wanted.tolist(), first.tolist(), strict=True)), top)

    def _growth(self, carriers: Carriers) -> None:
        growth = carriers.growth
        shape = growth.contents.shape
        contents, sizes = (self._sum(counts.reshape(-1)).reshape(shape) for counts in (growth.contents, growth.bytes))
        if self.is_root:
            self.tables["growth"] = growth.table(contents, sizes)
            self.tables["growth_spread"] = spread(self.tables["growth"])

    def _top_files(self, first: dict[int, int], paths: np.ndarray) -> None:
        """Put together the lists of the most repeated contents, and of the paths with the most contents."""
        rows = np.concatenate([self.top["copies"], self.top["bytes"]])
        table: dict[str, Any] = {"by": ["copies"] * len(self.top["copies"]) + ["bytes"] * len(self.top["bytes"])}
        table["content"] = rows
        for name in ("digest", "size", "copies", "layers", "images", "type"):
            column = self.dataset.contents
            values = [column.column(name, row, row + 1) for row in rows.tolist()]
            table[name] = np.concatenate(values) if values else column.column(name, 0, 0)
        table["redundant_bytes"] = (table["copies"] - 1) * table["size"]
        types = self.dataset.types.readable("description")
        table["type"] = types[table["type"]].tolist() if len(rows) else []
        table["path"] = [self._path(first[row]) for row in rows.tolist()]
        self.tables["top_contents"] = table
        self.tables["top_paths"] = {
            "path": [self._path(row) for row in paths["row"].tolist()],
            "contents": paths["contents"],
            "files": paths["files"],
        }

    def _path(self, row: int) -> str:
        paths = self.dataset.paths(row, row + 1)
        return shown(clean(paths[0])) if paths else ""

    def _hidden(self) -> None:
        hidden = HiddenPass(self.inputs)
        hidden.run()
        self.hidden_of_images = self._sum(hidden.images.reshape(-1)).reshape(-1, 2)
        self.how = self._sum(hidden.how.reshape(-1)).reshape(-1, 2)
        least = combined(self.comm, hidden.least, np.minimum)
        self.layers["hidden_least"] = np.where(least == np.iinfo(np.int64).max, 0, least)
        self.layers["hidden_most"] = combined(self.comm, hidden.most, np.maximum)
        self.layers["hides_most"] = combined(self.comm, hidden.hides, np.maximum)

    def _small(self) -> None:
        """Put together what comes from the small tables and from what was counted."""
        inputs, tables = self.inputs, self.tables
        images = self._images()
        tables["layers"], tables["images"] = self.layers, images
        small.take_layers(inputs, self.distributions, self.layers)
        small.take_images(inputs, self.distributions, images)
        small.take_repositories(inputs, self.distributions)
        tables |= self.distributions.tables()
        tables |= by_type(self.dataset, self.types)
        tables["totals"] = {name: [value] for name, value in self._totals(images).items()}
        tables["words"] = small.words(inputs, self.kinds, images["CLS"])
        tables["top_layers"] = small.top_layers(inputs)
        tables["top_repositories"] = small.top_repositories(inputs)
        tables["top_hidden"] = small.top_hidden(inputs, images)
        tables["pulls"] = small.pulls(inputs, images)
        tables["same_path"], tables["dedup_levels"] = self._same_path(), self._dedup_levels()
        tables["hidden"] = self._how(int(images["FLS"].sum()))
        tables["what_if"] = self._what_if()
        for name in ("samples", "chunks", "estimates"):
            tables[name] = {column: [] for column in METRICS[name].columns}

    def _images(self) -> dict[str, np.ndarray]:
        columns = {name: self.inputs.layer(name) for name in ("CLS", "TLS", "FLS", "files", "directories")}
        columns |= {name: self.layers[name] for name in ("shared_files", "shared_bytes")}
        images = {name: self.inputs.by_image(values) for name, values in columns.items()}
        images["hidden_files"], images["hidden_bytes"] = self.hidden_of_images.T
        return images

    def _totals(self, images: dict[str, np.ndarray]) -> dict[str, int | float]:
        data, inputs = self.dataset, self.inputs
        status = np.bincount(data.layers["status"], minlength=len(STATUSES))
        found: dict[str, Any] = {
            name: len(getattr(data, name))
            for name in ("repositories", "images", "image_layers", "layers", "entries", "contents")
        }
        found |= {f"layers_{word}": int(status[number]) for word, number in STATUSES.items()}
        found |= {name: int(inputs.layer(name).sum()) for name in _LAYER_SUMS}
        found |= {f"image_{name}": int(images[name].sum()) for name in ("CLS", "TLS", "FLS", "files")}
        found |= {
            name: int(images[name].sum()) for name in ("shared_files", "shared_bytes", "hidden_files", "hidden_bytes")
        }
        found["empty_files"], found["content_bytes"] = self.empty_files, int(self.types["content_bytes"].sum())
        found["paths"], found["path_contents"] = int(self.same[0][:, 0].sum()), self.pairs
        found["redundant"] = found["FLS"] - found["content_bytes"]
        found |= {name: float(ratio(found[part], found[whole])) for name, (part, whole) in _RATIOS.items()}
        del found["redundant"]
        return found

    def _same_path(self) -> dict[str, Any]:
        counts = np.concatenate(self.same)
        things = np.repeat([counts[:2, 0].sum(), counts[2:, 0].sum()], 2)
        return {
            "what": ["paths_one_content", "paths_more_contents", "contents_one_path", "contents_more_paths"],
            "count": counts[:, 0],
            "files": counts[:, 1],
            "share": ratio(counts[:, 0], things),
            "share_of_files": ratio(counts[:, 1], np.full(4, self.whole.files)),
        }

    def _dedup_levels(self) -> dict[str, Any]:
        rows = np.vstack([self.levels, self.levels.sum(axis=0)])
        return {
            "level": ["within_layers", "across_layers", "all"],
            "files": rows[:, 0],
            "bytes": rows[:, 1],
            "share_of_files": ratio(rows[:, 0], np.full(3, self.whole.files)),
            "share_of_bytes": ratio(rows[:, 1], np.full(3, self.whole.bytes)),
        }

    def _how(self, size: int) -> dict[str, Any]:
        share = ratio(self.how[:, 1], np.full(len(HOW), size))
        return {"how": list(HOW), "files": self.how[:, 0], "bytes": self.how[:, 1], "share_of_bytes": share}

    def _what_if(self) -> dict[str, Any]:
        totals = {name: values[0] for name, values in self.tables["totals"].items()}
        names = {"no_sharing": "image_CLS", "layer_sharing": "CLS", "no_sharing_uncompressed": "image_FLS"}
        names |= {"layer_sharing_uncompressed": "FLS", "file_dedup": "content_bytes"}
        sizes = np.array([totals[column] for column in names.values()], float)
        base = np.array([0, 0, 2, 2, 2])
        return {
            "scenario": list(names),
            "description": [SCENARIOS[name] for name in names],
            "bytes": sizes,
            "ratio": ratio(sizes[base], sizes),
            "compressed": [1, 1, 0, 0, 0],
            "estimated": [0] * len(names),
            "low": sizes,
            "high": sizes,
            "sample": [""] * len(names),
        }


_LAYER_SUMS = (
    "CLS",
    "TLS",
    "FLS",
    "files",
    "directories",
    "symlinks",
    "hardlinks",
    "devices",
    "whiteouts",
    "others",
)

_RATIOS = {
    "sharing_ratio": ("image_CLS", "CLS"),
    "compression_FLS": ("FLS", "CLS"),
    "compression_TLS": ("TLS", "CLS"),
    "dedup_count": ("files", "contents"),
    "dedup_capacity": ("FLS", "content_bytes"),
    "unique_share": ("contents", "files"),
    "redundant_share": ("redundant", "FLS"),
    "shared_share": ("shared_files", "image_files"),
    "hidden_share": ("hidden_bytes", "image_FLS"),
}
"""Ratio of `totals` -> the totals whose quotient it is."""
