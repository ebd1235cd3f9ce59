"""A proxy between a client and a real registry that cuts, stalls, drips and lies, as it is told.

    with FaultyProxy(registry.host) as proxy:
        proxy.on("/blobs/", cut(1000))              the first request whose path has it
        proxy.on("/blobs/", wrong_bytes, times=99)  the 99 that follow

Everything that it was asked and the bytes that it gave are kept, for tests to look at.
"""

import contextlib
import gzip
import http.client
import http.server
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Exchange:
    """A request, and what the registry behind gave."""

    method: str
    path: str
    headers: dict[str, str]
    status: int = 0
    answer: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    sent: int = 0
    time: float = field(default_factory=time.monotonic)


Fault = Callable[["_Handler", Exchange], None]


class FaultyProxy:
    """A running proxy; `host` is its `127.0.0.1:PORT` (or `localhost:PORT`, by `name`)."""

    def __init__(self, upstream: str, name: str = "127.0.0.1") -> None:
        self.upstream = upstream
        self.exchanges: list[Exchange] = []
        self._faults: list[tuple[str, Fault, list[int]]] = []
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = True
        self._http.proxy = self
        self.host = f"{name}:{self._http.server_address[1]}"
        threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()

    def on(self, part: str, fault: Fault, times: int = 1, method: str = "GET") -> None:
        """Answer the next `times` requests whose path holds `part` by a fault."""
        self._faults.append((f"{method} {part}", fault, [times]))

    def fault_for(self, exchange: Exchange) -> Fault:
        with self._lock:
            for what, fault, left in self._faults:
                method, _, part = what.partition(" ")
                if left[0] and part in exchange.path and method == exchange.method:
                    left[0] -= 1
                    return fault
        return whole

    @property
    def sent(self) -> int:
        """Bytes of bodies that were sent."""
        return sum(one.sent for one in self.exchanges)

    def asked(self, part: str, method: str = "GET") -> list[Exchange]:
        return [one for one in self.exchanges if part in one.path and one.method == method]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        proxy = self.server.proxy
        exchange = Exchange(self.command, self.path, dict(self.headers.items()))
        proxy.exchanges.append(exchange)
        fault = proxy.fault_for(exchange)
        try:
            self._ask(proxy.upstream, exchange)
            fault(self, exchange)
        except OSError:
            self.close_connection = True

    do_HEAD = do_GET

    def _ask(self, upstream: str, exchange: Exchange) -> None:
        connection = http.client.HTTPConnection(upstream, timeout=30)
        headers = {
            key: value
            for key, value in exchange.headers.items()
            if key.lower() not in ("host", "connection")
        }
        connection.request(exchange.method, exchange.path, headers=headers)
        response = connection.getresponse()
        exchange.status = response.status
        exchange.answer = [
            (key, value) for key, value in response.getheaders() if key.lower() != "connection"
        ]
        if response.status != 416:
            exchange.body = response.read()
        connection.close()

    def head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.send_response_only(status)
        for key, value in headers:
            self.send_header(key, value)
        self.end_headers()

    def body(self, exchange: Exchange, data: bytes) -> None:
        self.wfile.write(data)
        exchange.sent += len(data)

    def reset(self) -> None:
        """End the connection with a RST, once the client has read everything that was sent.

        A RST takes with it what the client has not read yet.
        """
        self.wfile.flush()
        for _ in range(10_000):
            if not self._unread():
                break
            time.sleep(0.003)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _unread(self) -> int:
        """Return how many bytes are under way to the client, or wait there to be read."""
        ports = f":{self.connection.getsockname()[1]:04X}", f":{self.client_address[1]:04X}"
        unread = 0
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, queues, *_ = line.split()
            sent, received = queues.split(":")
            if (local[-5:], remote[-5:]) == ports:
                unread += int(sent, 16)
            elif (remote[-5:], local[-5:]) == ports:
                unread += int(received, 16)
        return unread

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def log_message(self, *arguments) -> None:
        pass


def whole(handler: _Handler, exchange: Exchange) -> None:
    """What the registry gave."""
    handler.head(exchange.status, exchange.answer)
    handler.body(exchange, exchange.body)


def with_header(name: str, value: str) -> Fault:
    """What the registry gave, with one header more."""

    def fault(handler, exchange):
        handler.head(exchange.status, [*exchange.answer, (name, value)])
        handler.body(exchange, exchange.body)

    return fault


def cut(at: int) -> Fault:
    """The beginning, then a reset."""

    def fault(handler, exchange):
        handler.head(exchange.status, exchange.answer)
        handler.body(exchange, exchange.body[:at])
        handler.reset()

    return fault


def hang_up(at: int) -> Fault:
    """The beginning, then an end of the connection as if it were in order."""

    def fault(handler, exchange):
        handler.head(exchange.status, exchange.answer)
        handler.body(exchange, exchange.body[:at])
        handler.close_connection = True

    return fault


def no_length(at: int) -> Fault:
    """The beginning of a body whose length is not said, then the end."""

    def fault(handler, exchange):
        handler.head(
            exchange.status, [*_without(exchange.answer, "content-length"), ("Connection", "close")]
        )
        handler.body(exchange, exchange.body[:at])
        handler.close_connection = True

    return fault


def stall(at: int) -> Fault:
    """The beginning, then nothing more."""

    def fault(handler, exchange):
        handler.head(exchange.status, exchange.answer)
        handler.body(exchange, exchange.body[:at])
        handler.wfile.flush()
        handler.server.proxy.closing.wait(60)
        handler.close_connection = True

    return fault


def mute(handler, exchange):
    """No answer at all."""
    handler.server.proxy.closing.wait(60)
    handler.close_connection = True


def drip(handler, exchange):
    """A byte now and then."""
    handler.head(exchange.status, exchange.answer)
    for place in range(len(exchange.body)):
        handler.body(exchange, exchange.body[place : place + 1])
        if handler.server.proxy.closing.wait(0.1):
            return


def drip_headers(handler, exchange):
    """A header without an end, a byte now and then."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not handler.server.proxy.closing.wait(0.1):
        handler.wfile.write(b"x")


def wrong_bytes(handler, exchange):
    """The right length and a wrong byte."""
    data = bytearray(exchange.body)
    if data:
        data[len(data) // 2] ^= 1
    handler.head(exchange.status, exchange.answer)
    handler.body(exchange, bytes(data))


def other_length(difference: int) -> Fault:
    """A body that is longer or shorter than it should be, and says so."""

    def fault(handler, exchange):
        data = exchange.body[:difference] if difference < 0 else exchange.body + bytes(difference)
        answer = _without(exchange.answer, "content-length", "content-range")
        handler.head(200, [*answer, ("Content-Length", str(len(data)))])
        handler.body(exchange, data)

    return fault


def html(handler, exchange):
    """A page of a portal that wants a login, with status 200."""
    page = b"<html><body>Please log in.</body></html>"
    handler.head(200, [("Content-Type", "text/html"), ("Content-Length", str(len(page)))])
    handler.body(exchange, page)


def zipped(handler, exchange):
    """A body that was compressed on the way, though nobody asked for that."""
    data = gzip.compress(exchange.body, 1)  # quick, since silence is a fault of its own
    answer = _without(exchange.answer, "content-length")
    handler.head(200, [*answer, ("Content-Encoding", "gzip"), ("Content-Length", str(len(data)))])
    handler.body(exchange, data)


def wrong_offset(handler, exchange):
    """A 206 that begins elsewhere than it was asked to."""
    answer = []
    for key, value in exchange.answer:
        if key.lower() == "content-range":
            start, _, rest = value.removeprefix("bytes ").partition("-")
            value = f"bytes {int(start) + 1}-{rest}"
        answer.append((key, value))
    handler.head(exchange.status, answer)
    handler.body(exchange, exchange.body)


def no_ranges(handler, exchange):
    """A 200 with everything, to a range."""
    exchange.headers = {
        key: value for key, value in exchange.headers.items() if key.lower() != "range"
    }
    handler._ask(handler.server.proxy.upstream, exchange)
    whole(handler, exchange)


def not_satisfiable(handler, exchange):
    """A 416 that declares the length of the whole blob and sends 33 bytes, as docker-registry 2.8
    does."""
    handler.head(416, [("Content-Type", "application/json"), ("Content-Length", "10000000")])
    handler.body(exchange, b"x" * 33)
    handler.server.proxy.closing.wait(60)
    handler.close_connection = True


def status(number: int, *headers: tuple[str, str], body: bytes = b"{}") -> Fault:
    """An error, or a redirect."""

    def fault(handler, exchange):
        handler.head(number, [*headers, ("Content-Length", str(len(body)))])
        handler.body(exchange, body if exchange.method != "HEAD" else b"")

    return fault


def interim(*numbers: int) -> Fault:
    """Interim answers (1xx) with headers of their own, then what the registry gave."""

    def fault(handler, exchange):
        for number in numbers:
            handler.wfile.write(
                b"HTTP/1.1 %d x\r\nLink: </style.css>; rel=preload\r\n\r\n" % number
            )
        whole(handler, exchange)

    return fault


def redirect(target: str, number: int = 307) -> Fault:
    """A redirect; `{path}` in its target is the path that was asked for."""

    def fault(handler, exchange):
        location = target.replace("{path}", exchange.path)
        status(number, ("Location", location), body=b"")(handler, exchange)

    return fault


def _without(headers: list[tuple[str, str]], *names: str) -> list[tuple[str, str]]:
    return [(key, value) for key, value in headers if key.lower() not in names]
