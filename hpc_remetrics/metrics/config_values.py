"""Count images by what they say: labels, commands, users, ports, years and replaced secrets.

Each rank hashes the values in its blocks of /configs and /labels. Equal values meet on the rank
that owns their hash, and rank 0 spells out the most frequent ones:

    config   images   exposed_ports                values               images with it
    P        3        {"80/tcp":{},"443/tcp":{}}   80/tcp   443/tcp     80/tcp    5
    Q        2        {"80/tcp":{}}                80/tcp               443/tcp   3

Values are equal here if their first `LONGEST` bytes are, so that one of megabytes costs no more
than others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arrays import distinct
from ..dataset.chunk_cache import ChunkReader
from ..dataset.metrics_schema import CONFIG_VALUES
from ..dataset.schema import TABLES
from ..hashing import PADDING, hash_slices
from ..mpi.shuffle import Shuffle
from ..sources.secrets import KINDS_OF_SECRETS
from .file_rows import buckets_for
from .inputs import MetricsInputs

MOST = 100
"""Values of a variable that are listed, but for years, of which all are."""

LONGEST = 1024
"""Bytes of a value beyond which the rest is left out."""

_BATCH_BYTES = 1 << 24
"""Bytes of texts that are read at a time."""

_BATCH_PORTS = 1 << 17
"""Ports that are kept before they are hashed."""

_VARIABLES = ("label", "entrypoint", "cmd", "user", "port")
"""Variables whose values are counted by their hashes; their numbers are places in this list."""

_COLUMNS = {"entrypoint": "entrypoint", "cmd": "cmd", "user": "user", "port": "exposed_ports"}
"""Variable -> the column of /configs that has its values."""

VALUE = np.dtype(
    [
        ("variable", "u1"),
        ("one", "<u8"),
        ("two", "<u8"),
        ("images", "<i8"),
        ("row", "<i8"),
        ("place", "<i8"),
    ]
)
"""A value by the two halves of its hash, the images that have it, and where it stands first: a row
of /configs or /labels, and its place in a list there."""

_NONE = np.empty(0, VALUE)

_SECRET_TABLES = ("configs", "labels", "environment", "history")
_SECRET = re.compile(rb"<redacted:(%s):\d+>" % "|".join(KINDS_OF_SECRETS).encode())


def config_values(inputs: MetricsInputs) -> dict[str, Any]:
    """Return the table `config_values` on rank 0, nothing elsewhere. Collective."""
    comm = inputs.comm
    images = inputs.dataset.configs.column("images").astype(np.int64)
    most = _most_frequent(inputs, images)
    secrets = _secrets(inputs)
    if comm.rank != comm.root:
        return {}

    # Spell out the values, and put the variables in their order
    rows = {
        "year": _years(inputs),
        "secret": _counts_of_secrets(np.concatenate(secrets), images),
        **{name: [] for name in _VARIABLES},
    }
    configs = inputs.dataset.chunks_of("configs")
    labels = inputs.dataset.chunks_of("labels")
    for value in most:
        name = _VARIABLES[value["variable"]]
        reader = labels if name == "label" else configs
        text = _text(reader, name, int(value["row"]), int(value["place"]))
        rows[name].append((text, int(value["images"])))
    table = [(name, *row) for name in CONFIG_VALUES for row in rows[name]]
    columns = ("variable", "value", "images")
    return {name: [row[place] for row in table] for place, name in enumerate(columns)}


def _most_frequent(inputs: MetricsInputs, images: np.ndarray) -> np.ndarray:
    """Return the values that most images have, (n,) `VALUE`, on rank 0. Collective.

    :param images: (configs,) int64, images of each config.
    """
    # Send the values of this rank's blocks to the ranks that own them
    rows = len(inputs.dataset.labels) + len(_COLUMNS) * len(inputs.dataset.configs)
    buckets = buckets_for(inputs, rows)
    shuffle = Shuffle(inputs.comm, inputs.scratch, "values", VALUE, buckets)
    shuffle.exchange_all(
        map(_merged, _values(inputs, images)),
        lambda values: (values["one"] % np.uint64(buckets)).astype(np.int64),
    )

    # Take the most frequent of each bucket, then of all ranks
    candidates = [_most(_merged(values)) for _, values in shuffle.buckets()]
    mine = _most(np.concatenate([_NONE, *candidates]))
    return _most(np.concatenate([_NONE, *(inputs.comm.gather(mine) or ())]))


def _values(inputs: MetricsInputs, images: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the values in this rank's blocks of /configs and /labels, (n,) `VALUE` each."""
    configs = inputs.dataset.chunks_of("configs")
    blocks = inputs.my_blocks(len(images))
    for variable, column in _COLUMNS.items():
        for start, stop in blocks:
            if variable == "port":
                yield from _ports(configs, start, stop, images)
            else:
                for rows, values in _hashed(configs, column, start, stop, variable):
                    values["images"] = images[rows]
                    yield values
    labels = inputs.dataset.chunks_of("labels")
    for start, stop in inputs.my_blocks(len(inputs.dataset.labels)):
        config = labels.column("config", start, stop)
        for rows, values in _hashed(labels, "key", start, stop, "label"):
            values["images"] = images[config[rows - start]]
            yield values


def _hashed(
    reader: ChunkReader, column: str, start: int, stop: int, variable: str
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows, (n,) int64, and their texts as `VALUE`, (n,) without images, a few MB at a time.

    :param column: a column of texts; rows from `start` to `stop` of it are read.
    """
    for first, data, bounds in reader.text_batches(column, start, stop, _BATCH_BYTES):
        lengths = np.minimum(np.diff(bounds), LONGEST)
        rows = first + np.arange(len(lengths))
        values = _with_hashes(variable, data, bounds[:-1], lengths)
        values["row"] = rows
        yield rows, values


def _ports(configs: ChunkReader, start: int, stop: int, images: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the ports that the configs from `start` to `stop` expose, (n,) `VALUE` each."""
    bounds = configs.column("exposed_ports_offset", start, stop + 1)
    found: list[tuple[int, int, bytes]] = []
    for row in (start + np.flatnonzero(np.diff(bounds))).tolist():
        ports = _ports_of(configs.text("exposed_ports", row))
        found += [(row, place, port) for place, port in enumerate(ports)]
        if len(found) > _BATCH_PORTS:
            yield _hashed_ports(found, images)
            found = []
    yield _hashed_ports(found, images)


def _hashed_ports(found: list[tuple[int, int, bytes]], images: np.ndarray) -> np.ndarray:
    """Return ports as (n,) `VALUE`.

    :param found: row in /configs, place among its ports, and port.
    """
    lengths = np.array([len(port) for _, _, port in found], np.int64)
    data = np.frombuffer(b"".join(port for _, _, port in found), np.uint8)
    values = _with_hashes("port", data, np.cumsum(lengths) - lengths, lengths)
    values["row"] = [row for row, _, _ in found]
    values["place"] = [place for _, place, _ in found]
    values["images"] = images[values["row"]]
    return values


def _ports_of(text: bytes) -> tuple[bytes, ...]:
    """Return the ports in a value of `exposed_ports`, each once.

    >>> _ports_of(b'{"80/tcp":{},"443/tcp":{}}')
    (b'80/tcp', b'443/tcp')
    """
    try:
        ports = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(ports, dict):
        return ()
    return tuple(dict.fromkeys(port.encode("utf-8", "replace")[:LONGEST] for port in ports))


def _with_hashes(
    variable: str, data: np.ndarray, starts: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Return texts as `VALUE`, (n,), with their hashes alone.

    :param data: (bytes,) uint8; `starts` and `lengths` (n,) int64 say where the texts are.
    """
    values = np.zeros(len(starts), VALUE)
    values["variable"] = _VARIABLES.index(variable)
    padded = np.concatenate([data, np.zeros(PADDING, np.uint8)])
    values["one"], values["two"] = hash_slices(padded, starts, lengths)
    return values


def _merged(values: np.ndarray) -> np.ndarray:
    """Return the distinct values with the sums of their images and their first places.

    :param values: (n,) `VALUE`.
    """
    keys = ("place", "row", "two", "one", "variable")
    values = values[np.lexsort([values[key] for key in keys])]
    is_new = np.ones(len(values), bool)
    is_new[1:] = False
    for key in ("variable", "one", "two"):
        is_new[1:] |= values[key][1:] != values[key][:-1]
    starts = np.flatnonzero(is_new)
    merged = values[starts]
    if len(starts):
        merged["images"] = np.add.reduceat(values["images"], starts)
    return merged


def _most(values: np.ndarray) -> np.ndarray:
    """Return the `MOST` values of each variable with the most images, of equals the first ones.

    :param values: (n,) `VALUE`, distinct.
    """
    keys = (values["place"], values["row"], -values["images"], values["variable"])
    values = values[np.lexsort(keys)]
    starts = np.searchsorted(values["variable"], np.arange(len(_VARIABLES)))
    return values[np.arange(len(values)) - starts[values["variable"]] < MOST]


def _text(reader: ChunkReader, variable: str, row: int, place: int) -> str:
    """Return a value as text.

    :param reader: of /labels for a label, else of /configs; `row` of it, and `place` in the list
        there.
    """
    if variable == "label":
        value = reader.text("key", row, LONGEST)
    elif variable == "port":
        value = _ports_of(reader.text("exposed_ports", row))[place]
    else:
        value = reader.text(_COLUMNS[variable], row, LONGEST)
    return value.decode("utf-8", "replace")


def _years(inputs: MetricsInputs) -> list[tuple[str, int]]:
    """Return the years in which images were made with their images, ascending, "" first."""
    created = inputs.dataset.images.readable("created").astype("datetime64[Y]")
    years, counts = np.unique(created[~np.isnat(created)], return_counts=True)
    undated = len(created) - int(counts.sum())
    known = list(zip(years.astype(str).tolist(), counts.tolist(), strict=True))
    return [("", undated), *known] if undated else known


def _secrets(inputs: MetricsInputs) -> list[np.ndarray]:
    """Return the distinct (config, kind of secret) of all ranks, on rank 0. Collective.

    Each is config * kinds + kind, (n,) int64, and kinds are numbered as in `KINDS_OF_SECRETS`.
    """
    has_secret = inputs.dataset.configs.column("secrets") > 0
    numbers = {kind.encode(): number for number, kind in enumerate(KINDS_OF_SECRETS)}
    found: set[int] = set()
    for table in _SECRET_TABLES:
        reader = inputs.dataset.chunks_of(table)
        names = [column.name for column in TABLES[table].columns.values() if column.type == "utf8"]
        for start, stop in inputs.my_blocks(len(inputs.dataset[table])):
            if table == "configs":
                config = np.arange(start, stop)
            else:
                config = reader.column("config", start, stop)
            # Read the texts of configs in which something was replaced
            for place in np.flatnonzero(has_secret[config]).tolist():
                base = int(config[place]) * len(numbers)
                for name in names:
                    kinds = _SECRET.findall(reader.text(name, start + place))
                    found.update(base + numbers[kind] for kind in kinds)
    mine = np.array(sorted(found), np.int64)
    return inputs.comm.gather(mine) or []


def _counts_of_secrets(found: np.ndarray, images: np.ndarray) -> list[tuple[str, int]]:
    """Return the kinds of secrets with the images that had one, most images first.

    :param found: (n,) int64, see `_secrets`; a pair may come from several ranks.
    """
    config, kind = np.divmod(distinct(found), len(KINDS_OF_SECRETS))
    counts = np.zeros(len(KINDS_OF_SECRETS), np.int64)
    np.add.at(counts, kind, images[config])
    rows = [(kind, int(counts[number])) for number, kind in enumerate(KINDS_OF_SECRETS)]
    return sorted((row for row in rows if row[1]), key=lambda row: (-row[1], row[0]))
