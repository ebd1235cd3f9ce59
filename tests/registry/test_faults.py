"""Faults between a client and a real registry: right bytes in the end, or the right cause."""

import hashlib
import json
import random
import threading
import time
from dataclasses import replace
from email.utils import formatdate

import pytest
from support import faulty_proxy as faults
from support.faulty_proxy import FaultyProxy
from support.tools import mount_small, unmount

from hpc_remetrics.errors import BlobError, RegistryError
from hpc_remetrics.records import Digest
from hpc_remetrics.registry.access import Access, Patience
from hpc_remetrics.registry.budget import Budget
from hpc_remetrics.registry.endpoint import Registry

SIZE = 300_000


@pytest.fixture(scope="module")
def blob(registry):
    """A layer of the registry: digest and bytes; the biggest one."""
    registry_ = Registry(registry.host)
    manifest = json.loads(registry_.manifest("one", "1").data)
    layer = max(manifest["layers"], key=lambda layer: layer["size"])
    digest = Digest.parse(layer["digest"])
    data = registry_.open_blob("one", digest).read()
    assert hashlib.sha256(data).digest() == digest.raw and len(data) == layer["size"] > SIZE
    return digest, data


@pytest.fixture
def proxy(registry):
    with FaultyProxy(registry.host) as proxy:
        yield proxy


@pytest.fixture
def fetch(proxy, access, blob, tmp_path):
    """Return a function that fetches the blob by way of the proxy and returns what the file holds
    then."""
    digest, data = blob
    path, size = tmp_path / "blob", len(data)

    def run(size=size, access=access):
        begun = time.monotonic()
        try:
            assert Registry(proxy.host, access).fetch_blob("one", digest, size, path) == len(data)
        finally:
            assert time.monotonic() - begun < access.patience.blob_deadline + 60
        return path.read_bytes()

    run.path = path
    return run


MENDED = {
    "reset at once": [faults.cut(0)],
    "reset": [faults.cut(SIZE)],
    "hang up": [faults.hang_up(SIZE)],
    "end of a body of unknown length": [faults.no_length(SIZE)],
    "three resets": [faults.cut(10 * n) for n in range(3)],
    "twelve resets, each after something new": [faults.cut(20_000)] * 12,
    "stall": [faults.stall(SIZE)],
    "stall before the first byte": [faults.stall(0)],
    "mute": [faults.mute],
    "drip": [faults.drip],
    "headers that drip": [faults.drip_headers],
    "wrong bytes": [faults.wrong_bytes],
    "longer": [faults.other_length(5)],
    "shorter": [faults.other_length(-5)],
    "empty": [faults.other_length(-(1 << 40))],
    "HTML": [faults.html],
    "compressed on the way": [faults.zipped],
    "206 elsewhere": [faults.cut(SIZE), faults.wrong_offset],
    "200 to a range": [faults.cut(SIZE), faults.no_ranges],
    "416": [faults.cut(SIZE), faults.not_satisfiable],
    "503": [faults.status(503)],
    "502, 500, 504": [faults.status(502), faults.status(500), faults.status(504)],
    "503 with Retry-After": [faults.status(503, ("Retry-After", "1"))],
    "429": [faults.status(429)],
    "an error in a resumed fetch": [faults.cut(SIZE), faults.status(503), faults.cut(1000)],
    "a broken page of an error": [faults.status(503, body=b"{not JSON")],
}


@pytest.mark.slow
@pytest.mark.parametrize("case", MENDED)
def test_a_blob_comes_in_spite_of(case, proxy, fetch, blob):
    for fault in MENDED[case]:
        proxy.on("/blobs/", fault)
    assert fetch() == blob[1]
    assert len(proxy.asked("/blobs/")) >= len(MENDED[case])


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", ["reset", "hang up", "416", "200 to a range", "206 elsewhere", "wrong bytes"]
)
def test_a_blob_whose_size_nobody_says_comes_in_spite_of(case, proxy, fetch, blob):
    for fault in MENDED[case]:
        proxy.on("/blobs/", fault)
    assert fetch(size=-1) == blob[1]


LOST = {
    "wrong bytes": (faults.wrong_bytes, "digest_mismatch"),
    "longer": (faults.other_length(5), "size_mismatch"),
    "shorter": (faults.other_length(-5), "size_mismatch"),
    "HTML": (faults.html, "size_mismatch"),
    "compressed on the way": (faults.zipped, "size_mismatch"),
    "reset at once": (faults.cut(0), "io_error"),
    "mute": (faults.mute, "limit_time"),
    "stall": (faults.stall(0), "limit_time"),
    "drip": (faults.drip, "limit_time"),
    "headers that drip": (faults.drip_headers, "limit_time"),
    "503": (faults.status(503), "io_error"),
    "429": (faults.status(429), "rate_limited"),
    "404": (faults.status(404), "missing"),
    "403": (faults.status(403), "denied"),
    "401 without a challenge": (faults.status(401), "denied"),
    "418": (faults.status(418), "io_error"),
    "204": (faults.status(204, body=b""), "io_error"),
    "206 to a plain GET": (
        faults.status(206, ("Content-Range", "bytes 0-1/2"), body=b"xy"),
        "io_error",
    ),
    "a redirect to nowhere": (faults.status(302), "io_error"),
    "a redirect to a file": (faults.redirect("file:///etc/passwd"), "io_error"),
    "a redirect without a host": (faults.redirect("http://"), "io_error"),
    "a redirect with a user": (faults.redirect("http://a:b@127.0.0.1:1/"), "io_error"),
    "a loop": (faults.redirect("{path}"), "io_error"),
    "link-local": (faults.redirect("http://169.254.169.254/latest/meta-data"), "denied"),
    "link-local, IPv6": (faults.redirect("http://[fe80::1]/"), "denied"),
    "Retry-After beyond the deadline": (
        faults.status(429, ("Retry-After", "86400")),
        "rate_limited",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", LOST)
def test_a_blob_is_given_up_with_its_cause(case, proxy, fetch, access):
    fault, cause = LOST[case]
    proxy.on("/blobs/", fault, times=1000)
    with pytest.raises(BlobError) as caught:
        fetch(access=replace(access, patience=replace(access.patience, blob_deadline=8, tries=3)))
    assert caught.value.cause == cause, caught.value
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)
    assert len(proxy.exchanges) <= 11


@pytest.mark.slow
def test_a_hundred_resets_at_random_places(proxy, access, blob, tmp_path):
    digest, data = blob
    rng, client, given = random.Random(5), Registry(proxy.host, access), []
    for number in range(100):
        proxy.on("/blobs/", faults.cut(rng.randrange(len(data))))
        before = proxy.sent
        client.fetch_blob("one", digest, len(data), tmp_path / str(number))
        given.append(proxy.sent - before)
        assert (tmp_path / str(number)).read_bytes() == data
        (tmp_path / str(number)).unlink()
    assert sum(given) <= 2 * 100 * len(data)
    assert len(proxy.asked("/blobs/")) == 200


@pytest.mark.slow
def test_it_is_resumed_with_a_closed_range_at_the_registrys_own_url(proxy, fetch, blob):
    _, data = blob
    proxy.on("/blobs/", faults.cut(SIZE))
    fetch()
    first, second = proxy.asked("/blobs/")
    assert "Range" not in first.headers and first.path == second.path
    start = int(second.headers["Range"].removeprefix("bytes=").partition("-")[0])
    assert 0 < start <= SIZE
    assert second.headers["Range"] == f"bytes={start}-{len(data) - 1}"
    assert {one.headers["Accept-Encoding"] for one in (first, second)} == {"identity"}


def test_a_partial_of_full_length_is_hashed_and_not_asked_for(proxy, fetch, blob):
    _, data = blob
    fetch.path.write_bytes(data)
    assert fetch() == data
    assert proxy.exchanges == []


@pytest.mark.parametrize(
    "how", ["half", "wrong half", "wrong and of full length", "too long", "empty"]
)
def test_a_run_continues_what_an_earlier_one_left(how, proxy, fetch, blob):
    _, data = blob
    half = len(data) // 2
    left = {
        "half": data[:half],
        "wrong half": bytes(half),
        "wrong and of full length": bytes(len(data)),
        "too long": data + b"x",
        "empty": b"",
    }
    fetch.path.write_bytes(left[how])
    assert fetch() == data
    ranges = [one.headers.get("Range") for one in proxy.asked("/blobs/")]
    again = {
        "half": [f"bytes={half}-{len(data) - 1}"],
        "wrong half": [f"bytes={half}-{len(data) - 1}", None],
    }
    assert ranges == again.get(how, [None])


WAITS = {
    "seconds": lambda: ("Retry-After", "2"),
    "a date": lambda: ("Retry-After", formatdate(time.time() + 3, usegmt=True)),
    "a Unix time": lambda: ("X-Retry-After", str(int(time.time()) + 3)),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", WAITS)
def test_retry_after_is_kept_to(kind, proxy, fetch, blob):
    # The time that is told counts from the answer on.
    proxy.on("/blobs/", lambda *answered: faults.status(429, WAITS[kind]())(*answered))
    assert fetch() == blob[1]
    first, second = proxy.asked("/blobs/")
    assert second.time - first.time >= 1.5


@pytest.mark.slow
def test_threads_share_one_budget(proxy, access, blob, tmp_path):
    """What one of them is told holds for all, and so does what another rank was told."""
    budget = Budget(access)
    proxy.on("/blobs/", faults.status(429, ("Retry-After", "5")))
    client = Registry(proxy.host, access, budget)
    first = threading.Thread(
        target=client.fetch_blob, args=("one", blob[0], -1, tmp_path / "first")
    )
    first.start()
    while not proxy.exchanges or not (pauses := budget.new_pauses()):
        time.sleep(0.01)
    Registry(proxy.host, access, budget).read_blob("one", blob[0], 1 << 30)
    first.join()
    times = [one.time for one in proxy.exchanges]
    assert min(times[1:]) - times[0] >= 4.9
    assert [(pause.host, 0 < pause.seconds <= 5) for pause in pauses] == [(proxy.host, True)]
    other = Budget(access)
    other.apply_pauses(pauses)
    assert 0 < other.claim(proxy.host) <= 5
    assert other.new_pauses() == []
    assert other.claim("elsewhere") == 0


@pytest.mark.slow
def test_the_rate_is_that_of_the_whole_job(proxy, access, blob):
    quick = replace(access, requests_per_second=20, ranks=2)
    client = Registry(proxy.host, quick)
    for _ in range(5):
        client.blob_size("one", blob[0])
    times = [one.time for one in proxy.exchanges]
    assert times[-1] - times[0] >= 4 * 0.1 * 0.9


def test_the_last_pull_of_a_window_slows_pulls_alone(proxy, access, blob):
    proxy.on("/manifests/", faults.with_header("ratelimit-limit", "100;w=30000"))
    budget = Budget(access)
    client = Registry(proxy.host, access, budget)
    client.manifest("one", "1")
    assert budget.claim(proxy.host, "pulls") == 0
    answers = [("ratelimit-limit", "100;w=30000"), ("ratelimit-remaining", "0;w=30000")]

    def spent(handler, exchange):
        exchange.answer += answers
        faults.whole(handler, exchange)

    proxy.on("/manifests/", spent)
    client.manifest("one", "1")
    assert 200 < budget.claim(proxy.host, "pulls") <= 300
    assert budget.claim(proxy.host) == 0
    assert budget.limits[proxy.host].remaining == 0
    client.head_manifest("one", "1")


def test_a_wait_that_is_too_long_is_said_at_once(proxy, fetch):
    proxy.on("/blobs/", faults.status(429, ("Retry-After", "7200")))
    with pytest.raises(RegistryError, match="longer than the time left") as caught:
        fetch()
    assert caught.value.cause == "rate_limited" and caught.value.exit_code == 4
    assert len(proxy.exchanges) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [faults.wrong_bytes, faults.cut(10), faults.status(503), faults.hang_up(50)]
)
def test_a_manifest_comes_in_spite_of(fault, proxy, access, registry):
    proxy.on("/manifests/", fault)
    found = Registry(proxy.host, access).manifest("one", "1")
    assert found.data == Registry(registry.host).manifest("one", "1").data
    assert len(proxy.asked("/manifests/")) == 2


LONG = (4 << 20) + 1


@pytest.mark.parametrize("declared", [True, False])
def test_a_manifest_that_is_too_long_is_not_read(proxy, access, declared):
    def endless(handler, exchange):
        headers = [("Content-Length", str(LONG))] if declared else [("Connection", "close")]
        handler.head(200, headers)
        handler.close_connection = True
        for _ in range(LONG // 4096 + 1 if not declared else 0):
            handler.body(exchange, bytes(4096))

    proxy.on("/manifests/", endless, times=9)
    with pytest.raises(RegistryError) as caught:
        Registry(proxy.host, access).manifest("one", "1")
    assert caught.value.cause == "limit_size"
    assert len(proxy.exchanges) == 1


@pytest.mark.slow
def test_ten_redirects_are_followed_and_no_more(proxy, access, blob):
    digest, data = blob
    proxy.on("/blobs/", faults.redirect("{path}"), times=10)
    assert Registry(proxy.host, access).read_blob("one", digest, 1 << 30) == data
    proxy.on("/blobs/", faults.redirect("{path}"), times=11)
    with pytest.raises(RegistryError, match="more than 10 times"):
        Registry(proxy.host, access).read_blob("one", digest, 1 << 30)


@pytest.mark.slow
def test_a_signed_url_that_has_ended_is_asked_for_anew(proxy, registry, access, blob):
    digest, data = blob
    with FaultyProxy(registry.host, name="localhost") as storage:
        storage.on("/blobs/", faults.status(403))
        proxy.on(
            "/blobs/", faults.redirect(f"http://{storage.host}{{path}}?signature=secret"), times=2
        )
        assert Registry(proxy.host, access).read_blob("one", digest, 1 << 30) == data
        assert len(proxy.exchanges) == len(storage.exchanges) == 2
        storage.on("/blobs/", faults.status(404))
        proxy.on("/blobs/", faults.redirect(f"http://{storage.host}{{path}}?signature=secret"))
        with pytest.raises(RegistryError) as caught:
            Registry(proxy.host, access).read_blob("one", digest, 1 << 30)
        assert "secret" not in str(caught.value)


@pytest.fixture
def small_disk(tmp_path):
    """A directory with room for half a blob."""
    directory = tmp_path / "small"
    directory.mkdir()
    mount_small(directory, SIZE // 2)
    yield directory
    unmount(directory)


def test_a_full_disk_is_no_fault_of_the_registry(proxy, access, blob, small_disk):
    digest, data = blob
    with pytest.raises(BlobError, match="No space left") as caught:
        Registry(proxy.host, access).fetch_blob("one", digest, len(data), small_disk / "blob")
    assert caught.value.cause == "no_room"
    assert len(proxy.exchanges) == 1


def test_a_registry_that_is_not_there(access):
    with pytest.raises(RegistryError, match="Connection refused"):
        Registry("127.0.0.1:1", Access(patience=Patience(tries=2))).manifest("one", "1")


CDN = [*range(520, 528), 529, 530]
"""What content delivery networks answer where the server behind them doesn't."""


@pytest.mark.slow
@pytest.mark.parametrize("number", CDN)
def test_a_network_in_front_that_fails_for_a_while(proxy, fetch, blob, number):
    proxy.on(
        "/manifests/",
        faults.status(number, ("Content-Type", "text/html"), body=b"<html>error</html>"),
    )
    proxy.on("/blobs/", faults.status(number))
    proxy.on("/blobs/", faults.cut(1000))
    proxy.on("/blobs/", faults.status(number))
    assert Registry(proxy.host).manifest("one", "1").size
    assert fetch() == blob[1]


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [(103,), (100,), (102, 103, 100, 103), (199,)])
def test_interim_answers_are_not_the_answer(registry, proxy, fetch, blob, numbers):
    for part in ("/manifests/", "/blobs/", "/tags/"):
        for method in ("GET", "HEAD"):
            proxy.on(part, faults.interim(*numbers), times=99, method=method)
    client = Registry(proxy.host)
    assert client.manifest("one", "1").size == client.head_manifest("one", "1").size
    # Other tests may have given this repository more tags.
    tags = list(Registry(registry.host).tags("one"))
    assert "1" in tags and list(client.tags("one")) == tags
    assert client.blob_size("one", blob[0]) == len(blob[1])
    assert fetch() == blob[1]


@pytest.mark.parametrize("numbers", [(103,) * 100, (101,)])
def test_interim_answers_without_end_or_to_what_was_not_asked(proxy, access, numbers):
    proxy.on("/manifests/", faults.interim(*numbers), times=99)
    with pytest.raises(RegistryError) as caught:
        Registry(proxy.host, replace(access, patience=replace(access.patience, tries=2))).manifest(
            "one", "1"
        )
    assert caught.value.cause == "io_error"
