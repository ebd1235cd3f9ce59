"""Put together what the config of an image says, and the steps that made it, with their layers."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ...records import CONFIG_NOTES
from ..arrow import import_pandas
from ..text_values import flag_texts
from .selection import image_layers

if TYPE_CHECKING:
    from ..reader import Dataset
    from ..table import Table

_JSON = frozenset(
    {"entrypoint", "cmd", "exposed_ports", "volumes", "healthcheck", "shell", "on_build"}
)
"""Columns of `/configs` that are JSON."""

_COUNTS = frozenset(
    {"first_label", "labels", "first_variable", "variables", "first_step", "steps", "images"}
)
"""Columns of `/configs` that are about the tables, and not from the config."""

_SIZES = ("CLS", "FLS", "files")
"""Columns of `/layers` that are shown beside a step."""


def image_config(data: Dataset, image: int) -> dict[str, Any]:
    """Return the dictionary of `Dataset.image_config`."""
    config = int(data.images.column("config", image, image + 1)[0])
    found: dict[str, Any] = {}
    if config >= 0:
        found = _fields(data.configs, config)
        found["labels"] = _pairs(data, config, "label", "labels", data.labels)
        found["environment"] = _pairs(data, config, "variable", "variables", data.environment)
    rows = np.flatnonzero(data.annotations.column("image") == image)
    start = int(rows[0]) if len(rows) else 0
    found["annotations"] = _dictionary(data.annotations, start, start + len(rows))
    return found


def _fields(configs: Table, row: int) -> dict[str, Any]:
    """Return the columns of a config that have a value; JSON as what it says."""
    found = {}
    for name in configs.columns:
        if name in _COUNTS:
            continue
        value = configs.take([row], name)[0]
        if value is np.ma.masked:
            continue
        if isinstance(value, np.integer):
            value = int(value)
        if name == "notes":
            value = flag_texts(np.array([value]), CONFIG_NOTES)[0].split()
        if name in _JSON:
            # A dataset may come from anybody
            with suppress(ValueError, RecursionError):
                value = json.loads(value)
        found[name] = value
    return found


def _pairs(data: Dataset, config: int, first: str, count: str, table: Table) -> dict[str, str]:
    start = int(data.configs.column(f"first_{first}", config, config + 1)[0])
    stop = start + int(data.configs.column(count, config, config + 1)[0])
    return _dictionary(table, start, stop)


def _dictionary(table: Table, start: int, stop: int) -> dict[str, str]:
    keys = table.readable("key", start, stop).tolist()
    return dict(zip(keys, table.readable("value", start, stop).tolist(), strict=True))


def image_history(data: Dataset, image: int) -> Any:
    """Return the frame of `Dataset.image_history`."""
    pandas = import_pandas()
    config = int(data.images.column("config", image, image + 1)[0])
    start = stop = 0
    if config >= 0:
        start = int(data.configs.column("first_step", config, config + 1)[0])
        stop = start + int(data.configs.column("steps", config, config + 1)[0])
    names = ["created", "created_by", "comment", "author", "is_empty_layer"]
    frame = data.history.frame(names, start, stop)

    # Find the layer of each step that made one in this image
    first = int(data.images.column("first_layer", image, image + 1)[0])
    layers = image_layers(data, image)
    steps = data.image_layers.column("step", first, first + len(layers))
    made = np.full(stop - start, -1, np.int64)
    is_known = (steps >= start) & (steps < stop)
    made[steps[is_known] - start] = layers[is_known]
    frame["layer"] = _nullable(pandas, np.ma.masked_array(made, made < 0))
    for name in _SIZES:
        frame[name] = _nullable(pandas, data.layers.take(made, name))
    return frame


def _nullable(pandas: Any, values: np.ma.MaskedArray) -> Any:
    """Return integers as pandas has them with null."""
    return pandas.arrays.IntegerArray(values.filled(0).astype(np.int64), np.ma.getmaskarray(values))
