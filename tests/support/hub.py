"""A stand-in for Docker Hub's two APIs: the search that nobody documents, and namespaces,
repositories and tags.

It answers as Docker Hub does: at most 100 results a page and 10,000 a query, queries of 2 to 255
characters, X-RateLimit headers, and 429 with a Unix time to wait for. It writes down what it is
asked.
"""

import bisect
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

CAP = 10_000


@dataclass
class Repo:
    """One repository, `library/…` if it is an official one."""

    name: str
    stars: int
    pulls: int
    tags: list = field(default_factory=lambda: ["latest"])


class Names:
    """Finds what begins with a query: the whole name, or its part after the slash; most pulls
    first."""

    def __init__(self, repos):
        self.by_name = {repo.name: repo for repo in repos}
        self._lists = [
            sorted((key(repo), repo.name) for repo in repos) for key in (shown, after_slash)
        ]
        self._found = {}

    def search(self, query):
        if query not in self._found:
            names = set()
            for keys in self._lists:
                start = bisect.bisect_left(keys, (query,))
                end = bisect.bisect_left(keys, (query + "\x7f",))
                names.update(name for _, name in keys[start:end])
            self._found[query] = sorted(names, key=lambda name: (-self.by_name[name].pulls, name))
        return self._found[query]

    def namespace(self, namespace):
        return [name for name in self.by_name if name.startswith(f"{namespace}/")]


def shown(repo):
    """Return the name as a search shows it."""
    return repo.name.removeprefix("library/")


def after_slash(repo):
    return repo.name.partition("/")[2]


class Hub:
    """The server: `host`, what it has been `asked` (path -> times), and how often it had to say
    429.

    :param limit: requests in each `window` seconds; 0: no limit.
    """

    def __init__(self, repos, limit=0, window=1.0, delay=0.0):
        self.names, self.limit, self.window, self.delay = Names(repos), limit, window, delay
        self.asked, self.refused, self.broken = Counter(), 0, Counter()
        self._lock, self._begun, self._used = threading.Lock(), 0.0, 0
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Answers", (_Answers,), {"hub": self})
        )
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def admit(self, path):
        """Count a request; return the headers that tell the limit, and whether it is granted."""
        with self._lock:
            now = time.time()
            if now - self._begun >= self.window:
                self._begun, self._used = now, 0
            reset = self._begun + self.window
            granted = not self.limit or self._used < self.limit
            self._used += granted
            self.refused += not granted
            self.asked[path] += granted
        if not self.limit:
            return {}, True
        headers = {
            "X-RateLimit-Limit": self.limit,
            "X-RateLimit-Remaining": self.limit - self._used,
            "X-RateLimit-Reset": int(reset) + 1,
        }
        return headers | ({} if granted else {"X-Retry-After": int(reset) + 1}), granted


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    hub = None

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        headers, granted = self.hub.admit(self.path)
        time.sleep(self.hub.delay)
        if not granted:
            return self._say(429, {"detail": "Rate limit exceeded"}, headers)
        if self.hub.broken[self.path] > 0:
            self.hub.broken[self.path] -= 1
            return self._say(503, {"detail": "try later"}, headers)
        parts = urlsplit(self.path)
        self._say(*self._answer(parts.path.strip("/").split("/"), parse_qs(parts.query)), headers)

    def _say(self, status, answer, headers):
        body = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, path, query):
        match path:
            case ["v2", "search", "repositories"]:
                return self._search(query)
            case ["v2", "namespaces", namespace, "repositories"]:
                found = self.hub.names.namespace(namespace)
                return (
                    self._page(found, self._documented, query)
                    if found
                    else (404, {"message": "no such namespace"})
                )
            case ["v2", "namespaces", namespace, "repositories", name]:
                full = f"{namespace}/{name}"
                known = full in self.hub.names.by_name
                return (
                    (200, self._documented(full))
                    if known
                    else (404, {"message": "object not found"})
                )
            case ["v2", "namespaces", namespace, "repositories", name, "tags"]:
                repo = self.hub.names.by_name.get(f"{namespace}/{name}")
                return (
                    self._page(repo.tags, self._tag, query)
                    if repo
                    else (404, {"message": "object not found"})
                )
        return 404, {"message": "no such page"}

    def _search(self, query):
        words = query.get("query", [""])[0]
        if not 2 <= len(words) <= 255:
            return 400, {"message": "query must have 2 to 255 characters"}
        return self._page(self.hub.names.search(words), self._found, query)

    def _page(self, names, row, query):
        page, size = (
            int(query.get("page", ["1"])[0]),
            min(int(query.get("page_size", ["10"])[0]), 100),
        )
        count = min(len(names), CAP) if row == self._found else len(names)
        if page < 1 or (page - 1) * size >= max(count, 1):
            return 404, {"message": "page out of range"}
        more = {name: values[0] for name, values in query.items()} | {"page": page + 1}
        following = (
            f"https://hub.docker.com/v2/elsewhere?{urlencode(more)}"
            if page * size < count
            else None
        )
        rows = [row(name) for name in names[(page - 1) * size : min(page * size, count)]]
        return 200, {"count": count, "next": following, "previous": None, "results": rows}

    def _found(self, name):
        repo = self.hub.names.by_name[name]
        return {
            "repo_name": shown(repo),
            "short_description": "",
            "star_count": repo.stars,
            "pull_count": repo.pulls,
            "repo_owner": "",
            "is_automated": False,
            "is_official": name.startswith("library/"),
        }

    def _documented(self, full):
        repo = self.hub.names.by_name[full]
        namespace, _, name = full.partition("/")
        return {
            "namespace": namespace,
            "name": name,
            "repository_type": "image",
            "is_private": False,
            "star_count": repo.stars,
            "pull_count": repo.pulls,
            "last_updated": "2026-01-02T03:04:05.678Z",
        }

    def _tag(self, tag):
        digest = f"sha256:{random.Random(tag).randbytes(32).hex()}"
        return {
            "name": tag,
            "full_size": 1000 + len(tag),
            "last_updated": "2026-01-02T03:04:05.678901Z",
            "tag_last_pushed": "2026-01-01T03:04:05.678901Z",
            "digest": digest,
        }


def repositories(count, seed=1):
    """Return repositories, many of whose names begin alike: queries must grow to four letters and
    beyond a slash."""
    rng = random.Random(seed)
    names = {f"library/{name}" for name in ("redis", "web", "r-base", "we", "2048")}
    names.update(f"bigcorp/app-{number:05}" for number in range(count * 44 // 100))
    words = ["server", "web-ui", "x_y", "a.b", "tool", "z"]
    while len(names) < count * 9 // 10:
        user = "web" + "".join(rng.choices("abcdefghij0123456789", k=rng.randint(2, 5)))
        names.add(f"{user}/{rng.choice(words)}{rng.randrange(100)}")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    while len(names) < count:
        names.add(
            "".join(rng.choices(letters, k=rng.randint(2, 9)))
            + "/"
            + "".join(rng.choices(letters, k=5))
        )
    pulls = {name: int(10 ** rng.uniform(0, 9)) - 1 for name in names}
    pulls["library/web"] = pulls["library/we"] = 0  # at the end of every list that is cut
    return [Repo(name, rng.randrange(100), pulls[name]) for name in sorted(names)]
