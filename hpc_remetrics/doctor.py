"""Check this machine, one line for each check: what is missing or wrong, and how to mend it."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import resource
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

from . import programs
from .errors import MissingComponentError, UsageError
from .log import escape
from .node.scratch import base_in
from .node.tiers import default_tiers, room
from .settings import find

OK, WARN, FAIL = "ok", "warn", "fail"

_OPEN_FILES = 1024
"""Open files that are enough for a run."""

_SCRATCH_ROOM = 2_000_000_000
"""Bytes of scratch below which a large layer may not fit."""

_TIMEOUT = 60
"""Seconds that another program may take to answer."""

_LOCAL_SYSTEMS = {
    "ext2",
    "ext3",
    "ext4",
    "xfs",
    "btrfs",
    "zfs",
    "tmpfs",
    "ramfs",
    "f2fs",
    "overlay",
    "bcachefs",
}
_SHARED_SYSTEMS = {"nfs4", "gpfs", "beegfs", "ceph", "gfs2", "ocfs2", "panfs"}
"""File systems on which locks reach every node."""

_MOUNT_DECIDES = {"nfs", "lustre", "cifs", "smb3", "9p", "fuse.sshfs"}
"""File systems on which locks depend on the mount options."""

_INSTALL_MPI = "pip install 'hpc-remetrics[mpi]'"
_OVERSUBSCRIBE = (
    "PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe "
    "(Open MPI 4: OMPI_MCA_rmaps_base_oversubscribe=1)"
)


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    :ivar state: "ok", "warn" or "fail".
    :ivar mend: what to do about it, or "".
    """

    name: str
    state: str
    text: str
    mend: str = ""


def doctor_command(
    output: Path,
    scratch: Sequence[Path],
    *,
    config: Path | None,
    problem: UsageError | None,
    as_json: bool,
) -> int:
    """Print a line for every check; return 1 if one of them failed, else 0.

    :param output: the dataset to be written.
    :param scratch: scratch directories to check; none: those that a run takes.
    :param config: the settings file that the user named.
    :param problem: what is wrong with the settings.
    """
    findings = []
    for finding in (_settings(config, problem), *_findings(output, scratch)):
        findings.append(finding)
        if not as_json:
            print(_line(finding), flush=True)
    failed = any(finding.state == FAIL for finding in findings)
    if as_json:
        document = {"ok": not failed, "checks": [asdict(finding) for finding in findings]}
        print(json.dumps(document, indent=2))
    return int(failed)


def _findings(output: Path, scratch: Sequence[Path]) -> Iterator[Finding]:
    checks: dict[str, Callable[[], Finding]] = {
        "Python": _python,
        "libmagic": _libmagic,
        "HDF5": _hdf5,
        "gzip": _isal,
        "zstd": _zstd,
        "chunks": _chunks,
        "MPI": _mpi,
        "mpirun": _mpirun,
        "Slurm": _slurm,
        "open files": _open_files,
    }
    for name, check in checks.items():
        yield _checked(name, check)
    for tier in scratch or default_tiers():
        yield _checked("scratch", lambda tier=tier: _scratch(tier))  # type: ignore[misc]
    yield from _output(output.absolute().parent)


def _settings(config: Path | None, problem: UsageError | None) -> Finding:
    if problem is not None:
        return Finding("settings", FAIL, problem.args[0], problem.hint or "mend that setting")
    place = find(config)
    return Finding("settings", OK, f"from {place.path}" if place else "no settings file")


def _checked(name: str, check: Callable[[], Finding]) -> Finding:
    """Run a check; an exception in it is a failure of this check alone."""
    try:
        return check()
    except Exception as error:
        return Finding(name, FAIL, f"the check broke: {type(error).__name__}: {error}")


def _line(finding: Finding) -> str:
    text = f"{finding.state:<4}  {finding.name:<12}{escape(finding.text)}"
    return f"{text} → {finding.mend}" if finding.mend else text


def _python() -> Finding:
    return Finding("Python", OK, f"{platform.python_version()} ({sys.executable})")


def _libmagic() -> Finding:
    from .filetype import typer

    mend = "sudo apt-get install libmagic1, or pip install pylibmagic, or analyze --types none"
    try:
        version = typer.libmagic_version()
    except (MissingComponentError, ImportError, OSError) as error:
        return Finding(
            "libmagic", FAIL, f"can't be loaded: {getattr(error, 'args', [error])[0]}", mend
        )

    # See whether the library finds its own database.
    magic = import_module("magic")
    cookie = magic.magic_open(magic.MAGIC_NONE)
    try:
        magic.magic_load(cookie, None)
    except magic.MagicException as error:
        return Finding(
            "libmagic",
            FAIL,
            f"its database can't be loaded: {error}",
            "sudo apt-get install libmagic-mgc",
        )
    finally:
        magic.magic_close(cookie)

    # Say how fast types are with this version, and what would be faster.
    speed, faster = typer.speed()
    text = f"{version // 100}.{version % 100:02}: {speed}"
    return Finding("libmagic", WARN if faster else OK, text, faster)


def _hdf5() -> Finding:
    import h5py

    return Finding("HDF5", OK, f"{h5py.version.hdf5_version}, h5py {h5py.version.version}")


def _isal() -> Finding:
    from importlib.metadata import version

    from isal import isal_zlib

    if isal_zlib.decompress(isal_zlib.compress(b"x" * 1000)) != b"x" * 1000:
        return Finding(
            "gzip", FAIL, "ISA-L gives back other bytes", "pip install --force-reinstall isal"
        )
    return Finding("gzip", OK, f"ISA-L, isal {version('isal')}")


def _zstd() -> Finding:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as error:
        return Finding("zstd", FAIL, f"can't be loaded: {error}", "pip install backports.zstd")
    if zstd.decompress(zstd.compress(b"x" * 1000)) != b"x" * 1000:
        return Finding(
            "zstd", FAIL, "gives back other bytes", "pip install --force-reinstall backports.zstd"
        )
    return Finding("zstd", OK, ".".join(map(str, zstd.zstd_version_info)))


def _chunks() -> Finding:
    from importlib.metadata import version

    from .profile.chunking import chunker

    try:
        chunker()
    except MissingComponentError as error:
        return Finding("chunks", OK, f"not there: {error.args[0]}", error.hint)
    return Finding("chunks", OK, f"pyfastcdc {version('pyfastcdc')}")


# It runs in a process of its own: a library that doesn't fit may end the process that loads it.
_MPI_CODE = """
import mpi4py
from mpi4py import MPI
library = MPI.Get_library_version().replace("\\0", "").splitlines()[0]
print(f"mpi4py {mpi4py.__version__},", " ".join(library.replace(":", " ").split()))
"""

# Only rank 0 prints, since a launcher may mix the output of two ranks. Ranks that don't see each
# other are all rank 0.
_SIZE_CODE = (
    "from mpi4py import MPI; c = MPI.COMM_WORLD; c.rank or print(f'<{c.size}>', flush=True)"
)


def _mpi() -> Finding:
    code, printed = _ask(programs.python(_MPI_CODE), _environment())
    if code:
        return Finding(
            "MPI",
            WARN,
            f"can't be loaded, so a run has one process: {_last(printed)}",
            _INSTALL_MPI,
        )
    return Finding("MPI", OK, _last(printed))


def _mpirun() -> Finding:
    mpirun = shutil.which("mpirun", path=_search_path())
    if mpirun is None:
        return Finding("mpirun", WARN, "not in PATH, so a run has one process", _INSTALL_MPI)

    # Let both ranks print the size of their communicator.
    code, printed = _ask([mpirun, "-n", "2", *programs.python(_SIZE_CODE)], _environment())
    sizes = set(re.findall(r"<(\d+)>", printed))
    if code == 0 and sizes == {"2"}:
        return Finding("mpirun", OK, f"{mpirun}: 2 ranks see each other")
    if code == 0 and sizes == {"1"}:
        text = f"{mpirun} doesn't belong to the MPI library: it gives 2 single ranks"
        return Finding(
            "mpirun",
            FAIL,
            text,
            f"use the mpirun of this environment ({sysconfig.get_path('scripts')})",
        )
    return Finding(
        "mpirun",
        FAIL,
        f"{mpirun} -n 2 ended with code {code}: {_reason(printed)}",
        _mend_mpirun(printed),
    )


def _reason(printed: str) -> str:
    """Return the line of a launcher's message that gives the reason, without the text around it."""
    lines = [
        " ".join(line.split()) for line in printed.splitlines() if re.search(r"[A-Za-z]{3}", line)
    ]
    telling = [
        line
        for line in lines
        if re.search(r"as root|slots|error|not found|fail", line, re.IGNORECASE)
    ]
    return next(iter(telling), _last(printed))[:200]


def _mend_mpirun(printed: str) -> str:
    """Return what helps against the message of a launcher; that is never a second MPI library."""
    if re.search(r"as (the )?root|superuser", printed, re.IGNORECASE):
        variables = "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
        return f"export {variables}, or run as another user"
    if "slots" in printed:
        return f"it has fewer cores than ranks: export {_OVERSUBSCRIBE}"
    mpirun = shutil.which("mpirun", path=_search_path())
    return f"try `{mpirun} -n 2 hostname`; docs/sites.md says what each MPI wants"


def _slurm() -> Finding:
    if job := os.environ.get("SLURM_JOB_ID"):
        return Finding(
            "Slurm",
            OK,
            f"in job {job}, {os.environ.get('SLURM_NTASKS', '1')} tasks; --mpi=pmi2 fits mpich",
        )
    if shutil.which("srun"):
        return Finding("Slurm", OK, "found; not in a job")
    return Finding("Slurm", OK, "not found; mpirun starts the ranks")


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return Finding("open files", OK, "unlimited")
    if soft < _OPEN_FILES:
        mend = f"ulimit -n {_OPEN_FILES} (the hard limit is {hard})"
        return Finding("open files", WARN, f"at most {soft}", mend)
    return Finding("open files", OK, f"at most {soft}")


def _scratch(tier: Path) -> Finding:
    name = f"{tier} ({_file_system(tier)})"
    mend = "name another with --scratch or REMETRICS_SCRATCH"
    if not tier.is_dir():
        return Finding("scratch", FAIL, f"{name} is not a directory", mend)
    try:
        base = base_in(tier)
    except OSError as error:
        return Finding("scratch", FAIL, f"{name} can't be written: {error.strerror}", mend)
    with suppress(OSError):
        base.rmdir()  # unless a job is in it
    if not base.name.endswith(socket.gethostname()):
        text = f"{name}: another user has the usual directory there; {base.name} is used"
        return Finding("scratch", WARN, text, mend)
    free = room(tier)
    text = f"{name}, {free / 1e9:.1f} GB free"
    if free < _SCRATCH_ROOM:
        return Finding("scratch", WARN, text, mend)
    return Finding("scratch", OK, text)


def _output(directory: Path) -> Iterator[Finding]:
    """Check the directory of the output: that files can be written, renamed and locked there."""
    # If it is missing, look at the one in which it will be made.
    if not directory.is_dir():
        existing = next(path for path in (directory, *directory.parents) if path.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            yield Finding(
                "output",
                FAIL,
                f"{directory} can't be created in {existing}",
                "choose another directory with -o",
            )
            return
        yield Finding("output", OK, f"{directory} will be created")
        directory = existing

    # Do in a directory of its own what a run does with its output.
    try:
        probe = tempfile.TemporaryDirectory(prefix=".hpc-remetrics-doctor-", dir=directory)
    except OSError as error:
        yield Finding(
            "output",
            FAIL,
            f"{directory} can't be written: {error.strerror}",
            "choose another directory with -o",
        )
        return
    with probe:
        yield Finding(
            "output", OK, f"{directory} can be written, {room(directory) / 1e9:.1f} GB free"
        )
        yield _checked("rename", lambda: _rename(Path(probe.name)))
        yield _checked("locks", lambda: _locks(Path(probe.name)))
    yield _checked("file system", lambda: _kind(directory))


def _rename(directory: Path) -> Finding:
    """Publish a file as a run publishes a part: write, sync, rename, sync the directory."""
    old, new = directory / "old", directory / "new"
    try:
        with old.open("wb") as file:
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
        old.rename(new)
        with ExitStack() as stack:
            handle = os.open(directory, os.O_RDONLY)
            stack.callback(os.close, handle)
            os.fsync(handle)

        # Read it by its new name.
        whole = new.read_bytes() == b"x" * 4096
    except OSError as error:
        return Finding(
            "rename",
            FAIL,
            f"fsync and rename: {error.strerror}",
            "choose another directory with -o",
        )
    if not whole:
        return Finding(
            "rename", FAIL, "a renamed file has other bytes", "choose another directory with -o"
        )
    return Finding("rename", OK, "fsync and rename work")


_LOCK_CODE = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("refused")
    else:
        print("taken")
"""


def _locks(directory: Path) -> Finding:
    """Check that a second process can't take a lock that this process holds."""
    path = directory / "lock"
    with path.open("w+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            reason = f"POSIX locks don't work there ({error.strerror})"
            text = f"{reason}, so two jobs could write one output"
            return Finding("locks", FAIL, text, "choose a directory on another file system with -o")
        answer = _last(_ask(programs.python(_LOCK_CODE, path), programs.environment())[1])
    if answer != "refused":
        text = f"a lock doesn't hold against a second process ({answer})"
        return Finding("locks", FAIL, text, "choose a directory on another file system with -o")
    return Finding("locks", OK, "a lock holds against a second process")


def _kind(directory: Path) -> Finding:
    kind = _file_system(directory)
    if kind in _LOCAL_SYSTEMS | _SHARED_SYSTEMS:
        return Finding(
            "file system",
            OK,
            f"{kind}{', of this machine alone' if kind in _LOCAL_SYSTEMS else ''}",
        )
    if kind in _MOUNT_DECIDES:
        text = f"{kind}: locks between nodes depend on how it is mounted"
        return Finding(
            "file system",
            WARN,
            text,
            "start one job an output, or ask for a mount with locks (flock)",
        )
    return Finding(
        "file system",
        WARN,
        f"{kind}: locks between nodes are not known to work",
        "start one job an output",
    )


def _file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the type of the file system that holds a path, as the kernel names it.

    :param mounts: a file in the format of /proc/self/mountinfo, described in proc(5).
    """
    real = os.path.realpath(path)
    longest = ""
    kind = "unknown"
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return kind
    for line in lines:
        before, _, after = line.partition(" - ")
        # The kernel writes spaces and backslashes of a path as octal escapes.
        point = before.split()[4].encode("utf-8", "surrogateescape").decode("unicode_escape")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(longest):
            longest = point
            kind = after.split()[0]
    return kind


def _ask(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run another program; return its exit code and its output, standard error included."""
    try:
        result = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return 1, f"no answer in {_TIMEOUT} seconds"
    except OSError as error:
        return 1, str(error)
    return result.returncode, result.stdout


def _last(printed: str) -> str:
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def _search_path() -> str:
    """Return PATH with this environment's programs first, whose mpirun fits its MPI library."""
    return os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])


def _environment() -> dict[str, str]:
    """Return an environment for a new MPI job, even if this process is a rank of another one."""
    ours = ("PMI_", "PMIX_", "OMPI_COMM_WORLD_", "PRTE_")
    environment = programs.environment()
    others = {name: value for name, value in environment.items() if not name.startswith(ours)}
    return others | {"PATH": _search_path()}
