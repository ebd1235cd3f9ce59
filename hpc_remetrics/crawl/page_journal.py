"""Every page that a crawl ever got, in a journal beside its output.

A record of the journal is one page, or why there is none:

    {"k": key, "t": Unix time, "c": count, "m": more, "n": narrow, "d": dropped, "w": new rows,
     "r": rows}
    {"k": key, "t": Unix time, "f": reason}
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..files.journal import Journal
from ..files.sorted_lines import SortedLines
from .pages import ListingPage, PageRequest

JOURNAL_FORMAT = "hpc_remetrics crawl"
VERSION = 1

_NAMES = ("search", "namespace", "repository", "catalog")
_TAGS = ("tags", "tag_list")
_NOTHING = ListingPage([])


class PageJournal:
    """The pages of a crawl, those of earlier runs too.

    :param target: what is crawled; a journal of another target is an error.
    :ivar failures: key of a request -> why its page will never be available.
    :ivar seen: number of repository rows, duplicates included.
    :ivar refused: number of invalid rows.
    :ivar begun: Unix time of the first page; `ended`: of the last.
    """

    def __init__(self, path: Path, target: str) -> None:
        self._journal = Journal(
            path, {"format": JOURNAL_FORMAT, "version": VERSION, "target": target}
        )
        self._pages: dict[str, ListingPage] = {}
        self.failures: dict[str, str] = {}
        self.seen = self.refused = 0
        self.begun = self.ended = 0.0
        for record in self._journal:
            self._learn(record)

    def __contains__(self, request: PageRequest) -> bool:
        return request.key in self._pages

    def __getitem__(self, request: PageRequest) -> ListingPage:
        """Return a known page without its rows."""
        return self._pages[request.key]

    def __len__(self) -> int:
        return len(self._pages)

    def add(self, request: PageRequest, page: ListingPage) -> None:
        """Keep a page."""
        record: dict[str, Any] = {
            "k": request.key,
            "c": page.count,
            "m": page.more,
            "n": page.narrow,
        }
        self._append({**record, "d": page.dropped, "w": page.fresh, "r": page.rows})

    def fail(self, request: PageRequest, reason: str) -> None:
        """Keep that a page will never be available."""
        self._append({"k": request.key, "f": reason})

    def _append(self, record: dict[str, Any]) -> None:
        record["t"] = round(time.time(), 3)
        self._journal.append(record)
        self._learn(record)

    def _learn(self, record: dict[str, Any]) -> None:
        """Take a record of the journal into memory, without its rows."""
        key = record["k"]
        self.begun = self.begun or record["t"]
        self.ended = record["t"]
        if "f" in record:
            self.failures[key] = record["f"]
            self._pages[key] = _NOTHING
        else:
            # Journals of older versions don't have the number of new rows.
            fresh = record.get("w", len(record["r"]))
            page = ListingPage([], record["c"], record["m"], record["n"], fresh=fresh)
            # Millions of pages share one object, since a walk needs nothing of them.
            is_needed = page.more or (key.endswith(" 1") and key.startswith("search "))
            self._pages[key] = page if is_needed else _NOTHING
            self.refused += record["d"]
            self.seen += len(record["r"]) if key.partition(" ")[0] in _NAMES else 0

    def names(self) -> Iterator[tuple[float, list[Any]]]:
        """Yield (Unix time, row) of every repository row, duplicates included."""
        for record in self._journal:
            if "r" in record and record["k"].partition(" ")[0] in _NAMES:
                for row in record["r"]:
                    yield record["t"], row

    def tags(self, numbers: Mapping[str, int], directory: Path) -> Iterator[tuple[int, list[Any]]]:
        """Yield (number, row) of the tags of repositories, by number, then in listing order.

        :param numbers: name of a repository -> its number.
        :param directory: directory for sorted runs that don't fit into memory.
        """
        for line in SortedLines(directory, self._tag_lines(numbers)):
            number, _, row = line.split(" ", 2)
            yield int(number), json.loads(row)

    def _tag_lines(self, numbers: Mapping[str, int]) -> Iterator[str]:
        place = 0
        for record in self._journal:
            kind, name, _ = record["k"].split(" ", 2)
            if kind in _TAGS and "r" in record and name in numbers:
                for row in record["r"]:
                    place += 1
                    yield f"{numbers[name]:012} {place:015} {json.dumps(row)}"

    def close(self) -> None:
        self._journal.close()
