"""Scratch: what a job makes is gone after it, and what dead jobs left is swept."""

import socket
import subprocess
import sys

import pytest

from hpc_remetrics.errors import OutputError
from hpc_remetrics.node.scratch import Scratch, sweep

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


def test_ranks_that_come_and_go_never_lose_their_folder(tmp_path):
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
