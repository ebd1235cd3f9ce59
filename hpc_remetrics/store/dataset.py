"""The reader of datasets: tables as numpy arrays, pandas or Arrow frames, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from ..errors import DatasetError
from ..wording import counted
from . import arrow
from .chunk_reader import ChunkReader, no_rows, stored_or_absent
from .ledger import Ledger
from .metrics import Metrics
from .metrics_schema import METRICS_VERSION
from .readable import digest_texts, note_texts, path_texts
from .schema import ADDED, CHUNK_ROWS, ENUMS, FORMAT, SCHEMA_VERSION, TABLES
from .schema import Table as Format

_CHUNK = 1 << 17


class Table:
    """One table of a dataset: `table["size"]` is a column, `len(table)` its rows; what is asked for is read.

    `column` gives values as they are stored, `readable` as people write them; `frame` and `arrow` give
    whole tables, `batches` a large one piece by piece.

    :ivar form: the table's columns as the schema describes them.
    :raises KeyError: there is no such column; the message names those that there are.
    """

    def __init__(self, group: Any, form: Format) -> None:
        self._group, self.form = group, form
        self._opened: dict[str, Any] = {}  # an open column keeps the chunk that it read last

    def __len__(self) -> int:
        return int(self._group["row"].shape[0])

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
        return frozenset(self.form.columns) & frozenset(self._group)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.column(name)

    def column(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return values of a column as they are stored: enums as numbers, texts as bytes, digests as 32 raw bytes."""
        if name not in self.form.columns:
            raise KeyError(f"/{self.form.name} has no column {name!r}, it has {', '.join(self.form.columns)}")
        if (opened := self._opened.get(name)) is None:
            opened = self._opened[name] = stored_or_absent(self._group, name)
        return np.asarray(opened[start:stop])

    def key(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return the row number itself (`row`), or that of the layer or image that has the row, as i8."""
        start, stop, _ = slice(start, stop).indices(len(self))
        rows = np.arange(start, stop)
        if name == "row":
            return rows
        owner, first = {"layer": ("layers", "first_entry"), "image": ("images", "first_layer")}[name]
        return np.searchsorted(self._group.parent[owner][first][...], rows, "right") - 1

    def blob(self, name: str, start: int = 0, stop: int | None = None) -> tuple[bytes, np.ndarray]:
        """Return the bytes of a column of paths or links, and the bounds of its values: one more than rows."""
        start, stop, _ = slice(start, stop).indices(len(self))
        bounds = self.column(f"{name}_offset", start, max(stop, start) + 1)
        return self.column(name, int(bounds[0]), int(bounds[-1])).tobytes(), bounds

    def words(self, name: str) -> dict[int, str]:
        """Return the words of an enum column by number."""
        return {number: word for word, number in ENUMS[self.form.columns[name].argument].items()}

    def readable(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return values of a column for people: enums as words, texts as str, paths as text, digests as hex."""
        if name in self.form.columns and self.form.columns[name].type == "bytes":
            data, bounds = self.blob(name, start, stop)
            return np.array(path_texts(data, (bounds - bounds[0]).tolist()), object)
        values = self.column(name, start, stop)
        column = self.form.columns[name]
        if column.type == "enum":
            words = self.words(name)
            return np.array([words.get(number, "?") for number in range(max(words) + 1)], object)[values]
        if column.type == "text":
            return np.array([value.decode("utf-8", "replace") for value in values], object)
        if column.type in ("digest", "fingerprint"):
            return np.array([value.tobytes().hex() for value in values], object)
        return values

    def frame(self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None) -> Any:
        """Return rows of the table as a pandas frame, indexed by row number.

        Enums are categories, digests `sha256:…`, paths text; row numbers that point nowhere stay -1.
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

            return pandas.Categorical.from_codes(self.column(name, start, stop), list(ENUMS[column.argument]))
        if column is not None and column.type == "digest":
            return digest_texts(self.column(name, start, stop))
        if name == "notes":
            return note_texts(self.column(name, start, stop))
        return self.readable(name, start, stop)

    def arrow(self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None) -> Any:
        """Return rows of the table as an Arrow table; what is in it is said in `store/arrow.py`."""
        pieces = list(arrow.batches(self, columns, start, stop))
        return arrow.import_pyarrow().Table.from_batches(pieces, arrow.schema_of(self, columns))

    def batches(self, columns: Sequence[str] | None = None, rows: int = CHUNK_ROWS) -> Iterator[Any]:
        """Yield the table as Arrow record batches of at most `rows` rows, each read when it is its turn."""
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
        try:
            _check(self.path, self._file)
            for name, form in TABLES.items():
                setattr(self, name, Table(self._file[name] if name in self._file else no_rows(form), form))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Dataset:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
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
        return ChunkReader(self._file[table])

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

    @property
    def ledger(self) -> Ledger:
        """How the layers ended."""
        counts = np.bincount(self.layers["status"], minlength=3).tolist()
        return Ledger(*counts[:3])

    @property
    def has_metrics(self) -> bool:
        """Whether the file holds metrics that this program reads."""
        return "metrics" in self._file and self._file["metrics"].attrs.get("version") == METRICS_VERSION

    @property
    def metrics(self) -> Metrics:
        """Every figure's numbers, as `analyze` or `reduce` left them; `DatasetError` if neither did."""
        return Metrics(self.path, self._file.get("metrics"))

    @property
    def run(self) -> dict[str, Any]:
        """What made the file, by name; nothing in it is part of the result."""
        return dict(self._file["run"].attrs)

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
        """What each rank did and took, column by column, a value a rank; empty if the file does not say."""
        return self.run_table("ranks")

    def run_table(self, name: str) -> dict[str, np.ndarray]:
        """Return a table of `/run` column by column (`ranks`, `jobs`, `job_ranks`), empty if it is not there."""
        group = self._file["run"].get(name, {})
        return {name: np.asarray(column[:]) for name, column in group.items()}

    @property
    def failed_on(self) -> dict[bytes, tuple[int, str]]:
        """Digest of a partial or failed layer -> the rank and host that had it."""
        group = self._file["run/failures"]
        digests, hosts = group["digest"][:].tobytes(), group["host"][:].tolist()
        return {
            digests[32 * n : 32 * n + 32]: (int(rank), host.decode("utf-8", "replace"))
            for n, (rank, host) in enumerate(zip(group["rank"][:], hosts, strict=True))
        }

    @property
    def fingerprint(self) -> str:
        """What the rows depend on, as a digest; "" if the file does not say."""
        return str(self.run.get("fingerprint", ""))


def _open(path: Path) -> Any:
    if not path.exists():
        raise DatasetError(f"{path} is not there", "`hpc-remetrics analyze -o FILE` makes one")
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise DatasetError(f"{path} is not an HDF5 file, or it is damaged ({_brief(error)})") from None


def _brief(error: OSError) -> str:
    return str(error).rpartition("(")[2].rstrip(")") or str(error)


def _check(path: Path, file: Any) -> None:
    form, version = file.attrs.get("format"), file.attrs.get("schema_version")
    if form != FORMAT:
        raise DatasetError(f"{path} is an HDF5 file, but none of this program", f"wanted format {FORMAT!r}")
    if version != SCHEMA_VERSION:
        raise DatasetError(f"{path} has schema version {version}, this program reads {SCHEMA_VERSION}")
    missing = [name for name in TABLES if name not in file and name not in ADDED]
    if missing:
        raise DatasetError(f"{path} lacks {', '.join('/' + name for name in missing)}: it is damaged")
