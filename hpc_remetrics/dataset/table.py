"""A table of an open dataset: columns as numpy arrays, rows as pandas frames or Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..wording import counted
from . import arrow, display
from .byte_source import Place
from .schema import ABSENT, CHUNK_ROWS, ENUMS, MISSING, Column, TableFormat
from .stored_file import StoredGroup
from .text_values import digest_texts, is_digest, path_texts, utf8_texts
from .value_checks import check_order

if TYPE_CHECKING:
    import pandas
    import pyarrow

_KEYS = {"entries": ["layer"], "image_layers": ["image"]}
"""Table -> the keys that its rows have besides `row`."""

_OWNERS = {"layer": ("layers", "first_entry"), "image": ("images", "first_layer")}
"""Key -> the table that it points into, and that table's column of first rows."""

_SPARSE = 4
"""Rows between the first and the last that is wanted, for each that is, above which only some of
them are read."""

_ROWS_AT_ONCE = 4096
"""Rows that become Python objects at once where rows are iterated over."""

_NO_ROW = np.int64(np.iinfo(np.int64).min)
"""What stands for a missing row number below a mask; as an index it fails, where -1 is the last."""


class Table:
    """One table of a dataset: `table["size"]` reads a column, `len(table)` is the number of rows.

    `column` gives values as they are stored, `readable` as people write them; `frame` and `arrow`
    give whole tables, `batches` a large one piece by piece, `take` the values of rows that another
    table points at. Nothing is read before that.

    :param columns: name -> what gives the values of its slices; `path` is the dataset's, for
        messages.
    :param siblings: the tables of the dataset by name, for the keys that join them.
    :ivar form: the columns as the schema describes them.
    :raises KeyError: there is no such column; the message names those that there are.
    """

    def __init__(
        self,
        path: Place,
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

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.iter_rows()

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __repr__(self) -> str:
        return display.table_text(self)

    def _repr_html_(self) -> str:
        return display.table_html(self)

    def _ipython_key_completions_(self) -> list[str]:
        return self.columns

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Return the table as a stream of Arrow record batches, in a PyCapsule.

        By it polars, pyarrow, pandas and DuckDB read a table directly: `polars.DataFrame(table)`.
        """
        form = arrow.schema_of(self)
        reader = arrow.import_pyarrow().RecordBatchReader.from_batches(form, self.batches())
        return reader.__arrow_c_stream__(requested_schema)

    @property
    def units(self) -> dict[str, str]:
        """The unit of each column, "1" for plain numbers."""
        return {name: self.form.columns[name].unit for name in self.columns}

    @property
    def columns(self) -> list[str]:
        """Names of the columns that have one value a row."""
        return [name for name, column in self.form.columns.items() if column.type != "offset"]

    @property
    def keys(self) -> list[str]:
        """Names of the row numbers that frames have besides the columns, to join tables by."""
        return ["row", *_KEYS.get(self.form.name, [])]

    @overload
    def __getitem__(self, name: str) -> np.ndarray: ...

    @overload
    def __getitem__(self, name: list[str]) -> pandas.DataFrame: ...

    def __getitem__(self, name: str | list[str]) -> Any:
        """Return a column's values; a masked array where numbers or times may be missing.

        Below the mask a row number is no row of any table, so that an index with it fails.

        :param name: a column, or a list of columns and keys, of which a pandas frame is returned.
        """
        if not isinstance(name, str):
            return self.frame(name)
        values = self.column(name)
        column = self.form.columns[name]
        if column.missing == "NaT":
            is_missing = values == MISSING["NaT"]
            return np.ma.masked_array(values, is_missing, fill_value=MISSING["NaT"])
        if column.missing != "-1":
            return values
        if column.type == "row":
            values = np.where(values < 0, _NO_ROW, values)
        return np.ma.masked_array(values, values < 0, fill_value=-1)

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

    def take(self, rows: Any, name: str) -> np.ma.MaskedArray:
        """Return a column's values, as `readable` gives them, at rows that another table points at.

        Masked where a row is missing, or where its value is:

            rows of /contents       0   7  --   0        entries["content"]
            take(rows, "size")     12   5  --  12        contents.take(rows, "size")

        :param rows: (n,) row numbers: an array of numpy, pandas or Arrow; missing are those that
            are masked, null, NaN or -1.
        :returns: (n,), with the fill value -1 for signed numbers.
        :raises IndexError: the table has no such row.
        """
        numbers = _row_numbers(rows)
        is_missing = numbers == -1
        present = numbers[~is_missing]
        low = int(present.min()) if len(present) else 0
        high = int(present.max()) + 1 if len(present) else 0
        if low < 0 or high > len(self):
            wrong = low if low < 0 else high - 1
            raise IndexError(f"/{self.form.name} has {counted(len(self), 'row')}, no row {wrong}")

        # Read all rows between, or where few are wanted, only the chunks that hold some
        known = np.arange(len(present))
        pieces = [present] if len(present) else []
        if _SPARSE * len(present) < high - low:
            known = np.argsort(present, kind="stable")
            pieces = neighbours(present[known])
        values = np.zeros(len(present), self.readable(name, 0, 0).dtype)
        has_none = np.zeros(len(present), bool)
        place = 0
        for piece in pieces:
            chosen = known[place : place + len(piece)]
            values[chosen], has_none[chosen] = self._at(name, piece)
            place += len(piece)

        # Put them where the rows are not missing
        found = np.zeros(len(numbers), values.dtype)
        found[~is_missing] = values
        is_missing[~is_missing] = has_none
        is_signed = values.dtype.kind in "if"
        return np.ma.masked_array(found, is_missing, fill_value=-1 if is_signed else None)

    def _at(self, name: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the readable values of (n,) rows of the table, and whether each is missing."""
        column = self.form.columns[name]

        # Read the range that the rows lie in.
        low = int(rows.min())
        high = int(rows.max()) + 1
        places = rows - low
        if column.is_blob:
            # Cut the texts out of the bytes of the range.
            data, bounds = self.blob(name, low, high)
            start = bounds[places] - bounds[0]
            stop = bounds[places + 1] - bounds[0]
            slices = zip(start.tolist(), stop.tolist(), strict=True)
            chosen = b"".join([data[first:last] for first, last in slices])
            ends = np.cumsum(stop - start)
            is_missing = (stop == start) & column.is_nullable
            return _blob_texts(column, chosen, np.append(0, ends)), is_missing
        values = self.column(name, low, high)[places]
        return self._shown(column, values), _is_missing(column, values)

    def stored_column(self, name: str) -> Any:
        """Return what gives the values of a column's slices, without the check of their order."""
        return self._columns[name]

    def key(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return (stop - start,) int64: the row number (`row`), or that of its layer or image."""
        start, stop, _ = slice(start, stop).indices(len(self))
        rows = np.arange(start, stop)
        return rows if name == "row" else self.key_of(name, rows)

    def key_of(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Return (n,) int64, the row number of the layer or image that each of (n,) rows is of."""
        owner, first = _OWNERS[name]
        return np.searchsorted(self._siblings[owner][first], rows, "right") - 1

    def blob(self, name: str, start: int = 0, stop: int | None = None) -> tuple[bytes, np.ndarray]:
        """Return the bytes of a blob's values in some rows, and where each value lies in them.

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
        """Return a column's values for people: words of enums, paths as str, digests `sha256:…`.

        :returns: (stop - start,) objects, `datetime64[s]`, or numbers as `column` gives them.
        """
        column = self.form.columns.get(name)
        if column is not None and column.is_blob:
            data, bounds = self.blob(name, start, stop)
            return _blob_texts(column, data, bounds - bounds[0])
        values = self.column(name, start, stop)
        return self._shown(self.form.columns[name], values)

    def _shown(self, column: Column, values: np.ndarray) -> np.ndarray:
        """Return (n,) stored values of a column that is no blob as people write them."""
        kind = column.type
        if kind == "enum":
            words = self.words(column.name)
            by_number = [words.get(number, "?") for number in range(max(words) + 1)]
            return np.array(by_number, object)[values]
        if kind == "text":
            return np.array([value.decode("utf-8", "replace") for value in values], object)
        if kind == "digest":
            return np.array(digest_texts(values), object)
        if kind == "time":
            return values.astype("<M8[s]")
        if kind == "fingerprint":
            return np.array([value.hex() for value in values.tolist()], object)
        return values

    def frame(
        self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> pandas.DataFrame:
        """Return rows of the table as a pandas frame, indexed by row number.

        Enums are categories, digests `sha256:…`, paths strings, and missing values null: columns of
        integers that may lack some have the pandas types `Int64` or `Int32`.

        :raises MissingComponentError: pandas or pyarrow is not installed; the message says how to
            get it.
        """
        arrow.import_pandas()
        arrow.check_names(columns)
        names = list(columns or [*self.keys[1:], *self.columns])
        first, end, _ = slice(start, stop).indices(len(self))
        return arrow.frame(self.arrow(names, first, end), first, end)

    def head(self, rows: int = 5) -> pandas.DataFrame:
        """Return the first rows of the table as a pandas frame."""
        return self.frame(stop=rows)

    def arrow(
        self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> pyarrow.Table:
        """Return rows of the table as an Arrow table, with the columns of `dataset/arrow.py`."""
        return arrow.whole(self, columns, start, stop)

    def iter_rows(
        self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield rows as dictionaries of the values that frames have, a missing one as None.

        `for row in table` does the same with all columns. It is for a few rows, or for one pass
        that needs little memory; whole columns are a hundred times as fast.
        """
        for batch in arrow.batches(self, columns, start, stop, _ROWS_AT_ONCE):
            yield from batch.to_pylist()

    def batches(
        self, columns: Sequence[str] | None = None, rows: int = CHUNK_ROWS
    ) -> Iterator[pyarrow.RecordBatch]:
        """Yield the table as Arrow record batches of at most `rows` rows, each read in its turn."""
        return arrow.batches(self, columns, rows=rows)


def _blob_texts(column: Column, data: bytes, bounds: np.ndarray) -> np.ndarray:
    """Return (n,) strings of the values of a blob, which lie between (n + 1,) bounds."""
    texts = path_texts if column.type == "bytes" else utf8_texts
    return np.array(texts(data, bounds.tolist()), object)


def _is_missing(column: Column, values: np.ndarray) -> np.ndarray:
    """Return (n,) bool, which stored values of a column that is no blob are missing."""
    if not column.is_nullable:
        return np.zeros(len(values), bool)
    if column.type == "digest":
        return ~is_digest(values)
    if column.type == "f8":
        return np.isnan(values)
    return values == column.missing_value


def neighbours(rows: np.ndarray) -> list[np.ndarray]:
    """Divide (n,) ascending rows where a chunk of the file ends; no piece is empty.

    >>> [piece.tolist() for piece in neighbours(np.array([1, 2, CHUNK_ROWS]))]
    [[1, 2], [131072]]
    """
    pieces = np.split(rows, np.flatnonzero(np.diff(rows // CHUNK_ROWS)) + 1)
    return [piece for piece in pieces if len(piece)]


def _row_numbers(rows: Any) -> np.ndarray:
    """Return (n,) int64 of row numbers in an array of any library, -1 for missing ones."""
    if isinstance(rows, np.ma.MaskedArray):
        return rows.filled(-1).astype(np.int64)
    if hasattr(rows, "fill_null"):
        rows = rows.fill_null(-1)
    elif hasattr(rows, "fillna"):
        rows = rows.fillna(-1)
    numbers = np.asarray(rows)
    if numbers.dtype.kind == "f":
        numbers = np.where(np.isnan(numbers), -1, numbers)
    return numbers.astype(np.int64)


class AbsentColumn:
    """A column that the program which wrote the file did not know: one value in every row."""

    def __init__(self, value: int | float | bytes | None, rows: int) -> None:
        self._value = value
        self._rows = rows

    def __getitem__(self, rows: slice) -> np.ndarray:
        return np.full(len(range(*rows.indices(self._rows))), self._value)


def stored_columns(group: StoredGroup, form: TableFormat) -> dict[str, Any]:
    """Return what gives the values of each column of a group, by name."""
    rows = group.column("row").rows
    columns: dict[str, Any] = {}
    for name, column in form.columns.items():
        if f"{form.name}/{name}" in ABSENT and name not in group:
            columns[name] = AbsentColumn(column.missing_value, rows)
        else:
            columns[name] = group.column(name)
    return columns


def empty_columns(form: TableFormat) -> dict[str, np.ndarray]:
    """Return empty columns for a table that the program which wrote the file did not know."""
    return {
        name: np.zeros(int(column.type == "offset"), column.dtype or "S1")
        for name, column in form.columns.items()
    }
