"""Fetches of one blob from a server of this process that answers as each test says."""

import errno
import hashlib
import os
import threading
from types import SimpleNamespace

import pytest
from support.raw_server import RawServer, answer

from hpc_remetrics.errors import BlobError, RegistryError
from hpc_remetrics.limits import LAYER_BYTES
from hpc_remetrics.records import Digest
from hpc_remetrics.registry import blobs, client, responses
from hpc_remetrics.registry.access import Access, Patience
from hpc_remetrics.registry.blobs import Fetch, free_bytes, missing_room
from hpc_remetrics.registry.client import Client

BLOB = b"0123456789"
DIGEST = Digest(hashlib.sha256(BLOB).digest())
WHOLE = answer(200, body=BLOB)


def cut(data: bytes, status: int = 200, *headers: tuple[str, str], length: int = 10) -> bytes:
    """Return an answer that ends before its length."""
    stated = ("Content-Length", str(length))
    return answer(status, stated, *headers, body=data, length=False)


def rest(at: int, content_range: str = "", status: int = 206) -> bytes:
    """Return an answer with the blob from a place on."""
    stated = ("Content-Range", content_range or f"bytes {at}-9/10")
    return answer(status, stated, body=BLOB[at:])


class Scene:
    """A server that gives one answer after the other, and a client of it."""

    def __init__(self, server: RawServer, path) -> None:
        self.server = server
        self.path = path
        self.answers: list = []
        self.stopped = threading.Event()
        self.received = 0
        server.answer = lambda head: self.answers[len(server.heads) - 1]

    def fetch(self, *answers, size: int = 10, **patience) -> bytes:
        """Fetch the blob while the server gives these answers; return what the file holds then."""
        self.answers = list(answers)
        soon = {"connect": 5, "idle": 5, "least_rate": 0, "tries": 3, **patience}
        access = Access(patience=Patience(**soon))
        made = Client(self.server.host, access, stopped=self.stopped)
        fetch = Fetch(made, "/v2/a/blobs/x", "", DIGEST, size)
        try:
            count = fetch.run(self.path)
        finally:
            self.received = fetch.received
        assert len(self.server.heads) == len(answers)
        data = self.path.read_bytes()
        assert count == len(data)
        return data

    def fault(self, *answers, **options) -> BlobError:
        """Return the error that ends a fetch."""
        with pytest.raises(BlobError) as caught:
            self.fetch(*answers, **options)
        assert len(self.server.heads) == len(answers)
        return caught.value

    @property
    def ranges(self) -> list[str]:
        """The ranges that were asked for, "" for all of the blob."""
        found = []
        for head in self.server.heads:
            lines = [line for line in head.splitlines() if line.startswith("Range: ")]
            found.append(lines[0].removeprefix("Range: ") if lines else "")
        return found


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "pause_before", lambda number: 0.0)
    with RawServer() as server:
        yield Scene(server, tmp_path / "blob")


def test_a_blob_comes_in_one_answer(scene):
    assert scene.fetch(WHOLE) == BLOB
    assert scene.ranges == [""]
    assert scene.received == 10


def test_it_goes_on_where_an_answer_ended(scene):
    shorter = cut(BLOB[3:5], 206, ("Content-Range", "bytes 3-9/10"), length=7)
    assert scene.fetch(cut(BLOB[:3]), shorter, rest(5)) == BLOB
    assert scene.ranges == ["", "bytes=3-9", "bytes=5-9"]
    assert scene.received == 10


@pytest.mark.parametrize("stated", ["bytes 3-9/*", "  bytes 3-9/10 ", "bytes 3-9/10"])
def test_a_range_that_continues_the_blob_is_taken(scene, stated):
    assert scene.fetch(cut(BLOB[:3]), rest(3, stated)) == BLOB


def test_a_server_may_give_less_than_the_range(scene):
    few = answer(206, ("Content-Range", "bytes 3-5/10"), body=BLOB[3:6])
    assert scene.fetch(cut(BLOB[:3]), few, rest(6)) == BLOB


@pytest.mark.parametrize(
    "stated", ["bytes 4-9/10", "bytes 2-9/10", "bytes 3-10/10", "bytes 3-9/11", "items 3-9/10"]
)
def test_after_another_range_the_server_is_not_asked_for_ranges_any_more(scene, stated):
    answers = [cut(BLOB[:3]), rest(3, stated), cut(BLOB[:5]), WHOLE]
    assert scene.fetch(*answers) == BLOB
    assert scene.ranges == ["", "bytes=3-9", "", ""]


def test_a_whole_blob_to_a_range_replaces_what_is_there(scene):
    assert scene.fetch(cut(BLOB[:3]), WHOLE) == BLOB
    assert scene.ranges == ["", "bytes=3-9"]


def test_a_range_that_is_refused_is_left_out(scene):
    assert scene.fetch(cut(BLOB[:3]), answer(416), WHOLE) == BLOB
    assert scene.ranges == ["", "bytes=3-9", ""]


def test_a_refused_range_that_nobody_asked_for_is_tried_again(scene):
    error = scene.fault(*[answer(416)] * 3)
    assert error.cause == "io_error"
    assert "returned status 416; tried 3 times" in str(error)


@pytest.mark.parametrize("status", [201, 204, 206])
def test_any_other_success_is_no_blob(scene, status):
    error = scene.fault(*[answer(status, body=b"")] * 3)
    assert error.cause == "io_error"
    assert f"answered {status} to a plain GET; tried 3 times" in str(error)


def test_a_refusal_is_final(scene):
    assert scene.fault(answer(404)).cause == "missing"


def test_wrong_bytes_are_asked_for_once_more(scene):
    wrong = answer(200, body=b"x" * 10)
    assert scene.fetch(wrong, WHOLE) == BLOB
    assert scene.ranges == ["", ""]
    assert scene.received == 20


def test_bytes_that_are_wrong_twice_are_a_mismatch(scene):
    wrong = answer(200, body=b"x" * 10)
    error = scene.fault(wrong, wrong)
    assert error.cause == "digest_mismatch"
    digest = hashlib.sha256(b"x" * 10).hexdigest()
    assert str(error).endswith(f"has {DIGEST} with other bytes: sha256:{digest}")


def test_another_length_is_a_mismatch_of_sizes(scene):
    page = answer(200, ("Content-Type", "text/html" + "x" * 90), body=b"<html>page</html>")
    error = scene.fault(page, page)
    assert error.cause == "size_mismatch"
    kind = "text/html" + "x" * 71
    assert str(error).endswith(f"with 17 bytes of {kind}, its descriptor says 10")
    assert scene.received == 0
    assert "17 bytes of no type" in str(scene_again(scene, answer(200, body=b"<html>page</html>")))


def scene_again(scene: Scene, wrong: bytes) -> BlobError:
    scene.server.heads.clear()
    return scene.fault(wrong, wrong)


def test_a_body_of_unknown_length_may_not_be_longer(scene):
    longer = answer(200, body=BLOB + b"x", length=False)
    error = scene.fault(longer, longer)
    assert error.cause == "size_mismatch"
    assert str(error).endswith("with more than 10 bytes, its descriptor says 10")


@pytest.fixture
def small_pieces(monkeypatch):
    """Let bodies come in pieces of four bytes at most."""
    monkeypatch.setattr(responses, "_READ", 4)


@pytest.mark.usefixtures("small_pieces")
def test_a_body_that_was_too_long_is_asked_for_from_its_beginning(scene):
    longer = answer(200, body=BLOB + b"xx", length=False)
    assert scene.fetch(longer, WHOLE) == BLOB
    assert scene.ranges == ["", ""]


@pytest.mark.usefixtures("small_pieces")
def test_of_a_blob_beyond_the_limit_nothing_is_left(scene, monkeypatch):
    monkeypatch.setattr(blobs, "LAYER_BYTES", 9)
    assert scene.fault(answer(200, body=BLOB, length=False), size=-1).cause == "limit_size"
    assert scene.path.read_bytes() == b""


def test_an_empty_blob_may_have_no_byte(scene):
    longer = answer(200, body=b"x", length=False)
    assert "with more than 0 bytes" in str(scene.fault(longer, longer, size=0))


def test_a_body_of_unknown_length_may_be_as_long(scene):
    assert scene.fetch(answer(200, body=BLOB, length=False)) == BLOB


def test_a_blob_of_unknown_size_has_that_of_its_answer(scene):
    assert scene.fetch(cut(BLOB[:3]), rest(3), size=-1) == BLOB
    assert scene.ranges == ["", "bytes=3-9"]


def test_a_blob_of_unknown_size_and_length_ends_where_it_ends(scene):
    assert scene.fetch(answer(200, body=BLOB, length=False), size=-1) == BLOB


@pytest.mark.parametrize("most", [10, 9])
@pytest.mark.parametrize("has_length", [True, False])
def test_a_blob_of_unknown_size_has_a_limit(scene, monkeypatch, most, has_length):
    """Without a length it is half of what is free, too."""
    monkeypatch.setattr(blobs, "LAYER_BYTES", most if has_length else 10**9)
    monkeypatch.setattr(blobs, "free_bytes", lambda place: 2 * most)
    body = answer(200, body=BLOB, length=has_length)
    if most == 10:
        assert scene.fetch(body, size=-1) == BLOB
        return
    error = scene.fault(body, size=-1)
    assert error.cause == "limit_size"
    assert str(error).endswith("with more than 9 bytes")
    assert scene.path.read_bytes() == b""


def test_without_a_length_the_limit_of_a_layer_holds_too(scene, monkeypatch):
    monkeypatch.setattr(blobs, "LAYER_BYTES", 9)
    assert scene.fault(answer(200, body=BLOB, length=False), size=-1).cause == "limit_size"


def test_tries_count_from_the_last_one_that_brought_something(scene):
    pieces = [cut(BLOB[:1])]
    for at in range(1, 9):
        stated = ("Content-Range", f"bytes {at}-9/10")
        pieces.append(cut(BLOB[at : at + 1], 206, stated, length=10 - at))
    assert scene.fetch(*pieces, rest(9), tries=2) == BLOB


def test_what_brings_nothing_is_tried_a_few_times(scene):
    error = scene.fault(cut(BLOB[:3]), *[answer(503)] * 2, tries=3)
    assert error.cause == "io_error"
    assert "returned status 503; tried 3 times" in str(error)
    assert scene.path.read_bytes() == BLOB[:3]


@pytest.mark.parametrize(("seconds", "is_enough"), [(0.9, True), (1.0, False)])
def test_what_comes_too_slowly_counts_as_nothing(scene, monkeypatch, seconds, is_enough):
    """One byte a try, where one byte a second is the least rate."""
    now = [0.0]

    def clock() -> float:
        now[0] += seconds
        return now[0]

    monkeypatch.setattr(blobs, "time", SimpleNamespace(monotonic=clock))
    second = cut(BLOB[1:2], 206, ("Content-Range", "bytes 1-9/10"), length=9)
    if is_enough:
        assert scene.fetch(cut(BLOB[:1]), second, rest(2), tries=2, least_rate=1.0) == BLOB
    else:
        assert scene.fault(cut(BLOB[:1]), second, tries=2, least_rate=1.0).cause == "io_error"


def test_a_file_that_is_there_is_the_beginning(scene):
    scene.path.write_bytes(BLOB[:4])
    assert scene.fetch(rest(4)) == BLOB
    assert scene.ranges == ["bytes=4-9"]
    assert scene.received == 6


@pytest.mark.parametrize("left", [b"", b"x" * 10, b"x" * 11])
def test_a_file_that_is_no_beginning_is_fetched_anew(scene, left):
    scene.path.write_bytes(left)
    assert scene.fetch(WHOLE) == BLOB
    assert scene.ranges == [""]


def test_a_wrong_beginning_costs_one_more_request(scene):
    scene.path.write_bytes(b"xxxx")
    assert scene.fetch(rest(4), WHOLE) == BLOB


def test_a_whole_file_costs_no_request(scene, monkeypatch):
    monkeypatch.setattr(blobs, "_READ", 3)
    scene.path.write_bytes(BLOB)
    assert scene.fetch() == BLOB


def test_a_stop_keeps_what_has_come(scene):
    def stop(head: str):
        scene.stopped.set()
        yield WHOLE

    scene.answers = [None]
    scene.server.answer = stop
    with pytest.raises(RegistryError, match="was stopped at byte 10"):
        scene.fetch(None)
    assert scene.path.read_bytes() == BLOB


@pytest.mark.parametrize(
    ("number", "cause"),
    [(errno.ENOSPC, "no_room"), (errno.EDQUOT, "no_room"), (errno.EIO, "io_error")],
)
def test_an_error_of_the_disk_is_no_fault_of_the_registry(scene, monkeypatch, number, cause):
    def fail(fetch, chunk):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Fetch, "_write", fail)
    error = scene.fault(WHOLE)
    assert error.cause == cause
    assert str(error) == f"writing {DIGEST} to {scene.path.parent} failed: {os.strerror(number)}"


def test_the_time_of_a_blob_begins_with_its_fetch(scene, monkeypatch):
    """An earlier blob of the same client may have used up its own."""
    with pytest.raises(BlobError) as caught:
        scene.fetch(blob_deadline=1e-9)
    assert caught.value.cause == "limit_time"


def test_room_for_the_rest_of_a_blob_is_needed(tmp_path, monkeypatch):
    path = tmp_path / "blob"
    monkeypatch.setattr(blobs, "free_bytes", lambda place: 100 if place == tmp_path else 0)
    assert [missing_room(path, size) for size in (-1, 100, 101)] == [0, 0, 1]
    path.write_bytes(bytes(30))
    assert [missing_room(path, size) for size in (130, 131)] == [0, 1]


def test_free_bytes_are_those_of_users(tmp_path, monkeypatch):
    stated = SimpleNamespace(f_bavail=3, f_frsize=4096, f_blocks=10)
    monkeypatch.setattr(os, "statvfs", lambda place: stated)
    assert free_bytes(tmp_path) == 3 * 4096
    stated.f_blocks = 0
    assert free_bytes(tmp_path) == LAYER_BYTES
    monkeypatch.undo()
    assert free_bytes(tmp_path / "none") == LAYER_BYTES
