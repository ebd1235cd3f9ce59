"""The reader of datasets: tables as numpy arrays, pandas or Arrow frames, read when they are asked
for.

A dataset may come from anybody. `stored.py` and `checks.py` check it before and while it is read,
so that whatever a file holds ends in values of the schema or in a `DatasetError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import DatasetError
from ..mpi.shuffle import rank_range
from ..wording import counted
from . import arrow
from .chunk_cache import ChunkReader, columns_of, no_rows
from .ledger import Ledger
from .metrics import Metrics
from .metrics_schema import METRICS_VERSION
from .schema import ADDED, CHUNK_BYTES, CHUNK_ROWS, ENUMS, FORMAT, SCHEMA_VERSION, TABLES
from .schema import Table as Format
from .stored_file import StoredFile, StoredGroup, damaged
from .text_values import digest_texts, note_texts, path_texts
from .value_checks import (
    check_columns,
    check_order,
    check_run_table,
    check_runs,
    check_sums,
    checked_run,
)

_CHUNK = 1 << 17
_MOST_BYTES = 1 << 55
"""Bytes of all files that a rank's share of the contents may stand for: a hundred times those of
all public images."""


class Table:
    """One table of a dataset: `table["size"]` is a column, `len(table)` its rows; what is asked for
    is read.

    `column` gives values as they are stored, `readable` as people write them; `frame` and `arrow`
    give whole tables, `batches` a large one piece by piece.

    :param columns: name -> what gives the values of its slices; `path` is the dataset's, for
        messages.
    :param siblings: the dataset's tables by name, for the keys by which they are joined.
    :ivar form: the table's columns as the schema describes them.
    :raises KeyError: there is no such column; the message names those that there are.
    """

    def __init__(
        self,
        path: Path,
        form: Format,
        rows: int,
        columns: Mapping[str, Any],
        siblings: Mapping[str, Table],
    ) -> None:
        self.path, self.form = path, form
        self._rows, self._columns, self._siblings = rows, columns, siblings

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
        return ["row", *({"entries": ["layer"], "image_layers": ["image"]}.get(self.form.name, []))]

    @property
    def stored(self) -> frozenset[str]:
        """Names of the columns that the file has; one of an earlier program may lack some."""
        return frozenset(
            name
            for name, column in self._columns.items()
            if not getattr(column, "is_absent", False)
        )

    def __getitem__(self, name: str) -> np.ndarray:
        return self.column(name)

    def column(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return values of a column as they are stored: enums as numbers, texts as bytes, digests
        as 32 raw bytes."""
        if name not in self.form.columns:
            raise KeyError(
                f"/{self.form.name} has no column {name!r}, it has {', '.join(self.form.columns)}"
            )
        values = np.asarray(self._columns[name][start:stop])
        check_order(self.path, self.form.name, self.form.columns[name], values)
        return values

    def stored_column(self, name: str) -> Any:
        """Return what gives the values of a column's slices, unchecked for their order."""
        return self._columns[name]

    def key(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return the row number itself (`row`), or that of the layer or image that has the row, as
        i8."""
        start, stop, _ = slice(start, stop).indices(len(self))
        rows = np.arange(start, stop)
        if name == "row":
            return rows
        owner, first = {"layer": ("layers", "first_entry"), "image": ("images", "first_layer")}[
            name
        ]
        return np.searchsorted(self._siblings[owner][first], rows, "right") - 1

    def blob(self, name: str, start: int = 0, stop: int | None = None) -> tuple[bytes, np.ndarray]:
        """Return the bytes of a column of paths or links, and the bounds of its values: one more
        than rows."""
        start, stop, _ = slice(start, stop).indices(len(self))
        bounds = self.column(f"{name}_offset", start, max(stop, start) + 1)
        return self.column(name, int(bounds[0]), int(bounds[-1])).tobytes(), bounds

    def words(self, name: str) -> dict[int, str]:
        """Return the words of an enum column by number."""
        return {number: word for word, number in ENUMS[self.form.columns[name].argument].items()}

    def readable(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return values of a column for people: enums as words, texts as str, paths as text,
        digests as hex."""
        if name in self.form.columns and self.form.columns[name].type == "bytes":
            data, bounds = self.blob(name, start, stop)
            return np.array(path_texts(data, (bounds - bounds[0]).tolist()), object)
        values = self.column(name, start, stop)
        column = self.form.columns[name]
        if column.type == "enum":
            words = self.words(name)
            return np.array([words.get(number, "?") for number in range(max(words) + 1)], object)[
                values
            ]
        if column.type == "text":
            return np.array([value.decode("utf-8", "replace") for value in values], object)
        if column.type in ("digest", "fingerprint"):
            return np.array([value.tobytes().hex() for value in values], object)
        return values

    def frame(
        self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> Any:
        """Return rows of the table as a pandas frame, indexed by row number.

        Enums are categories, digests `sha256:…`, paths text; row numbers that point nowhere stay
        -1.
        """
        import pandas

        names = columns or [*self.keys[1:], *self.columns]
        index = pandas.RangeIndex(*slice(start, stop).indices(len(self))[:2], name="row")
        return pandas.DataFrame({name: self._framed(name, start, stop) for name in names}, index)

    def _framed(self, name: str, start: int, stop: int | None) -> Any:
        column = self.form.columns.get(name)
        if column is None and name in self.keys:
            return self.key(name, start, stop)
        if column is not None and column.type == "enum":
            import pandas

            return pandas.Categorical.from_codes(
                self.column(name, start, stop), list(ENUMS[column.argument])
            )
        if column is not None and column.type == "digest":
            return digest_texts(self.column(name, start, stop))
        if name == "notes":
            return note_texts(self.column(name, start, stop))
        return self.readable(name, start, stop)

    def arrow(
        self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> Any:
        """Return rows of the table as an Arrow table; what is in it is said in
        `dataset/arrow.py`."""
        pieces = list(arrow.batches(self, columns, start, stop))
        return arrow.import_pyarrow().Table.from_batches(pieces, arrow.schema_of(self, columns))

    def batches(
        self, columns: Sequence[str] | None = None, rows: int = CHUNK_ROWS
    ) -> Iterator[Any]:
        """Yield the table as Arrow record batches of at most `rows` rows, each read when it is its
        turn."""
        return arrow.batches(self, columns, rows=rows)


class Dataset:
    """An open dataset: `dataset.layers["CLS"]`, `dataset.contents.frame()`; close it or use `with`.

    :raises DatasetError: the file is missing, damaged, none of ours, or of another schema version.
    """

    repositories: Table
    images: Table
    image_layers: Table
    layers: Table
    entries: Table
    contents: Table
    types: Table
    chunks: Table
    failures: Table
    skipped: Table

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = _open(self.path)
        self._tables: dict[str, Table] = {}
        try:
            _check(self.path, self._file.root)
            self._open_tables()
            self._check_small()
        except BaseException:
            self._file.close()
            raise

    def _open_tables(self) -> None:
        for name, form in TABLES.items():
            if name in self._file.root:
                group = self._file.root.group(name)
                rows, columns = check_columns(group, form, self._rows_of), columns_of(group, form)
            else:
                rows, columns = 0, no_rows(form)
            self._tables[name] = Table(self.path, form, rows, columns, self._tables)
            setattr(self, name, self._tables[name])

    def _rows_of(self, name: str) -> int:
        """Return the rows of a table, which need not be open yet."""
        root = self._file.root
        return root.group(name).column("row").rows if name in root else 0

    def _check_small(self) -> None:
        """Check what the small tables say of each other and of the large ones."""
        path, layers, images = self.path, self.layers, self.images
        check_runs(
            path, "layers", layers["first_entry"], layers["entries"], "entries", len(self.entries)
        )
        for fewer, more in (
            ("repositories", "images"),
            ("types", "contents"),
            ("failures", "layers"),
        ):
            if len(self._tables[fewer]) > len(self._tables[more]):
                raise damaged(path, f"/{fewer} has more rows than /{more}")
        shared = len(self.image_layers)
        check_runs(path, "images", images["first_layer"], images["layers"], "image_layers", shared)
        sums = (
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
        columns = {name: layers[name] for name in sums}
        check_sums(path, "layers", columns)
        # Images add their layers up again, each for itself.
        rows = self.image_layers["layer"]
        check_sums(path, "layers", {name: values[rows] for name, values in columns.items()})
        # A digest takes 32 bytes and does not deflate, so this table has no more rows than the file
        # has room for.
        for start in range(0, len(layers), _CHUNK):
            layers.column("digest", start, start + _CHUNK + 1)

    def __enter__(self) -> Dataset:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    @property
    def tables(self) -> list[str]:
        """Names of the tables."""
        return list(TABLES)

    def table(self, name: str) -> Table:
        """Return a table by its name."""
        if name not in TABLES:
            raise KeyError(f"there is no table {name!r}, there are {', '.join(TABLES)}")
        return getattr(self, name)

    def paths(self, start: int = 0, stop: int | None = None) -> list[bytes]:
        """Return the paths of the entries `start` to `stop`."""
        return self._blobs("path", start, stop)

    def links(self, start: int = 0, stop: int | None = None) -> list[bytes]:
        """Return the link targets of the entries `start` to `stop`."""
        return self._blobs("link", start, stop)

    def _blobs(self, name: str, start: int, stop: int | None) -> list[bytes]:
        data, bounds = self.entries.blob(name, start, stop)
        return [data[low:high] for low, high in pairwise((bounds - bounds[0]).tolist())]

    def chunks_of(self, table: str) -> ChunkReader:
        """Return a fast reader of slices of a table's columns, for passes over all of it."""
        return ChunkReader(self._tables[table])

    def entries_of(self, layer: int) -> slice:
        """Return the rows in /entries of a row of /layers."""
        first = int(self.layers.column("first_entry", layer, layer + 1)[0])
        return slice(first, first + int(self.layers.column("entries", layer, layer + 1)[0]))

    def typed_contents(self) -> Iterator[tuple[list[bytes], list[str]]]:
        """Yield digests of contents and the descriptions of their types, some at a time."""
        descriptions = self.types.readable("description")
        for start in range(0, len(self.contents), _CHUNK):
            digests = self.contents.column("digest", start, start + _CHUNK).tobytes()
            types = descriptions[self.contents.column("type", start, start + _CHUNK)]
            yield [digests[at : at + 32] for at in range(0, len(digests), 32)], types.tolist()

    def check_all(self, rank: int = 0, ranks: int = 1) -> None:
        """Read this rank's share of the large tables, so that whatever is wrong with a value is
        found now.

        For passes in which ranks wait for each other: none of them can stop in the middle.

        :raises DatasetError: something is wrong.
        """
        for name in ("entries", "contents", "chunks"):
            reader, form, rows = self.chunks_of(name), TABLES[name], len(self.table(name))
            for block in rank_range(rank, ranks, -(-rows // CHUNK_ROWS)):
                start, stop = block * CHUNK_ROWS, min((block + 1) * CHUNK_ROWS, rows)
                for column in form.columns.values():
                    if column.type == "bytes":
                        self._check_blob(reader, column.name, start, stop)
                    else:
                        reader.column(column.name, start, stop + 1)

        self._check_bytes(rank, ranks)

    def _check_bytes(self, rank: int, ranks: int) -> None:
        """Refuse contents whose bytes and copies make more than sums of whole numbers can hold."""
        total, rows = 0.0, len(self.contents)
        for block in rank_range(rank, ranks, -(-rows // CHUNK_ROWS)):
            bounds = block * CHUNK_ROWS, (block + 1) * CHUNK_ROWS
            size, copies = (
                self.contents.column(name, *bounds).astype(float) for name in ("size", "copies")
            )
            total += float((size * np.maximum(copies, 1)).sum())
        if total > _MOST_BYTES:
            raise damaged(self.path, f"/contents has {total:.0e} bytes")

    def _check_blob(self, reader: ChunkReader, name: str, start: int, stop: int) -> None:
        bounds = reader.column(f"{name}_offset", start, stop + 1)
        for low in range(int(bounds[0]), int(bounds[-1]), CHUNK_BYTES):
            reader.column(name, low, min(low + CHUNK_BYTES, int(bounds[-1])))

    @property
    def ledger(self) -> Ledger:
        """How the layers ended."""
        counts = np.bincount(self.layers["status"], minlength=3).tolist()
        return Ledger(*counts[:3])

    @property
    def has_metrics(self) -> bool:
        """Whether the file holds metrics that this program reads."""
        root = self._file.root
        return (
            "metrics" in root
            and _scalar(root.group("metrics").attributes.get("version")) == METRICS_VERSION
        )

    @cached_property
    def metrics(self) -> Metrics:
        """Every figure's numbers, as `analyze` or `reduce` left them; `DatasetError` if neither
        did."""
        root = self._file.root
        return Metrics(
            self.path, root.group("metrics") if "metrics" in root else None, self._tables
        )

    @cached_property
    def run(self) -> dict[str, Any]:
        """What made the file, by name; nothing in it is part of the result."""
        return checked_run(self.path, self._file.root.group("run").attributes)

    @property
    def compress_sample(self) -> Fraction:
        """Share of the contents that were compressed, by which they were drawn."""
        return Fraction(str(self.run.get("compress_sample", "0")))

    @property
    def chunk_sample(self) -> Fraction:
        """Share of the chunks that are in /chunks; 0: no content was cut."""
        return Fraction(str(self.run.get("chunk_sample", "0")))

    @property
    def ranks(self) -> dict[str, np.ndarray]:
        """What each rank did and took, column by column, a value a rank; empty if the file does not
        say."""
        return self.run_table("ranks")

    def run_table(self, name: str) -> dict[str, np.ndarray]:
        """Return a table of `/run` column by column (`ranks`, `jobs`, `job_ranks`), empty if it is
        not there."""
        run = self._file.root.group("run")
        if name not in run:
            return {}
        group = run.group(name)
        columns = {column: group.column(column)[:] for column in group.names}
        check_run_table(self.path, name, columns)
        return columns

    @property
    def failed_on(self) -> dict[bytes, tuple[int, str]]:
        """Digest of a partial or failed layer -> the rank and host that had it."""
        table = self.run_table("failures")
        if not any(map(len, table.values())):
            return {}
        digests, hosts = table["digest"].tobytes(), table["host"].tolist()
        return {
            digests[32 * n : 32 * n + 32]: (int(rank), host.decode("utf-8", "replace"))
            for n, (rank, host) in enumerate(zip(table["rank"], hosts, strict=True))
        }

    @property
    def fingerprint(self) -> str:
        """What the rows depend on, as a digest; "" if the file does not say."""
        return str(self.run.get("fingerprint", ""))


def _open(path: Path) -> StoredFile:
    if not path.exists():
        raise DatasetError(f"{path} is not there", "`hpc-remetrics analyze -o FILE` makes one")
    return StoredFile(path)


def _check(path: Path, root: StoredGroup) -> None:
    form, version = (
        _scalar(root.attributes.get("format")),
        _scalar(root.attributes.get("schema_version")),
    )
    if form != FORMAT:
        raise DatasetError(
            f"{path} is an HDF5 file, but none of this program", f"wanted format {FORMAT!r}"
        )
    if version != SCHEMA_VERSION:
        raise DatasetError(
            f"{path} has schema version {version}, this program reads {SCHEMA_VERSION}"
        )
    missing = [name for name in (*TABLES, "run") if name not in root and name not in ADDED]
    if missing:
        raise DatasetError(
            f"{path} lacks {', '.join('/' + name for name in missing)}: it is damaged"
        )


def _scalar(value: Any) -> Any:
    """Return an attribute's single value; that of anything else is its description, which equals
    nothing."""
    return value if np.ndim(value) == 0 else repr(np.shape(value))


_CONFUSED = (
    ArithmeticError,
    AssertionError,
    LookupError,
    TypeError,
    ValueError,
    RuntimeError,
    MemoryError,
)


@contextmanager
def reading(*datasets: Dataset) -> Iterator[None]:
    """Say of a command that only reads datasets that one of them is the reason, where it meets what
    can't be.

    The checks above are of types, places and ranges; what values mean together (that metrics fit
    the tables, that bins rise) nobody checks one by one. `--debug` shows where it was.

    :raises DatasetError: the body raised an error that says nothing to a user.
    """
    try:
        yield
    except (DatasetError, RecursionError):
        raise
    except _CONFUSED as error:
        names = " or ".join(str(dataset.path) for dataset in datasets)
        text = " ".join(str(error).split())[:200]
        raise DatasetError(
            f"{names} holds values that contradict each other ({type(error).__name__}: {text})",
            "it is damaged, or this program did not write it; report a fault if it did (--debug shows where)",
        ) from error
