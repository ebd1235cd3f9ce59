"""The doctor: a line for every check, what is wrong with the way to mend it, and the code."""

import json
import os
import re
import stat
import sys
from pathlib import Path

import pytest

from hpc_remetrics import doctor

NAMES = (
    "settings",
    "Python",
    "libmagic",
    "HDF5",
    "gzip",
    "zstd",
    "chunks",
    "MPI",
    "mpirun",
    "Slurm",
    "open files",
    "scratch",
    "output",
)
NAMES += ("rename", "locks", "file system")


@pytest.mark.slow
def test_a_line_for_every_check(shell):
    result = shell("doctor")
    lines = result.stdout.splitlines()
    assert result.stderr == ""
    assert [name for name in NAMES if not any(line[6:].startswith(name) for line in lines)] == []
    assert all(re.match(r"(ok  |warn|fail)  \S", line) for line in lines)
    assert result.returncode == int(any(line.startswith("fail") for line in lines))
    assert list(shell.folder.iterdir()) == []


@pytest.mark.slow
def test_what_is_not_ok_says_how_to_mend_it(shell, tmp_path):
    result = shell(
        "doctor",
        "--json",
        "-o",
        "/dev/null/x/y.h5",
        "--scratch",
        "/dev/null",
        "--scratch",
        str(tmp_path),
    )
    told = json.loads(result.stdout)
    assert (result.returncode, told["ok"]) == (1, False)
    assert all(check["mend"] for check in told["checks"] if check["state"] != "ok")
    failed = {check["name"] for check in told["checks"] if check["state"] == "fail"}
    assert {"scratch", "output"} <= failed
    assert sum(check["name"] == "scratch" for check in told["checks"]) == 2


@pytest.mark.slow
def test_a_folder_that_will_be_made(shell):
    told = json.loads(shell("doctor", "--json", "-o", "new/folder/x.h5").stdout)
    outputs = [check for check in told["checks"] if check["name"] == "output"]
    assert [check["state"] for check in outputs] == ["ok", "ok"]
    assert list(shell.folder.iterdir()) == []


@pytest.mark.slow
def test_no_libmagic(shell):
    (shell.folder / "magic.py").write_text("raise ImportError('failed to find libmagic')")
    (shell.folder / "pylibmagic.py").write_text("raise ImportError('no')")
    result = shell("doctor")
    (line,) = (line for line in result.stdout.splitlines() if line[6:].startswith("libmagic"))
    assert line.startswith("fail")
    assert "apt-get install libmagic1" in line
    assert result.returncode == 1


@pytest.mark.slow
def test_an_mpirun_that_doesnt_fit(tmp_path, monkeypatch):
    fake = tmp_path / "mpirun"
    fake.write_text('#!/bin/sh\nshift 2\n"$@"; "$@"\n')
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    pytest.importorskip("mpi4py")
    monkeypatch.setattr(
        doctor, "_search_path", lambda: f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    )
    found = doctor._mpirun()
    assert found.state == "fail"
    assert "single ranks" in found.text


def test_no_mpirun_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "_search_path", lambda: str(tmp_path))
    found = doctor._mpirun()
    assert (found.state, "hpc-remetrics[mpi]" in found.mend) == ("warn", True)


def test_few_open_files(monkeypatch):
    monkeypatch.setattr(doctor.resource, "getrlimit", lambda _: (256, 4096))
    found = doctor._open_files()
    assert (found.state, "ulimit -n" in found.mend) == ("warn", True)


def test_a_lock_that_doesnt_hold(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.fcntl, "lockf", lambda *_: None)
    found = doctor._locks(tmp_path)
    assert (found.state, "taken" in found.text) == ("fail", True)


def test_a_check_that_breaks_is_one_failure():
    assert doctor._checked("x", lambda: 1 / 0).state == "fail"


MOUNTS = r"""
21 1 8:1 / / rw - ext4 /dev/sda1 rw
22 21 0:5 / /tmp rw,nosuid shared:2 - tmpfs tmpfs rw
23 21 0:6 / /data/hub\040two rw - nfs server:/x rw
24 21 0:7 / /data rw - lustre x rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/tmp/x", "tmpfs"),
        ("/tmpx", "ext4"),
        ("/data/hub two/x", "nfs"),
        ("/data/hub", "lustre"),
    ],
)
def test_the_file_system_of_a_path(tmp_path, monkeypatch, path, kind):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.strip())
    monkeypatch.setattr(os.path, "realpath", lambda path: str(path))
    assert doctor._file_system(Path(path), mounts) == kind


@pytest.mark.parametrize(
    ("kind", "state"), [("ext4", "ok"), ("gpfs", "ok"), ("nfs", "warn"), ("odd", "warn")]
)
def test_locks_are_doubtful_on_some(monkeypatch, kind, state):
    monkeypatch.setattr(doctor, "_file_system", lambda _: kind)
    found = doctor._kind(Path("/"))
    assert found.state == state
    assert bool(found.mend) == (state == "warn")


def test_mpi_is_tried_outside_this_job(monkeypatch):
    monkeypatch.setenv("PMI_RANK", "3")
    assert "PMI_RANK" not in doctor._environment()
    assert doctor._ask([sys.executable, "-c", "print('x')"], doctor._environment()) == (0, "x\n")
