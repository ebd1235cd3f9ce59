"""Write a dataset as one HDF5 file again, whole or without what tells who made it and where.

Tables are copied as they are stored, so that this takes as long as copying the file. Without names
of hosts, paths and command lines:

    the file, /run        attributes that name nobody: `_FILE_ATTRIBUTES`, `_RUN_ATTRIBUTES`
    history of the file   times and commands, no command lines
    ranks, jobs in /run   numbers, and host-1, host-2, … in place of names
    /failures, /skipped   messages of stages and causes that are about content alone
    /configs, /history,   no authors; in other texts what names persons, and secrets, are replaced
      /labels, …          by their kind and length (`persons.py`)
    /metrics              the same in what `config_values` quotes of configs
    other tables          as they are: names of images and paths within layers are the data
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset.arrow import end_of_batch
from ..dataset.file_history import anonymous, with_this_command
from ..dataset.growing_table import GrowingTable
from ..dataset.hdf5 import file_through
from ..dataset.metrics_schema import METRICS
from ..dataset.reader import Dataset
from ..dataset.schema import CHUNK_ROWS, TABLES
from ..dataset.table import Table
from ..dataset.table_writer import write_metrics, write_run, write_table
from ..files.publish import replacing
from ..records import Digest, Failure
from ..sources.secrets import placeholder
from .persons import json_without_persons, value_without_persons, without_persons

_FILE_ATTRIBUTES = ("format", "schema_version", "title", "Conventions", "source", "date_created")
_RUN_ATTRIBUTES = (
    *("version", "started", "gather_started", "python", "rank_count", "fingerprint", "platforms"),
    *("types", "compress_sample", "compress_with", "chunk_sample"),
)
"""Attributes that name no host, no path and no command."""

_RUN_TABLES = ("ranks", "jobs", "job_ranks")

_ABOUT_CONTENT = {
    "failures": ("stage", frozenset({"decompress", "tar", "manifest"})),
    "skipped": (
        "cause",
        frozenset({"artifact", "attestation", "foreign", "encrypted", "unknown_media_type"})
        | frozenset({"other_platform", "too_deep", "too_many"}),
    ),
}
"""Table -> the column that decides whether a message is kept, and the words there for which it is;
other messages may name paths and hosts."""


_TEXTS: dict[str, dict[str, Callable[[str], str]]] = {
    "configs": {
        "author": lambda _: "",
        **dict.fromkeys(("user", "working_dir", "stop_signal"), without_persons),
        **dict.fromkeys(("entrypoint", "cmd", "exposed_ports", "volumes"), json_without_persons),
        **dict.fromkeys(("healthcheck", "shell", "on_build"), json_without_persons),
    },
    "history": {
        "author": lambda _: "",
        **dict.fromkeys(("created_by", "comment"), without_persons),
    },
}
"""Table -> column -> what makes a text of it anonymous."""

_PAIRS = ("labels", "environment", "annotations")
"""Tables of keys and values."""


def write_dataset(dataset: Dataset, target: Path, is_anonymous: bool) -> None:
    """Write a dataset to a file, which gets its name when it is whole.

    :param is_anonymous: leave out names of hosts, paths and command lines.
    """
    with replacing(target) as new, file_through(os.dup(new.fileno())) as file:
        # Copy what describes the file; this command joins its history.
        for name, value in dataset.attributes.items():
            if name in _FILE_ATTRIBUTES or not is_anonymous:
                file.attrs[name] = value
        history = with_this_command(dataset.file_history)
        file.attrs["history"] = anonymous(history) if is_anonymous else history

        # Copy the tables; an anonymous copy leaves out messages and persons.
        changed = _without_messages(dataset) if is_anonymous else {}
        rows = {name: len(dataset[name]) for name in TABLES}
        for name in TABLES:
            if name in changed:
                write_table(file, name, changed[name], rows)
            elif is_anonymous and name in (*_TEXTS, *_PAIRS) and len(dataset[name]):
                _write_without_persons(dataset[name], file, rows, target.parent)
            else:
                dataset.copy_group(name, file)

        # Copy the metrics, and what tells of the run as far as it may.
        if is_anonymous and dataset.has_metrics:
            _write_anonymous_metrics(dataset, file)
        else:
            dataset.copy_group("metrics", file)
        if not is_anonymous:
            dataset.copy_group("run", file)
        elif dataset.has_run:
            _write_anonymous_run(dataset, file)


def _without_messages(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Return the tables that have messages, by name: column -> values for `write_table`."""
    tables: dict[str, dict[str, Any]] = {}
    for name, (decisive, kept) in _ABOUT_CONTENT.items():
        table = dataset[name]
        is_kept = [word in kept for word in table.readable(decisive).tolist()]
        columns = {column: _stored(table, column) for column in table.form.columns}
        columns["message"] = [
            message if keep else ""
            for message, keep in zip(columns["message"], is_kept, strict=True)
        ]
        tables[name] = columns
    return tables


def _write_without_persons(table: Table, file: Any, rows: dict[str, int], directory: Path) -> None:
    """Write a table of what images say about themselves, without what names persons.

    :param directory: gets a temporary file.
    """
    with GrowingTable(table.form.name, directory) as written:
        start = 0
        while start < len(table):
            stop = min(start + CHUNK_ROWS, len(table))
            stop = end_of_batch(table, table.columns, start, stop)
            written.append(_without_persons(table, start, stop))
            start = stop
        written.write(file, rows)


def _without_persons(table: Table, start: int, stop: int) -> dict[str, Any]:
    """Return the columns of some rows, without what names persons."""
    name = table.form.name
    columns = {}
    for column in table.columns:
        is_text = table.form.columns[column].is_blob
        read = table.readable if is_text else table.column
        columns[column] = read(column, start, stop).tolist()
    if name in _PAIRS:
        pairs = zip(columns["key"], columns["value"], strict=True)
        columns["value"] = [value_without_persons(key, value) for key, value in pairs]
    for column, change in _TEXTS.get(name, {}).items():
        columns[column] = list(map(change, columns[column]))
    return columns


_VALUES: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(("entrypoint", "cmd", "port"), json_without_persons),
    "user": without_persons,
}
"""Variable of `/metrics/config_values` -> what makes a value of it anonymous."""


def _write_anonymous_metrics(dataset: Dataset, file: Any) -> None:
    """Write `/metrics` without what names persons in the configs of images."""
    tables = {
        name: {column: _stored(table, column) for column in table.form.columns}
        for name, table in ((name, dataset.metrics[name]) for name in METRICS)
    }
    said = tables["config_values"]
    pairs = zip(said["variable"], said["value"], strict=True)
    said["value"] = [_anonymous_value(variable, value) for variable, value in pairs]
    write_metrics(file, tables)


def _anonymous_value(variable: str, value: str) -> str:
    """Return a value of `/metrics/config_values` without what names persons."""
    change = _VALUES.get(variable)
    if change is None:
        return value
    # Half an address at the end of a value that was cut looks like none
    if len(value.encode()) > _WHOLE_BYTES:
        return placeholder("long", value)
    return change(value)


_WHOLE_BYTES = 1000
"""Bytes up to which a value of `/metrics/config_values` was certainly not cut."""


def _stored(table: Table, name: str) -> Any:
    """Return a column's values: strings as str, others as they are stored."""
    is_text = table.form.columns[name].type == "text"
    return table.readable(name).tolist() if is_text else table.column(name)


def _write_anonymous_run(dataset: Dataset, file: Any) -> None:
    """Write `/run` without what tells who made the dataset and where."""
    # Keep what says nothing of the machine; each host gets one alias throughout.
    aliases: dict[str, str] = {}
    run: dict[str, Any] = {
        name: value for name, value in dataset.run.items() if name in _RUN_ATTRIBUTES
    }
    for name in _RUN_TABLES:
        columns = dataset.run_table(name)
        run[name] = {
            column: _cleaned(column, values, aliases) for column, values in columns.items()
        }

    # Failed layers stay, under the aliases of their hosts.
    failures = [
        Failure(Digest(digest), "", "", "", rank=rank, host=_alias(host, aliases))
        for digest, (rank, host) in dataset.failed_on.items()
    ]
    unknown = np.zeros(len(dataset.layers))
    write_run(file, run, failures, dataset.run_table("layers").get("cpu_seconds", unknown))


def _cleaned(column: str, values: np.ndarray, aliases: dict[str, str]) -> list[Any]:
    """Return the values of a column of a table of `/run` without names of hosts and messages."""
    if values.dtype.kind != "S":
        return values.tolist()
    texts = [value.decode("utf-8", "replace") for value in values.tolist()]
    if column == "host":
        return [_alias(text, aliases) for text in texts]
    if column == "ended":
        # Behind the colon of `failed: …` is a message.
        return [text.partition(":")[0] for text in texts]
    return texts if column in ("job", "share") else [""] * len(texts)


def _alias(host: str, aliases: dict[str, str]) -> str:
    """Return the word for a host, one that was not there before the next one."""
    return aliases.setdefault(host, f"host-{len(aliases) + 1}") if host else ""
