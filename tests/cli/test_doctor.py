"""The doctor: a line for every check, what is wrong with the way to mend it, and the code."""

import json
import os
import re
import stat
import sys
from pathlib import Path

import pytest

from hpc_remetrics import doctor
from hpc_remetrics.errors import UsageError
from hpc_remetrics.filetype import typer
from hpc_remetrics.tar.decoders import zstd_module

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
    assert list(shell.directory.iterdir()) == []


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
def test_a_directory_that_will_be_made(shell):
    told = json.loads(shell("doctor", "--json", "-o", "new/directory/x.h5").stdout)
    outputs = [check for check in told["checks"] if check["name"] == "output"]
    assert [check["state"] for check in outputs] == ["ok", "ok"]
    assert list(shell.directory.iterdir()) == []


@pytest.mark.slow
def test_no_libmagic(shell):
    (shell.directory / "magic.py").write_text("raise ImportError('failed to find libmagic')")
    (shell.directory / "pylibmagic.py").write_text("raise ImportError('no')")
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
    asked = []
    monkeypatch.setattr(doctor.fcntl, "lockf", lambda file, how: asked.append(how))
    found = doctor._locks(tmp_path)
    assert (found.state, "taken" in found.text) == ("fail", True)
    # A command of a user does not wait for a lock that another job holds
    assert asked == [doctor.fcntl.LOCK_EX | doctor.fcntl.LOCK_NB]


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
    ("kind", "state", "text"),
    [
        ("ext4", "ok", "ext4, of this machine alone"),
        ("gpfs", "ok", "gpfs"),
        ("nfs", "warn", "nfs: locks between nodes depend on how it is mounted"),
        ("odd", "warn", "odd: locks between nodes are not known to work"),
    ],
)
def test_locks_are_doubtful_on_some(monkeypatch, kind, state, text):
    monkeypatch.setattr(doctor, "_file_system", lambda _: kind)
    found = doctor._kind(Path("/"))
    assert (found.state, found.text) == (state, text)
    assert bool(found.mend) == (state == "warn")


def test_mpi_is_tried_outside_this_job(monkeypatch):
    monkeypatch.setenv("PMI_RANK", "3")
    assert "PMI_RANK" not in doctor._environment()
    assert doctor._ask([sys.executable, "-c", "print('x')"], doctor._environment()) == (0, "x\n")


@pytest.mark.parametrize(
    ("version", "speed", "state", "text"),
    [
        (544, ("by its rules that can match", ""), "ok", "5.44: by its rules that can match"),
        (539, ("by all its rules", "install 5.44"), "warn", "5.39: by all its rules"),
        (1203, ("fast", ""), "ok", "12.03: fast"),
    ],
)
def test_libmagic_has_a_version_and_a_speed(monkeypatch, version, speed, state, text):
    monkeypatch.setattr(typer, "libmagic_version", lambda: version)
    monkeypatch.setattr(typer, "speed", lambda: speed)
    found = doctor._libmagic()
    assert (found.state, found.text, found.mend) == (state, text, speed[1])


def test_a_library_that_gives_back_other_bytes_is_a_failure(monkeypatch):
    from isal import isal_zlib

    assert doctor._isal().state == doctor._zstd().state == doctor._hdf5().state == "ok"
    monkeypatch.setattr(isal_zlib, "decompress", lambda data: b"")
    assert doctor._isal().state == "fail"
    zstd = zstd_module()
    monkeypatch.setattr(zstd, "decompress", lambda data: b"")
    assert doctor._zstd().state == "fail"


@pytest.mark.parametrize(
    ("code", "printed", "state", "words"),
    [
        (0, "<2>\n", "ok", "2 ranks see each other"),
        (0, "<1>\n<1>\n", "fail", "it gives 2 single ranks"),
        (0, "<1>\n<2>\n", "fail", "ended with code 0: <2>"),
        (1, "<2>\n", "fail", "ended with code 1: <2>"),
        (1, "----\nThere are not enough  slots\nbye", "fail", "There are not enough slots"),
        (1, "----\nabc\n\nlast words", "fail", "ended with code 1: last words"),
        (1, "", "fail", "ended with code 1: it printed nothing"),
        (1, f"error {'x' * 300}", "fail", "error " + "x" * 194),
    ],
)
def test_what_mpirun_prints_is_judged(monkeypatch, code, printed, state, words):
    monkeypatch.setattr(doctor.shutil, "which", lambda name, path=None: f"/mpi/{name}")
    monkeypatch.setattr(doctor, "_ask", lambda command, environment: (code, printed))
    found = doctor._mpirun()
    assert found.state == state
    assert found.text.startswith("/mpi/mpirun")
    assert found.text.endswith(words)


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ("it was run as root", "OMPI_ALLOW_RUN_AS_ROOT=1"),
        ("as the Superuser", "OMPI_ALLOW_RUN_AS_ROOT=1"),
        ("not enough slots", "oversubscribe"),
        ("anything else", "mpirun -n 2 hostname"),
    ],
)
def test_what_helps_against_the_message_of_a_launcher(printed, words):
    assert words in doctor._mend_mpirun(printed)


@pytest.mark.parametrize(("code", "state"), [(0, "ok"), (1, "warn")])
def test_mpi_is_what_another_process_loads(monkeypatch, code, state):
    monkeypatch.setattr(doctor, "_ask", lambda command, environment: (code, "x\n lib 4.0 \n\n"))
    found = doctor._mpi()
    assert found.state == state
    assert found.text.endswith("lib 4.0")


def test_slurm_is_a_job_or_a_program_or_neither(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert "not found" in doctor._slurm().text
    monkeypatch.setattr(doctor.shutil, "which", lambda name: name == "srun")
    assert doctor._slurm().text == "found; not in a job"
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.delenv("SLURM_NTASKS", raising=False)
    assert "in job 12, 1 tasks" in doctor._slurm().text


@pytest.mark.parametrize(
    ("soft", "state", "text"),
    [
        (doctor.resource.RLIM_INFINITY, "ok", "unlimited"),
        (1024, "ok", "at most 1024"),
        (1023, "warn", "at most 1023"),
    ],
)
def test_enough_open_files(monkeypatch, soft, state, text):
    monkeypatch.setattr(doctor.resource, "getrlimit", lambda _: (soft, 4096))
    found = doctor._open_files()
    assert (found.state, found.text) == (state, text)


@pytest.mark.parametrize(("free", "state"), [(2_000_000_000, "ok"), (1_999_999_999, "warn")])
def test_scratch_has_room(monkeypatch, tmp_path, free, state):
    monkeypatch.setattr(doctor, "room", lambda tier: free)
    found = doctor._scratch(tmp_path)
    assert found.state == state
    assert found.text.endswith(", 2.0 GB free")
    assert list(tmp_path.iterdir()) == []


def test_scratch_that_can_not_be_used(monkeypatch, tmp_path):
    assert doctor._scratch(tmp_path / "none").text.endswith("is not a directory")

    def fail(tier):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(doctor, "base_in", fail)
    found = doctor._scratch(tmp_path)
    assert (found.state, found.text.endswith("can't be written: Read-only file system")) == (
        *("fail", True),
    )
    (tmp_path / "other").mkdir()
    monkeypatch.setattr(doctor, "base_in", lambda tier: tmp_path / "other")
    found = doctor._scratch(tmp_path)
    assert found.state == "warn"
    assert "another user has the usual directory there; other is used" in found.text


def output_of(directory: Path) -> list[tuple[str, str]]:
    return [(found.name, found.state) for found in doctor._output(directory)]


CHECKED = ["rename", "locks", "file system"]


def test_the_directory_of_an_output_is_tried_and_left_empty(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "_locks", lambda directory: doctor.Finding("locks", "ok", ""))
    assert [name for name, _ in output_of(tmp_path)] == ["output", *CHECKED]
    found = list(doctor._output(tmp_path / "new" / "one"))
    assert found[0].text == f"{tmp_path}/new/one will be created"
    assert [one.name for one in found[1:]] == ["output", *CHECKED]
    assert {one.state for one in found[:-1]} == {"ok"}
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_can_not_be_made_or_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    assert output_of(tmp_path / "file" / "new") == [("output", "fail")]
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: real(path, mode) and mode != 3)
    assert output_of(tmp_path / "new") == [("output", "fail")]

    def fail(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(doctor.tempfile, "TemporaryDirectory", fail)
    (found,) = doctor._output(tmp_path)
    assert found.text.endswith("can't be written: Read-only file system")


def test_a_rename_that_fails_or_loses_bytes(monkeypatch, tmp_path):
    assert doctor._rename(tmp_path).state == "ok"
    assert (tmp_path / "new").stat().st_size == 4096
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"")
    assert doctor._rename(tmp_path).text == "a renamed file has other bytes"

    def fail(path, target):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "rename", fail)
    found = doctor._rename(tmp_path)
    assert (found.state, found.text) == ("fail", "fsync and rename: Invalid cross-device link")


def test_locks_that_are_refused_elsewhere_or_not_at_all(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "_ask", lambda command, environment: (0, "refused\n"))
    assert doctor._locks(tmp_path).state == "ok"

    def fail(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(doctor.fcntl, "lockf", fail)
    found = doctor._locks(tmp_path)
    assert found.state == "fail"
    assert found.text.startswith("POSIX locks don't work there (No locks available)")


def test_a_table_of_mounts_that_can_not_be_read(tmp_path):
    assert doctor._file_system(tmp_path, tmp_path / "none") == "unknown"


def test_a_program_that_does_not_answer_or_is_not_there(monkeypatch):
    def late(command, **_):
        raise doctor.subprocess.TimeoutExpired(command, 60)

    assert doctor._ask(["/nowhere/x"], {})[0] == 1
    monkeypatch.setattr(doctor.subprocess, "run", late)
    assert doctor._ask(["x"], {}) == (1, "no answer in 60 seconds")


@pytest.mark.parametrize("problem", [None, UsageError("it is wrong"), UsageError("no", "do this")])
def test_the_settings_are_the_first_line(monkeypatch, tmp_path, problem):
    monkeypatch.chdir(tmp_path)
    found = doctor._settings(Path("x.toml"), problem)
    if problem is None:
        assert (found.state, found.text) == ("ok", "from x.toml")
    else:
        assert (found.state, found.text) == ("fail", problem.args[0])
        assert found.mend == (problem.hint or "mend that setting")
    monkeypatch.setattr(doctor, "find", lambda config: None)
    assert doctor._settings(None, None).text == "no settings file"


@pytest.mark.parametrize("state", ["ok", "warn", "fail"])
@pytest.mark.parametrize("as_json", [False, True])
def test_one_failure_is_the_failure_of_all(monkeypatch, capsys, state, as_json):
    findings = [doctor.Finding("a", "ok", "fine"), doctor.Finding("b", state, "t\x07", "mend it")]
    monkeypatch.setattr(doctor, "_settings", lambda config, problem: findings[0])
    monkeypatch.setattr(doctor, "_findings", lambda output, scratch: iter(findings[1:]))
    code = doctor.doctor_command(Path("x"), [], config=None, problem=None, as_json=as_json)
    assert code == int(state == "fail")
    out = capsys.readouterr().out
    if as_json:
        told = json.loads(out)
        assert told["ok"] == (state != "fail")
        assert told["checks"][1] == {
            "name": "b",
            "state": state,
            "text": "t\x07",
            "mend": "mend it",
        }
    else:
        assert out.splitlines() == [
            f"ok    {'a':<12}fine",
            f"{state:<4}  {'b':<12}t\\x07 → mend it",
        ]


def test_scratch_is_what_was_named_or_what_a_run_takes(monkeypatch, tmp_path):
    for name in ("_libmagic", "_mpi", "_mpirun", "_chunks"):
        monkeypatch.setattr(doctor, name, lambda: doctor.Finding("x", "ok", ""))
    monkeypatch.setattr(doctor, "_scratch", lambda tier: doctor.Finding("scratch", "ok", str(tier)))
    monkeypatch.setattr(doctor, "_output", lambda directory: iter([]))
    monkeypatch.setattr(doctor, "default_tiers", lambda: [Path("/usual")])
    for scratch, want in (([], ["/usual"]), ([Path("/a"), Path("/b")], ["/a", "/b"])):
        found = doctor._findings(tmp_path / "x.h5", scratch)
        assert [one.text for one in found if one.name == "scratch"] == want
