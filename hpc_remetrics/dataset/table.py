"""A table of an open dataset: columns as numpy arrays, rows as pandas frames or Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..wording import counted
from . import arrow
from .schema import ABSENT, CHUNK_ROWS, ENUMS, TableFormat
from .stored_file import StoredGroup
from .text_values import digest_texts, note_texts, path_texts
from .value_checks import check_order

_KEYS = {"entries": ["layer"], "image_layers": ["image"]}
"""Table -> the keys that its rows have besides `row`."""

_OWNERS = {"layer": ("layers", "first_entry"), "image": ("images", "first_layer")}
"""Key -> the table that it points into, and that table's column of first rows."""


class Table:
    """One table of a dataset: `table["size"]` reads a column, `len(table)` is the number of rows.

    `column` gives values as they are stored, `readable` as people write them; `frame` and `arrow`
    give whole tables, `batches` a large one piece by piece. Nothing is read before that.

    :param columns: name -> what gives the values of its slices; `path` is the dataset's, for
        messages.
    :param siblings: the tables of the dataset by name, for the keys that join them.
    :ivar form: the columns as the schema describes them.
    :raises KeyError: there is no such column; the message names those that there are.
    """

    def __init__(
        self,
        path: Path,
        form: TableFormat,
        rows: int,
        columns: Mapping[str, Any],
        siblings: Mapping[str, Table],
    ) -> None:
        self.path = path
        self.form = form
        self._rows = rows
        self._columns = columns
        self._siblings = siblings

    def __len__(self) -> int:
        return self._rows

    def __repr__(self) -> str:
        return f"</{self.form.name}: {counted(len(self), 'row')} of {', '.join(self.columns)}>"

    @property
    def columns(self) -> list[str]:
        """Names of the columns that have one value a row."""
        return [name for name, column in self.form.columns.items() if column.type != "offset"]

    @property
    def keys(self) -> list[str]:
        """Names of the row numbers that frames have besides the columns, to join tables by."""
        return ["row", *_KEYS.get(self.form.name, [])]

    @property
    def stored(self) -> frozenset[str]:
        """Names of the columns that the file has; a file of an earlier program may lack some."""
        return frozenset(
            name for name, column in self._columns.items() if not isinstance(column, AbsentColumn)
        )

    def __getitem__(self, name: str) -> np.ndarray:
        return self.column(name)

    def column(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return a column's values as stored: enums as numbers, strings as bytes, digests raw.

        :returns: (stop - start,) of `Column.dtype`, or of bytes strings.
        """
        if name not in self.form.columns:
            names = ", ".join(self.form.columns)
            raise KeyError(f"/{self.form.name} has no column {name!r}, it has {names}")
        values = np.asarray(self._columns[name][start:stop])
        check_order(self.path, self.form.name, self.form.columns[name], values)
        return values

    def stored_column(self, name: str) -> Any:
        """Return what gives the values of a column's slices, without the check of their order."""
        return self._columns[name]

    def key(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return (stop - start,) int64: the row number (`row`), or that of its layer or image."""
        start, stop, _ = slice(start, stop).indices(len(self))
        rows = np.arange(start, stop)
        if name == "row":
            return rows
        owner, first = _OWNERS[name]
        return np.searchsorted(self._siblings[owner][first], rows, "right") - 1

    def blob(self, name: str, start: int = 0, stop: int | None = None) -> tuple[bytes, np.ndarray]:
        """Return the bytes of the paths or links of some rows, and where each value lies in them.

        :returns: the bytes, and (stop - start + 1,) int64 offsets into the whole column; the first
            of these is where the bytes begin.
        """
        start, stop, _ = slice(start, stop).indices(len(self))
        bounds = self.column(f"{name}_offset", start, max(stop, start) + 1)
        return self.column(name, int(bounds[0]), int(bounds[-1])).tobytes(), bounds

    def words(self, name: str) -> dict[int, str]:
        """Return the words of an enum column by number."""
        return {number: word for word, number in ENUMS[self.form.columns[name].argument].items()}

    def readable(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return a column's values for people: words of enums, paths as str, hex digests.

        :returns: (stop - start,) objects, or numbers as `column` gives them.
        """
        column = self.form.columns.get(name)
        if column is not None and column.type == "bytes":
            data, bounds = self.blob(name, start, stop)
            return np.array(path_texts(data, (bounds - bounds[0]).tolist()), object)
        values = self.column(name, start, stop)
        kind = self.form.columns[name].type
        if kind == "enum":
            words = self.words(name)
            by_number = [words.get(number, "?") for number in range(max(words) + 1)]
            return np.array(by_number, object)[values]
        if kind == "text":
            return np.array([value.decode("utf-8", "replace") for value in values], object)
        if kind in ("digest", "fingerprint"):
            return np.array([value.hex() for value in values.tolist()], object)
        return values

    def frame(
        self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> Any:
        """Return rows of the table as a pandas frame, indexed by row number.

        Enums are categories, digests `sha256:…`, paths strings; row numbers that point nowhere stay
        -1.

        :raises MissingComponentError: pandas is not installed; the message says how to get it.
        """
        pandas = arrow.import_pandas()
        names = columns or [*self.keys[1:], *self.columns]
        index = pandas.RangeIndex(*slice(start, stop).indices(len(self))[:2], name="row")
        return pandas.DataFrame({name: self._framed(name, start, stop) for name in names}, index)

    def _framed(self, name: str, start: int, stop: int | None) -> Any:
        """Return a column or key as pandas takes it."""
        column = self.form.columns.get(name)
        if column is None and name in self.keys:
            return self.key(name, start, stop)
        if column is not None and column.type == "enum":
            numbers = self.column(name, start, stop)
            words = list(ENUMS[column.argument])
            return arrow.import_pandas().Categorical.from_codes(numbers, words)
        if column is not None and column.type == "digest":
            return digest_texts(self.column(name, start, stop))
        if name == "notes":
            return note_texts(self.column(name, start, stop))
        return self.readable(name, start, stop)

    def arrow(
        self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> Any:
        """Return rows of the table as an Arrow table, with the columns of `dataset/arrow.py`."""
        pieces = list(arrow.batches(self, columns, start, stop))
        return arrow.import_pyarrow().Table.from_batches(pieces, arrow.schema_of(self, columns))

    def batches(
        self, columns: Sequence[str] | None = None, rows: int = CHUNK_ROWS
    ) -> Iterator[Any]:
        """Yield the table as Arrow record batches of at most `rows` rows, each read in its turn."""
        return arrow.batches(self, columns, rows=rows)


class AbsentColumn:
    """A column that the program which wrote the file did not know: one value in every row."""

    def __init__(self, value: int | float | bytes, rows: int) -> None:
        self._value = value
        self._rows = rows

    def __getitem__(self, rows: slice) -> np.ndarray:
        return np.full(len(range(*rows.indices(self._rows))), self._value)


def stored_columns(group: StoredGroup, form: TableFormat) -> dict[str, Any]:
    """Return what gives the values of each column of a group, by name."""
    rows = group.column("row").rows
    columns: dict[str, Any] = {}
    for name in form.columns:
        if name in ABSENT and name not in group:
            columns[name] = AbsentColumn(ABSENT[name], rows)
        else:
            columns[name] = group.column(name)
    return columns


def empty_columns(form: TableFormat) -> dict[str, np.ndarray]:
    """Return empty columns for a table that the program which wrote the file did not know."""
    return {name: np.empty(0, column.dtype or "S1") for name, column in form.columns.items()}
