"""A whole run in this process, step by step: profile, gather, exit codes, what is said."""

import time
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import pytest
from support.blob_source import tar_of
from support.layouts import Layout
from support.made import Entry, Made

from hpc_remetrics.analyze import profiling, run
from hpc_remetrics.analyze import session as session_module
from hpc_remetrics.analyze.outcome import code_if_complete, exit_code
from hpc_remetrics.analyze.profiling import Profiled, _publish_seconds, _tool_starter, profile
from hpc_remetrics.analyze.run import _run
from hpc_remetrics.analyze.run_inputs import Inputs
from hpc_remetrics.analyze.session import Session
from hpc_remetrics.config import AnalyzeOptions
from hpc_remetrics.dataset.ledger import Ledger
from hpc_remetrics.dataset.reader import Dataset
from hpc_remetrics.errors import OutputError, PartError
from hpc_remetrics.filetype.shared_table import TypeTable
from hpc_remetrics.limits import Limits
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.signals import StopRequest
from hpc_remetrics.parts.job_notes import read_notes
from hpc_remetrics.profile.parent import Child
from hpc_remetrics.records import Digest, Layer
from hpc_remetrics.registry.registries import Registries


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


@pytest.fixture
def no_layers(tmp_path):
    """A source of one image without layers: nothing is to be profiled."""
    layout = Layout(tmp_path / "empty")
    layout.image("a:1", [])
    return (f"oci:{layout.finish()}",)


def test_a_run_that_has_nothing_to_profile_gathers_once(
    make, no_layers, tmp_path, capsys, monkeypatch
):
    """What images state wrongly of layers, of which there are none here, has an exit code."""
    monkeypatch.setattr(run, "warn_of_false_claims", lambda claims: 1)
    session = make(sources=no_layers)
    assert _run(session, None) == 3
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "1 image, 0 layers, 0.00 GB compressed",
        f"gathering into {tmp_path}/out.h5",
        f"{tmp_path}/out.h5: 0 layers: 0 ok, 0 partial, 0 failed, 0 pending",
    ]
    with Dataset(tmp_path / "out.h5") as dataset:
        assert len(dataset.images) == 1 and dataset.has_metrics
        assert dataset.run["started"] == session.started
    assert list((tmp_path / "scratch").iterdir()) == []

    assert _run(make(sources=no_layers), None) == 0
    assert capsys.readouterr().err.splitlines()[1].startswith("nothing to do: ")
    assert _run(make(sources=no_layers, share=(1, 1)), None) == 0
    assert "this share is done (0 layers" in capsys.readouterr().err


def test_a_kept_layout_is_told_the_exit_code(make, no_layers, monkeypatch):
    told = []
    session = make(sources=no_layers)
    monkeypatch.setattr(session, "write_kept_index", lambda *about: told.append(about))
    monkeypatch.setattr(run, "_make_dataset", lambda session, work, reused, child: 4)
    assert _run(session, None) == 4
    [(catalog, code)] = told
    assert [image.name for image in catalog.images] == ["a:1"] and code == 4


class RecordedBacklog:
    """A backlog with given layers left at each look, that records what is set aside."""

    ledger = Ledger(ok=1, failed=1)
    reused_amount = 5, 6

    def __init__(self, *left):
        self.left = list(left)
        self.aside = []
        self.is_attempted = False

    def layers_left(self):
        return self.left.pop(0)

    def set_parts_aside(self, error):
        self.aside.append(error.parts)


@pytest.fixture
def steps(make, monkeypatch):
    """Return a function that runs the steps of a run on a backlog, and records them.

    `gathers` are the results of the gathers: exit codes, or parts that are found to be damaged.
    """

    def run_steps(backlog, *gathers, **options):
        done = []
        results = list(gathers)

        def profiled(session, work, todo, child, reused):
            assert reused == (5, 6)
            assert not backlog.is_attempted or backlog.aside
            done.append(todo)
            return Profiled(seconds=len(done))

        def gathered(session, work, backlog, profiled):
            done.append(profiled.seconds)
            result = results.pop(0)
            if isinstance(result, str):
                raise PartError([result], "damaged")
            return result

        monkeypatch.setattr(run, "Backlog", lambda *about: backlog)
        monkeypatch.setattr(run, "profile", profiled)
        monkeypatch.setattr(run, "_gather_and_reduce", gathered)
        monkeypatch.setattr(run, "code_if_complete", lambda session, work: None)
        work = SimpleNamespace(layers=dict.fromkeys("abc"), signature={})
        return run._make_dataset(make(**options), work, None, None), done

    return run_steps


LEFT = [Layer(Digest(bytes(32)), 5 * 10**9, "oci_tar")]


def test_layers_are_profiled_and_then_gathered(steps):
    backlog = RecordedBacklog(LEFT, [])
    assert steps(backlog, 3) == (3, [LEFT, 1])
    assert backlog.is_attempted


def test_layers_of_damaged_parts_are_profiled_again(steps):
    backlog = RecordedBacklog([], LEFT, [], LEFT, [])
    assert steps(backlog, "one", "two", 0) == (0, [0.0, LEFT, 2, LEFT, 4])
    assert backlog.aside == [["one"], ["two"]]


def test_layers_that_are_left_after_profiling_are_not_gathered(steps, capsys):
    assert steps(RecordedBacklog(LEFT, LEFT)) == (4, [LEFT])
    said = capsys.readouterr().err
    assert said.startswith("stopped: 2 of 3 layers done, 1 left with 5.00 GB; run the command")


def test_a_share_is_profiled_alone_and_has_the_exit_code_of_its_layers(steps):
    assert steps(RecordedBacklog(LEFT, []), share=(1, 2)) == (3, [LEFT])
    assert steps(RecordedBacklog([]), share=(1, 2)) == (3, [])


@pytest.fixture
def children(monkeypatch):
    """Record the children that a command starts and ends, instead of starting them."""
    done = []

    class RecordedChild:
        def __init__(self, limits):
            self.limits = limits
            done.append(("begun", limits))

        def close(self):
            done.append(("ended", self.limits))

    monkeypatch.setattr(session_module, "Child", RecordedChild)
    return done


@pytest.mark.parametrize("rank", [None, 0])
def test_the_child_of_a_single_process_ends_with_the_command(
    make, no_layers, children, monkeypatch, signal_handlers, rank
):
    """A launcher may have started it, as rank 0 of one."""
    monkeypatch.setattr(session_module, "launched_rank", lambda: rank)
    options = make(sources=no_layers, share=(1, 1)).options
    assert run.analyze(options) == 0
    assert children == [("begun", options.limits), ("ended", options.limits)]


@pytest.mark.parametrize(("rank", "is_begun"), [(None, True), (0, False), (2, True)])
def test_ranks_that_profile_start_a_child_before_mpi(
    make, children, monkeypatch, signal_handlers, rank, is_begun
):
    begun = []
    monkeypatch.setattr(session_module, "launched_rank", lambda: rank)
    monkeypatch.setattr(
        session_module, "run_job", lambda work, stop: begun.append(len(children)) or 7
    )
    assert run.analyze(make().options) == 7
    assert begun == [int(is_begun)]
    assert len(children) == 2 * is_begun


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


class SettingsOfChild:
    """Stands for a child, and keeps what it is set up with."""

    def set_up(self, *settings):
        self.settings = settings


@pytest.mark.parametrize(
    ("options", "unpacks", "seconds", "probes"),
    [
        ({}, False, 30.0, {"compression": "1/256"}),
        ({"extract": True, "publish_seconds": 5.0}, True, 5.0, {"compression": "1/256"}),
        ({"exec": "true", "compress_sample": Fraction(0)}, True, 30.0, {}),
    ],
)
def test_a_worker_is_made_as_the_options_say(make, options, unpacks, seconds, probes):
    session = make(**options)
    work = SimpleNamespace(signature={"types": "none"}, sources=[], registries=Registries())
    child = SettingsOfChild()
    with session.new_scratch() as scratch:
        types = profiling._new_table(session, work, [], scratch, ["here"])
        worker = profiling._new_worker(session, work, scratch, types, child)
        assert child.settings == ("none", types, scratch.path / "watch", probes)
    assert worker._prefetcher._room.unpacks == unpacks
    assert worker._publisher._max_seconds == seconds
    assert (worker.runner._start_tool is not None) == ("exec" in options)


def test_a_table_is_filled_with_the_types_of_a_dataset(make, tmp_path):
    entries = [Entry("file", b"%d" % number, number) for number in range(1, 4)]
    warm = Made([entries], [[0]]).write(tmp_path / "warm", metrics=False)
    session = make(types="exact", warm_types=warm)
    work = SimpleNamespace(signature={"types": "magic-test"})
    with session.new_scratch() as scratch:
        table = TypeTable(profiling._new_table(session, work, [], scratch, ["here"]))
        found = {entry.content: table.get(entry.digest) for entry in entries}
        descriptions = table.descriptions()
        table.close()
    assert [descriptions[found[number]] for number in (1, 2, 3)] == [
        "ASCII text",
        "ELF 64-bit",
        "ASCII text",
    ]


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
        begun = time.monotonic()
        profiled = profile(session, work, list(work.layers.values()), child)
        whole = time.monotonic() - begun
    assert profiled.worker.report.total.ok == 3
    assert whole >= profiled.seconds >= profiled.worker.report.total.busy_seconds / 2 > 0


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
