"""Which images of a layout are finished: its journal, its index, and the lists of the 2017 tool."""

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
from ..sources.remote import name_of
from ..sources.repositories import list_lines
from .tasks import Failed, Resolved

_EVERY = 10.0
"""Seconds between two index files, at least; longer where writing one takes long."""

_SHARE = 0.02
"""Of a run's time that may go into writing index files."""


class State:
    """What is finished, on rank 0.

    The journal is what counts; the index follows it, in steps, and at each start and end.

    :param platforms: what is wanted of images; one that was finished for others is open again.
    :param layers: the 2017 tool's list of finished layers, None if there is none; `repositories`:
        of repositories.
    """

    def __init__(
        self,
        layout: Layout,
        platforms: Sequence[str],
        layers: Path | None,
        repositories: Path | None,
    ) -> None:
        self._layout = layout
        self._journal = Journal(
            layout.state / "journal", {"format": "hpc_remetrics download", "version": 1}
        )
        self._platforms = sorted(platforms)
        self._finished: dict[str, str] = {}
        self._current: set[str] = set()
        self._names: set[str] = set()
        for record in self._journal:
            self._learn(record)
        self.layers, self.repositories = FinishedList(layers), FinishedList(repositories)
        self._others = layout.read_index()
        self._dirty, self._written, self._took = True, 0.0, 0.0

    def _learn(self, record: dict[str, Any]) -> None:
        image = record["image"]
        self._finished[image] = json.dumps(record["roots"])
        self._names.add(name_of(Reference.parse(image)))
        (self._current.add if record["platforms"] == self._platforms else self._current.discard)(
            image
        )

    def __contains__(self, image: Reference) -> bool:
        return str(image) in self._current

    def is_empty(self, image: Reference) -> bool:
        """Say whether an image was found to have nothing for the platforms that are wanted."""
        return image in self and self._finished[str(image)] == "[]"

    def is_listed(self, image: Reference) -> bool:
        """Say whether the 2017 tool's list has the image's repository."""
        return list_name(image) in self.repositories

    def finish(self, image: Reference, resolved: Resolved) -> None:
        """Note that all of an image is in the layout."""
        # The lists first: what is in the journal is not looked at again.
        for digest in resolved.blobs:
            self.layers.add(str(digest))
        self.repositories.add(list_name(image))
        roots = [_named(root, name_of(image)) for root in resolved.roots]
        if image not in self or self._finished[str(image)] != json.dumps(roots):
            record = {
                "image": str(image),
                "platforms": self._platforms,
                "roots": roots,
                "time": round(time.time()),
            }
            self._journal.append(record)
            self._learn(record)
            self._dirty = True

    def write_index(self, at_once: bool = False) -> None:
        """Bring the index up to date, if it is time."""
        wait = max(_EVERY, self._took / _SHARE)
        if not self._dirty or not (at_once or time.monotonic() - self._written > wait):
            return
        begun = time.monotonic()
        self._journal.sync()
        self._others = [entry for entry in self._others if name_in(entry) not in self._names]
        own = (root for _, roots in sorted(self._finished.items()) for root in json.loads(roots))
        self._layout.write_index(itertools.chain(self._others, own))
        self._dirty, self._written = False, time.monotonic()
        self._took = self._written - begun

    def write_failures(self, failures: Mapping[Reference, Failed]) -> Path:
        """Write which images are not whole, and why; return where."""
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
            raise OutputError(
                f"can't write {path}: {error.strerror}", "make room and start again"
            ) from None
        return path

    def close(self) -> None:
        self._journal.close()


def _by_name(failures: Mapping[Reference, Failed]) -> Iterable[tuple[Reference, Failed]]:
    return sorted(failures.items(), key=lambda item: str(item[0]))


def _named(root: dict[str, Any], name: str) -> dict[str, Any]:
    return {**root, "annotations": {REF_NAME: name, **root.get("annotations", {})}}


def list_name(image: Reference) -> str:
    """Return what an image is called in the 2017 tool's list: it knew `latest` only, and named the
    repository.

    >>> list_name(Reference.parse("redis")), list_name(Reference.parse("redis:7"))
    ('library/redis', 'library/redis:7')
    """
    return name_of(image).removesuffix(":latest")


class FinishedList:
    """One such list; without a path an empty one that is not written.

    :raises OutputError: it can't be read or appended to.
    :raises SourceError: it is in UTF-16.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._known = path, set[str]()
        if path is None:
            return
        try:
            self._file = open_in_place(path, os.O_APPEND)
            line = "\n"
            with reopened(self._file) as file:
                for line in list_lines(file, path, errors="replace"):
                    self._known.add(line.strip().strip('"').strip())
            if not line.endswith(("\n", "\r")):
                # A kill tore the last line; the next one must not continue it.
                os.write(self._file, b"\n")
        except OSError as error:
            raise OutputError(
                f"can't append to {path}: {error.strerror}", "name another file with -l or -r"
            ) from None

    def __contains__(self, item: str) -> bool:
        return item in self._known

    def add(self, item: str) -> None:
        """Append an item unless it is there."""
        if self._path is None or item in self._known:
            return
        try:
            os.write(self._file, f"{item}\n".encode())
        except OSError as error:
            raise OutputError(
                f"can't append to {self._path}: {error.strerror}", "make room and start again"
            ) from None
        self._known.add(item)
