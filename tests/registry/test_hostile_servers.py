"""No bytes of a server raise anything but this program's own errors: every header and body that is
read."""

import hashlib
import json
import random
from pathlib import Path

import pytest
from support.raw_server import RawServer, answer

from hpc_remetrics.crawl.pages import KINDS, PageFetcher, PageRequest, PageResult
from hpc_remetrics.download.tasks import BlobTask, Failed, ImageTask, Resolved, StoredBlob, Tasks
from hpc_remetrics.errors import RemetricsError
from hpc_remetrics.layout.image_layout import Layout
from hpc_remetrics.records import Digest
from hpc_remetrics.registry.access import Access, Patience
from hpc_remetrics.registry.endpoint import Registry
from hpc_remetrics.registry.reference import Reference
from hpc_remetrics.registry.registries import Registries

pytestmark = pytest.mark.slow

QUICK = Patience(connect=2, idle=2, least_rate=0, deadline=4, blob_deadline=4, tries=1)
BLOB = b"the bytes of a blob, which are what their digest says"
DIGEST = Digest(hashlib.sha256(BLOB).digest())
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": str(DIGEST),
        "size": len(BLOB),
    },
    "layers": [
        {
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": str(DIGEST),
            "size": len(BLOB),
        }
    ],
}
INDEX = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.index.v1+json",
    "manifests": [{"mediaType": MANIFEST["mediaType"], "digest": f"sha256:{'5' * 64}", "size": 9}],
}

URLS = [
    *(
        "http://[::1",
        "http://[::1]:x/",
        "http://a:99999999/",
        "http://a:-1/",
        "//",
        "http://",
        "http:///x",
        "?",
        "#",
    ),
    *(
        "http://\xff\xfe/",
        "http://a\x00b/",
        "http://" + "a" * 300 + ".b/",
        "http://a..b/",
        "http://xn--/",
        "\\\\a\\b",
    ),
    *(
        "http://%/",
        "http://a%00b/",
        "http://127.0.0.1:{port}/x",
        "http://[fe80::1%25lo]/",
        "http://[v1.x]/",
        "data:,x",
    ),
    *(
        "http://\u00e9.example/",
        "http://user@[/",
        "http://169.254.169.254/",
        "file:///etc/passwd",
        "http://0/",
        "/%zz",
    ),
    *(
        "http://127.0.0.1:0/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://localhost:{port}/",
        "http://1e3/",
    ),
]
NUMBERS = [
    *(
        "-1",
        "0",
        "1e400",
        "nan",
        "inf",
        "-inf",
        "9" * 400,
        "0x10",
        "1_0",
        "\xb2",
        "+5",
        " 5",
        "5, 5",
        "5, 6",
        "5;w=0",
    ),
    *(
        "0;w=99999999999",
        "99999999999999;w=1",
        "1;w=",
        ";w=1",
        "Thu, 01 Jan 0000 00:00:00 GMT",
        "Fri, 31 Dec 9999 x",
    ),
    *("Mon, 99 Foo 1", "Thu, 01 Jan 1970 00:00:00 +9999999", "1e11", "", "\x00", "5" * 30_000),
]
RANGES = [
    "bytes 0-9/9",
    "bytes 5-1/*",
    "bytes -1-5/9",
    "bytes 1-2",
    "bytes 0-0/" + "9" * 50,
    "items 0-1/2",
    "bytes */9",
]
WORDS = [
    "",
    "\xff",
    "x" * 60_000,
    "a;b=c;d",
    ";",
    "=",
    '"',
    "charset",
    "a/b; charset",
    "a/b; charset=\xff",
    ",,,",
    "\x0b",
]
SCHEMES = [
    "Bearer",
    "bearer realm",
    "Basic",
    "Negotiate",
    "Bearer realm=",
    'Bearer realm="',
    "Digest x=y,",
    "Bearer ,,=",
]

HEADERS = {
    "WWW-Authenticate": [*SCHEMES, *(f'Bearer realm="{url}",service="s"' for url in URLS), *WORDS],
    "Link": [
        *(f"<{url}>; rel=next" for url in URLS),
        *(f'<a>; anchor="{url}"; rel=next' for url in URLS),
        *WORDS,
    ],
    "Location": [*URLS, *WORDS],
    "Retry-After": NUMBERS,
    "X-Retry-After": NUMBERS,
    "Content-Range": [*RANGES, *NUMBERS, *WORDS],
    "Content-Length": NUMBERS,
    "RateLimit-Limit": NUMBERS,
    "RateLimit-Remaining": NUMBERS,
    "X-RateLimit-Limit": NUMBERS,
    "X-RateLimit-Remaining": NUMBERS,
    "X-RateLimit-Reset": NUMBERS,
    "Docker-Content-Digest": [
        "sha256:",
        "sha256:" + "g" * 64,
        "sha512:" + "5" * 128,
        "md5:x",
        *WORDS,
    ],
    "Content-Type": WORDS,
    "Content-Encoding": ["gzip", "zstd, br", *WORDS],
    "Transfer-Encoding": ["chunked", "gzip, chunked", "identity", *WORDS],
    "Set-Cookie": ["a=b; expires=Thu, 99 Foo 0000", "=; max-age=x", *WORDS],
    "Connection": ["upgrade", *WORDS],
    "Content-Disposition": WORDS,
}
STATUSES = [200, 206, 301, 307, 308, 401, 403, 404, 416, 429, 500, 503, 520, 530]


def bodies() -> list[bytes]:
    """Return bodies that are wrong in some way, for whatever reads them."""
    odd = [
        None,
        True,
        -1,
        1e300,
        "",
        "x" * 300,
        "\ud800",
        [],
        {},
        [[]],
        [None, 5, {}],
        {"a": 1},
        10**40,
    ]
    keys = [
        "errors",
        "token",
        "access_token",
        "expires_in",
        "repositories",
        "tags",
        "results",
        "count",
        "next",
        "name",
    ]
    keys += [
        "manifests",
        "config",
        "layers",
        "mediaType",
        "schemaVersion",
        "fsLayers",
        "history",
        "subject",
    ]
    found = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"5",
        b"NaN",
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b"[" * 50_000,
        b"9" * 9000,
    ]
    found += [json.dumps({key: value}).encode() for key in keys for value in odd]
    found += [
        json.dumps({**MANIFEST, key: value}).encode()
        for key in ("config", "layers", "mediaType")
        for value in odd
    ]
    found += [json.dumps({**INDEX, "manifests": [value]}).encode() for value in odd]
    found += [json.dumps({"errors": [value]}).encode() for value in odd]
    found += [json.dumps({"token": "a", "expires_in": value}).encode() for value in odd]
    found += [
        json.dumps({"results": [{"name": value, "repo_name": value}]}).encode() for value in odd
    ]
    return found


WAYS = [
    lambda registry, directory: registry.manifest("a", "1"),
    lambda registry, directory: registry.head_manifest("a", "1"),
    lambda registry, directory: list(registry.tags("a")),
    lambda registry, directory: list(registry.catalog()),
    lambda registry, directory: registry.read_blob("a", DIGEST, 1 << 16),
    lambda registry, directory: registry.blob_size("a", DIGEST),
    lambda registry, directory: fetch_the_rest(registry, directory / "blob"),
    *(lambda registry, directory, kind=kind: crawl_page(registry.host, kind) for kind in KINDS),
]


def ask(host: str, directory: Path, ways: list) -> None:
    """Ask in some ways; what comes is an answer or an error of this program's own."""
    for way in ways:
        registry = Registry(
            host, Access(username="u", password="p", login_host=host, patience=QUICK)
        )
        message = ""
        try:
            way(registry, directory)
        except RemetricsError as error:
            message = str(error)
        assert message.isprintable(), repr(message)


def crawl_page(host: str, kind: str) -> None:
    """Ask for a page as a crawl does, which makes a value of any error."""
    assert isinstance(
        PageFetcher(Registries(Access(patience=QUICK)), host, 1)(PageRequest(kind, "a/b")),
        PageResult,
    )


def fetch_the_rest(registry: Registry, path: Path) -> None:
    """Go on with a blob of which there is a beginning, which asks for a range."""
    path.write_bytes(BLOB[:10])
    registry.fetch_blob("a", DIGEST, len(BLOB), path)


def download(host: str, directory: Path) -> None:
    """Download an image and a blob as the threads of a download do."""
    layout = Layout(directory / "mirror")
    layout.prepare()
    tasks = Tasks(Registries(Access(patience=QUICK)), layout, ())
    image = Reference.parse(f"{host}/a:1")
    for task in (ImageTask(image), ImageTask(image, head=True), BlobTask(DIGEST, len(BLOB), image)):
        value = tasks(task)
        assert isinstance(value, Resolved | StoredBlob | Failed)
        assert not isinstance(value, Failed) or value.cause != "internal", value


CASES = [(name, value) for name, values in HEADERS.items() for value in values]
SHARES = 6
"""Tests that the cases are divided among."""


@pytest.mark.parametrize("share", range(SHARES))
def test_any_header_may_be_anything(share, tmp_path):
    rng = random.Random(20261127 + share)
    with RawServer() as server:
        port = server.host.rpartition(":")[2]
        for name, value in CASES[share::SHARES]:
            value = value.replace("{port}", port)
            body = rng.choice([b"{}", b'{"repositories":["a"],"tags":["a"]}', BLOB])
            status = rng.choice(_fitting(name))
            bare = name in ("Content-Length", "Transfer-Encoding")
            server.answer = lambda head: answer(status, (name, value), body=body, length=not bare)  # noqa: B023
            ask(server.host, tmp_path, rng.sample(WAYS, 6))


def _fitting(name: str) -> list[int]:
    """Return the statuses with which a header is read."""
    known = {
        "WWW-Authenticate": [401],
        "Link": [200],
        "Location": [301, 307, 308],
        "Retry-After": [429, 503, 520],
        "X-Retry-After": [429],
        "Content-Range": [206],
    }
    return known.get(name, STATUSES)


@pytest.mark.parametrize("share", range(SHARES))
def test_any_body_may_be_anything(share, tmp_path):
    rng = random.Random(20261128 + share)
    with RawServer() as server:
        realm = ("WWW-Authenticate", f'Bearer realm="http://{server.host}/token"')

        for body in bodies()[share::SHARES]:
            with_token, status = rng.random() < 0.3, rng.choice([200, 200, 200, 404, 500])
            kind = rng.choice([MANIFEST["mediaType"], INDEX["mediaType"], "application/json", "x"])
            first = answer(401, realm, body=body)
            last = answer(status, ("Content-Type", kind), body=body)
            server.answer = lambda head: first if with_token and _is_bare(head) else last  # noqa: B023
            ask(server.host, tmp_path, rng.sample(WAYS, 6))
            download(server.host, tmp_path)


def _is_bare(head: str) -> bool:
    """Tell whether a request is for the registry, and without a token."""
    return "/token" not in head and "authorization" not in head.lower()


LINES = [
    *(
        b"",
        b"\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc x\r\n\r\n",
        b"HTTP/9.9 200 x\r\n\r\n",
        b"HTTP/1.1 99 x\r\n\r\n",
    ),
    *(
        b"SSH-2.0-x\r\n",
        b"\x16\x03\x01\x00",
        b"HTTP/1.1 200 " + b"x" * 70_000,
        b"HTTP/1.1 200 x\r\n" + b"a: b\r\n" * 200,
    ),
    *(
        b"HTTP/1.1 200 x\r\n: \r\n\r\n",
        b"HTTP/1.1 200 x\r\nno colon\r\n\r\n{}",
        b"HTTP/1.1 200 x\r\n a: b\r\n\r\n",
    ),
    *(
        b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n" + body
        for body in (b"-5\r\nx", b"zz\r\n", b"5", b"f" * 99)
    ),
    *(
        b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n" + body
        for body in (b"5\r\nabcdeXX0\r\n\r\n", b"2;" + b"x" * 70_000)
    ),
    *(
        b"HTTP/1.1 200 x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        b"HTTP/1.1 101 x\r\nUpgrade: y\r\n\r\n",
    ),
    *(
        b"HTTP/1.1 204 x\r\n\r\n{}",
        b"HTTP/1.1 304 x\r\n\r\n",
        b"HTTP/1.1 999 x\r\n\r\n",
        b"HTTP/0.9 200 x\r\n\r\n{}",
    ),
    *(
        b"HTTP/1.1 103 x\r\n\r\n" * 40,
        b"HTTP/1.1 100 x\r\n\r\n" * 40,
        b"HTTP/1.1 102 x\r\na: " + b"b" * 70_000 + b"\r\n\r\n",
    ),
]


def test_any_answer_may_be_anything(tmp_path):
    rng = random.Random(20261129)
    with RawServer() as server:
        right = answer(
            200, ("Link", '</v2/_catalog?last=a>; rel="next"'), body=b'{"repositories":["a"]}'
        )

        def damaged(byte: int) -> int:
            return rng.choice([byte, rng.randrange(256)]) if rng.random() < 0.05 else byte

        broken = [bytes(map(damaged, right)) for _ in range(60)]
        for data in [*LINES, *broken]:
            server.answer = lambda head: data  # noqa: B023
            ask(server.host, tmp_path, WAYS)
            download(server.host, tmp_path)
