"""The session: the lock, scratch, and what a stop request does in each step."""

import os
from pathlib import Path

import pytest

from hpc_remetrics.analyze.session import Session
from hpc_remetrics.config import AnalyzeOptions
from hpc_remetrics.errors import OutputError, OutputLockedError
from hpc_remetrics.files.lock import OutputLock, lock_path
from hpc_remetrics.files.publish import _RANDOM_BYTES
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.signals import StopRequest
from hpc_remetrics.records import Catalog, Digest, Image


class AbortedError(Exception):
    """Stands for the end of all ranks."""


class EndingComm(SerialComm):
    """Raises where a real communicator ends the process."""

    def abort(self, code=1):
        raise AbortedError(code)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out.h5"


@pytest.fixture
def make(output, tmp_path):
    """Return a function that makes a session with scratch in a directory of its own."""

    def session(**options):
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        chosen = {"output": output, "tiers": ((scratch, None),), **options}
        return Session(EndingComm(), AnalyzeOptions(**chosen), StopRequest())

    return session


def nothing():
    pass


def test_the_lock_and_the_directory_of_parts_are_there_within_the_block(make, output):
    session = make()
    with session.output_lock(nothing):
        assert lock_path(output).stat().st_size > 0
        assert session.parts == output.parent / "out.h5.parts"
        (session.parts / "part-a.h5").write_text("")
    assert lock_path(output).stat().st_size == 0
    assert session.parts.exists()


def test_a_run_that_comes_to_nothing_leaves_nothing(make, tmp_path):
    session = make()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ZeroDivisionError), session.output_lock(nothing):
        raise ZeroDivisionError
    assert sorted(tmp_path.iterdir()) == before


def test_the_output_is_checked_under_the_lock(make, output):
    session = make()

    def check():
        assert lock_path(output).exists()
        assert not session.parts.exists()
        raise OutputError("made meanwhile")

    with pytest.raises(OutputError, match="made meanwhile"), session.output_lock(check):
        pass
    assert not lock_path(output).exists()


def test_what_killed_runs_left_is_removed_unless_others_may_work_there(make, output):
    end = f"{'0f' * _RANDOM_BYTES}.tmp"
    left = (
        output.parent / f".out.h5.{end}",
        output.parent / "out.h5.parts" / f".part-x.h5.{end}",
    )
    for share, stays in (((1, 2), True), (None, False)):
        for path in left:
            path.parent.mkdir(exist_ok=True)
            path.write_text("")
        with make(share=share).output_lock(nothing):
            assert [path.exists() for path in left] == [stays, stays]


def test_a_share_locks_its_own_slot(make, output):
    with make(share=(2, 3)).output_lock(nothing):
        assert lock_path(output).read_bytes()[:256].strip(b"\0") == b""
        assert lock_path(output).read_bytes()[256:].startswith(os.uname().nodename.encode())


def test_a_directory_of_parts_that_can_not_be_made(make, output):
    (output.parent / "out.h5.parts").write_text("in the way")
    with (
        pytest.raises(OutputError, match=r"can't make .*out\.h5\.parts"),
        make().output_lock(nothing),
    ):
        pass


def test_scratch_is_removed_at_the_end_however_that_comes(make, tmp_path):
    session = make()
    jobs = set()
    for error in (None, ZeroDivisionError):
        try:
            with session.new_scratch() as scratch:
                jobs.add(scratch.job)
                (scratch.path / "file").write_text("x")
                if error:
                    raise error
        except ZeroDivisionError:
            pass
        assert list((tmp_path / "scratch").iterdir()) == []
    assert len(jobs) == 2


def test_scratch_takes_what_the_options_say(make, tmp_path):
    session = make(tiers=((tmp_path / "scratch", 12_345),), node_layers=(1, 1, 1, 1))
    with session.new_scratch() as scratch:
        assert scratch.most == 12_345
        assert scratch.grant(1) is not None
        assert scratch.grant(1) is None


def test_scratch_that_can_not_be_made_is_an_error(make, tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="no scratch"),
        make(tiers=((tmp_path / "file", None),)).new_scratch(),
    ):
        pass


def test_a_stop_that_came_before_ends_the_job_at_once(make, capsys):
    session = make()
    session.stop.reason = "SIGTERM"
    with pytest.raises(AbortedError) as ended:
        session.leave_on_stop()
    assert ended.value.args == (4,)
    assert "stopped on SIGTERM" in capsys.readouterr().err


def test_without_a_stop_nothing_ends(make):
    session = make()
    session.leave_on_stop()
    with session.new_scratch(), session.stop_is_polled():
        assert session.stop.at_once is None
    session.poll_stop()
    assert session.stop.at_once is None


def test_a_stop_outside_the_profiling_clears_scratch_and_says_how_to_go_on(make, tmp_path, capsys):
    session = make()
    session.leave_on_stop()
    session.stop.reason = "SIGUSR1"
    with session.new_scratch():
        with pytest.raises(AbortedError):
            session.stop.at_once()
        assert list((tmp_path / "scratch").iterdir()) == []
    assert "run the command again to continue" in capsys.readouterr().err


def test_while_a_stop_is_polled_nothing_ends_at_once(make):
    session = make()
    session.leave_on_stop()
    handler = session.stop.at_once
    with session.stop_is_polled():
        assert session.stop.at_once is None
        session.stop.reason = "SIGTERM"
    assert session.stop.at_once == handler
    with pytest.raises(ZeroDivisionError), session.stop_is_polled():
        raise ZeroDivisionError
    assert session.stop.at_once == handler


def test_rank_0_speaks_unless_it_is_to_be_quiet(make, capsys):
    make().say("one")
    make(quiet=True).say("two")
    other = make()
    other.comm.rank = 1
    other.say("three")
    other.say_from_any_rank("four")
    assert capsys.readouterr().err == "one\nfour\n"


def test_a_heartbeat_moves_the_lock(make, output, monkeypatch):
    session = make()
    session.heartbeat()
    with session.output_lock(nothing):
        before = lock_path(output).read_bytes()
        monkeypatch.setattr("hpc_remetrics.files.lock.HEARTBEAT", 0.0)
        session.heartbeat()
        assert lock_path(output).read_bytes() != before


def test_a_kept_layout_is_locked_as_long_as_the_output(make, tmp_path, capsys):
    session = make(keep=tmp_path / "kept")
    image = Image("a:1", Digest(bytes(32)), "", "oci")
    with session.output_lock(nothing):
        session.write_kept_index(Catalog([image]), 0)
        layout = session.open_kept_layout(tmp_path / "kept")
        assert layout.read_index() == []
        assert lock_path(tmp_path / "kept").stat().st_size > 0
        session.write_kept_index(None, 0)
        assert capsys.readouterr().err == ""
        session.write_kept_index(Catalog(), 0)
        assert capsys.readouterr().err == ""
        session.write_kept_index(Catalog([image]), 0)
        said = capsys.readouterr().err
        assert "not listed in its index.json: 1 image; " in said
        assert f"-o {Path(tmp_path / 'kept')}" in said
        session.write_kept_index(Catalog([image]), 4)
        assert "download" not in capsys.readouterr().err
    assert lock_path(tmp_path / "kept").stat().st_size == 0


def test_a_lock_that_another_job_holds(make, output, monkeypatch):
    """POSIX locks don't bar their own process, but a slot that another node fills does."""
    monkeypatch.setattr("hpc_remetrics.files.lock._WATCH", 0.0)
    lock_path(output).write_text("elsewhere 1 1\n".ljust(128))
    monkeypatch.setattr(OutputLock, "_watch", lambda self, held: self._refuse(held))
    with pytest.raises(OutputLockedError), make().output_lock(nothing):
        pass
