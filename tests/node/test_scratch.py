"""Scratch: what a job makes is gone after it, and what dead jobs left is swept."""

import os
import socket
import subprocess
import sys

import pytest

from hpc_remetrics.errors import OutputError
from hpc_remetrics.files.private_directory import open_private
from hpc_remetrics.mpi import signals
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.node import scratch as scratch_module
from hpc_remetrics.node.scratch import (
    Scratch,
    base_in,
    bases_in,
    node_bases,
    shared_scratch,
    sweep,
)

LEAVE = (
    "import os, sys\n"
    "from pathlib import Path\n"
    "from hpc_remetrics.node.scratch import Scratch\n"
    "scratch = Scratch('dead', 0, [Path(sys.argv[1])])\n"
    "(scratch.path / 'spill').write_bytes(bytes(1000))\n"
    "scratch.shared('types')\n"
    "os._exit(9)\n"
)


def test_nothing_is_left(tmp_path):
    scratch = Scratch("a", 0, [tmp_path])
    other = Scratch("a", 1, [tmp_path])
    (scratch.path / "spill").write_text("x")
    (scratch.shared("types") / "table").write_text("x")
    assert scratch.shared("types") == other.shared("types")
    scratch.close()
    assert other.shared("types").is_dir()
    assert not scratch.path.exists() and other.path.is_dir()
    other.close()
    assert list(tmp_path.iterdir()) == []


def test_a_dead_job_is_swept_and_a_living_one_is_not(tmp_path):
    subprocess.run([sys.executable, "-c", LEAVE, tmp_path], check=False)
    [base] = tmp_path.iterdir()
    assert (base / "job-dead").exists()
    living = Scratch("living", 0, [tmp_path])
    assert not (base / "job-dead").exists()
    assert sweep([base]) == 0
    assert living.path.is_dir()
    living.close()
    assert not base.exists()
    assert sweep([base]) == 0


@pytest.mark.slow
def test_nodes_that_share_a_file_system_do_not_meet(tmp_path, monkeypatch):
    """A lock may not reach other nodes, and numbers of processes mean nothing there."""
    subprocess.run([sys.executable, "-c", LEAVE, tmp_path], check=False)
    [dead] = tmp_path.glob("*/job-dead")
    here = Scratch("a", 0, [tmp_path])
    assert not dead.exists()
    subprocess.run([sys.executable, "-c", LEAVE, tmp_path], check=False)
    monkeypatch.setattr(socket, "gethostname", lambda: "othernode")
    there = Scratch("a", 0, [tmp_path])
    assert dead.exists()
    assert here.path != there.path
    here.close()
    there.close()


@pytest.mark.slow
def test_ranks_that_come_and_go_never_lose_their_directory(tmp_path):
    """Each of some processes sweeps, enters, writes, and leaves, many times, beside the others."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from hpc_remetrics.node.scratch import Scratch\n"
        "for turn in range(150):\n"
        "    scratch = Scratch(f'job{turn % 3}', int(sys.argv[2]), [Path(sys.argv[1])])\n"
        "    (scratch.path / 'spill').write_text('x')\n"
        "    (scratch.shared('types') / sys.argv[2]).write_text('x')\n"
        "    assert (scratch.path / 'spill').read_text() == 'x'\n"
        "    scratch.close()\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path, str(rank)]) for rank in range(4)
    ]
    assert [process.wait() for process in processes] == [0] * 4
    assert list(tmp_path.iterdir()) == []


def test_files_go_to_the_last_tier_and_the_table_to_the_first(tmp_path):
    fast, slow = tmp_path / "fast", tmp_path / "slow"
    fast.mkdir()
    slow.mkdir()
    scratch = Scratch("a", 0, [fast, slow])
    assert scratch.path.is_relative_to(slow)
    assert scratch.shared("types").is_relative_to(fast)
    scratch.close()


def test_no_tier_that_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="no scratch directory can be written"):
        Scratch("a", 0, [tmp_path / "file"])


class Node(SerialComm):
    """Rank 1 of three, the second rank of its node, whose first rank has the bases `theirs`."""

    rank, size = 1, 3

    def __init__(self, theirs=None):
        super().__init__()
        self.host, self.theirs = "node7", theirs

    def allgather(self, value):
        if isinstance(value, str):
            return ["node7", value, "node8"]
        assert value is None
        return [self.theirs, value, None]


def test_the_bases_of_a_node_are_those_of_its_first_rank(tmp_path):
    bases = {tmp_path: tmp_path / "base"}
    assert node_bases(Node(bases), [tmp_path]) == bases
    assert list(tmp_path.iterdir()) == []
    (base,) = node_bases(SerialComm(), [tmp_path]).values()
    assert base.name == f"hpc-remetrics-{os.getuid()}-{socket.gethostname()}"
    assert base.stat().st_mode & 0o777 == 0o700


def test_scratch_of_a_command_is_there_in_its_body(tmp_path):
    with shared_scratch(SerialComm(), [tmp_path], {tmp_path: 1000}) as scratch:
        assert scratch.path.is_dir() and scratch.path.name == "rank-0"
        assert scratch.path.parent.name == f"job-{scratch.job}" and len(scratch.job) == 12
        assert scratch.most == 1000
        assert signals._cleanups == [scratch.close]
    assert list(tmp_path.iterdir()) == [] and signals._cleanups == []
    with pytest.raises(ZeroDivisionError), shared_scratch(SerialComm(), [tmp_path]):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_the_tiers_lack_is_told(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text("")
    with pytest.raises(OutputError) as caught:
        bases_in([tmp_path / "one", tmp_path / "two"])
    reasons = ", ".join(f"{tmp_path / name} (File exists)" for name in ("one", "two"))
    assert f"no scratch directory can be written: {reasons}; name one" in str(caught.value)
    assert list(bases_in([tmp_path / "one", tmp_path])) == [tmp_path]


def test_the_shared_table_goes_where_there_is_room_for_it(tmp_path, monkeypatch):
    fast, slow = tmp_path / "fast", tmp_path / "slow"
    for tier in (fast, slow):
        tier.mkdir()
    scratch = Scratch("a", 0, [fast, slow])
    free = {"fast": (64 << 20) - 1, "slow": 0}
    monkeypatch.setattr(scratch_module, "room", lambda base: free[base.parent.name])
    assert scratch.shared("types").is_relative_to(slow)
    free["fast"] += 1
    assert scratch.shared("types").is_relative_to(fast)
    scratch.close()


def test_a_rank_that_can_not_enter_leaves_nothing(tmp_path):
    base = bases_in([tmp_path])[tmp_path]
    (base / "job-a").mkdir()
    (base / "job-a" / "rank-0").write_text("")
    with pytest.raises(OutputError, match=r"scratch can't be written: File exists .*rank-0"):
        Scratch("a", 0, [tmp_path])
    assert list(tmp_path.iterdir()) == []


def open_files():
    return len(os.listdir("/proc/self/fd"))


def test_nothing_stays_open(tmp_path):
    before = open_files()
    scratch = Scratch("a", 0, [tmp_path])
    base = scratch._bases[0]
    # A lock for the job, and the quota with its map.
    assert open_files() == before + 3
    assert (base / "job-a.lock").stat().st_mode & 0o777 == 0o600
    assert (base / "job-a").stat().st_mode & 0o777 == 0o700
    scratch.close()
    subprocess.run([sys.executable, "-c", LEAVE, tmp_path], check=False)
    assert sweep(bases_in([tmp_path]).values()) == 1
    assert open_files() == before


def test_a_lock_that_is_a_link_or_a_fifo_is_no_job(tmp_path):
    base = base_in(tmp_path)
    (base / "job-b").mkdir()
    (base / "job-link.lock").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(base / "job-fifo.lock")
    (tmp_path / "elsewhere").write_text("")
    # Opening the FIFO does not wait for a writer; it is nobody's lock, and is removed.
    assert sweep([base, tmp_path / "gone"]) == 1
    assert sorted(path.name for path in base.iterdir()) == ["job-b", "job-link.lock"]
    with pytest.raises(OutputError, match="symbolic link"):
        Scratch("link", 0, [tmp_path])


def test_a_base_that_goes_while_a_job_enters_is_made_again(tmp_path, monkeypatch):
    base = base_in(tmp_path)
    opens = []

    def vanishing(path):
        opens.append(path)
        if len(opens) < 3:
            base.rmdir()
        return open_private(path)

    monkeypatch.setattr(scratch_module, "open_private", vanishing)
    before = open_files()
    lock = scratch_module._enter_job(base, "a")
    assert len(opens) == 3 and (base / "job-a").is_dir()
    assert base.stat().st_mode & 0o777 == 0o700
    assert open_files() == before + 1
    os.close(lock)
    # A lock that a sweep removed before it was locked is not the one that others see.
    others = [False, False, True]
    monkeypatch.setattr(scratch_module, "_is_same_file", lambda path, lock: others.pop(0))
    os.close(scratch_module._enter_job(base, "b"))
    assert others == [] and open_files() == before
    monkeypatch.setattr(scratch_module, "_is_same_file", lambda path, lock: False)
    with pytest.raises(OutputError, match=r"can't make .*job-c; name another directory"):
        scratch_module._enter_job(base, "c")
    assert open_files() == before


def test_what_can_not_be_written_is_named_by_its_tier(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch_module, "_enter_job", fail)
    fast, slow = tmp_path / "fast", tmp_path / "slow"
    with pytest.raises(OutputError) as caught:
        Scratch("a", 0, [fast, slow])
    assert str(caught.value) == (
        f"scratch can't be written: No space left on device ({fast}); "
        "make room, or name another directory with --scratch"
    )


def test_a_grant_has_a_name_of_its_own(tmp_path):
    scratch = Scratch("a", 0, [tmp_path], {tmp_path: 1000})
    first, second = scratch.grant(1000), scratch.grant(1)
    assert (first.path, first.size) == (scratch.path / "grant-1", 1000)
    assert second is None
    first.release()
    assert scratch.grant(1).path == scratch.path / "grant-2"
    scratch.close()


def test_a_base_that_comes_and_goes(tmp_path, monkeypatch):
    gone = []

    def vanishing(above, name):
        gone.append(name)
        return above / "vanished" if len(gone) < 3 else tmp_path

    monkeypatch.setattr(scratch_module, "private_directory", vanishing)
    assert base_in(tmp_path) == tmp_path
    monkeypatch.setattr(scratch_module, "private_directory", lambda above, name: above / "gone")
    with pytest.raises(FileNotFoundError, match="removed again and again"):
        base_in(tmp_path)
