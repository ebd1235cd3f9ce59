"""Fetch a blob into a file: resumed, verified while it is read, retried once if wrong."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from pathlib import Path
from typing import BinaryIO

from ..errors import BlobError, RegistryError
from ..files.writing import open_in_place
from ..limits import LAYER_BYTES
from ..records import Digest
from .client import Client
from .responses import PassingError, StreamedResponse, shown

_READ = 1 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)\Z")


def free_bytes(place: Path | int) -> int:
    """Return the free bytes of the file system of a path or an open file.

    A file system that doesn't state its size counts as large enough for any blob.
    """
    try:
        found = os.statvfs(place)
    except OSError:
        return LAYER_BYTES
    return found.f_bavail * found.f_frsize if found.f_blocks else LAYER_BYTES


def missing_room(path: Path, size: int) -> int:
    """Return the bytes that are lacking for a blob on the file system of `path`, 0 if it fits.

    :param path: the file that the blob is fetched into; it may hold its beginning.
    :param size: bytes by the descriptor, -1 where none states it.
    """
    here = path.stat().st_size if path.exists() else 0
    return max(size - here - free_bytes(path.parent), 0)


class Fetch:
    """Fetches one blob into a file.

    :param url: of the blob.
    :param size: bytes by the descriptor, -1 where none states it.
    :ivar received: bytes that came over the network, dropped ones included.
    """

    def __init__(self, client: Client, url: str, scope: str, digest: Digest, size: int) -> None:
        self._client = client
        self._url = url
        self._scope = scope
        self._digest = digest
        self._size = size
        # Bytes of the whole blob as far as known, and at most.
        self._total = size
        self._most = LAYER_BYTES
        # Whether the server can be trusted with ranges, and how its blob is wrong.
        self._ranges = True
        self._wrong = ""
        self.received = 0

    def run(self, path: Path) -> int:
        """Fetch the blob into `path` and return its bytes; a file that exists is its beginning.

        :raises BlobError: `missing`, `size_mismatch`, `digest_mismatch`, `no_room`, `limit_time` …
        """
        try:
            with open(open_in_place(path), "r+b", buffering=0) as self._file:
                self._client.timer.start(self._client.access.patience.for_blob(self._size))
                self._take_up()
                self._run()
                return self._have
        except OSError as error:
            cause = "no_room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "io_error"
            message = f"writing {self._digest} to {path.parent} failed: {error.strerror}"
            raise BlobError(cause, message) from None

    def _run(self) -> None:
        failures, again = 0, False
        while not self._is_whole():
            before, begun = self._have, time.monotonic()
            try:
                self._try()
            except PassingError as error:
                # What brings something new, and not too slowly, may go on for as long as there is
                # time.
                due = self._client.access.patience.least_rate * (time.monotonic() - begun)
                failures = 1 if self._have - before > due else failures + 1
                self._client.recover(error, failures)
                continue
            if not self._is_whole():
                if again:
                    raise self._mismatch()
                again = True
                self._restart()

    def _take_up(self) -> None:
        """Hash what the file holds."""
        self._hash, self._have = hashlib.sha256(), 0
        length = os.fstat(self._file.fileno()).st_size
        if self._size >= 0 and length > self._size:
            return self._restart()
        while data := self._file.read(min(_READ, length - self._have)):
            self._hash.update(data)
            self._have += len(data)

    def _restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._hash, self._have = hashlib.sha256(), 0

    def _is_whole(self) -> bool:
        return self._total in (-1, self._have) and self._hash.digest() == self._digest.raw

    def _try(self) -> None:
        """Ask for what is missing, and take it as far as it comes."""
        # Ask for the rest if the registry serves ranges, for all if it doesn't.
        self._wrong = ""
        if self._have and not (self._ranges and self._total > self._have):
            self._restart()
        headers = {"Range": f"bytes={self._have}-{self._total - 1}"} if self._have else {}
        try:
            answer = self._client.send("GET", self._url, headers, self._scope)
        except RegistryError as error:
            if error.status != 416:
                raise
            if not headers:
                raise PassingError(error.cause, str(error), error.status) from None
            return self._without_range()

        # Take an answer that fits what was asked for and what is here.
        if headers and answer.status == 206:
            if not self._continues(answer):
                answer.close()
                return self._without_range()
        elif answer.status != 200:
            answer.close()
            raise PassingError(
                "io_error",
                f"{shown(answer.url)} answered {answer.status} to a plain GET",
                answer.status,
            )
        elif not self._begins(answer):
            return
        self._receive(answer)

    def _without_range(self) -> None:
        """Fetch the blob from its beginning, since the server can't be trusted with ranges."""
        self._ranges = False
        self._restart()
        self._try()

    def _continues(self, answer: StreamedResponse) -> bool:
        """Tell whether a response with status 206 has the requested range."""
        found = _CONTENT_RANGE.match(answer.headers.get("content-range", "").strip())
        if found is None or int(found[1]) != self._have or int(found[2]) >= self._total:
            return False
        return found[3] in ("*", str(self._total))

    def _begins(self, answer: StreamedResponse) -> bool:
        """Prepare for a whole blob; return False if the response has another length."""
        self._restart()
        if self._size < 0:
            self._total = answer.length
            self._bound()
        elif answer.length not in (-1, self._size):
            kind = answer.headers.get("content-type", "")[:80]
            self._wrong = f"{answer.length} bytes of {kind or 'no type'}"
            answer.close()
            return False
        return True

    def _bound(self) -> None:
        """Limit a blob of unknown size; without a Content-Length, to half of the free space."""
        if self._total < 0:
            self._most = min(LAYER_BYTES, free_bytes(self._file.fileno()) // 2)
        elif self._total > self._most:
            raise self._too_long()

    def _too_long(self) -> RegistryError:
        self._restart()
        message = f"{self._client.host} has {self._digest} with more than {self._most} bytes"
        return RegistryError("limit_size", message)

    def _receive(self, answer: StreamedResponse) -> None:
        for chunk in answer.chunks():
            self.received += len(chunk)

            # Keep what came before a stop, so that a restart asks for the rest alone.
            if self._client.is_stopped:
                self._write(chunk)
                answer.close()
                message = f"{self._digest} was stopped at byte {self._have}"
                raise RegistryError("io_error", message)

            # Refuse more than the stated size, or than the limit if no size is known.
            if 0 <= self._total < self._have + len(chunk):
                self._wrong = f"more than {self._total} bytes"
                answer.close()
                return
            if self._total < 0 and self._have + len(chunk) > self._most:
                answer.close()
                raise self._too_long()
            self._write(chunk)

        # Try again if the connection ended early.
        if self._have < self._total:
            text = f"{shown(answer.url)} ended at byte {self._have} of {self._total}"
            raise PassingError("io_error", text, answer.status)

    def _write(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        rest = memoryview(chunk)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._have += len(chunk)

    def _mismatch(self) -> RegistryError:
        where = f"{self._client.host} has {self._digest} with"
        if self._wrong:
            return RegistryError(
                "size_mismatch", f"{where} {self._wrong}, its descriptor says {self._size}"
            )
        return RegistryError(
            "digest_mismatch", f"{where} other bytes: sha256:{self._hash.hexdigest()}"
        )

    _file: BinaryIO
    _have: int
