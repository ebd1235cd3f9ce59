"""Lists of repositories as CSV: written by `crawl`, read by `download` and `repos:`.

The first three columns are those of the 2017 tool (stars, pulls, name), whose lists have no header
line. They are read too, as are lists of one name a line.
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
    """A row: a repository, or one of its tags. Unknown values are None or "".

    :param name: such as `library/redis`.
    :param registry: host and port as in references; `docker.io` is Docker Hub.
    :param tag: a tag or a digest; "": `latest`.
    :param official: whether it is one of Docker Hub's official images.
    :param digest: of the manifest or index that the tag names, by the listing.
    :param bytes: compressed size of the tag's image, by the listing.
    :param updated: time of the last push of the tag, by the listing.
    :param crawled: time at which the row was read (UTC, ISO 8601).
    :param stratum: of the sample, for a row of a sample.
    :param weight: repositories that the row's repository represents.
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
        """The full reference to the image of the row.

        >>> Repository(0, 0, "library/redis").reference
        'docker.io/library/redis:latest'
        >>> Repository(0, 0, "a/b", "localhost:5000", "1").reference
        'localhost:5000/a/b:1'
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
    """Yield a header line, and a line for each row."""
    # `writerow` returns the result of the file's `write`: here the line itself.
    writer = csv.writer(_Echo(), lineterminator="\n")
    yield str(writer.writerow(COLUMNS))
    for row in rows:
        yield str(writer.writerow([_text(getattr(row, name)) for name in COLUMNS]))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return f"{value:.10g}"
    return "" if value is None else str(value)


def read_repositories(path: Path) -> Iterator[Repository]:
    """Yield the rows of a list: of `crawl`, of the 2017 tool (stars, pulls, name), or of names.

    :raises SourceError: the file can't be read, or a line (named in the message) is not valid.
    """
    try:
        # Skip blanks after commas: they would make a quote a part of the value.
        with open(path, "rb") as file:
            yield from _rows(path, csv.reader(list_lines(file, path), skipinitialspace=True))
    except OSError as error:
        raise SourceError(f"can't read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} is not a list of repositories: {error}") from None


def list_lines(file: BinaryIO, path: Path, errors: str = "strict") -> Iterator[str]:
    """Yield the lines of a list with line ends, without the byte order mark of spreadsheets.

    :param path: the file's name, for messages.
    :param errors: treatment of bytes that are not UTF-8, as for `open`.
    :raises SourceError: the file is in UTF-16 or UTF-32.
    :raises OSError: it can't be read.
    """
    if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise SourceError(f"{path} is in UTF-16", "save it as UTF-8, or convert it with iconv")
    file.seek(0)
    for line in io.TextIOWrapper(file, encoding="utf-8-sig", errors=errors, newline=""):
        # Concatenated lists have such marks in the middle too.
        yield line.lstrip(_MARK)


def _rows(path: Path, reader: Any) -> Iterator[Repository]:
    names: list[str] | None = None
    for cells in reader:
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        try:
            _check_cells(cells)

            # Take the first line as column names if it has "name" among them.
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
        # A line of only a name may be any reference.
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
