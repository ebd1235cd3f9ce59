"""The files of a crawl: the list, its description (`.about.json`) and the journal.

A list gets its name when it is complete.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..files.journal import is_journal
from ..files.outputs import check_replaceable
from ..files.publish import sweep, write_whole
from ..limits import EMPTY_PAGES
from ..sources.repositories import COLUMNS, Repository, csv_lines
from .options import CrawlOptions
from .page_journal import JOURNAL_FORMAT, PageJournal
from .repository_table import iso_time
from .sample import SampleStratum

_FORMAT = "hpc_remetrics repositories"


class Output:
    """The files beside `options.output`."""

    def __init__(self, options: CrawlOptions) -> None:
        self._options = options
        self._path = options.output
        self.journal = self._path.with_name(f"{self._path.name}.journal")
        self._about = self._path.with_name(f"{self._path.name}.about.json")

    def check(self) -> None:
        """Refuse to replace files that are not of a crawl.

        :raises UsageError: there is one, and `--force` is not given.
        """
        force = self._options.force
        check_replaceable(
            self._path, "list", lambda path: _is_list(path) and self._is_known(), force
        )
        check_replaceable(self._about, "crawl", lambda _: self._known_about() is not None, force)

    def _is_known(self) -> bool:
        """Tell whether a file beside the list shows that it is one of a crawl."""
        return self._known_about() is not None or is_journal(
            self.journal, {"format": JOURNAL_FORMAT}
        )

    def _known_about(self) -> dict[str, Any] | None:
        """Return the description of the list, None if there is none or it is of something else."""
        try:
            about = json.loads(self._about.read_text())
            return about if about["format"] == _FORMAT else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def sweep(self) -> None:
        """Remove unfinished files of killed crawls; the caller holds the lock."""
        for path in (self._path, self._about):
            sweep(path)

    def finished(self) -> int | None:
        """Return the exit code of an earlier run with the same options, None if there is none."""
        about = self._known_about() or {}
        if self._path.is_file() and about.get("wishes") == self._wishes():
            return 3 if about.get("failures") else 0
        return None

    def _wishes(self) -> dict[str, Any]:
        options = self._options
        wishes: dict[str, Any] = {
            "target": str(options.target),
            "tags": options.tags,
            "sample": options.sample,
            "seed": options.seed,
            "namespaces": options.list_namespaces,
        }
        # Lists of older versions don't have it.
        if options.empty_pages != EMPTY_PAGES:
            wishes["empty_pages"] = options.empty_pages
        return wishes

    @contextlib.contextmanager
    def sort_directory(self) -> Iterator[Path]:
        """Yield a temporary directory for sorted runs; remove those of killed crawls."""
        prefix = f".{self._path.name}.sort-"
        for left in self._path.parent.glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)
        try:
            with tempfile.TemporaryDirectory(dir=self._path.parent, prefix=prefix) as directory:
                yield Path(directory)
        except OSError as error:
            message = f"can't write beside {self._path}: {error.strerror}"
            raise OutputError(message, "free some space and run the command again") from None

    def write(
        self,
        rows: Iterable[Repository],
        journal: PageJournal,
        strata: Mapping[str, SampleStratum],
        facts: Mapping[str, Any],
        failures: Mapping[str, str],
    ) -> int:
        """Write the list, then its description; return the exit code.

        :param strata: the strata of the sample, by name.
        :param facts: more members of the description.
        :param failures: key of a page -> why its rows are missing.
        :raises OutputError: a file can't be written.
        """
        names = set[str]()
        count = 0

        def counted() -> Iterator[Repository]:
            nonlocal count
            for row in rows:
                names.add(row.name)
                count += 1
                yield row

        about = {
            "format": _FORMAT,
            "wishes": self._wishes(),
            "begun": iso_time(journal.begun),
            "ended": iso_time(journal.ended),
            "pages": len(journal),
            "names_seen": journal.seen,
            "names_refused": journal.refused,
            **facts,
        }
        try:
            write_whole(self._path, csv_lines(counted()))
            about |= {"repositories_listed": len(names), "rows": count, "strata": _weights(strata)}
            # Without the query of a URL, which may be signed.
            about["failures"] = {key.partition("?")[0]: reason for key, reason in failures.items()}
            write_whole(self._about, [json.dumps(about, indent=1) + "\n"])
        except OSError as error:
            message = f"can't write {self._path}: {error.strerror}"
            raise OutputError(message, "free some space and run the command again") from None
        return 3 if failures else 0


def _is_list(path: Path) -> bool:
    """Tell whether a file begins with the header line of `csv_lines`, of any version."""
    with open(path, "rb") as file:
        names = file.readline(1 << 16).decode("utf-8", "replace").strip().split(",")
    return tuple(names[:3]) == COLUMNS[:3] and len(names) > 3


def _weights(strata: Mapping[str, SampleStratum]) -> dict[str, Any]:
    """Return the strata as JSON."""
    return {
        name: {"population": stratum.population, "drawn": stratum.drawn, "weight": stratum.weight}
        for name, stratum in strata.items()
    }
