"""The watch over the start of MPI: what it finds and reports, and when it ends its rank."""

import os
import signal
import subprocess
import sys

import pytest

from hpc_remetrics.mpi import start_watch, start_watch_process
from hpc_remetrics.mpi.start_watch_process import is_alive, ranks_in, report


@pytest.fixture
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_which_processes_live(dead):
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    assert is_alive(os.getpid())
    assert not is_alive(zombie.pid)
    assert not is_alive(dead)
    zombie.wait()


def test_ranks_that_wait_and_ranks_that_died(tmp_path, dead):
    for name in (f"11-{os.getpid()}", f"2-{os.getpid()}", f"9-{dead}", f"10-{dead}"):
        (tmp_path / name).touch()
    assert ranks_in(str(tmp_path)) == ([2, 11], [9, 10])


@pytest.mark.parametrize(
    ("here", "dead", "local", "size", "text"),
    [
        ([0, 1], [2], 3, 3, "2 of 3 ranks of node7 wait for MPI to start; ended meanwhile: rank 2"),
        (
            [4, 6],
            [],
            4,
            8,
            "2 of 4 ranks of node7 wait for MPI to start; 2 never began; here are rank 4, 6 of 8",
        ),
        (
            [0, 1],
            [],
            2,
            8,
            "2 of 2 ranks of node7 wait for MPI to start; all ranks of this node are here, so the "
            "missing ones are on another node",
        ),
        ([0, 1], [], 2, 2, "2 of 2 ranks of node7 wait for MPI to start"),
        ([0], [], 1, 1, "1 of 1 rank of node7 wait for MPI to start"),
        ([0, 1], [], 0, 8, "2 of the ranks of node7 wait for MPI to start"),
    ],
)
def test_what_is_reported(here, dead, local, size, text):
    assert report(here, dead, "node7", local, size) == text


@pytest.fixture
def watch(tmp_path, monkeypatch):
    """Calls `main` as the watch of `rank`, with a clock that moves by each wait, and no signals."""
    now = [100.0]
    killed, waits = [], []

    def select(readable, writable, failed, seconds):
        waits.append(seconds)
        now[0] += seconds
        return ([0] if len(waits) > run.closed_after else [], [], [])

    monkeypatch.setattr(start_watch_process.select, "select", select)
    monkeypatch.setattr(start_watch_process.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(start_watch_process.time, "sleep", lambda seconds: None)
    handlers = {}
    monkeypatch.setattr(start_watch_process.signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(start_watch_process.os, "kill", lambda *what: killed.append(what))

    def run(rank, closed_after=1000, first=60, longest=900):
        run.closed_after = closed_after
        run.handlers = handlers
        start_watch_process.main(
            [str(tmp_path), str(rank), "4711", "node7", "2", "2", str(first), str(longest)]
        )
        return waits, killed

    (tmp_path / f"0-{os.getpid()}").touch()
    (tmp_path / f"1-{os.getpid()}").touch()
    return run


def test_reports_come_whenever_the_time_has_doubled_and_the_last_one_ends_the_rank(watch, capsys):
    waits, killed = watch(0)
    assert waits == [60, 60, 120, 240, 420]
    assert killed == [(4711, signal.SIGKILL)]
    lines = capsys.readouterr().err.splitlines()
    text = "hpc-remetrics: 2 of 2 ranks of node7 wait for MPI to start"
    times = (60, 120, 240, 480, 900)
    end = "; the job is ended (--start-seconds)"
    assert lines == [f"{text} ({seconds} s so far){end * (seconds == 900)}" for seconds in times]


def test_only_the_watch_of_the_lowest_rank_speaks(watch, capsys):
    _, killed = watch(1)
    assert killed == [(4711, signal.SIGKILL)]
    assert capsys.readouterr().err == ""


def test_the_watch_outlives_the_signals_that_a_launcher_sends(watch):
    watch(0)
    ignored = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    assert watch.handlers == dict.fromkeys(ignored, signal.SIG_IGN)


def test_a_rank_that_is_connected_is_left_alone(watch, capsys):
    waits, killed = watch(0, closed_after=2)
    assert len(waits) == 3 and killed == []
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_the_watch_ends_with_the_body_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(start_watch, "_MEMORY", tmp_path)
    with start_watch.watched(3, 8):
        (mark,) = tmp_path.glob("*/*/*")
        assert mark.name == f"3-{os.getpid()}"
    assert list(tmp_path.iterdir()) == []
    with start_watch.watched(None, 8):
        assert list(tmp_path.iterdir()) == []


def test_the_command_of_the_watch(tmp_path):
    command = start_watch._watch_command(tmp_path, 3, 8, 900.0, 4)
    assert command[:3] == [sys.executable, "-I", "-S"]
    assert command[4:] == [
        *(str(tmp_path), "3", str(os.getpid()), start_watch.socket.gethostname()),
        *("4", "8", "60.0", "900.0"),
    ]
    assert start_watch._watch_command(tmp_path, 3, 8, 5.0, 4)[-2:] == ["5.0", "5.0"]


def test_marks_of_jobs_that_are_gone_are_removed(tmp_path, monkeypatch, dead):
    monkeypatch.setattr(start_watch, "_MEMORY", tmp_path)
    first = start_watch._meeting_directory()
    launcher = start_watch._launcher()
    assert first.name == f"{launcher}-{start_watch._about(launcher)[2]}"
    for name in (f"{dead}-1", f"{os.getpid()}-1", "other"):
        (first.parent / name).mkdir()
    assert start_watch._meeting_directory() == first
    assert list(first.parent.iterdir()) == [first]
    assert first.stat().st_mode & 0o777 == 0o700
    assert first.parent.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_the_last_rank_of_another_job_just_removed_is_made_again(
    tmp_path, monkeypatch
):
    base = start_watch.private_directory(tmp_path, "base")
    monkeypatch.setattr(start_watch, "private_directory", lambda above, name: base)

    def iterate(path):
        base.rmdir()
        return iter(())

    monkeypatch.setattr(start_watch.Path, "iterdir", iterate)
    directory = start_watch._meeting_directory()
    assert directory.is_dir() and directory.parent == base
    assert base.stat().st_mode & 0o777 == 0o700


def test_without_a_directory_nothing_is_watched(tmp_path, monkeypatch):
    monkeypatch.setattr(start_watch, "_MEMORY", tmp_path / "file")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(start_watch.subprocess, "Popen", None)
    done = []
    with start_watch.watched(3, 8):
        done.append(1)
    assert done == [1]


def test_the_launcher_is_the_next_process_above_with_such_a_name(monkeypatch):
    above = {10: ("bash", 9, "1"), 9: ("hydra_pmi_proxy", 8, "1"), 8: ("mpirun", 1, "1")}
    monkeypatch.setattr(start_watch, "_about", above.__getitem__)
    monkeypatch.setattr(start_watch.os, "getppid", lambda: 10)
    assert start_watch._launcher() == 9
    above[9] = ("sh", 8, "1")
    assert start_watch._launcher() == 8
    above[8] = ("init", 1, "1")
    assert start_watch._launcher() == 10


def test_what_is_known_of_a_process(dead):
    name, parent, began = start_watch._about(os.getpid())
    assert name and parent == os.getppid() and began.isdigit()
    assert start_watch._about(dead) == ("", 0, "")


@pytest.mark.parametrize(
    ("environ", "ranks"),
    [
        ({}, 0),
        ({"MPI_LOCALNRANKS": "4"}, 4),
        ({"MPI_LOCALNRANKS": "many"}, 0),
    ],
)
def test_ranks_of_this_node_by_the_word_of_the_launcher(environ, ranks):
    assert start_watch._local_size(environ) == ranks
