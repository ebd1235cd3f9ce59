"""A whole run in this process, step by step: profile, gather, exit codes, what is said."""

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import pytest
from support.blob_source import tar_of
from support.layouts import Layout

from hpc_remetrics.analyze import profiling
from hpc_remetrics.analyze.outcome import code_if_complete, exit_code
from hpc_remetrics.analyze.profiling import _publish_seconds, _tool_starter, profile
from hpc_remetrics.analyze.run import _run
from hpc_remetrics.analyze.run_inputs import Inputs
from hpc_remetrics.analyze.session import Session
from hpc_remetrics.config import AnalyzeOptions
from hpc_remetrics.dataset.ledger import Ledger
from hpc_remetrics.dataset.reader import Dataset
from hpc_remetrics.errors import OutputError
from hpc_remetrics.filetype.shared_table import TypeTable
from hpc_remetrics.limits import Limits
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.signals import StopRequest
from hpc_remetrics.parts.job_notes import read_notes
from hpc_remetrics.profile.parent import Child
from hpc_remetrics.records import Digest, Layer


@pytest.fixture
def images(tmp_path):
    """A layout of one image of three layers."""
    layout = Layout(tmp_path / "layout")
    layout.image("a:1", [layout.layer(tar_of(name), "plain") for name in "abc"])
    return layout.finish()


@pytest.fixture
def child():
    """A child that nobody has set up: the run does."""
    made = Child(Limits())
    yield made
    made.close()


@pytest.fixture
def make(tmp_path, images):
    """Return a function that makes the session of a run on the layout."""
    (tmp_path / "scratch").mkdir()

    def session(**options):
        chosen = AnalyzeOptions(
            sources=(f"oci:{images}",),
            output=tmp_path / "out.h5",
            types="none",
            tiers=((tmp_path / "scratch", None),),
        )
        return Session(SerialComm(), replace(chosen, **options), StopRequest())

    return session


@pytest.mark.slow
def test_a_run_and_the_next_one_that_has_nothing_to_do(make, child, tmp_path, capsys):
    assert _run(make(), child) == 0
    said = capsys.readouterr().err
    assert "3/3 layers" in said and "gathering into" in said
    assert "3 layers: 3 ok" in said.splitlines()[-1]
    with Dataset(tmp_path / "out.h5") as dataset:
        assert dataset.ledger.ok == 3 and dataset.has_metrics
    before = (tmp_path / "out.h5").stat().st_mtime_ns
    assert _run(make(), None) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert (tmp_path / "out.h5").stat().st_mtime_ns == before
    # A dataset of other options is made anew, from the same parts.
    session = make(platforms=("linux/amd64",))
    inputs = Inputs(session)
    inputs.check()
    work = inputs.resolve()
    assert code_if_complete(session, work) == 0
    fewer = replace(work.catalog, images=work.catalog.images * 2)
    assert code_if_complete(session, replace(work, catalog=fewer)) is None
    assert code_if_complete(session, replace(work, lost=1)) == 3
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.slow
def test_a_share_is_not_gathered(make, child, tmp_path, capsys):
    assert _run(make(share=(1, 1)), child) == 0
    assert "this share is done" in capsys.readouterr().err
    assert not (tmp_path / "out.h5").exists()
    [note] = read_notes(tmp_path / "out.h5.parts")
    assert (note.share, note.ended, note.todo_layers, note.layers) == ("1/1", "done", 3, 3)
    assert _run(make(share=(1, 1)), None) == 0
    assert _run(make(), None) == 0
    assert (tmp_path / "out.h5").exists()


def test_a_run_that_is_stopped_says_what_is_left(make, child, tmp_path, capsys):
    session = make()
    monitor_saw = []

    def heartbeat():
        # A signal that comes while layers are profiled.
        if session.stop.at_once is None:
            monitor_saw.append(1)
            session.stop.reason = "SIGTERM"

    session.heartbeat = heartbeat
    code = _run(session, child)
    said = capsys.readouterr().err
    assert monitor_saw
    assert code == 4
    assert "stopped on SIGTERM: " in said and "of 3 layers done, " in said
    assert "run the command again to continue" in said
    [note] = read_notes(tmp_path / "out.h5.parts")
    assert note.ended == "stopped on SIGTERM"


@pytest.mark.parametrize(
    ("types", "hosts", "slots"),
    [
        # 8.9 * 10^11 bytes are 10^8 files, of which 2 * 10^(8 * 0.88) = 22 million are distinct.
        ("exact", ["here"], 1 << 25),
        ("exact", ["here", "here"], 1 << 25),
        # A node with one of ten ranks that profile has 2.9 million; rank 0 does not count.
        ("plain", ["here", *["there"] * 9, "here"], 1 << 22),
        ("exact", ["here", "there"], 1 << 21),
        ("none", ["here"], 1 << 21),
    ],
)
def test_the_table_of_a_node_is_made_for_the_files_of_its_ranks(
    make, monkeypatch, types, hosts, slots
):
    made = []

    def table(directory, slots):
        made.append((directory.name, slots))
        return TypeTable(directory, 64)

    monkeypatch.setattr(profiling, "TypeTable", table)
    monkeypatch.setattr(profiling, "table_room", lambda directory, share: share * 2**40)
    session = make(types=types, type_memory=Fraction(1, 2))
    session.comm.host = "here"
    work = SimpleNamespace(signature={"types": "magic-test"})
    todo = [Layer(Digest(bytes(32)), 89 * 10**10, "oci_tar_gzip")]
    with session.new_scratch() as scratch:
        directory = profiling._new_table(session, work, todo, scratch, hosts)
        assert made == [("magic-test", slots)]
        # The ranks join this table.
        assert TypeTable(directory).size == 64 * 8


def test_an_error_of_the_profiling_is_raised_as_one_of_all_ranks(make, child):
    session = make()
    inputs = Inputs(session)
    inputs.check()
    work = inputs.resolve()
    # There is no directory of parts: nobody took the lock.
    with pytest.raises(OutputError) as raised:
        profile(session, work, list(work.layers.values()), child)
    assert raised.value.shared


def test_profiling_ends_with_what_this_rank_did(make, child):
    session = make()
    inputs = Inputs(session)
    inputs.check()
    with session.output_lock(inputs.check_output):
        work = inputs.resolve()
        profiled = profile(session, work, list(work.layers.values()), child)
    assert profiled.worker.report.total.ok == 3
    assert profiled.seconds >= profiled.worker.report.total.busy_seconds / 2 > 0


@pytest.mark.parametrize(
    ("ledger", "lost", "claims", "code"),
    [
        (Ledger(ok=1), 0, 0, 0),
        (Ledger(ok=1), 1, 0, 3),
        (Ledger(ok=1), 0, 1, 3),
        (Ledger(ok=1, failed=1), 0, 0, 3),
        (Ledger(ok=1, pending=1), 1, 1, 4),
    ],
)
def test_exit_codes(ledger, lost, claims, code):
    assert exit_code(ledger, lost, claims) == code


@pytest.mark.parametrize(
    ("ranks", "seconds"), [(1, 30.0), (120, 30.0), (121, 30.25), (4800, 1200.0), (9000, 1200.0)]
)
def test_more_ranks_publish_more_seldom(ranks, seconds):
    assert _publish_seconds(ranks) == seconds


def test_the_tool_is_started_as_the_options_say(tmp_path):
    assert _tool_starter(AnalyzeOptions()) is None
    start = _tool_starter(AnalyzeOptions(exec=f"echo {{digest}} > {tmp_path}/said"))
    tool = start(tmp_path, Digest(bytes(32)))
    tool._process.wait()
    assert (tmp_path / "said").read_text().strip() == "0" * 64
