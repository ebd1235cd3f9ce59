"""Check a dataset so that readers can rely on it: types, lengths, the values of each column.

Structure and small tables are checked when a dataset is opened, values whenever they are read:
every chunk of a column goes through the check of its column, and every slice of offsets or sorted
digests through `check_order`. So no reader has to ask whether a row number is within its table, or
whether an offset lies within its blob.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..records import FIRST_SECOND, LAST_SECOND
from .byte_source import Place
from .schema import ABSENT, ENUMS, MISSING, Column, TableFormat
from .stored_file import Check, StoredColumn, StoredGroup, damaged

_UNBOUNDED = frozenset({"uid", "gid", "mtime"})
"""Columns that a tar may set to any value."""

_MAX = 1 << 62
_MAX_OF = {
    "mode": 0o7777,
    "mtime_ns": 999_999_999,
    "created_ns": 999_999_999,
    "depth": (1 << 31) - 1,
    "is_empty_layer": 1,
}
"""Column -> its largest value, where the type allows more."""

_SORTED = frozenset({"configs", "layers", "contents"})
"""Tables that are sorted by digest, each once."""


def check_columns(group: StoredGroup, form: TableFormat, rows_of: Callable[[str], int]) -> int:
    """Check the columns of a table, give each the check of its values; return the table's rows.

    :param rows_of: returns the rows of another table, by its name.
    :raises DatasetError: a column is missing, of another type or of another length.
    """
    rows = group.column("row").rows
    for column in form.columns.values():
        if f"{form.name}/{column.name}" in ABSENT and column.name not in group:
            continue  # the program that wrote the file did not know this column
        stored = group.column(column.name)
        _check_type(stored, column)
        wanted = rows + 1 if column.type == "offset" else rows
        if not column.is_blob and stored.rows != wanted:
            message = f"{stored.name} has {stored.rows:,} values, not {wanted:,}"
            raise damaged(group.file.path, message)
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
    dtype = stored.dtype
    wanted = column.dtype
    if column.type == "text":
        is_right = dtype.kind == "S" and dtype.itemsize <= int(column.argument)
        wanted = f"a string of at most {column.argument} bytes"
    elif column.type == "row":
        is_right = dtype in (np.dtype("<i4"), np.dtype("<i8"))
    else:
        is_right = dtype == np.dtype(wanted)
    if not is_right:
        raise damaged(stored.file.path, f"{stored.name} is of the type {dtype}, not {wanted}")

    # An enum may lack words, but not have other ones
    if column.type == "enum":
        words = set((stored.words or {}).items())
        if not words <= set(ENUMS[column.argument].items()):
            raise damaged(stored.file.path, f"{stored.name} has other words than this program")

    # Digests are noise and never deflated, so the size of the file bounds how many there are
    if not column.compressible and stored.filters:
        raise damaged(stored.file.path, f"{stored.name} is deflated, which this program never does")


def _check_of(column: Column, rows_of: Callable[[str], int]) -> Check | None:
    """Return the check of a column's values, None where every value is possible."""
    if column.type == "enum":
        return _one_of(ENUMS[column.argument])
    if column.type == "f8":
        return _finite
    if column.type == "time":
        return _time
    is_integer = column.dtype[1:2] in ("i", "u") and not column.is_blob
    if not is_integer or column.name in _UNBOUNDED:
        return None

    # Integers: row numbers point into their table, others are not negative unless they may be
    lowest = -1 if column.missing == "-1" else 0
    if column.type == "row":
        return _within(lowest, rows_of(column.target) - 1)
    if column.name.startswith("redundant"):
        lowest = -_MAX
    return _within(lowest, _MAX_OF.get(column.name, _MAX))


def _one_of(words: Mapping[str, int]) -> Check:
    """Return a check that every value is the number of a word."""
    known = np.zeros(256, bool)
    known[list(words.values())] = True

    def check(values: np.ndarray) -> str:
        return "" if known[values].all() else "it has a number that stands for no word"

    return check


def _within(lowest: int, highest: int) -> Check:
    """Return a check that every value is within bounds, which are allowed themselves."""

    def check(values: np.ndarray) -> str:
        if not len(values):
            return ""
        low = int(values.min())
        high = int(values.max())
        if lowest <= low and high <= highest:
            return ""
        wrong = low if low < lowest else high
        return f"it has the value {wrong:,}, allowed are {lowest:,} to {highest:,}"

    return check


def _time(values: np.ndarray) -> str:
    """Return what is wrong with (n,) seconds, of which some may be missing."""
    return _within(FIRST_SECOND, LAST_SECOND)(values[values != MISSING["NaT"]])


def _finite(values: np.ndarray) -> str:
    return "it has an infinite value" if np.isinf(values).any() else ""


def check_order(path: Place, table: str, column: Column, values: np.ndarray) -> None:
    """Refuse consecutive values of a column that must rise and do not.

    :param values: (n,) consecutive values of the column.
    :raises DatasetError: offsets fall, or digests are not sorted.
    """
    if len(values) < 2:
        return
    if column.type == "offset":
        if np.any(values[1:] < values[:-1]):
            raise damaged(path, f"/{table}/{column.name} does not rise")
    elif column.name == "digest" and table in _SORTED and not _is_rising(values):
        raise damaged(path, f"the digests in /{table} are not sorted")


def _is_rising(digests: np.ndarray) -> bool:
    """Return whether each digest of (n,) V32 is greater than the one before."""
    words = np.frombuffer(digests.tobytes(), ">u8").reshape(len(digests), -1)
    before = words[:-1]
    after = words[1:]
    # Compare word by word: the first word that differs decides
    less = np.zeros(len(before), bool)
    same = np.ones(len(before), bool)
    for word in range(words.shape[1]):
        less |= same & (before[:, word] < after[:, word])
        same &= before[:, word] == after[:, word]
    return bool(less.all())


def check_runs(
    path: Place, owner: str, first: np.ndarray, count: np.ndarray, owned: str, rows: int
) -> None:
    """Check that the owned rows of all owners follow one another and are all rows of their table.

    :param owner: table whose rows own rows of the table `owned`, which has `rows` rows.
    :param first: (n,) int64, the first row that each owner has; `count`: (n,), how many it has.
    :raises DatasetError: they overlap, leave gaps, or are not all of the rows.
    """
    ends = np.cumsum(count, dtype=np.float64)  # hostile counts would overflow integers
    total = float(ends[-1]) if len(ends) else 0.0
    if total != rows or np.any(first != (ends - count)):
        raise damaged(path, f"/{owner} does not say which rows of /{owned} belong to which")


def check_sums(path: Place, table: str, columns: Mapping[str, np.ndarray]) -> None:
    """Refuse columns whose sums don't fit into 63 bits."""
    for name, values in columns.items():
        if float(values.sum(dtype=np.float64)) >= _MAX:
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
    "reused": ("layers", "bytes"),
}
"""Table of `/run` -> the columns that readers need."""

_WORD_COLUMNS = frozenset({"job", "host", "share", "ended"})


def check_run_table(path: Place, name: str, columns: Mapping[str, Any]) -> None:
    """Check a table of `/run`: no needed column lacks, one length, strings or finite numbers.

    :param columns: name -> (n,) values.
    :raises DatasetError: a column is missing or wrong.
    """
    if not any(map(len, columns.values())):
        return  # without job notes there are no columns either
    needed = RUN_COLUMNS.get(name, ())
    if lacking := [column for column in needed if column not in columns]:
        raise damaged(path, f"/run/{name} lacks {', '.join(lacking)}")
    if len({len(values) for values in columns.values()}) > 1:
        raise damaged(path, f"the columns of /run/{name} are not of one length")
    for column, values in columns.items():
        if not _is_run_type(column, values, column in needed):
            raise damaged(path, f"/run/{name}/{column} is of the type {values.dtype}")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise damaged(path, f"/run/{name}/{column} has a value that is no number")
        if values.dtype.kind in "iuf" and np.any(np.abs(values.astype(float)) > _MAX):
            raise damaged(path, f"/run/{name}/{column} has a value beyond 2**62")


def _is_run_type(column: str, values: np.ndarray, is_needed: bool) -> bool:
    """Return whether a column of a table of `/run` has a type that its readers can use."""
    if column == "digest":
        return values.dtype == np.dtype("V32")
    kind = values.dtype.kind
    if column in _WORD_COLUMNS:
        # An empty list was stored as numbers, whatever is listed
        return kind == "S" or (not len(values) and kind in "iuf")
    return kind in "iuf" or (kind == "S" and not is_needed)


_TIMES_OF_RUN = ("started", "gather_started")

_FRACTION = re.compile(r"\d{1,18}(/\d{1,18})?\Z")


def checked_run(path: Place, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of `/run`, those that readers compute with checked.

    :raises DatasetError: one is not a time or a fraction where it must be.
    """
    for name in _TIMES_OF_RUN:
        if name in attributes and not _is_time(attributes[name]):
            raise damaged(path, f"the attribute {name} of /run is not a time")
    for name in ("compress_sample", "chunk_sample"):
        if name in attributes and not _is_fraction(str(attributes[name])):
            raise damaged(path, f"the attribute {name} of /run is not a fraction from 0 to 1")
    return dict(attributes)


def _is_time(value: Any) -> bool:
    number = np.asarray(value)
    if number.shape or number.dtype.kind not in "iuf":
        return False
    return math.isfinite(float(number)) and 0 <= float(number) <= LAST_SECOND


def _is_fraction(text: str) -> bool:
    if not _FRACTION.match(text):
        return False
    above, _, below = text.partition("/")
    return int(below or 1) > 0 and int(above) <= int(below or 1)
