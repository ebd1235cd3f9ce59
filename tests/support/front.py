"""A server in front of a registry that is slow, counts what it is asked, and limits pulls as Docker
Hub does."""

import http.client
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PIECE = 16 << 10
_PASSED_ON = (
    "content-type",
    "content-length",
    "content-range",
    "docker-content-digest",
    "link",
    "www-authenticate",
)


class Front:
    """The server: `host`; `sent` are bytes of bodies, `asked` counts (method, path).

    :param rate: bytes a second of all bodies together; 0: no bound.
    :param pulls: GETs of manifests that are granted in each `window` seconds; 0: no limit, and no
        headers that say one.
    """

    def __init__(self, upstream, rate=0, pulls=0, window=60):
        self.upstream, self.rate, self.pulls, self.window = upstream, rate, pulls, window
        self.sent, self.asked, self.refused = 0, Counter(), 0
        self._lock, self._free, self._times = threading.Lock(), 0.0, []
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Answers", (_Answers,), {"front": self})
        )
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, size):
        """Take the time that so many bytes need."""
        with self._lock:
            self.sent += size
            if not self.rate:
                return
            now = time.monotonic()
            self._free = max(self._free, now) + size / self.rate
        time.sleep(max(self._free - now, 0))

    def left(self, is_pull):
        """Return the pulls left after this request, -1 if it is refused."""
        with self._lock:
            now = time.monotonic()
            self._times = [moment for moment in self._times if moment > now - self.window]
            if is_pull and len(self._times) >= self.pulls:
                self.refused += 1
                return -1
            self._times += [now] * is_pull
            return self.pulls - len(self._times)


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front = None

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        front, is_manifest = self.front, "/manifests/" in self.path
        front.asked[self.command, self.path] += 1
        extra = {}
        if front.pulls and is_manifest:
            left = front.left(self.command == "GET")
            if left < 0:
                return self._refuse()
            window = f";w={front.window}"
            extra = {
                "ratelimit-limit": f"{front.pulls}{window}",
                "ratelimit-remaining": f"{left}{window}",
            }
        self._pass_on(extra)

    do_HEAD = do_GET

    def _refuse(self):
        body = b'{"errors":[{"code":"TOOMANYREQUESTS"}]}'
        self.send_response(429)
        self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _pass_on(self, extra):
        upstream = http.client.HTTPConnection(self.front.upstream, timeout=60)
        headers = {
            name: self.headers[name]
            for name in ("Accept", "Range", "Authorization")
            if self.headers[name]
        }
        upstream.request(self.command, self.path, headers=headers)
        answer = upstream.getresponse()
        self.send_response(answer.status)
        for name, value in {**dict(answer.getheaders()), **extra}.items():
            if name.lower() in _PASSED_ON or name in extra:
                self.send_header(name, value)
        self.end_headers()
        try:
            while piece := answer.read(_PIECE):
                self.front.wait_for(len(piece))
                self.wfile.write(piece)
        except OSError:
            self.close_connection = True  # the client has gone
        finally:
            upstream.close()
