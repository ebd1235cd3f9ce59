"""Read a dataset: tables as numpy arrays, pandas or Arrow frames, read when they are asked for.

A dataset may come from anybody. `stored_file.py` and `value_checks.py` check it when it is opened
and while it is read, so whatever a file holds ends in values of the schema or in a `DatasetError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..errors import DatasetError
from ..row_ranges import block_ranges
from ..tar.paths import clean as clean_path
from . import display
from .byte_source import LocalBytes, Place, open_bytes
from .chunk_cache import ChunkReader
from .file_history import is_utc_time
from .ledger import Ledger
from .metrics import Metrics
from .metrics_schema import METRICS_VERSION
from .schema import ABSENT, ADDED, CHUNK_BYTES, CHUNK_ROWS, FORMAT, SCHEMA_VERSION, TABLES
from .stored_file import StoredFile, StoredGroup, damaged
from .table import Table, empty_columns, stored_columns
from .value_checks import (
    check_columns,
    check_run_table,
    check_runs,
    check_sums,
    checked_run,
)

if TYPE_CHECKING:
    import pandas

_MAX_BYTES = 1 << 55
"""Bytes of all files that a rank's range of the contents may stand for: a hundred times those of
all public images."""

_OF_CONFIGS = ("configs", "labels", "environment", "annotations", "history")
"""Tables with a row or several for each config."""

_SUMMED = (
    *("CLS", "TLS", "FLS", "files", "directories", "symlinks", "hardlinks"),
    *("devices", "whiteouts", "others"),
)
"""Columns of `/layers` that are added up."""


class Dataset:
    """An open dataset: `dataset.layers["CLS"]`, `dataset.contents.frame()`; close it or use `with`.

    Tables are attributes, and members of a mapping: `dataset["layers"]` is `dataset.layers`.

    :param where: a path, a URL of fsspec (`s3://…`), or a file object that can seek.
    :ivar place: the path or URL, as messages have it; `path`: the same as a path.
    :raises DatasetError: the file is missing, damaged, or not a dataset of this schema version.
    """

    repositories: Table
    images: Table
    image_layers: Table
    configs: Table
    labels: Table
    environment: Table
    annotations: Table
    history: Table
    layers: Table
    entries: Table
    contents: Table
    types: Table
    chunks: Table
    failures: Table
    skipped: Table

    def __init__(self, where: str | Path | BinaryIO) -> None:
        self._file = StoredFile(open_bytes(where))
        self.place = self._file.path
        self.path = Path(self.place)
        self._tables: dict[str, Table] = {}
        try:
            _check(self.place, self._file.root)
            self._open_tables()
            self._check_small()
        except BaseException:
            self._file.close()
            raise

    def _open_tables(self) -> None:
        for name, form in TABLES.items():
            rows = 0
            columns: dict[str, Any] = empty_columns(form)
            if name in self._file.root:
                group = self._file.root.group(name)
                rows = check_columns(group, form, self._rows_of)
                columns = stored_columns(group, form)
            self._tables[name] = Table(self.place, form, rows, columns, self._tables)
            setattr(self, name, self._tables[name])

    def _rows_of(self, name: str) -> int:
        """Return the rows of a table, which need not be open yet."""
        root = self._file.root
        return root.group(name).column("row").rows if name in root else 0

    def _check_small(self) -> None:
        """Check what the small tables say of each other and of the large ones."""
        path = self.place
        layers = self.layers
        images = self.images

        # Check that entries and image layers belong to one layer or image each
        entries = layers["first_entry"], layers["entries"]
        check_runs(path, "layers", *entries, "entries", len(self.entries))
        image_layers = images["first_layer"], images["layers"]
        check_runs(path, "images", *image_layers, "image_layers", len(self.image_layers))
        self._check_configs()

        # Check tables that can't have more rows than another one
        for fewer, more in (
            ("repositories", "images"),
            ("types", "contents"),
        ):
            if len(self._tables[fewer]) > len(self._tables[more]):
                raise damaged(path, f"/{fewer} has more rows than /{more}")

        # Check sums over layers, and over the layers of images, which are counted once an image
        columns = {name: layers[name] for name in _SUMMED}
        check_sums(path, "layers", columns)
        rows = self.image_layers["layer"]
        check_sums(path, "layers", {name: values[rows] for name, values in columns.items()})

        # Check the order of the digests; they are not compressed, so the file's size bounds them.
        # One row more a block compares each block with the next one
        for start, stop in block_ranges(len(layers), CHUNK_ROWS):
            layers.column("digest", start, stop + 1)

    def _check_configs(self) -> None:
        """Check that labels, variables and steps belong to one config each, and its order."""
        configs = self.configs
        owned = ("label", "labels", "labels"), ("variable", "variables", "environment")
        for first, count, table in (*owned, ("step", "steps", "history")):
            rows = configs[f"first_{first}"], configs[count]
            check_runs(self.place, "configs", *rows, table, len(self._tables[table]))
        for start, stop in block_ranges(len(configs), CHUNK_ROWS):
            configs.column("digest", start, stop + 1)

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
        """Close the file; tables can't be read any more."""
        self._file.close()

    def __getitem__(self, name: str) -> Table:
        if name not in TABLES:
            raise KeyError(f"there is no table {name!r}, there are {', '.join(TABLES)}")
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(TABLES)

    def __len__(self) -> int:
        return len(TABLES)

    def __contains__(self, name: object) -> bool:
        return name in TABLES

    def keys(self) -> list[str]:
        """Return the names of the tables."""
        return list(TABLES)

    def items(self) -> Iterator[tuple[str, Table]]:
        """Yield the name of each table, and the table."""
        yield from self._tables.items()

    def _ipython_key_completions_(self) -> list[str]:
        return self.keys()

    def __repr__(self) -> str:
        return display.dataset_text(self)

    def _repr_html_(self) -> str:
        return display.dataset_html(self)

    def paths(self, start: int = 0, stop: int | None = None, clean: bool = False) -> list[bytes]:
        """Return the paths of the entries `start` to `stop`.

        :param clean: as an extraction takes them, without `./`, `//` and `..`: the layers of one
            image may have `./usr/bin` and `usr/bin`. By default they are as the tar has them.
        """
        paths = self._blobs("path", start, stop)
        return [clean_path(path) for path in paths] if clean else paths

    def directories(
        self, depth: int, start: int = 0, stop: int | None = None
    ) -> pandas.Categorical:
        """Return the directories of the entries `start` to `stop`, cut after `depth` parts.

        Of `./usr/lib/os-release` it is `usr` at depth 1 and `usr/lib` from depth 2 on; of what lies
        in the root it is "". They are those of `metrics["directories"]`, which has files alone.

        :param depth: parts at most, from 1.
        :returns: (stop - start,) strings; one that is no UTF-8 is written as paths in frames are.
        :raises ValueError: the depth is less than 1.
        """
        from .queries.directories import directories

        return directories(self, depth, start, stop)

    def links(self, start: int = 0, stop: int | None = None) -> list[bytes]:
        """Return the link targets of the entries `start` to `stop`."""
        return self._blobs("link", start, stop)

    def _blobs(self, name: str, start: int, stop: int | None) -> list[bytes]:
        data, bounds = self.entries.blob(name, start, stop)
        return [data[low:high] for low, high in pairwise((bounds - bounds[0]).tolist())]

    def file_system(self, image: int | str) -> pandas.DataFrame:
        """Return the files of an image as a container sees them, layers merged by the OCI rules.

        :param image: its row in /images, or its name.
        :returns: a pandas frame by path (cleaned: no `./` in front), indexed by row in /entries:
            `path`, `kind`, `size`, `type`, `link`, `layer`, `content`, `mode`, `uid`, `gid`,
            `mtime`. Directories that are no entries of a layer have no row. A hard link has the
            size of its file, so add up the rows whose `kind` is `file`.
        :raises KeyError: there is no such image, or its name stands for several.
        """
        from .queries.file_system import file_system
        from .queries.selection import image_row

        return file_system(self, image_row(self, image))

    def places(self, contents: int | str | Sequence[int | str]) -> pandas.DataFrame:
        """Return where contents occur: the paths and layers of all files and hard links to them.

        :param contents: a row in /contents, a digest, or several.
        :returns: a pandas frame indexed by row in /entries: `content`, `path` (cleaned), `kind`,
            `layer`.
        :raises KeyError: there is no such content.
        """
        from .queries.content_places import places
        from .queries.selection import content_rows

        return places(self, content_rows(self, contents))

    def images_of(self, contents: int | str | Sequence[int | str]) -> pandas.DataFrame:
        """Return the images that ship contents, whether or not a container sees them.

        :param contents: a row in /contents, a digest, or several.
        :returns: a pandas frame: `content`, `image` (row in /images), `name`.
        :raises KeyError: there is no such content.
        """
        from .queries.content_places import images_of
        from .queries.selection import content_rows

        return images_of(self, content_rows(self, contents))

    def shared_bytes(
        self, by: str = "image", images: Sequence[int | str] | None = None
    ) -> pandas.DataFrame:
        """Return the bytes of the distinct contents that images or repositories have in common.

        :param by: `image` or `repository`.
        :param images: rows in /images or names; None: all images.
        :returns: a square pandas frame of int64, by name; the diagonal has the bytes of each one's
            own distinct contents. Images whose name occurs twice are named with their platform.
        :raises ValueError: there are more than 10,000 of them.
        """
        from .queries.shared_bytes import shared_bytes

        return shared_bytes(self, by, images)

    def image_growth(self, images: Sequence[int | str] | None = None) -> pandas.DataFrame:
        """Return what each image adds to those before it, and the totals up to it.

        :param images: rows in /images or names, in the order in which they are added; None: all, in
            the order of /images.
        :returns: a pandas frame indexed by row in /images: `name`, `new_layers`, `new_CLS`,
            `new_TLS`, `new_FLS`, `new_contents`, `new_content_bytes`, and the running totals of
            these, without `new_`.
        """
        from .queries.image_growth import image_growth

        return image_growth(self, images)

    def image_config(self, image: int | str) -> dict[str, Any]:
        """Return what the config of an image says, and the annotations of its manifest.

        :param image: its row in /images, or its name.
        :returns: the columns of /configs that have a value, lists and other JSON as Python has
            them, `notes` as a list of words; `labels`, `environment` and `annotations` as
            dictionaries of strings. An image without a config has the annotations alone.
        :raises KeyError: there is no such image, or its name stands for several.
        """
        from .queries.image_facts import image_config
        from .queries.selection import image_row

        return image_config(self, image_row(self, image))

    def image_history(self, image: int | str) -> Any:
        """Return the steps that made an image, as `docker history` does: its Dockerfile, nearly.

        :param image: its row in /images, or its name.
        :returns: a pandas frame indexed by row in /history, base first: `created`, `created_by`,
            `comment`, `author`, `is_empty_layer`, and of the layer that the step made its row in
            /layers (`layer`), `CLS`, `FLS` and `files`.
        :raises KeyError: there is no such image, or its name stands for several.
        """
        from .queries.image_facts import image_history
        from .queries.selection import image_row

        return image_history(self, image_row(self, image))

    def size_quantiles(
        self,
        levels: Sequence[float] = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99),
        by: str = "class",
        each_copy: bool = False,
    ) -> Any:
        """Return quantiles of the sizes of files by type.

        A quantile is the smallest size that at least this share of the files don't exceed
        (`quantile_disc` in SQL).

        :param by: `description`, `mime`, `group` or `class`, columns of /types.
        :param each_copy: count each content as often as files carry it, not once.
        :returns: a pandas frame by type, most bytes first: `count`, `bytes`, `q0.1`, …
        """
        from .queries.size_quantiles import size_quantiles

        return size_quantiles(self, levels, by, each_copy)

    def chunks_of(self, table: str) -> ChunkReader:
        """Return a reader of slices of a table's columns that is fast in passes over all of it."""
        return ChunkReader(self._tables[table])

    def entries_of(self, layer: int) -> slice:
        """Return the rows in /entries of a row of /layers."""
        first = int(self.layers.column("first_entry", layer, layer + 1)[0])
        count = int(self.layers.column("entries", layer, layer + 1)[0])
        return slice(first, first + count)

    def typed_contents(self) -> Iterator[tuple[list[bytes], list[str]]]:
        """Yield digests of contents and the descriptions of their types, a block at a time."""
        descriptions = self.types.readable("description")
        for start, stop in block_ranges(len(self.contents), CHUNK_ROWS):
            types = descriptions[self.contents.column("type", start, stop)]
            yield self.contents.column("digest", start, stop).tolist(), types.tolist()

    def check_all(self, rank: int = 0, ranks: int = 1) -> None:
        """Read this rank's range of the large tables, so that a wrong value is found now.

        For passes in which ranks wait for each other, where none of them can stop in the middle.

        :raises DatasetError: a value is wrong.
        """
        for name in (*_OF_CONFIGS, "entries", "contents", "chunks"):
            reader = self.chunks_of(name)
            for start, stop in block_ranges(len(self[name]), CHUNK_ROWS, rank, ranks):
                for column in TABLES[name].columns.values():
                    if column.is_blob:
                        self._check_blob(reader, column.name, start, stop)
                    else:
                        # One row more compares each block with the next one
                        reader.column(column.name, start, stop + 1)
        self._check_bytes(rank, ranks)

    def _check_blob(self, reader: ChunkReader, name: str, start: int, stop: int) -> None:
        """Read the paths or links of some rows, a chunk at a time."""
        bounds = reader.column(f"{name}_offset", start, stop + 1)
        last = int(bounds[-1])
        for low in range(int(bounds[0]), last, CHUNK_BYTES):
            reader.column(name, low, min(low + CHUNK_BYTES, last))

    def _check_bytes(self, rank: int, ranks: int) -> None:
        """Refuse contents whose bytes times copies add up to more than an integer can hold."""
        total = 0.0
        for start, stop in block_ranges(len(self.contents), CHUNK_ROWS, rank, ranks):
            size = self.contents.column("size", start, stop).astype(float)
            copies = self.contents.column("copies", start, stop).astype(float)
            total += float((size * np.maximum(copies, 1)).sum())
        if total > _MAX_BYTES:
            raise damaged(self.place, f"/contents has {total:.0e} bytes")

    @property
    def lacking(self) -> list[str]:
        """The tables and columns that the file lacks, since an earlier version made it."""
        root = self._file.root
        tables = [name for name in TABLES if name in ADDED and name not in root]
        columns = []
        for name in sorted(ABSENT):
            table, _, column = name.partition("/")
            if column not in root.group(table):
                columns.append(name)
        return [f"/{name}" for name in (*tables, *columns)]

    @property
    def ledger(self) -> Ledger:
        """How many layers are ok, partial and failed."""
        counts = np.bincount(self.layers["status"], minlength=3).tolist()
        return Ledger(*counts[:3])

    @property
    def has_metrics(self) -> bool:
        """Whether the file holds metrics that this program reads."""
        if (group := self._metrics_group()) is None:
            return False
        return bool(_scalar(group.attributes.get("version")) == METRICS_VERSION)

    @cached_property
    def metrics(self) -> Metrics:
        """The numbers of all figures, as `analyze` or `reduce` computed them.

        :raises DatasetError: the file has none, or those of another version.
        """
        return Metrics(self.place, self._metrics_group(), self._tables)

    def _metrics_group(self) -> StoredGroup | None:
        root = self._file.root
        return root.group("metrics") if "metrics" in root else None

    @property
    def has_run(self) -> bool:
        """Whether the file says how it was made (`/run`); one that was published may not."""
        return "run" in self._file.root

    @cached_property
    def run(self) -> dict[str, Any]:
        """The attributes of `/run`: what made the file; none of it is part of the result."""
        if not self.has_run:
            return {}
        return checked_run(self.place, self._file.root.group("run").attributes)

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of the file itself."""
        return self._file.root.attributes

    @property
    def file_history(self) -> str:
        """The commands that made and changed the file, a line each; "" if it has none."""
        return self._text_attribute("history")

    @property
    def date_created(self) -> str:
        """When the file was made, in UTC as ISO 8601 writes it; "" if it does not say."""
        text = self._text_attribute("date_created")
        return text if is_utc_time(text) else ""

    def _text_attribute(self, name: str) -> str:
        value = self.attributes.get(name, "")
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        return text.replace("\0", "")

    def copy_group(self, name: str, target: Any) -> None:
        """Copy a group with all that is in it into another HDF5 file, values as they are stored.

        :param target: an open file of h5py, which has no group of this name.
        """
        if name in self._file.root:
            self._file.copy_group(name, target)

    @property
    def compress_sample(self) -> Fraction:
        """The fraction of the contents that were drawn to be compressed; 0: none."""
        return Fraction(str(self.run.get("compress_sample", "0")))

    @property
    def chunk_sample(self) -> Fraction:
        """The fraction of the chunks that are in /chunks; 0: no content was cut."""
        return Fraction(str(self.run.get("chunk_sample", "0")))

    @property
    def ranks(self) -> dict[str, np.ndarray]:
        """What each rank did, column by column, a value a rank; empty if the file has none."""
        return self.run_table("ranks")

    def run_table(self, name: str) -> dict[str, np.ndarray]:
        """Return the columns of a table of `/run` (`ranks`, `jobs`, …), empty if it is missing."""
        if not self.has_run or name not in (run := self._file.root.group("run")):
            return {}
        group = run.group(name)
        columns = {name: group.column(name)[:] for name in group.names if not is_dimension(name)}
        check_run_table(self.place, name, columns)
        return columns

    @property
    def failed_on(self) -> dict[bytes, tuple[int, str]]:
        """Digest of a partial or failed layer -> the rank and host that profiled it."""
        table = self.run_table("failures")
        if not any(map(len, table.values())):
            return {}
        result = {}
        columns = (table[name].tolist() for name in ("digest", "rank", "host"))
        for digest, rank, host in zip(*columns, strict=True):
            result[digest] = int(rank), host.decode("utf-8", "replace")
        return result

    @property
    def sources(self) -> list[str]:
        """The sources that it was made of, as absolute references; none if it has no table."""
        names = self.run_table("sources").get("source")
        if names is None or names.dtype.kind != "S":
            return []
        return [name.decode("utf-8", "replace") for name in names.tolist()]

    @property
    def signature(self) -> dict[str, str]:
        """What the rows of its layers depend on besides them; empty if the file does not say."""
        table = self.run_table("signature")
        texts = {
            name: [value.decode("utf-8", "replace") for value in values.tolist()]
            for name, values in table.items()
            if values.dtype.kind == "S"
        }
        return dict(zip(texts.get("name", []), texts.get("value", []), strict=False))

    @property
    def file_version(self) -> tuple[int, int]:
        """Bytes, and last change in ns since 1970, of the file that was opened, as they are now."""
        return self._file.source.version

    @property
    def fingerprint(self) -> str:
        """A digest of all that the rows depend on; "" if the file has none."""
        return str(self.run.get("fingerprint", ""))


def is_dimension(name: str) -> bool:
    """Return whether a dataset of a table of `/run` is a dimension and no column."""
    return name == "row" or name.endswith("_byte")


def is_dataset(path: Path) -> bool:
    """Return whether a file is a dataset of this program, of any version."""
    try:
        with closing(StoredFile(LocalBytes(path))) as file:
            return bool(_scalar(file.root.attributes.get("format")) == FORMAT)
    except DatasetError:
        return False


def _check(path: Place, root: StoredGroup) -> None:
    """Check that a file is a dataset of this schema version, and that it has all tables."""
    form = _scalar(root.attributes.get("format"))
    if form != FORMAT:
        message = f"{path} is an HDF5 file, but none of this program"
        raise DatasetError(message, f"wanted format {FORMAT!r}")
    version = _scalar(root.attributes.get("schema_version"))
    if version != SCHEMA_VERSION:
        message = f"{path} has schema version {version}, this program reads {SCHEMA_VERSION}"
        raise DatasetError(message)
    missing = [name for name in TABLES if name not in root and name not in ADDED]
    if missing:
        names = ", ".join(f"/{name}" for name in missing)
        raise DatasetError(f"{path} lacks {names}: it is damaged")


def _scalar(value: Any) -> Any:
    """Return the value of a scalar attribute; of an array its shape as a string."""
    return value if np.ndim(value) == 0 else repr(np.shape(value))


_CONTRADICTIONS = (
    *(ArithmeticError, AssertionError, LookupError, TypeError),
    *(ValueError, RuntimeError, MemoryError),
)
"""What computing with values that contradict each other may raise."""


@contextmanager
def reading(*datasets: Dataset) -> Iterator[None]:
    """Blame errors in the body on the datasets: for commands that only read them.

    Types, places and ranges are checked above; that values agree with each other (metrics with the
    tables, rising bins) is not checked one by one. `--debug` shows where it failed.

    :raises DatasetError: the body raised an error that says nothing to a user.
    """
    try:
        yield
    except (DatasetError, RecursionError):
        raise
    except _CONTRADICTIONS as error:
        names = " or ".join(str(dataset.place) for dataset in datasets)
        text = " ".join(str(error).split())[:200]
        what = f"holds values that contradict each other ({type(error).__name__}: {text})"
        hint = (
            "it is damaged, or this program did not write it; "
            "report a fault if it did (--debug shows where)"
        )
        raise DatasetError(f"{names} {what}", hint) from error
