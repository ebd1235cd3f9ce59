"""Scratch where others can write: whatever they put in the way, ours is private and swept later."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.open_files import open_files
from support.tools import need

from hpc_remetrics.errors import OutputError
from hpc_remetrics.files.private_directory import (
    is_private,
    open_private,
    private_directories,
    private_directory,
)
from hpc_remetrics.node.scratch import Scratch, bases_in

OTHER = 12345
NAME = f"hpc-remetrics-{os.getuid()}-{socket.gethostname()}"

as_root = pytest.mark.skipif(os.getuid() != 0, reason="acts as another user")


@pytest.fixture
def shared(tmp_path):
    """A directory like /tmp."""
    path = tmp_path / "shared"
    path.mkdir()
    path.chmod(0o1777)
    return path


def in_the_way(path: Path, what: str) -> None:
    if what == "a directory of somebody else":
        path.mkdir(mode=0o700)
        os.chown(path, OTHER, OTHER)
    elif what == "an open directory of ours":
        path.mkdir()
        path.chmod(0o777)
    elif what == "a link to a directory of ours":
        (path.parent / "target").mkdir(mode=0o700)
        path.symlink_to("target")
    elif what == "a dangling link":
        path.symlink_to("nowhere")
    elif what == "a pipe":
        os.mkfifo(path)
    else:
        path.write_text("")


WAYS = (
    *("a directory of somebody else", "an open directory of ours", "a link to a directory of ours"),
    *("a dangling link", "a pipe", "a file"),
)


@as_root
@pytest.mark.parametrize("what", WAYS)
def test_a_taken_name_costs_nothing(shared, what):
    in_the_way(shared / NAME, what)
    one, other = Scratch("a", 0, [shared]), Scratch("a", 1, [shared])
    assert one.path.parent == other.path.parent
    base = one.path.parents[1]
    assert base.name.startswith(f"{NAME}~") and is_private(base)
    other.close()
    one.close()
    assert not base.exists()


def test_what_is_no_private_directory_says_why(tmp_path):
    in_the_way(tmp_path / "open", "an open directory of ours")
    in_the_way(tmp_path / "link", "a dangling link")
    in_the_way(tmp_path / "file", "a file")
    for name in ("open", "link", "file"):
        with pytest.raises(PermissionError, match="it is not private to this user"):
            open_private(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        open_private(tmp_path / "missing")
    assert open_files(tmp_path) == []
    assert private_directories(tmp_path / "missing", "name") == []


def test_the_directories_above_are_made(tmp_path):
    for _ in range(2):
        path = private_directory(tmp_path / "a" / "b", "name")
        assert path == tmp_path / "a" / "b" / "name" and is_private(path)


@as_root
def test_what_a_dead_job_left_under_another_name_is_swept(shared):
    in_the_way(shared / NAME, "a file")
    code = (
        "from hpc_remetrics.node.scratch import *\n"
        f"s = Scratch('dead', 0, [Path({str(shared)!r})])\n"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    [dead] = shared.glob("*/job-dead")
    (shared / NAME).unlink()
    living = Scratch("living", 0, [shared])
    assert living.path.parents[1] == shared / NAME
    assert not dead.exists()
    living.close()


def test_another_node_with_a_like_name_is_left_alone(shared):
    (shared / f"{NAME}-2").mkdir(mode=0o700)
    assert private_directories(shared, NAME) == []


def test_where_everybody_can_rename_there_is_no_scratch(shared):
    shared.chmod(0o777)
    with pytest.raises(OutputError, match="sticky"):
        bases_in([shared])
    shared.chmod(0o2775)
    assert list(bases_in([shared]).values()) == [shared / NAME]


RACE = """
import os, sys
os.setgid({uid}); os.setuid({uid})
name, mine = sys.argv[1], sys.argv[1] + "-mine"
print("begun", flush=True)
while True:
    makers = (
        lambda: os.mkdir(name, 0o777),
        lambda: os.symlink("/etc", name),
        lambda: os.symlink(mine, name),
    )
    for make in makers:
        try:
            make()
        except OSError:
            pass
        try:
            os.rmdir(name) if os.path.isdir(name) and not os.path.islink(name) else os.unlink(name)
        except OSError:
            pass
"""


@pytest.mark.slow
@as_root
def test_a_race_for_the_name_is_never_won(shared):
    shared.parent.chmod(0o755)
    command = [sys.executable, "-c", RACE.format(uid=OTHER), str(shared / NAME)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as attacker:
        attacker.stdout.readline()
        try:
            for _ in range(300):
                found = private_directory(shared, NAME)
                assert found.lstat().st_uid == os.getuid() and found.lstat().st_mode & 0o77 == 0
                found.rmdir()
        finally:
            attacker.kill()


@pytest.mark.slow
@as_root
def test_ranks_of_a_job_agree_on_the_other_name(runs, layout, shared):
    need("mpirun")
    in_the_way(shared / NAME, "a directory of somebody else")
    command = runs.command("analyze", f"oci:{layout}", "-o", "out.h5", "--scratch", shared, ranks=3)
    runs.run(command)
    assert sorted(path.name for path in shared.iterdir()) == [NAME]
