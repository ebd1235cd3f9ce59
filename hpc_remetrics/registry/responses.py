"""What a server gave: an answer read whole or still to be read, and in words what went wrong.

No text here holds credentials, the query of a URL (it may be signed), or words of the server's own.
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
"""Limit of the body of an error."""

FAULTS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)
"""What an exchange may raise on purpose; `fault` says what it means."""

_READ = 256 * KiB
_CODE = re.compile(r"[A-Z_]{2,40}\Z")


@dataclass(frozen=True)
class SmallResponse:
    """An answer that was read whole; `headers` take names in any case."""

    status: int
    headers: Mapping[str, str]
    data: bytes
    url: str

    def json(self) -> Any:
        """Return the JSON of the body; `RegistryError` if it is none."""
        try:
            return json.loads(self.data)
        except (ValueError, RecursionError):
            raise RegistryError(
                "io_error", f"{shown(self.url)} gave no JSON", status=self.status
            ) from None


class StreamedResponse:
    """An answer whose body is still to be read, as it is on the wire: once, by `read` or
    `chunks`."""

    def __init__(self, response: requests.Response, url: str, timer: Timer) -> None:
        self._response, self._timer = response, timer
        self.url, self.status = url, response.status_code
        # Those of urllib3 keep lines of the same name apart, those of requests don't.
        self.headers: Mapping[str, str] = response.raw.headers

    @property
    def length(self) -> int:
        """The bytes that the body is said to have, -1 if that isn't said."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isdecimal() and len(text) < 20 else -1

    def chunks(self) -> Iterator[bytes]:
        """Yield the body; `PassingError` where it breaks off."""
        try:
            # One system call a chunk, so that what came before a break is not lost with it.
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
        """Return the body whole; `RegistryError` if it is longer than `limit` bytes."""
        parts, size = [], 0
        for chunk in self.chunks() if self.length <= limit else ():
            parts.append(chunk)
            size += len(chunk)
            if size > limit:
                break
        if size > limit or self.length > limit:
            self.close()
            raise RegistryError(
                "limit_size", f"{shown(self.url)} gave more than {limit} bytes", status=self.status
            )
        return b"".join(parts)

    def discard(self) -> None:
        """Let go of the body; a short one is read, so that the connection can be used again."""
        if 0 <= self.length <= ERROR_BYTES:
            try:
                self.read(ERROR_BYTES)
            except RegistryError:
                pass
        self.close()

    def close(self) -> None:
        """Hang up, unless the body was read to its end."""
        if not self._response.raw.isclosed():
            self._response.raw.close()
        self._response.close()


def shown(url: str) -> str:
    """Return what may be told of a URL: no query, which may be signed, and no user.

    >>> shown("https://u:p@cdn/blob?signature=secret")
    'https://cdn/blob'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL that is none"
    return printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", 300)


def fault(error: Exception, url: str, timer: Timer) -> RegistryError:
    """Return what a failed exchange means; the library's own text is left out, as it has whole URLs
    in it."""
    where, reason = shown(url), _reason(error)
    if timer.broken or timer.left() <= 0:
        text = f"{where}: {timer.broken or 'no time left'}"
        # A slow connection may be followed by a fast one, an end of all time by none.
        kind = RegistryError if timer.left() <= 0 else PassingError
        return kind("limit_time", text)
    if isinstance(error, requests.exceptions.SSLError):
        hint = "name the certificate's authority in SSL_CERT_FILE, or allow plain HTTP with --plain-http HOST"
        return RegistryError("denied", f"{where}: {reason}", hint)
    if isinstance(
        error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader | ValueError
    ):
        return RegistryError("io_error", f"{where}: {type(error).__name__}")
    if not isinstance(error, FAULTS):
        # A library stumbled over what the server sent; it would do so again.
        message = f"{where} gave an answer that can't be read ({type(error).__name__})"
        return RegistryError("io_error", message)
    timed_out = isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError)
    return PassingError("limit_time" if timed_out else "io_error", f"{where}: {reason}")


def _reason(error: BaseException) -> str:
    """Return in words what lies beneath a library's error."""
    seen: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in seen and len(seen) < 16:
        seen.append(found)
        found = found.__cause__ or found.__context__
    system = next(
        (one for one in reversed(seen) if isinstance(one, OSError) and one.strerror), None
    )
    if system is not None and system.strerror:
        return str(system.strerror)
    names = {
        "ReadTimeoutError": "no answer in time",
        "ConnectTimeoutError": "no connection in time",
    }
    name = type(seen[-1]).__name__
    return names.get(name, "the answer broke off" if "IncompleteRead" in name else name)


def codes(answer: StreamedResponse) -> str:
    """Return the error codes in an answer, as the distribution specification has them; other words
    are not repeated."""
    try:
        errors = json.loads(answer.read(ERROR_BYTES)).get("errors")
        codes = [error.get("code") for error in errors]
    except (RegistryError, ValueError, AttributeError, TypeError, RecursionError):
        return ""
    known = [code for code in codes[:4] if isinstance(code, str) and _CODE.match(code)]
    return f" ({', '.join(known)})" if known else ""


PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 528), 529, 530})
"""Statuses that another try may not meet again; from 520 on those of content delivery networks."""

_FIRST, _GROWTH, _LONGEST = 0.2, 4, 30.0
_UNIX_TIMES = 10**9
"""From here on a number is a time and not a count of seconds."""


class PassingError(RegistryError):
    """Something went wrong that another try may not meet again.

    :param wait: seconds that the registry asks for, None if it says nothing.
    """

    def __init__(
        self, cause: str, message: str, status: int = 0, wait: float | None = None
    ) -> None:
        super().__init__(cause, message, status=status)
        self.wait = wait


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait, None if it doesn't say: a count of seconds, a
    date, a Unix time.

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
    """Return the seconds to wait before another try when nobody says: growing with `number`, half
    of it chance."""
    longest = min(_FIRST * _GROWTH ** (number - 1), _LONGEST)
    return longest * random.uniform(0.5, 1.0)
