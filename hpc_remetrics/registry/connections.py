"""Connections of `requests` that keep time: every single read has a time-out, a least rate and a
deadline.

A time-out of a socket begins anew with each byte, so that a server which drips could hold a run for
ever; here what is left of the deadline bounds each read, of headers and bodies alike.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import TYPE_CHECKING, Any

import requests.adapters
import urllib3.connection
import urllib3.connectionpool

from .access import Patience
from .destinations import Bounds

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER = 64 << 10

_INTERIM = 32
"""Interim answers (1xx) that may come before one answer."""


class Timer:
    """The time that what a client is at may take; one client is at one thing at a time.

    :ivar broken: in words, which bound was crossed; "" if none.
    """

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.broken = ""
        self._end = float("inf")
        self.restart()

    def start(self, seconds: float) -> None:
        """Begin something that may take `seconds` with all its tries."""
        self._seconds, self._end = seconds, time.monotonic() + seconds

    def restart(self) -> None:
        """Begin one answer."""
        self.broken, self._bytes, self._begun = "", 0, time.monotonic()

    def left(self) -> float:
        """Return the seconds left."""
        return self._end - time.monotonic()

    def allow(self) -> float:
        """Return the seconds that the next read may take; `TimeoutError` if there are none."""
        patience, left = self.patience, self.left()
        took = time.monotonic() - self._begun
        if left <= 0:
            self._break(f"not done after {self._seconds:.0f} s")
        if took > patience.idle and self._bytes < patience.least_rate * took:
            self._break(
                f"{self._bytes / took:.0f} bytes a second, under the least rate of {patience.least_rate:.0f}"
            )
        return min(patience.idle, left)

    def count(self, size: int) -> None:
        """Note bytes that came."""
        self._bytes += size

    def _break(self, reason: str) -> None:
        self.broken = reason
        raise TimeoutError(reason)


class _TimedReader(io.RawIOBase):
    """A socket's bytes, each read within what its timer allows."""

    def __init__(self, sock: socket.socket, timer: Timer) -> None:
        self._raw, self._socket, self._timer = sock.makefile("rb", buffering=0), sock, timer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        self._socket.settimeout(self._timer.allow())
        count = self._raw.readinto(buffer)
        self._timer.count(count or 0)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """Stands for a socket where a response asks it for a file."""

    def __init__(self, sock: socket.socket, timer: Timer) -> None:
        self._socket, self._timer = sock, timer

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._socket, self._timer), _BUFFER)


def _pool_classes(timer: Timer, bounds: Bounds) -> dict[str, type]:
    """Return urllib3's pools with connections that obey `timer` and lead only within `bounds`."""

    class TimedResponse(http.client.HTTPResponse):
        def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
            super().__init__(_TimedSocket(sock, timer), *args, **options)  # type: ignore[arg-type]

        def _read_status(self) -> tuple[str, int, str]:
            # The library passes over 100 alone, and would take 103 for the answer.
            for _ in range(_INTERIM + 1):
                version, status, reason = super()._read_status()  # type: ignore[misc]
                if not 100 <= status < 200 or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                    return version, status, reason
                http.client.parse_headers(self.fp)
            raise http.client.HTTPException(f"more than {_INTERIM} interim answers")

        def _read_and_discard_trailer(self) -> None:
            # The library would read trailers without end.
            http.client.parse_headers(self.fp)

    def checked(connection: Any, sock: socket.socket) -> socket.socket:
        # A name that led elsewhere when it was looked at is seen here, before a byte is sent.
        if not connection.proxy:
            try:
                bounds.check_address(connection.host, sock.getpeername()[0])
            except BaseException:
                sock.close()
                raise
        return sock

    class PlainConnection(urllib3.connection.HTTPConnection):
        response_class = TimedResponse

        def _new_conn(self) -> socket.socket:
            return checked(self, super()._new_conn())

    class SecureConnection(urllib3.connection.HTTPSConnection):
        response_class = TimedResponse

        def _new_conn(self) -> socket.socket:
            return checked(self, super()._new_conn())

    class PlainPool(urllib3.connectionpool.HTTPConnectionPool):
        ConnectionCls = PlainConnection

    class SecurePool(urllib3.connectionpool.HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": PlainPool, "https": SecurePool}


class Adapter(requests.adapters.HTTPAdapter):
    """Sends a request over pooled connections that keep time; it follows no redirect and keeps no
    cookie."""

    def __init__(self, timer: Timer, bounds: Bounds) -> None:
        self._classes = _pool_classes(timer, bounds)
        super().__init__(pool_connections=8, pool_maxsize=2, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._classes

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._classes
        return manager
