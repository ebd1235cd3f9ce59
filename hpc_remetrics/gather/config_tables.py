"""Write what configs and manifests say of images: /configs, /labels, /history and their like.

Configs come one after the other in order of digest, and may be more than fit into memory. So their
rows are collected on scratch (`dataset/growing_table.py`), and kept is what other tables say of
them. A step that is not empty made a layer; which one can be told where there are as many layers:

    images            a: config x, 2 layers    b: config x, 2 layers    c: config y, 3 layers
    /image_layers     0  1                     2  3                     4  5  6

    /history          config  is_empty_layer  image_layer
                   0       x               1           -1
                   1       x               0            0    the first layer of the first image
                   2       x               0            1
                   3       y               0           -1    one step, three layers

    step of /image_layers     1  2  1  2  -1  -1  -1
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..dataset.growing_table import GrowingTable
from ..dataset.schema import MISSING
from ..records import Image, ImageConfig, Step

_NO_TIME = MISSING["NaT"]

_FIELDS = (
    *("size", "created_ns", "os", "architecture", "variant", "os_version", "author", "user"),
    *("working_dir", "stop_signal", "entrypoint", "cmd", "exposed_ports", "volumes"),
    *("healthcheck", "shell", "on_build", "notes", "secrets"),
)
"""Columns of `/configs` that are fields of `ImageConfig`."""

_OWNED = {
    "labels": ("labels", "first_label", "labels"),
    "environment": ("environment", "first_variable", "variables"),
    "history": ("history", "first_step", "steps"),
}
"""Table -> field of `ImageConfig` with its rows, and the columns of `/configs` that count them."""

_BATCH_BYTES = 1 << 21
"""Bytes of the configs that become rows at a time, unless one has more."""

_CONFIG_BYTES = 1 << 10
"""Bytes that each config is counted for besides its own."""

_IMAGES = 1 << 12
"""Images whose annotations become rows at a time."""


class ConfigTables:
    """The rows of these tables, on scratch; a context, which removes them.

    :param images: in their final order.
    :param configs: in order of digest; those of no image are left out.
    :param scratch: a directory on scratch.
    :ivar config: (images,) int64, the row in `/configs` of each image, -1 for none.
    :ivar created: (images,) int64, the second in which each image was made, or NaT.
    :ivar step: (image layers,) int64, the row in `/history` of the step that made each, or -1.
    """

    def __init__(
        self, images: Sequence[Image], configs: Iterable[ImageConfig], scratch: Path
    ) -> None:
        self._layers = np.array([len(image.layers) for image in images], np.int64)
        self._first_layer = np.cumsum(self._layers) - self._layers
        self.config = np.full(len(images), -1, np.int64)
        self.created = np.full(len(images), _NO_TIME, np.int64)
        self.step = np.full(int(self._layers.sum()), -1, np.int64)

        # Sort the images by the digests of their configs
        raw = {number: image.config.raw for number, image in enumerate(images) if image.config}
        digests = np.array(list(raw.values()), "S32")
        order = np.argsort(digests, kind="stable")
        self._digests = digests[order]
        self._images = np.array(list(raw), np.int64)[order]

        # Collect the rows
        with ExitStack() as opened:
            self._tables = {}
            for name in ("configs", *_OWNED, "annotations"):
                self._tables[name] = opened.enter_context(GrowingTable(name, scratch))
            for batch in _batches(configs):
                self._take(batch)
            self._take_annotations(images)
            self._opened = opened.pop_all()

    def __enter__(self) -> ConfigTables:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    @property
    def rows(self) -> dict[str, int]:
        """The rows of each table."""
        return {name: table.rows for name, table in self._tables.items()}

    def write(self, file: Any, rows: Mapping[str, int]) -> None:
        """Write the tables to an HDF5 file.

        :param rows: table -> its rows, for the width of row numbers.
        """
        for table in self._tables.values():
            table.write(file, rows)

    def _take(self, batch: list[ImageConfig]) -> None:
        """Append the rows of some configs, and note what their images have from them."""
        # Find the images of each config, and leave out configs that none has
        digests = np.array([config.digest.raw for config in batch], "S32")
        low = np.searchsorted(self._digests, digests, "left")
        high = np.searchsorted(self._digests, digests, "right")
        used = np.flatnonzero(low < high).tolist()
        batch = [batch[place] for place in used]
        images = [self._images[low[place] : high[place]] for place in used]

        # Append the configs, and what each has several rows of
        first = self._tables["configs"].rows
        columns: dict[str, Any] = {name: list(map(attrgetter(name), batch)) for name in _FIELDS}
        columns["digest"] = np.array([config.digest.raw for config in batch], "V32")
        columns["created"] = seconds_of(config.created for config in batch)
        columns["images"] = list(map(len, images))
        numbers = np.arange(first, first + len(batch))
        for name, (field, first_column, count_column) in _OWNED.items():
            owned = list(map(attrgetter(field), batch))
            counts = np.array(list(map(len, owned)), np.int64)
            columns[first_column] = self._tables[name].rows + np.cumsum(counts) - counts
            columns[count_column] = counts
            rows = list(chain.from_iterable(owned))
            of_config = np.repeat(numbers, counts)
            if name == "history":
                self._append_steps(rows, of_config, counts, images)
            else:
                self._append_pairs(name, of_config, rows)
        self._tables["configs"].append(columns)

        # Note the config of each image
        for number, created, mine in zip(numbers, columns["created"], images, strict=True):
            self.config[mine] = number
            self.created[mine] = created

    def _append_pairs(self, name: str, owner: np.ndarray, pairs: list[tuple[str, str]]) -> None:
        """Append labels, variables or annotations, and whose they are."""
        keys = [key for key, _ in pairs]
        values = [value for _, value in pairs]
        column = "image" if name == "annotations" else "config"
        self._tables[name].append({column: owner, "key": keys, "value": values})

    def _append_steps(
        self,
        steps: list[Step],
        of_config: np.ndarray,
        counts: np.ndarray,
        images: list[np.ndarray],
    ) -> None:
        """Append the steps of some configs, and note which layers they made.

        :param of_config: (steps,) int64, the config of each step; `counts`: (configs,), how many
            steps each has.
        :param images: for each config the images that have it.
        """
        # Turn the steps into columns.
        first = self._tables["history"].rows
        columns = dict.fromkeys(Step._fields, ()) | dict(
            zip(Step._fields, zip(*steps, strict=True), strict=bool(steps))
        )
        is_empty = np.array(columns.pop("is_empty"), np.uint8)
        image_layer = np.full(len(steps), -1, np.int64)

        # Steps that are not empty made the layers, in order, if there are as many of both.
        ends = np.cumsum(counts)
        bounds = zip((ends - counts).tolist(), ends.tolist(), strict=True)
        for mine, (start, end) in zip(images, bounds, strict=True):
            made = start + np.flatnonzero(is_empty[start:end] == 0)
            for image in mine.tolist():
                if self._layers[image] == len(made):
                    layer = self._first_layer[image]
                    self.step[layer : layer + len(made)] = first + made
            if self._layers[mine[0]] == len(made):
                image_layer[made] = self._first_layer[mine[0]] + np.arange(len(made))

        # Append the rows.
        columns["created"] = seconds_of(columns["created"])
        columns |= {"config": of_config, "is_empty_layer": is_empty, "image_layer": image_layer}
        self._tables["history"].append(columns)

    def _take_annotations(self, images: Sequence[Image]) -> None:
        """Append the annotations of all images, those of some thousand at a time."""
        for start in range(0, len(images), _IMAGES):
            some = images[start : start + _IMAGES]
            owned = [tuple(image.annotations) for image in some]
            counts = list(map(len, owned))
            numbers = np.repeat(np.arange(start, start + len(some)), counts)
            pairs = list(chain.from_iterable(owned))
            self._append_pairs("annotations", numbers, pairs)


def seconds_of(times: Iterable[int | None]) -> np.ndarray:
    """Return (n,) int64 of seconds, NaT for None."""
    return np.array([_NO_TIME if one is None else one for one in times], np.int64)


def _batches(configs: Iterable[ImageConfig]) -> Iterator[list[ImageConfig]]:
    """Yield configs in their order, as many as have some megabytes together."""
    batch: list[ImageConfig] = []
    size = 0
    for config in configs:
        batch.append(config)
        size += config.size + _CONFIG_BYTES
        if size > _BATCH_BYTES:
            yield batch
            batch = []
            size = 0
    yield batch
