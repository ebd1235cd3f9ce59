"""An OCI image layout that is being filled: every file under its final name is complete.

oci-layout, index.json      as in the specification; the index is replaced in one step
blobs/sha256/HEX            verified and synced
.remetrics/partial/HEX      the first bytes of a blob that is being fetched
.remetrics/journal          the finished images of `download`
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
    """The layout in a directory; every rank writes blobs, and only rank 0 its index."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / ".remetrics"
        self._blobs = directory / "blobs" / "sha256"
        self._partial = self.state / "partial"

    def check(self) -> None:
        """Check that the directory is a layout, empty or missing; nothing is created.

        :raises OutputError: it is something else, or can't be created or read.
        """
        try:
            if self.directory.exists() and not self.directory.is_dir():
                raise OutputError(f"{self.directory} is not a directory", "choose another with -o")
            if not self.directory.is_dir():
                check_parent(self.directory)
            elif (
                not self._mark.exists()
                and any(self.directory.iterdir())
                and not self.state.exists()
            ):
                message = f"{self.directory} is not an OCI layout and not empty"
                raise OutputError(message, "choose another directory with -o")
        except OSError as error:
            raise _output_error(error, self.directory) from None

    @property
    def _mark(self) -> Path:
        return self.directory / "oci-layout"

    def prepare(self) -> None:
        """Create the directories and `oci-layout`, and remove temporary files of killed runs.

        :raises OutputError: as `check`.
        """
        self.check()
        mark = self._mark
        try:
            # The state first: it shows a restart that the directory is of this program.
            for directory in (self._partial, self._blobs):
                make_directories(directory)
            for directory in (self._blobs, self.state, self.directory):
                sweep_directory(directory)
            if not mark.exists():
                write_whole(mark, [json.dumps({"imageLayoutVersion": "1.0.0"})])
            if not (self.directory / "index.json").exists():
                self.write_index([])
        except OSError as error:
            raise _output_error(error, self.directory) from None

    def blob(self, digest: Digest) -> Path:
        """Return the path of a complete blob."""
        return self._blobs / digest.hex

    def partial(self, digest: Digest) -> Path:
        """Return the path of an incomplete blob."""
        return self._partial / digest.hex

    def has(self, digest: Digest, size: int) -> bool:
        """Tell whether a blob is complete here.

        :param size: bytes that its descriptor states (-1: unknown); another size is another blob.
        """
        try:
            found = os.stat(self.blob(digest)).st_size
        except OSError:
            return False
        return size in (-1, found)

    def keep(self, digest: Digest) -> None:
        """Give a blob its final name; its partial file holds all bytes, verified.

        :raises OutputError: it can't be written.
        """
        try:
            publish_whole(self.partial(digest), self.blob(digest))
        except OSError as error:
            raise _output_error(error, self.blob(digest)) from None

    def keep_bytes(self, digest: Digest, data: bytes) -> None:
        """Write a small blob, such as a manifest, unless it is here.

        :raises OutputError: it can't be written.
        """
        if self.has(digest, len(data)):
            return
        try:
            write_whole(self.blob(digest), [data])
        except OSError as error:
            raise _output_error(error, self.blob(digest)) from None

    def read_index(self) -> list[Any]:
        """Return the entries of index.json.

        :raises OutputError: it can't be read.
        """
        path = self.directory / "index.json"
        try:
            return documents.get_list(documents.parse(path.read_bytes()), "manifests")
        except OSError as error:
            raise _output_error(error, path) from None
        except documents.Malformed as error:
            message = f"{path} is not an OCI index: {error}"
            raise OutputError(message, "move it, or choose another directory with -o") from None

    def write_index(self, descriptors: Iterable[dict[str, Any]]) -> None:
        """Replace index.json in one step.

        :raises OutputError: it can't be written.
        """
        path = self.directory / "index.json"
        try:
            write_whole(path, _index_text(descriptors))
        except OSError as error:
            raise _output_error(error, path) from None


def name_in(entry: Any) -> str:
    """Return the image name in an entry of an index, "" if there is none."""
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
        "free some space, or choose another directory with -o",
    )
