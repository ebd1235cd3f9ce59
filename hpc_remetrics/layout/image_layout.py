"""The OCI image layout that is being filled: what has its name there is whole.

`oci-layout` and `index.json` are as the specification has them; the index is replaced in one step.
A blob in `blobs/sha256/` is verified, and on disk. `.remetrics/partial/HEX` is what has come of a
blob so far, in order; `.remetrics/journal` says which images are finished.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..files.outputs import check_parent
from ..files.publish import publish_whole, sweep_directory, write_whole
from ..files.writing import make_directories
from ..records import Digest
from ..sources import documents

REF_NAME = "org.opencontainers.image.ref.name"


class Layout:
    """The layout in a folder; every rank has one, and none but the root writes its index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / ".remetrics"
        self._blobs = folder / "blobs" / "sha256"
        self._partial = self.state / "partial"

    def check(self) -> None:
        """Refuse a directory that holds something else than a layout; nothing is made.

        :raises OutputError: it is none, or can't be made or read.
        """
        try:
            if self.folder.exists() and not self.folder.is_dir():
                raise OutputError(f"{self.folder} is no directory", "choose another with -o")
            if not self.folder.is_dir():
                check_parent(self.folder)
            elif not self._mark.exists() and any(self.folder.iterdir()) and not self.state.exists():
                raise OutputError(
                    f"{self.folder} is no OCI layout and not empty", "choose another folder with -o"
                )
        except OSError as error:
            raise _output_error(error, self.folder) from None

    @property
    def _mark(self) -> Path:
        return self.folder / "oci-layout"

    def prepare(self) -> None:
        """Make the folders and the file that says what this is, and clear away what a kill left."""
        self.check()
        mark = self._mark
        try:
            # The state first: it tells the next start whose folder this is.
            for directory in (self._partial, self._blobs):
                make_directories(directory)
            for directory in (self._blobs, self.state, self.folder):
                sweep_directory(directory)
            if not mark.exists():
                write_whole(mark, [json.dumps({"imageLayoutVersion": "1.0.0"})])
            if not (self.folder / "index.json").exists():
                self.write_index([])
        except OSError as error:
            raise _output_error(error, self.folder) from None

    def blob(self, digest: Digest) -> Path:
        """Return the path that a blob has when it is whole."""
        return self._blobs / digest.hex

    def partial(self, digest: Digest) -> Path:
        """Return the path of what has come of a blob."""
        return self._partial / digest.hex

    def has(self, digest: Digest, size: int) -> bool:
        """Say whether a blob is there; one of another size than its descriptor's (-1: unknown) is
        not."""
        try:
            found = os.stat(self.blob(digest)).st_size
        except OSError:
            return False
        return size in (-1, found)

    def keep(self, digest: Digest) -> None:
        """Give a blob its name, whose verified bytes are in its partial file."""
        try:
            publish_whole(self.partial(digest), self.blob(digest))
        except OSError as error:
            raise _output_error(error, self.blob(digest)) from None

    def keep_bytes(self, digest: Digest, data: bytes) -> None:
        """Write a small blob, such as a manifest."""
        if self.has(digest, len(data)):
            return
        try:
            write_whole(self.blob(digest), [data])
        except OSError as error:
            raise _output_error(error, self.blob(digest)) from None

    def read_index(self) -> list[Any]:
        """Return the descriptors in index.json."""
        path = self.folder / "index.json"
        try:
            return documents.get_list(documents.parse(path.read_bytes()), "manifests")
        except OSError as error:
            raise _output_error(error, path) from None
        except documents.Malformed as error:
            raise OutputError(
                f"{path} is no OCI index: {error}", "move it, or choose another folder with -o"
            ) from None

    def write_index(self, descriptors: Iterable[dict[str, Any]]) -> None:
        """Replace index.json."""
        path = self.folder / "index.json"
        try:
            write_whole(path, _index_text(descriptors))
        except OSError as error:
            raise _output_error(error, path) from None


def name_in(entry: Any) -> str:
    """Return what an entry of an index calls its image, "" if nothing."""
    annotations = documents.get(entry, "annotations") if isinstance(entry, dict) else None
    return str(annotations.get(REF_NAME, "")) if isinstance(annotations, dict) else ""


def _index_text(descriptors: Iterable[dict[str, Any]]) -> Iterable[str]:
    yield '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":['
    between = ""
    for descriptor in descriptors:
        yield between + json.dumps(descriptor, separators=(",", ":"))
        between = ",\n"
    yield "]}\n"


def _output_error(error: OSError, path: Path) -> OutputError:
    return OutputError(
        f"can't write {path}: {error.strerror or error}",
        "make room, or choose another folder with -o",
    )
