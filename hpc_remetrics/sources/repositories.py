"""A list of repositories as CSV: what `crawl` writes, and what `download` and `repos:` read.

The first three columns are those of the 2017 tool (stars, pulls, name); it knew no others, and no
head line. Its own lists are read too: three columns, or a name a line.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import SourceError, UsageError
from ..registry.reference import HUB, Reference


@dataclass(frozen=True)
class Repository:
    """A row: a repository, or one of its tags. What is not known is None or "".

    :param name: such as `library/redis`.
    :param registry: host and port as references write them; `docker.io` is Docker Hub.
    :param tag: or a digest; "" stands for `latest`.
    :param official: whether Docker Hub calls it that.
    :param digest: of the manifest or index that the tag names, as a listing says.
    :param bytes: compressed size of the tag's image as a listing says.
    :param updated: when the tag was last pushed, as a listing says.
    :param crawled: when this row was learned (UTC, ISO 8601).
    :param stratum: of the sample that the row is part of.
    :param weight: repositories that the row's repository stands for.
    """

    stars: int | None
    pulls: int | None
    name: str
    registry: str = HUB
    tag: str = ""
    official: bool | None = None
    digest: str = ""
    bytes: int | None = None
    updated: str = ""
    crawled: str = ""
    stratum: str = ""
    weight: float | None = None

    @property
    def reference(self) -> str:
        """The image that the row stands for, in full.

        >>> Repository(0, 0, "library/redis").reference, Repository(0, 0, "a/b", "localhost:5000", "1").reference
        ('docker.io/library/redis:latest', 'localhost:5000/a/b:1')
        """
        sign = "@" if self.tag.startswith("sha256:") else ":"
        return f"{self.registry}/{self.name}{sign}{self.tag or 'latest'}"


_MARK = "\ufeff"
"""The byte order mark."""

COLUMNS = tuple(field.name for field in fields(Repository))


class _Echo:
    def write(self, text: str) -> str:
        return text


def csv_lines(rows: Iterable[Repository]) -> Iterator[str]:
    """Yield a head line and a line for each row."""
    # A CSV writer returns what its file does.
    writer = csv.writer(_Echo(), lineterminator="\n")
    yield str(writer.writerow(COLUMNS))
    for row in rows:
        yield str(writer.writerow([_text(getattr(row, name)) for name in COLUMNS]))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:.10g}" if isinstance(value, float) else "" if value is None else str(value)


def read_repositories(path: Path) -> Iterator[Repository]:
    """Yield the rows of a list: of this program, of the 2017 tool (stars, pulls, name), or a name a
    line.

    :raises SourceError: the file can't be read, or a line is none of these; it says which.
    """
    try:
        # A blank between a comma and a quote would make the quote part of the value.
        with open(path, "rb") as file:
            yield from _rows(path, csv.reader(list_lines(file, path), skipinitialspace=True))
    except OSError as error:
        raise SourceError(f"can't read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} is no list of repositories: {error}") from None


def list_lines(file: BinaryIO, path: Path, errors: str = "strict") -> Iterator[str]:
    """Yield the lines of a list with their ends, without the byte order mark of spreadsheets.

    :param path: the file's name, for messages.
    :param errors: what becomes of bytes that are not UTF-8, as `open` has it.
    :raises SourceError: the file is in UTF-16 or UTF-32.
    :raises OSError: it can't be read.
    """
    if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise SourceError(f"{path} is in UTF-16", "save it as UTF-8, or convert it with iconv")
    file.seek(0)
    for line in io.TextIOWrapper(file, encoding="utf-8-sig", errors=errors, newline=""):
        # Lists that were joined have marks in their middle too.
        yield line.lstrip(_MARK)


def _rows(path: Path, reader: Any) -> Iterator[Repository]:
    names: list[str] | None = None
    for cells in reader:
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        try:
            _check_cells(cells)
            if names is None:
                head = [cell.lower() for cell in cells]
                if "name" in head[:3]:
                    names = head
                    continue
                names = list(COLUMNS[:3] if len(cells) > 1 else ("name",))
            row = _row(dict(zip(names, cells, strict=False)))
        except ValueError as error:
            raise SourceError(
                f"{path}, line {reader.line_num}: {error}",
                "a line is: stars, pulls, name; or a name",
            ) from None
        yield row


def _check_cells(cells: list[str]) -> None:
    """Raise `ValueError` where a line can't be what somebody wrote."""
    for cell in cells:
        if "\0" in cell:
            raise ValueError("a NUL character; if the file is in UTF-16, save it as UTF-8")
        if "\n" in cell or "\r" in cell:
            raise ValueError(
                "a value goes over several lines; is there a quote that nothing closes?"
            )


def _row(cells: dict[str, str]) -> Repository:
    name = cells.get("name", "")
    if not name:
        raise ValueError("no name")
    official, weight = cells.get("official"), cells.get("weight")
    try:
        # A line that is a name alone may be any reference.
        found = Reference.parse(name, cells.get("registry", ""))
    except UsageError as error:
        raise ValueError(error.args[0]) from None
    return Repository(
        _number(cells, "stars"),
        _number(cells, "pulls"),
        found.repository,
        found.host,
        cells.get("tag") or ("" if found.tag == "latest" else found.version),
        official == "1" if official else None,
        cells.get("digest", ""),
        _number(cells, "bytes"),
        cells.get("updated", ""),
        cells.get("crawled", ""),
        cells.get("stratum", ""),
        _weight(weight) if weight else None,
    )


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise ValueError(f"weight is {text[:40]!r}, not a number above 0")
    return weight


def _number(cells: dict[str, str], name: str) -> int | None:
    text = cells.get(name, "")
    try:
        return int(text) if text else None
    except ValueError:
        raise ValueError(f"{name} is {text[:40]!r}, not a number") from None
