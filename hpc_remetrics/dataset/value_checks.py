"""What a dataset must be for its readers to rely on it: types, lengths, and the values that a
column may hold.

Structure and small tables are checked when a dataset is opened, values whenever they are read:
every chunk of a column goes through the check of its column, and every slice of offsets or sorted
digests through `check_order`. So no reader has to ask whether a row number is within its table, or
whether an offset lies within its blob.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .schema import ABSENT, ENUMS, Column, TableFormat
from .stored_file import Check, StoredColumn, StoredGroup, damaged

_ANY = frozenset({"uid", "gid", "mtime"})
"""Columns that a tar may set to anything."""

_MOST = 1 << 62
_BOUNDS = {"mode": 0o7777, "mtime_ns": 999_999_999, "depth": (1 << 31) - 1}
"""Column -> its greatest value, where the type allows more."""

_SORTED = frozenset({"layers", "contents"})
"""Tables that are sorted by digest, each once."""


def check_columns(group: StoredGroup, form: TableFormat, rows_of: Callable[[str], int]) -> int:
    """Check a table's columns against the schema, give each the check of its values, and return the
    table's rows.

    :param rows_of: rows of another table, by its name.
    :raises DatasetError: a column is missing, of another type or of another length.
    """
    rows = group.column("row").rows
    for column in form.columns.values():
        if column.name in ABSENT and column.name not in group:
            continue  # the program that wrote the file did not know it
        stored = group.column(column.name)
        _check_type(stored, column)
        wanted = rows + 1 if column.type == "offset" else rows
        if column.type != "bytes" and stored.rows != wanted:
            raise damaged(
                group.file.path, f"{stored.name} has {stored.rows:,} values, not {wanted:,}"
            )
        if not stored.is_there:
            raise damaged(group.file.path, f"{stored.name} has no values")
        if column.type == "offset":
            blob = group.column(column.name.removesuffix("_offset"))
            stored.check = _within(0, blob.rows)
        else:
            stored.check = _check_of(column, rows_of)
    return rows


def _check_type(stored: StoredColumn, column: Column) -> None:
    """Refuse a dataset that is not of its column's type."""
    found, wanted = stored.dtype, column.dtype
    if column.type == "text":
        right = found.kind == "S" and found.itemsize <= int(column.argument)
        wanted = f"a string of at most {column.argument} bytes"
    elif column.type == "row":
        right = found in (np.dtype("<i4"), np.dtype("<i8"))
    else:
        right = found == np.dtype(wanted)
    if not right:
        raise damaged(stored.file.path, f"{stored.name} is of the type {found}, not {wanted}")
    if column.type == "enum" and not set((stored.words or {}).items()) <= set(
        ENUMS[column.argument].items()
    ):
        raise damaged(stored.file.path, f"{stored.name} has other words than this program")
    # Digests are noise, and were never deflated: so a table has no more of them than the file has
    # room for.
    if not column.compressible and stored.filters:
        raise damaged(stored.file.path, f"{stored.name} is deflated, which this program never does")


def _check_of(column: Column, rows_of: Callable[[str], int]) -> Check | None:
    """Return the check of a column's values, None where they can be anything."""
    if column.type == "enum":
        return _one_of(ENUMS[column.argument])
    if column.dtype[1:2] not in ("i", "u") or column.name in _ANY or column.type == "bytes":
        return _finite if column.type == "f8" else None
    lowest = -1 if "-1" in column.description else 0
    if column.unit == "row" and (found := re.match(r"row in /([a-z_]+)", column.description)):
        return _within(lowest, rows_of(found[1]) - 1)
    if column.name.startswith("redundant"):
        lowest = -_MOST
    return _within(lowest, _BOUNDS.get(column.name, _MOST))


def _one_of(words: Mapping[str, int]) -> Check:
    known = np.zeros(256, bool)
    known[list(words.values())] = True

    def check(values: np.ndarray) -> str:
        return "" if known[values].all() else "it has a number that stands for no word"

    return check


def _within(lowest: int, greatest: int) -> Check:
    def check(values: np.ndarray) -> str:
        if not len(values):
            return ""
        low, high = int(values.min()), int(values.max())
        if lowest <= low and high <= greatest:
            return ""
        return f"it has the value {low if low < lowest else high:,}, allowed are {lowest:,} to {greatest:,}"

    return check


def _finite(values: np.ndarray) -> str:
    return "it has an infinite value" if np.isinf(values).any() else ""


def check_order(path: Path, table: str, column: Column, values: np.ndarray) -> None:
    """Refuse consecutive values of a column that do not rise, where they must.

    :raises DatasetError: offsets fall, or digests are not sorted.
    """
    if column.type == "offset":
        if len(values) > 1 and np.any(values[1:] < values[:-1]):
            raise damaged(path, f"/{table}/{column.name} does not rise")
    elif column.name == "digest" and table in _SORTED and len(values) > 1 and not _rise(values):
        raise damaged(path, f"the digests in /{table} are not sorted")


def _rise(digests: np.ndarray) -> bool:
    """Return whether each digest is greater than the one before."""
    words = np.frombuffer(digests.tobytes(), ">u8").reshape(len(digests), -1)
    before, after = words[:-1], words[1:]
    less, same = np.zeros(len(before), bool), np.ones(len(before), bool)
    for word in range(words.shape[1]):
        less |= same & (before[:, word] < after[:, word])
        same &= before[:, word] == after[:, word]
    return bool(less.all())


def check_runs(
    path: Path, owner: str, first: np.ndarray, count: np.ndarray, owned: str, rows: int
) -> None:
    """Check that the rows of one table are those of the other one after the other: of layers, or of
    images.

    :param first: (n,) of each owner the first of its rows, and how many it has.
    :raises DatasetError: they overlap, leave gaps, or are not all of the `rows` rows.
    """
    ends = np.cumsum(count, dtype=np.float64)  # hostile counts would wrap around in whole numbers
    total = float(ends[-1]) if len(ends) else 0.0
    if total != rows or np.any(first != (ends - count)):
        raise damaged(path, f"/{owner} does not say which rows of /{owned} belong to which")


def check_sums(path: Path, table: str, columns: Mapping[str, np.ndarray]) -> None:
    """Refuse columns whose sums no whole number holds."""
    for name, values in columns.items():
        if float(values.sum(dtype=np.float64)) >= _MOST:
            raise damaged(path, f"the sum of /{table}/{name} is beyond 2**62")


RUN_COLUMNS = {
    "jobs": ("job", "ranks", "seconds"),
    "job_ranks": (
        *("job", "rank", "host", "ok", "partial", "failed", "files", "bytes"),
        *("busy_seconds", "fetch_seconds", "publish_seconds", "idle_seconds"),
    ),
    "ranks": ("rank", "host", "peak_memory", "child_peak_memory"),
    "layers": ("cpu_seconds",),
    "failures": ("digest", "rank", "host"),
}
"""Table of `/run` -> columns that its readers need."""

_WORD_COLUMNS = frozenset({"job", "host", "share", "ended"})


def check_run_table(path: Path, name: str, columns: Mapping[str, Any]) -> None:
    """Check a table of `/run`: the columns that are needed, all of one length, strings or finite
    numbers.

    :raises DatasetError: it is otherwise.
    """
    if not any(map(len, columns.values())):
        return  # a job that left no note has no columns either
    needed = RUN_COLUMNS.get(name, ())
    if lacking := [column for column in needed if column not in columns]:
        raise damaged(path, f"/run/{name} lacks {', '.join(lacking)}")
    if len({len(values) for values in columns.values()}) > 1:
        raise damaged(path, f"the columns of /run/{name} are not of one length")
    for column, values in columns.items():
        if column == "digest":
            right = values.dtype == np.dtype("V32")
        else:
            # An empty list was stored as numbers, whatever it is a list of.
            right = values.dtype.kind in (
                "S" if column in _WORD_COLUMNS and len(values) else "iufS"
            )
        if not right or (
            column in needed and column not in _WORD_COLUMNS and values.dtype.kind == "S"
        ):
            raise damaged(path, f"/run/{name}/{column} is of the type {values.dtype}")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise damaged(path, f"/run/{name}/{column} has a value that is no number")
        if (
            values.dtype.kind in "iuf"
            and len(values)
            and np.abs(values.astype(float)).max() > _MOST
        ):
            raise damaged(path, f"/run/{name}/{column} has a value beyond 2**62")


_TIMES = ("started", "gather_started")
_LATEST = 253_402_300_799
"""The last second of the year 9999, which calendars can show."""

_SHARE = re.compile(r"\d{1,18}(/\d{1,18})?\Z")


def checked_run(path: Path, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of `/run`; `DatasetError` if one that is reckoned with is not what it
    must be."""
    found = dict(attributes)
    for name in _TIMES:
        if name in found and not _is_time(found[name]):
            raise damaged(path, f"the attribute {name} of /run is not a time")
    for name in ("compress_sample", "chunk_sample"):
        if name in found and not _is_share(str(found[name])):
            raise damaged(path, f"the attribute {name} of /run is not a share")
    return found


def _is_time(value: Any) -> bool:
    number = np.asarray(value)
    if number.shape or number.dtype.kind not in "iuf":
        return False
    return math.isfinite(float(number)) and 0 <= float(number) <= _LATEST


def _is_share(text: str) -> bool:
    if not _SHARE.match(text):
        return False
    above, _, below = text.partition("/")
    return int(below or 1) > 0 and int(above) <= int(below or 1)
