"""The finished images of a layout: its journal, its index, and the lists of the 2017 tool."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..files.journal import Journal
from ..files.publish import write_whole
from ..files.writing import open_in_place, reopened
from ..layout.image_layout import REF_NAME, Layout, name_in
from ..registry.reference import Reference
from ..sources.dates import push_date
from ..sources.oci import PUSHED
from ..sources.remote import name_of
from ..sources.repositories import list_lines
from .tasks import Failed, Resolved

_EVERY = 10.0
"""Seconds between two writes of the index, at least."""

_SHARE = 0.02
"""Share of a run's time that may be spent on writing the index."""


class State:
    """The finished images, on rank 0.

    The journal is authoritative; `index.json` follows it at intervals, and at the beginning and end
    of each run.

    :param platforms: those asked for; an image that was finished for others is open again.
    :param layers: the 2017 tool's list of finished layers, None without; `repositories`: the same
        for repositories.
    :param pushed: image -> when its tag was pushed last, where a crawl was told.
    :raises OutputError: a list can't be read or appended to.
    """

    def __init__(
        self,
        layout: Layout,
        platforms: Sequence[str],
        layers: Path | None,
        repositories: Path | None,
        pushed: Mapping[Reference, int],
    ) -> None:
        self._layout = layout
        self._journal = Journal(
            layout.state / "journal", {"format": "hpc_remetrics download", "version": 1}
        )
        self._platforms = sorted(platforms)
        self._pushed = pushed
        self._finished: dict[str, str] = {}
        self._current: set[str] = set()
        self._names: set[str] = set()
        for record in self._journal:
            self._learn(record)
        self.layers = FinishedList(layers)
        self.repositories = FinishedList(repositories)
        # Entries of the index that are not of this program.
        self._others = layout.read_index()
        # Whether the index is outdated, when it was written, and the seconds that took.
        self._dirty = True
        self._written = 0.0
        self._took = 0.0

    def _learn(self, record: dict[str, Any]) -> None:
        """Take a record of the journal."""
        image = record["image"]
        self._finished[image] = json.dumps(record["roots"])
        self._names.add(name_of(Reference.parse(image)))
        if record["platforms"] == self._platforms:
            self._current.add(image)
        else:
            self._current.discard(image)

    def __contains__(self, image: Reference) -> bool:
        """Tell whether an image is finished for the platforms asked for."""
        return str(image) in self._current

    def is_empty(self, image: Reference) -> bool:
        """Tell whether an image is finished and has nothing for the platforms asked for."""
        return image in self and self._finished[str(image)] == "[]"

    def is_listed(self, image: Reference) -> bool:
        """Tell whether the repository of an image is in the 2017 tool's list."""
        return list_name(image) in self.repositories

    def finish(self, image: Reference, resolved: Resolved) -> None:
        """Record that an image is complete in the layout."""
        # Write the lists first: after a kill, an image of the journal is not looked at again.
        for digest in resolved.blobs:
            self.layers.add(str(digest))
        self.repositories.add(list_name(image))
        annotations = {REF_NAME: name_of(image)}
        if image in self._pushed:
            annotations[PUSHED] = push_date(self._pushed[image])
        entries = [_annotated(entry, annotations) for entry in resolved.entries]
        if image not in self or self._finished[str(image)] != json.dumps(entries):
            record = {
                "image": str(image),
                "platforms": self._platforms,
                "roots": entries,
                "time": round(time.time()),
            }
            self._journal.append(record)
            self._learn(record)
            self._dirty = True

    def write_index(self, at_once: bool = False) -> None:
        """Write the index if it is outdated and old enough.

        :param at_once: write it whatever its age.
        """
        wait = max(_EVERY, self._took / _SHARE)
        if not self._dirty or not (at_once or time.monotonic() - self._written > wait):
            return
        begun = time.monotonic()
        self._journal.sync()
        self._others = [entry for entry in self._others if name_in(entry) not in self._names]
        own = (entry for _, text in sorted(self._finished.items()) for entry in json.loads(text))
        self._layout.write_index(itertools.chain(self._others, own))
        self._dirty = False
        self._written = time.monotonic()
        self._took = self._written - begun

    def write_failures(self, failures: Mapping[Reference, Failed]) -> Path:
        """Write a CSV file of the incomplete images and the reasons; return its path.

        :raises OutputError: it can't be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("image", "cause", "message"))
        writer.writerows(
            (str(image), failed.cause, failed.message) for image, failed in _by_name(failures)
        )
        path = self._layout.state / "failures.csv"
        try:
            write_whole(path, [text.getvalue()])
        except OSError as error:
            message = f"can't write {path}: {error.strerror}"
            raise OutputError(message, "free some space and run the command again") from None
        return path

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()


def _by_name(failures: Mapping[Reference, Failed]) -> Iterable[tuple[Reference, Failed]]:
    return sorted(failures.items(), key=lambda item: str(item[0]))


def _annotated(entry: dict[str, Any], annotations: Mapping[str, str]) -> dict[str, Any]:
    """Return an entry of the index with annotations besides its own."""
    return {**entry, "annotations": {**annotations, **entry.get("annotations", {})}}


def list_name(image: Reference) -> str:
    """Return the name of an image in the 2017 tool's list, which had repositories without tags.

    >>> list_name(Reference.parse("redis")), list_name(Reference.parse("redis:7"))
    ('library/redis', 'library/redis:7')
    """
    return name_of(image).removesuffix(":latest")


class FinishedList:
    """A list of the 2017 tool, one finished item a line, read at the beginning and appended to.

    Listed items are not downloaded, wherever they may be. Without a path the list is empty and not
    written.

    :raises OutputError: it can't be read or appended to.
    :raises SourceError: it is in UTF-16.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known = set[str]()
        if path is None:
            return
        try:
            self._file = open_in_place(path, os.O_APPEND)
            line = "\n"
            with reopened(self._file) as file:
                for line in list_lines(file, path, errors="replace"):
                    self._known.add(line.strip().strip('"').strip())
            if not line.endswith(("\n", "\r")):
                # End a line that a kill cut off, so that the next item gets its own.
                os.write(self._file, b"\n")
        except OSError as error:
            message = f"can't append to {path}: {error.strerror}"
            raise OutputError(message, "name another file with -l or -r") from None

    def __contains__(self, item: str) -> bool:
        return item in self._known

    def add(self, item: str) -> None:
        """Append an item unless it is in the list."""
        if self._path is None or item in self._known:
            return
        try:
            os.write(self._file, f"{item}\n".encode())
        except OSError as error:
            message = f"can't append to {self._path}: {error.strerror}"
            raise OutputError(message, "free some space and run the command again") from None
        self._known.add(item)
