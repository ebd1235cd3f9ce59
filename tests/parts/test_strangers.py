"""Parts, notes and directories that another user made: in a sticky directory, and in one of a
group."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.synthetic import SIGNATURE, TYPES, make_layer

from hpc_remetrics.errors import DatasetError
from hpc_remetrics.files import untrusted
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.parts.job_notes import read_notes
from hpc_remetrics.parts.part_reader import read_part
from hpc_remetrics.parts.part_writer import write_part
from hpc_remetrics.parts.parts_directory import scan_parts
from hpc_remetrics.sources import demo

ALICE, MALLORY = 54321, 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as two users")


def as_user(user: int, function: Callable[[], str]) -> str:
    """Return what a function returns in a process of another user."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.close(reading)
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            text = function()
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    os.waitpid(child, 0)
    return text


@pytest.fixture
def shared(tmp_path) -> Path:
    """A directory that every user reaches, which pytest's own are not."""
    made = Path("/tmp") / f"strangers-{os.getpid()}-{time.monotonic_ns()}"
    made.mkdir(mode=0o755)
    yield made
    os.system(f"rm -rf {made}")


def write(directory: Path, name: str, number: int, owner: int, scratch: Path) -> Path:
    layer = make_layer(random.Random(number), number, 9)
    items = [(layer.digest, layer.profile, layer.spill(scratch))]
    path = write_part(directory, name, items, [], TYPES, SIGNATURE, scratch)
    os.chown(path, owner, owner)
    os.chmod(path, 0o644)
    return path


def names(directory: Path) -> str:
    found = scan_parts(directory, SerialComm())
    return " ".join([*(part.path.name[5:-3] for part in found.parts), "by", *found.others])


def made(shared: Path, owner: int, mode: int, tmp_path: Path) -> Path:
    """A directory of parts of its owner, of Alice and of Mallory."""
    directory = shared / "hub.h5.parts"
    directory.mkdir()
    for number, user in enumerate((owner, ALICE, MALLORY)):
        write(directory, f"{number}-0-0", number, user, tmp_path)
    os.chown(directory, owner, owner)
    os.chmod(directory, mode)
    return directory


@as_root
def test_in_a_sticky_directory_only_parts_of_the_user_and_of_its_owner_count(shared, tmp_path):
    directory = made(shared, 0, 0o1777, tmp_path)
    assert as_user(ALICE, lambda: names(directory)) == "0-0-0 1-0-0 by root"
    found = scan_parts(directory, SerialComm())
    assert [part.path.name for part in found.parts] == ["part-0-0-0.h5"]
    assert "belongs to nobody" in found.damaged[1]


@as_root
def test_in_a_directory_of_a_group_parts_of_colleagues_count_and_are_named(shared, tmp_path):
    directory = made(shared, ALICE, 0o2775, tmp_path)
    assert as_user(ALICE, lambda: names(directory)) == "0-0-0 1-0-0 2-0-0 by nobody"
    assert names(directory) == f"0-0-0 1-0-0 2-0-0 by nobody user {ALICE}"


@as_root
def test_a_directory_that_somebody_else_put_into_a_sticky_one_is_refused(shared, tmp_path):
    directory = made(shared, MALLORY, 0o777, tmp_path)
    os.chmod(shared, 0o1777)
    assert "belongs to nobody" in as_user(ALICE, lambda: names(directory))
    assert "0-0-0" in as_user(MALLORY, lambda: names(directory))
    os.chmod(shared, 0o777)  # where it is nobody's fault but the group's
    assert "0-0-0" in as_user(ALICE, lambda: names(directory))


@as_root
@pytest.mark.parametrize(("owner", "accepted"), [(ALICE, True), (0, True), (MALLORY, False)])
def test_whose_link_a_directory_of_parts_may_be(shared, tmp_path, owner, accepted):
    real = made(shared, ALICE, 0o755, tmp_path)
    link = shared / "link.parts"
    link.symlink_to(real.name)
    os.lchown(link, owner, owner)
    said = as_user(ALICE, lambda: names(link))
    assert ("0-0-0" in said) == accepted, said
    assert accepted or "symbolic link of nobody" in said


def test_a_part_is_never_a_link(tmp_path):
    directory = tmp_path / "hub.h5.parts"
    directory.mkdir()
    real = write(directory, "1-0-0", 1, os.geteuid(), tmp_path)
    real.rename(tmp_path / "elsewhere")
    real.symlink_to(tmp_path / "elsewhere")
    found = scan_parts(directory, SerialComm())
    assert not found.parts
    assert "it is a symbolic link" in found.damaged[0]


def test_a_link_that_takes_a_part_s_place_while_it_is_opened(tmp_path, monkeypatch):
    """Between the look and the opening: the descriptor itself is asked what it is."""
    directory = tmp_path / "hub.h5.parts"
    directory.mkdir()
    real = write(directory, "1-0-0", 1, os.geteuid(), tmp_path)
    looked = os.stat(real)
    os.mkfifo(tmp_path / "fifo")
    real.unlink()
    monkeypatch.setattr(untrusted.os, "stat", lambda *words, **more: looked)
    for place in (lambda: real.symlink_to("/dev/zero"), lambda: os.rename(tmp_path / "fifo", real)):
        real.unlink(missing_ok=True)
        place()
        with pytest.raises(DatasetError):
            read_part(real)


def test_notes_are_files_of_a_bounded_size(tmp_path):
    os.mkfifo(tmp_path / "job-1.json")
    (tmp_path / "job-2.json").symlink_to("/dev/zero")
    (tmp_path / "job-3.json").touch()
    os.truncate(tmp_path / "job-3.json", 1 << 40)
    (tmp_path / "job-4.json").write_text("[" * 100_000)
    assert read_notes(tmp_path) == []


@pytest.mark.parametrize("what", ["directory", "link", "file", "open"])
@as_root
def test_demo_images_are_never_those_of_somebody_else(shared, tmp_path, monkeypatch, what):
    """Where HOME can't be written, they are in /tmp, under a name that others can take first."""
    os.chmod(shared, 0o1777)
    taken = shared / f"hpc-remetrics-{os.geteuid()}"
    if what == "file":
        taken.touch()
    elif what == "link":
        (shared / "mallory").mkdir()
        taken.symlink_to("mallory")
    else:
        taken.mkdir(mode=0o755)
    if what == "open":
        os.chmod(taken, 0o777)
    else:
        os.lchown(taken, MALLORY, MALLORY)
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(demo.tempfile, "gettempdir", lambda: str(shared))
    monkeypatch.setattr(demo, "_build", lambda made: (made / "oci-layout").write_text("{}"))
    source = demo.DemoSource("demo:")
    source.prepare()
    made = next(shared.glob("hpc-remetrics-*/demo-*"))
    assert made.parent.name == f"hpc-remetrics-{os.geteuid()}-1"
    assert made.parent.stat().st_mode & 0o777 == 0o700
    assert made.parent.stat().st_uid == os.geteuid()
