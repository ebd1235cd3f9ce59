"""State of a download: what earlier runs finished."""

import codecs
import json
import os

import pytest

from hpc_remetrics.download import state as state_module
from hpc_remetrics.download.state import FinishedList, State
from hpc_remetrics.download.tasks import Failed, Resolved
from hpc_remetrics.errors import OutputError, SourceError
from hpc_remetrics.layout.image_layout import REF_NAME
from hpc_remetrics.records import Digest
from hpc_remetrics.registry.reference import Reference
from hpc_remetrics.sources.oci import PUSHED


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \t\n"])
def test_the_lists_of_what_is_finished_too(tmp_path, mark, end):
    path = tmp_path / "list"
    path.write_bytes(mark + end.join([b"library/redis", b'"a/b"', b"torn"]))
    finished = FinishedList(path)
    assert "library/redis" in finished and "a/b" in finished
    finished.add("new")
    assert path.read_bytes().endswith(b"torn\nnew\n")
    path.write_bytes("library/redis\n".encode("utf-16"))
    with pytest.raises(SourceError, match="UTF-16"):
        FinishedList(path)


A, B = Reference.parse("host.example/a:1"), Reference.parse("redis")
ENTRY = {"mediaType": "x", "digest": "sha256:0", "size": 1}
RESOLVED = Resolved((ENTRY,), {Digest(bytes(32)): 5}, ())
NAMED = {**ENTRY, "annotations": {REF_NAME: "host.example/a:1"}}


@pytest.fixture
def opened(layout):
    """Return a function that opens the state as another run does, after the one before."""
    states = []

    def open_state(*platforms, layers=None, repositories=None, pushed=None) -> State:
        while states:
            states.pop().close()
        states.append(State(layout, platforms, layers, repositories, pushed or {}))
        return states[0]

    yield open_state
    while states:
        states.pop().close()


def test_the_date_of_a_tag_is_an_annotation_of_the_index(opened, layout):
    state = opened(pushed={A: 1_767_323_045})
    for image in (A, B):
        state.finish(image, RESOLVED)
    state.write_index(at_once=True)
    found = [entry["annotations"] for entry in layout.read_index()]
    assert found == [
        {REF_NAME: "library/redis:latest"},
        {REF_NAME: "host.example/a:1", PUSHED: "2026-01-02T03:04:05Z"},
    ]
    # A later list knows a later date
    state = opened(pushed={A: 1_767_323_046})
    state.finish(A, RESOLVED)
    state.write_index(at_once=True)
    assert layout.read_index()[1]["annotations"][PUSHED] == "2026-01-02T03:04:06Z"


def test_a_finished_image_is_known_to_later_runs_for_the_same_platforms(opened):
    state = opened("linux/b", "linux/a")
    assert A not in state
    state.finish(A, RESOLVED)
    assert A in state and B not in state and not state.is_empty(A)
    assert A in opened("linux/a", "linux/b")
    state = opened("linux/a")
    assert A not in state
    state.finish(A, RESOLVED)
    assert A in opened("linux/a") and A not in opened("linux/a", "linux/b")


def test_an_image_that_has_not_changed_is_not_recorded_again(opened, layout):
    state = opened()
    for _ in range(2):
        state.finish(A, RESOLVED)
    journal = layout.state / "journal"
    assert journal.read_text().count("\n") == 2
    record = json.loads(journal.read_text().splitlines()[1][9:])
    assert record.pop("time") > 1e9
    assert record == {"image": "host.example/a:1", "platforms": [], "roots": [NAMED]}
    state.finish(A, Resolved((), {}, ()))
    assert journal.read_text().count("\n") == 3 and state.is_empty(A) and not state.is_empty(B)


def test_the_index_follows_the_journal(opened, layout):
    other = {**ENTRY, "annotations": {REF_NAME: "other:1"}}
    old = {**ENTRY, "digest": "sha256:1", "annotations": {REF_NAME: "host.example/a:1"}}
    layout.write_index([old, other])
    state = opened()
    state.finish(B, Resolved(({**ENTRY, "annotations": {"k": "v"}},), {}, ()))
    state.finish(A, RESOLVED)
    state.write_index(at_once=True)
    redis = {**ENTRY, "annotations": {REF_NAME: "library/redis:latest", "k": "v"}}
    # Entries of others stay, but for those of a name that is known by now.
    assert layout.read_index() == [other, redis, NAMED]
    layout.write_index([])
    opened().write_index(at_once=True)
    assert layout.read_index() == [redis, NAMED]


def test_the_index_is_written_seldom(opened, layout, monkeypatch):
    now = [1000.0]
    written = []
    monkeypatch.setattr(state_module.time, "monotonic", lambda: now[0])

    def write_index(descriptors):
        list(descriptors)
        written.append(now[0])
        now[0] += 1.0

    state = opened()
    monkeypatch.setattr(layout, "write_index", write_index)
    state.write_index()
    state.write_index(at_once=True)
    assert written == [1000.0]
    # It took 1 s, of which 2 % are 50 s.
    state.finish(A, RESOLVED)
    for later in (1001.0, 1050.9, 1051.0, 1051.1, 1200.0):
        now[0] = later
        state.write_index()
    assert written == [1000.0, 1051.1]
    state.finish(B, RESOLVED)
    now[0] = 1055.0
    state.write_index(at_once=True)
    assert written[2:] == [1055.0]


def test_at_least_ten_seconds_are_between_two_indexes(opened, layout, monkeypatch):
    now = [1000.0]
    written = []
    state = opened()
    monkeypatch.setattr(state_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(layout, "write_index", lambda _: written.append(now[0]))
    state.write_index()
    for later, image in ((1010.0, A), (1010.1, B)):
        now[0] = later
        state.finish(image, RESOLVED)
        state.write_index()
    assert written == [1000.0, 1010.1]


def test_lists_of_layers_and_repositories_grow(opened, tmp_path):
    layers, repositories = tmp_path / "layers", tmp_path / "repositories"
    state = opened(layers=layers, repositories=repositories)
    state.finish(A, RESOLVED)
    state.finish(B, RESOLVED)
    assert layers.read_text() == f"sha256:{'0' * 64}\n"
    assert repositories.read_text() == "host.example/a:1\nlibrary/redis\n"
    again = opened(repositories=repositories)
    assert again.is_listed(B) and not again.is_listed(Reference.parse("redis:7"))
    assert f"sha256:{'0' * 64}" not in again.layers


def test_the_reasons_of_failures_are_a_table(opened):
    failures = {B: Failed("missing", 'a "b", c'), A: Failed("denied", "no")}
    path = opened().write_failures(failures)
    assert path.name == "failures.csv"
    assert path.read_text() == (
        "image,cause,message\n"
        'docker.io/library/redis:latest,missing,"a ""b"", c"\n'
        "host.example/a:1,denied,no\n"
    )
    path.unlink()
    path.mkdir()
    with pytest.raises(OutputError, match="is a directory"):
        opened().write_failures(failures)


def test_a_state_that_is_closed_leaves_nothing_open(layout):
    before = os.listdir("/proc/self/fd")
    state = State(layout, (), None, None, {})
    state.close()
    assert os.listdir("/proc/self/fd") == before


def test_the_journal_is_removed_if_nothing_was_finished(opened, layout):
    opened()
    opened()
    assert not (layout.state / "journal").exists() or not (layout.state / "journal").read_bytes()


def test_a_list_that_can_not_be_written(tmp_path, monkeypatch):
    with pytest.raises(OutputError, match=r"can't append to .*; name another file with -l or -r"):
        FinishedList(tmp_path / "missing" / "list")
    finished = FinishedList(tmp_path / "list")
    monkeypatch.setattr(os, "write", lambda file, data: _full())
    with pytest.raises(OutputError, match="No space left on device; free some space"):
        finished.add("x")
    assert "x" not in finished
    monkeypatch.undo()
    finished.add("y")
    finished.add("y")
    assert (tmp_path / "list").read_text() == "y\n"
    FinishedList(None).add("z")


def _full():
    raise OSError(28, "No space left on device")
