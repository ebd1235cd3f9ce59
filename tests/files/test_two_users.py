"""Files that one user plants where others write: no file of theirs is read, changed or emptied."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.tools import need

from hpc_remetrics.files.lock import OutputLock
from hpc_remetrics.files.publish import temporary_name

ROOT = str(Path(__file__).resolve().parents[2])
ALICE, BOB, MALLORY, LEADER = 61001, 61002, 61666, 61003
PROJECT = 61000

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users"),
    pytest.mark.slow,
]


@dataclass
class Users:
    """Runs commands as users of the node; `directory` can be entered by all of them."""

    directory: Path
    python_path: str = sys.executable

    def run(
        self, user: int, *command: object, umask: str = "022", cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        identity = ["--reuid", str(user), "--regid", str(PROJECT), "--clear-groups"]
        shell = ["sh", "-c", f'umask {umask}; exec "$@"', "sh"]
        home = self.directory / f"home-{user}"
        environ = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith("REMETRICS_")
            },
            "HOME": str(home),
            "TMPDIR": str(home),
            "PYTHONPATH": os.pathsep.join([ROOT, sysconfig.get_path("purelib")]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        words = [need("setpriv"), *identity, *shell, *map(str, command)]
        return subprocess.run(
            words, env=environ, cwd=cwd or home, capture_output=True, text=True, timeout=120
        )

    def program(
        self, user: int, *arguments: object, umask: str = "022"
    ) -> subprocess.CompletedProcess[str]:
        return self.run(user, self.python_path, "-m", "hpc_remetrics", *arguments, umask=umask)

    def python(self, user: int, code: str, *arguments: object, umask: str = "022") -> str:
        """Run code with the program's own modules; return what it printed, or the error's line."""
        result = self.run(user, self.python_path, "-c", code, *arguments, umask=umask)
        return result.stdout if result.returncode == 0 else result.stderr

    def analyze(
        self, user: int, source: object, output: Path, *options: object, umask: str = "022"
    ):
        scratch = self.directory / f"home-{user}" / "scratch"
        return self.program(
            user,
            "analyze",
            source,
            "-o",
            output,
            "--types",
            "none",
            "--scratch",
            scratch,
            *options,
            umask=umask,
        )


@pytest.fixture(scope="module")
def users():
    """Homes of four users, private, in a directory that pytest's own rules don't close to them."""
    directory = Path(tempfile.mkdtemp(prefix="users-"))
    directory.chmod(0o755)
    for user in (ALICE, BOB, MALLORY, LEADER):
        home = directory / f"home-{user}"
        (home / "scratch").mkdir(parents=True)
        for path in (home / "scratch", home):
            os.chown(path, user, PROJECT)
            path.chmod(0o700)
    # This interpreter may lie in a home that others can't enter; the system's of the same version
    # does as well.
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        found = Users(directory, python)
        if found.program(ALICE, "report", "nothing.h5").returncode == 2:
            break
    else:
        shutil.rmtree(directory)
        pytest.skip("other users can't run this Python")
    yield found
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def images(users, layout) -> Path:
    """A layout that all may read."""
    target = users.directory / "layout"
    shutil.copytree(layout, target)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return target


@pytest.fixture
def place(users, request, tmp_path) -> Path:
    """A sticky directory of root, as /tmp is; or a project's directory, of the group's leader."""
    directory = users.directory / tmp_path.name
    directory.mkdir()
    if request.param == "sticky":
        directory.chmod(0o1777)
    else:
        os.chown(directory, LEADER, PROJECT)
        directory.chmod(0o2775)
    yield directory
    shutil.rmtree(directory)


both = pytest.mark.parametrize("place", ["sticky", "project"], indirect=True)
project = pytest.mark.parametrize("place", ["project"], indirect=True)
sticky = pytest.mark.parametrize("place", ["sticky"], indirect=True)


def precious(users: Users) -> Path:
    """Return a file of Alice's that nobody else may read, as before a test."""
    path = users.directory / f"home-{ALICE}" / "precious"
    path.write_text("precious\n")
    os.chown(path, ALICE, PROJECT)
    path.chmod(0o600)
    return path


def plant(path: Path, target: Path, owner: int = MALLORY) -> None:
    path.symlink_to(target)
    os.chown(path, owner, PROJECT, follow_symlinks=False)


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in result.stderr, result.stderr
    (line,) = (
        line for line in result.stderr.splitlines() if line.startswith("hpc-remetrics: error: ")
    )
    return line


# What the program writes at a name that it is given, or that follows from one.
WRITERS = {
    "lock": ("files.lock", "OutputLock", "OutputLock(path).release()"),
    "journal": ("files.journal", "Journal", "Journal(path, {'a': 1}).append(1)"),
    "whole file": ("files.publish", "write_whole", "write_whole(path, ['x'])"),
    "in place": ("files.writing", "open_in_place", "os.write(open_in_place(path), b'x')"),
    "new file": ("files.writing", "create", "os.write(create(path), b'x')"),
    "part": ("files.publish", "publish_copy", "publish_copy(Path('/etc/hosts'), path)"),
    "list": ("download.state", "FinishedList", "FinishedList(path).add('x')"),
}
"""The module of a writer, its name, and a call of it."""

_NAME = {"lock": "out.lock"}


def write(users: Users, writer: str, path: Path) -> str:
    module, name, call = WRITERS[writer]
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        f"from hpc_remetrics.{module} import {name}\n"
        f"path = Path(sys.argv[1])\n{call}\nprint('DONE')"
    )
    return users.python(ALICE, code, path)


@pytest.mark.slow
@both
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", ["link", "dangling link", "directory", "chain"])
def test_no_writer_follows_a_planted_link(users, place, writer, kind):
    victim = precious(users)
    name = _NAME.get(writer, "out")
    if kind == "directory":
        plant(place / "sub", victim.parent)
        path, planted = place / "sub" / "out", victim.parent / name
    elif kind == "chain":
        plant(place / "hop", victim)
        plant(place / name, Path("hop"))
        path = planted = place / "out"
    else:
        planted = victim if kind == "link" else victim.with_name("not-there")
        plant(place / name, planted)
        path = place / "out"
    said = write(users, writer, path)
    assert "DONE" not in said
    assert "not followed" in said or "FileExistsError" in said
    assert victim.read_text() == "precious\n"
    assert not victim.with_name("not-there").exists()
    assert not (victim.parent / "out").exists() and not (victim.parent / "out.lock").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "owner", "followed"),
    [
        ("sticky", ALICE, True),
        ("sticky", 0, True),  # the directory is root's
        ("sticky", LEADER, False),
        ("project", ALICE, True),
        ("project", LEADER, True),
        ("project", 0, True),
        ("project", BOB, False),
    ],
    indirect=["place"],
)
@pytest.mark.parametrize("writer", ["lock", "journal", "whole file", "in place", "list"])
def test_links_of_those_who_are_trusted_are_followed(users, place, owner, followed, writer):
    target = users.directory / f"home-{ALICE}" / "target"
    target.write_bytes(b"")
    os.chown(target, ALICE, PROJECT)
    plant(place / _NAME.get(writer, "out"), target, owner)
    assert ("DONE" in write(users, writer, place / "out")) == followed
    target.unlink()


@pytest.mark.slow
@both
@pytest.mark.parametrize("writer", ["lock", "journal", "in place", "list"])
def test_a_second_name_of_a_file_is_never_written_to(users, place, writer):
    victim = precious(users)
    victim.write_text("")
    os.link(victim, place / _NAME.get(writer, "out"))
    said = write(users, writer, place / "out")
    assert "hard links" in said
    assert victim.read_text() == ""
    (place / _NAME.get(writer, "out")).unlink()


@pytest.mark.slow
@sticky
@pytest.mark.parametrize("writer", ["lock", "journal", "in place", "list"])
def test_a_file_of_a_stranger_is_not_written_to_where_everybody_makes_files(users, place, writer):
    theirs = place / _NAME.get(writer, "out")
    theirs.touch(0o666)
    theirs.chmod(0o666)
    os.chown(theirs, MALLORY, PROJECT)
    assert "belongs to" in write(users, writer, place / "out")
    assert theirs.read_bytes() == b""


@pytest.mark.slow
@both
@pytest.mark.parametrize("name", ["out.h5", "out.h5.lock", "out.h5.parts"])
def test_an_analysis_follows_no_planted_link(users, place, images, name):
    victim = precious(users)
    directory = users.directory / f"home-{ALICE}" / "mine"
    directory.mkdir(exist_ok=True)
    os.chown(directory, ALICE, PROJECT)
    for left in (".part-1.h5.0000000000000000.tmp", ".other.tmp"):
        (directory / left).write_text("kept")
        os.chown(directory / left, ALICE, PROJECT)
    plant(place / name, directory if name.endswith("parts") else victim)
    result = users.analyze(ALICE, f"oci:{images}", place / "out.h5")
    assert result.returncode == 5, result.stderr
    assert str(place / name) in one_line(result)
    assert victim.read_text() == "precious\n"
    assert all(
        (directory / left).exists() for left in (".part-1.h5.0000000000000000.tmp", ".other.tmp")
    )
    # What fails at once leaves nothing.
    assert {path.name for path in place.iterdir()} == {name}


@pytest.mark.slow
@both
@pytest.mark.parametrize("name", ["out.h5.lock", "out.h5.parts", "out.h5"])
def test_a_pipe_at_any_name_ends_at_once(users, place, images, name):
    os.mkfifo(place / name)
    os.chown(place / name, MALLORY, PROJECT)
    (place / name).chmod(0o666)
    result = users.analyze(ALICE, f"oci:{images}", place / "out.h5")
    assert result.returncode == 5, result.stderr
    assert str(place / name) in one_line(result)


@pytest.mark.slow
@project
def test_a_page_and_metrics_are_not_written_through_links(users, place, images):
    victim = precious(users)
    output = place / "out.h5"
    assert users.analyze(ALICE, f"oci:{images}", output).returncode == 0
    plant(place / "page.html", victim)
    # Names that earlier versions used for files on their way.
    plant(place / ".out.h5.tmp", victim)
    plant(place / ".page.html.1.tmp", victim)
    refused = users.program(ALICE, "report", output, "--html", place / "page.html")
    assert refused.returncode == 5
    assert "not followed" in one_line(refused)
    scratch = users.directory / f"home-{ALICE}" / "scratch"
    assert users.program(ALICE, "reduce", output, "--scratch", scratch).returncode == 0
    assert victim.read_text() == "precious\n"


def test_temporary_names_can_not_be_guessed():
    names = {temporary_name(Path("a/out.h5")).name for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith(".out.h5.") and name.endswith(".tmp") for name in names)


@pytest.mark.slow
@project
def test_with_umask_002_a_group_resumes_each_others_runs(users, place, images):
    output = place / "out.h5"
    assert (
        users.analyze(ALICE, f"oci:{images}", output, "--share", "1/2", umask="002").returncode == 0
    )
    assert users.analyze(BOB, f"oci:{images}", output, umask="002").returncode == 0
    # Somebody goes on where a part is missing.
    part = next((place / "out.h5.parts").glob("part-*.h5"))
    part.unlink()
    for user in (LEADER, ALICE):
        result = users.analyze(
            user, f"oci:{images}", output, "--platform", "linux/amd64", umask="002"
        )
        assert result.returncode == 0, result.stderr
    scratch = users.directory / f"home-{BOB}" / "scratch"
    assert users.program(BOB, "reduce", output, "--scratch", scratch, umask="002").returncode == 0
    assert stat.S_IMODE((place / "out.h5").stat().st_mode) == 0o664
    assert stat.S_IMODE((place / "out.h5.lock").stat().st_mode) == 0o660
    for path in (place / "out.h5.parts").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o664, path


@pytest.mark.slow
@project
@pytest.mark.parametrize("umask", ["022", "077"])
def test_with_another_umask_the_message_names_the_file(users, place, images, umask):
    output = place / "out.h5"
    assert users.analyze(ALICE, f"oci:{images}", output, umask=umask).returncode == 0
    for path in (place / "out.h5.parts").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~int(umask, 8)
    assert stat.S_IMODE((place / "out.h5.lock").stat().st_mode) == 0o600
    result = users.analyze(BOB, f"oci:{images}", output, umask=umask)
    assert result.returncode == 5
    assert f"{place / 'out.h5'} belongs to user {ALICE}" in one_line(result)
    output.unlink()
    result = users.analyze(BOB, f"oci:{images}", output, umask=umask)
    assert result.returncode == 5
    assert f"{place / 'out.h5.lock'}: Permission denied (it belongs to user {ALICE}" in one_line(
        result
    )


@both
def test_nobody_else_can_lock_the_output_against_its_owner(users, place, images):
    code = (
        "import fcntl, sys, time\n"
        "file = open(sys.argv[1])\n"
        "fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)\n"
        "print('locked', flush=True)\n"
    )
    lock = place / "out.h5.lock"
    assert users.python(ALICE, WRITERS_LOCK, place / "out.h5") == "held\n"
    assert "PermissionError" in users.python(MALLORY, code, lock)
    # Nor one that an earlier version left open to all.
    lock.chmod(0o644)
    assert users.python(ALICE, WRITERS_LOCK, place / "out.h5") == "held\n"
    assert "PermissionError" in users.python(MALLORY, code, lock)


WRITERS_LOCK = (
    "import sys\n"
    "from pathlib import Path\n"
    "from hpc_remetrics.files.lock import OutputLock\n"
    "with OutputLock(Path(sys.argv[1])): print('held')"
)


@pytest.mark.slow
@sticky
def test_a_job_of_another_user_is_seen_though_its_lock_is_not(users, place, images):
    output = place / "out.h5"
    assert users.analyze(ALICE, f"oci:{images}", output).returncode == 0
    result = users.program(BOB, "status", output)
    if place.stat().st_mode & stat.S_ISVTX:
        # Anybody may have put parts there, so they are no answer to what this dataset is.
        assert result.returncode == 2 and "out.h5.parts can't be trusted" in result.stderr
        return
    assert result.returncode == 0, result.stderr
    assert "done" in result.stdout
    # As it looks while the job goes on: its note says no end, and is new.
    (note,) = (place / "out.h5.parts").glob("job-*.json")
    values = json.loads(note.read_text())
    note.write_text(json.dumps({**values, "ended": "", "updated": time.time()}))
    state = json.loads(users.program(BOB, "status", output, "--json").stdout)
    assert state["jobs"][0]["state"] == "running" and state["held_by"]
    note.write_text(json.dumps({**values, "ended": "", "updated": time.time() - 600}))
    state = json.loads(users.program(BOB, "status", output, "--json").stdout)
    assert state["jobs"][0]["state"] != "running" and not state["held_by"]


@pytest.mark.slow
def test_a_lock_for_reading_is_named(tmp_path):
    lock = tmp_path / "out.h5.lock"
    lock.touch()
    code = (
        "import fcntl, sys, time\n"
        "file = open(sys.argv[1])\n"
        "fcntl.lockf(file, fcntl.LOCK_SH)\n"
        "print('locked', flush=True)\n"
        "time.sleep(60)\n"
    )
    reader = subprocess.Popen([sys.executable, "-c", code, lock], stdout=subprocess.PIPE, text=True)
    try:
        assert reader.stdout is not None and reader.stdout.readline() == "locked\n"
        with pytest.raises(
            Exception, match=f"process {reader.pid} holds a lock for reading on {lock}"
        ):
            OutputLock(tmp_path / "out.h5")
    finally:
        reader.kill()
        reader.wait()
