"""What a crawl knows: every answer it ever got, in a journal beside its output."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..files.journal import Journal
from .pages import ListingPage, PageRequest
from .repository_table import sorted_lines

JOURNAL_FORMAT = "hpc_remetrics crawl"
VERSION = 1

_NAMES = ("search", "namespace", "repository", "catalog")
_TAGS = ("tags", "tag_list")
_NOTHING = ListingPage([])


class PageJournal:
    """The answers of a crawl, also of the starts before this one.

    :ivar failures: key of an ask -> why it has no answer and never will have.
    :ivar seen: rows of repositories, one that was seen twice counted twice.
    :ivar refused: rows that were none.
    :ivar begun: when the first answer came, Unix time; `ended`: the last.
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

    def __contains__(self, ask: PageRequest) -> bool:
        return ask.key in self._pages

    def __getitem__(self, ask: PageRequest) -> ListingPage:
        """Return what is known of a page, without its rows."""
        return self._pages[ask.key]

    def __len__(self) -> int:
        return len(self._pages)

    def add(self, ask: PageRequest, page: ListingPage) -> None:
        """Keep an answer."""
        record: dict[str, Any] = {"k": ask.key, "c": page.count, "m": page.more, "n": page.narrow}
        self._append({**record, "d": page.dropped, "w": page.fresh, "r": page.rows})

    def fail(self, ask: PageRequest, reason: str) -> None:
        """Keep that a page can't be had, now or later."""
        self._append({"k": ask.key, "f": reason})

    def _append(self, record: dict[str, Any]) -> None:
        record["t"] = round(time.time(), 3)
        self._journal.append(record)
        self._learn(record)

    def _learn(self, record: dict[str, Any]) -> None:
        key = record["k"]
        self.begun, self.ended = self.begun or record["t"], record["t"]
        if "f" in record:
            self.failures[key] = record["f"]
            self._pages[key] = _NOTHING
        else:
            # Journals of older versions don't say how many rows were new.
            fresh = record.get("w", len(record["r"]))
            page = ListingPage([], record["c"], record["m"], record["n"], fresh=fresh)
            # There may be millions, and most have nothing that a walk asks for.
            self._pages[key] = (
                page
                if page.more or (key.endswith(" 1") and key.startswith("search "))
                else _NOTHING
            )
            self.refused += record["d"]
            self.seen += len(record["r"]) if key.partition(" ")[0] in _NAMES else 0

    def names(self) -> Iterator[tuple[float, list[Any]]]:
        """Yield every repository that was seen, as often as it was: (Unix time, row)."""
        for record in self._journal:
            if "r" in record and record["k"].partition(" ")[0] in _NAMES:
                for row in record["r"]:
                    yield record["t"], row

    def tags(self, numbers: Mapping[str, int], folder: Path) -> Iterator[tuple[int, list[Any]]]:
        """Yield the tags of some repositories in order of their numbers: (number, row), as the
        listings order them.

        :param numbers: name -> number.
        :param folder: for what doesn't fit into memory.
        """
        for line in sorted_lines(self._tag_lines(numbers), folder):
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
