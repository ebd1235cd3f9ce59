"""Responses of servers, read whole or as a stream; the errors that they mean; when to try again.

No message contains credentials, the query of a URL (it may be signed), or text of the server.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import random
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from ..errors import RegistryError
from ..limits import KiB
from .connections import Timer
from .header_fields import printable

ERROR_BYTES = 64 * KiB
"""Longest body of an error response that is read, bytes."""

FAULTS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)
"""Exceptions that a request raises on purpose; `fault` translates them."""

_READ = 256 * KiB
_CODE = re.compile(r"[A-Z_]{2,40}\Z")


@dataclass(frozen=True)
class SmallResponse:
    """A response that was read whole; names of `headers` are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    data: bytes
    url: str

    def json(self) -> Any:
        """Return the JSON of the body.

        :raises RegistryError: it is not JSON.
        """
        try:
            return json.loads(self.data)
        except (ValueError, RecursionError):
            message = f"{shown(self.url)} did not return JSON"
            raise RegistryError("io_error", message, status=self.status) from None


class StreamedResponse:
    """A response whose body is still to be read, once, by `read` or `chunks`; not decoded."""

    def __init__(self, response: requests.Response, url: str, timer: Timer) -> None:
        self._response = response
        self._timer = timer
        self.url = url
        self.status = response.status_code
        # The headers of urllib3 keep lines of the same name apart, those of requests don't.
        self.headers: Mapping[str, str] = response.raw.headers

    @property
    def length(self) -> int:
        """Bytes of the body by its `Content-Length`, -1 without."""
        return length_of(self.headers)

    def chunks(self) -> Iterator[bytes]:
        """Yield the body.

        :raises PassingError: it ends early.
        """
        try:
            # One system call for each chunk, so that bytes before an early end are not lost.
            while data := self._read1():
                yield data
        finally:
            self.close()

    def _read1(self) -> bytes:
        try:
            return bytes(self._response.raw.read1(_READ, decode_content=False))
        except Exception as error:
            raise fault(error, self.url, self._timer) from None

    def read(self, limit: int) -> bytes:
        """Return the whole body.

        :raises RegistryError: it is longer than `limit` bytes.
        """
        parts = []
        size = 0
        for chunk in self.chunks() if self.length <= limit else ():
            parts.append(chunk)
            size += len(chunk)
            if size > limit:
                break
        if size > limit or self.length > limit:
            self.close()
            message = f"{shown(self.url)} returned more than {limit} bytes"
            raise RegistryError("limit_size", message, status=self.status)
        return b"".join(parts)

    def discard(self) -> None:
        """Drop the body; a short one is read, so that the connection can be used again."""
        if 0 <= self.length <= ERROR_BYTES:
            try:
                self.read(ERROR_BYTES)
            except RegistryError:
                pass
        self.close()

    def close(self) -> None:
        """Close the connection, unless the body was read to its end."""
        self._response.close()


def length_of(headers: Mapping[str, str]) -> int:
    """Return the bytes of a body by the header `content-length`, -1 without."""
    text = headers.get("content-length", "")
    return int(text) if text.isdecimal() and len(text) < 20 else -1


def shown(url: str) -> str:
    """Return a URL for messages: without its query, which may be signed, and without a login.

    >>> shown("https://u:p@cdn/blob?signature=secret")
    'https://cdn/blob'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an invalid URL"
    return printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", 300)


def fault(error: Exception, url: str, timer: Timer) -> RegistryError:
    """Translate the exception of a request; the library's text is dropped, as it has whole URLs.

    :returns: a `PassingError` if another try may succeed, else a `RegistryError`.
    """
    where = shown(url)
    reason = _reason(error)
    if timer.broken or timer.left() <= 0:
        text = f"{where}: {timer.broken or 'no time left'}"
        # After a slow connection the next may be fast; after the deadline there is no next.
        kind = RegistryError if timer.left() <= 0 else PassingError
        return kind("limit_time", text)
    if isinstance(error, requests.exceptions.SSLError):
        hint = "set SSL_CERT_FILE to the CA certificate, or allow HTTP by --plain-http HOST"
        return RegistryError("denied", f"{where}: {reason}", hint)
    if isinstance(
        error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader | ValueError
    ):
        return RegistryError("io_error", f"{where}: {type(error).__name__}")
    if not isinstance(error, FAULTS):
        # A library failed on content of the server, and would fail again.
        message = f"{where} sent a response that can't be read ({type(error).__name__})"
        return RegistryError("io_error", message)
    timed_out = isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError)
    return PassingError("limit_time" if timed_out else "io_error", f"{where}: {reason}")


def _reason(error: BaseException) -> str:
    """Return the innermost reason of a library's exception as a phrase."""
    # Follow the chain of causes inwards; it could be circular.
    seen: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in seen and len(seen) < 16:
        seen.append(found)
        found = found.__cause__ or found.__context__

    # Prefer the operating system's own words.
    system = next(
        (one for one in reversed(seen) if isinstance(one, OSError) and one.strerror), None
    )
    if system is not None and system.strerror:
        return str(system.strerror)

    # Otherwise name the kind of the innermost exception.
    names = {
        "ReadTimeoutError": "no response in time",
        "ConnectTimeoutError": "no connection in time",
    }
    name = type(seen[-1]).__name__
    return names.get(name, "the response ended early" if "IncompleteRead" in name else name)


def codes(answer: StreamedResponse) -> str:
    """Return the error codes in a response, as ` (CODE, …)`; other text is not repeated."""
    try:
        errors = json.loads(answer.read(ERROR_BYTES)).get("errors")
        codes = [error.get("code") for error in errors]
    except (RegistryError, ValueError, AttributeError, TypeError, RecursionError):
        return ""
    known = [code for code in codes[:4] if isinstance(code, str) and _CODE.match(code)]
    return f" ({', '.join(known)})" if known else ""


PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 528), 529, 530})
"""HTTP statuses that another try may not get; from 520 on those of content delivery networks."""

_FIRST, _GROWTH, _LONGEST = 0.2, 4, 30.0
_UNIX_TIMES = 10**9
"""From here on a number is a Unix time and not a number of seconds."""


class PassingError(RegistryError):
    """A failure that another try may not meet.

    :param wait: seconds that the registry asks to wait, None if it states none.
    """

    def __init__(
        self, cause: str, message: str, status: int = 0, wait: float | None = None
    ) -> None:
        super().__init__(cause, message, status=status)
        self.wait = wait


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a response asks to wait, None if it states none.

    The header may hold a number of seconds, a date or a Unix time.

    >>> retry_after({"retry-after": "7"}), retry_after({"retry-after": "soon"})
    (7.0, None)
    """
    waits = [_seconds(headers.get(name, "")) for name in ("retry-after", "x-retry-after")]
    return max((wait for wait in waits if wait is not None), default=None)


def _seconds(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return _until_date(text)
    if not 0 <= number < 1e12:
        return None
    return max(number - time.time(), 0.0) if number >= _UNIX_TIMES else number


def _until_date(text: str) -> float | None:
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def pause_before(number: int) -> float:
    """Return the seconds before try `number` + 1: growing exponentially, half of them random."""
    longest = min(_FIRST * _GROWTH ** (number - 1), _LONGEST)
    return longest * random.uniform(0.5, 1.0)
