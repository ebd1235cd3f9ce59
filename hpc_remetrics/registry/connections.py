"""Connections for `requests` whose every read has a timeout, a minimum rate and a deadline.

The timeout of a socket begins anew with each byte, so that a server that sends a byte now and then
could hold a run for ever. Here the rest of the deadline limits each read, of headers and bodies.
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
"""Interim responses (1xx) before one response, at most."""


class Timer:
    """The time limits of a client's current action; a client does one thing at a time.

    :ivar broken: which limit was exceeded, as a phrase; "" if none.
    """

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.broken = ""
        self._end = float("inf")
        self.restart()

    def start(self, seconds: float) -> None:
        """Begin an action that may take `seconds` with all its tries."""
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def restart(self) -> None:
        """Begin one response."""
        self.broken = ""
        self._bytes = 0
        self._begun = time.monotonic()

    def left(self) -> float:
        """Return the seconds until the deadline."""
        return self._end - time.monotonic()

    def allow(self) -> float:
        """Return the seconds that the next read may take.

        :raises TimeoutError: the deadline is over, or the rate too low.
        """
        patience = self.patience
        left = self.left()
        took = time.monotonic() - self._begun
        if left <= 0:
            self._break(f"not done after {self._seconds:.0f} s")
        if took > patience.idle and self._bytes < patience.least_rate * took:
            rate = f"{self._bytes / took:.0f} bytes a second"
            self._break(f"{rate}, below the minimum of {patience.least_rate:.0f}")
        return min(patience.idle, left)

    def count(self, size: int) -> None:
        """Count received bytes."""
        self._bytes += size

    def _break(self, reason: str) -> None:
        self.broken = reason
        raise TimeoutError(reason)


class _TimedReader(io.RawIOBase):
    """The bytes of a socket; each read is limited by the timer."""

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
    """Stands for a socket where `http.client` calls `makefile`."""

    def __init__(self, sock: socket.socket, timer: Timer) -> None:
        self._socket, self._timer = sock, timer

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._socket, self._timer), _BUFFER)


def _pool_classes(timer: Timer, bounds: Bounds) -> dict[str, type]:
    """Return connection pools of urllib3 whose connections obey a timer and stay within bounds."""

    class TimedResponse(http.client.HTTPResponse):
        def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
            super().__init__(_TimedSocket(sock, timer), *args, **options)  # type: ignore[arg-type]

        def _read_status(self) -> tuple[str, int, str]:
            # The library skips only status 100, and would take 103 for the response.
            for _ in range(_INTERIM + 1):
                version, status, reason = super()._read_status()  # type: ignore[misc]
                if not 100 <= status < 200 or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                    return version, status, reason
                http.client.parse_headers(self.fp)
            raise http.client.HTTPException(f"more than {_INTERIM} interim responses")

        def _read_and_discard_trailer(self) -> None:
            # The library has no limit for trailers.
            http.client.parse_headers(self.fp)

    def checked(connection: Any, sock: socket.socket) -> socket.socket:
        # Check the actual address before a byte is sent: DNS may have changed since the first look.
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
    """Sends requests over pooled, timed connections; follows no redirects and keeps no cookies."""

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
