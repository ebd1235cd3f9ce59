"""A server that answers with the bytes it is told to, right or wrong, and hangs up."""

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator


class RawServer:
    """A running server; `host` is its `127.0.0.1:PORT`.

    :ivar answer: takes a request's head as text and returns the bytes of the answer, or yields them
    in pieces.
    :ivar heads: the heads of the requests that came.
    :ivar sent: bytes that were given.
    """

    def __init__(self, answer: Callable[[str], bytes | Iterable[bytes]] = lambda head: b"") -> None:
        self.answer, self.heads, self.sent = answer, list[str](), 0
        server = self

        class Handler(socketserver.StreamRequestHandler):
            timeout = 10

            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    lines = []
                    while (line := self.rfile.readline(1 << 16)) not in (b"", b"\r\n"):
                        lines.append(line.decode("latin-1"))
                    head = "".join(lines)
                    server.heads.append(head)
                    found = server.answer(head)
                    for piece in [found] if isinstance(found, bytes) else found:
                        self.wfile.write(piece)
                        server.sent += len(piece)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def __enter__(self) -> "RawServer":
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer(
    status: int, *headers: tuple[str, str | bytes], body: bytes = b"", length: bool = True
) -> bytes:
    """Return an answer; its headers as they are, in bytes or Latin-1."""
    lines = [b"HTTP/1.1 %d x" % status]
    if length:
        lines.append(b"Content-Length: %d" % len(body))
    for name, value in headers:
        lines.append(
            name.encode() + b": " + (value if isinstance(value, bytes) else value.encode("latin-1"))
        )
    return b"\r\n".join([*lines, b"Connection: close", b"", body])


def endless(
    status: int, *headers: tuple[str, str | bytes], start: bytes = b"", piece: bytes = b" " * 65_536
) -> Iterator[bytes]:
    """Yield an answer whose body never ends; without a header that says so its length is not
    said."""
    yield answer(status, *headers, body=start, length=False)
    while True:
        yield piece
