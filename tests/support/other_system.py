"""Makes this process like one on a laptop: no Linux, and only the packages that reading needs."""

from __future__ import annotations

import builtins
import os
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = (
    *("mpi4py", "isal", "magic", "pyperscan", "hyperscan", "pyfastcdc", "requests", "urllib3"),
    *("backports.zstd", "compression.zstd"),
)
"""Packages that only `analyze`, `crawl` and `download` need."""

UNIX_MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "posix_ipc")
"""Modules of the standard library that Windows lacks."""

UNIX_NAMES = (
    *("O_CLOEXEC", "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK", "O_PATH", "O_TMPFILE"),
    *("fchdir", "fchmod", "getegid", "geteuid", "getgid", "getuid", "memfd_create", "mkfifo"),
    *("posix_fadvise", "posix_fallocate", "pread", "preadv", "pwrite", "pwritev"),
    *("sched_getaffinity", "sched_setaffinity", "statvfs", "fstatvfs", "sysconf"),
)
"""What `os` has on Linux, and lacks on macOS or on Windows."""

UNIX_SIGNALS = ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGALRM", "SIGCHLD", "SIGKILL")

BINARY = 1 << 30
"""Windows' flag of `os.open`, without which a file is changed line by line: here it is required."""


def hide() -> None:
    """Hide the packages, modules, functions and files from what is imported from now on."""
    for name in (*PACKAGES, *UNIX_MODULES):
        sys.modules[name] = None  # type: ignore[assignment]
    for name in UNIX_NAMES:
        delattr(os, name)
    for name in UNIX_SIGNALS:
        delattr(signal, name)
    os.O_BINARY = BINARY  # type: ignore[attr-defined]
    builtins.open = _plain(builtins.open)  # type: ignore[assignment]
    for name in ("access", "listdir", "mkdir", "readlink", "replace", "rmdir", "stat", "unlink"):
        setattr(os, name, _plain(getattr(os, name)))
    os.open = _binary(_plain(os.open))
    os.fstat = _without_blocks(os.fstat)
    os.supports_dir_fd = set()
    os.supports_effective_ids = set()


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse directories that are held open, and /proc."""

    def call(path: Any, *arguments: Any, **options: Any) -> Any:
        if any("dir_fd" in name and value is not None for name, value in options.items()):
            raise NotImplementedError("dir_fd unavailable on this platform")
        if options.get("effective_ids"):
            raise NotImplementedError("effective_ids unavailable on this platform")
        if isinstance(path, str | Path) and str(path).startswith("/proc"):
            raise FileNotFoundError(path)
        return function(path, *arguments, **options)

    return call


def _binary(opens: Callable[..., int]) -> Callable[..., int]:
    """Refuse directories, and files of the current directory that would be changed as text."""
    here = os.getcwd()

    def call(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if os.path.isdir(path):
            raise PermissionError(path)
        assert flags & BINARY or not os.path.abspath(path).startswith(here), path
        return opens(path, flags & ~BINARY, *arguments, **options)

    return call


def _without_blocks(fstat: Callable[[int], os.stat_result]) -> Callable[[int], Any]:
    """Return a status without `st_blocks`, which Windows lacks."""
    names = [name for name in dir(os.fstat(0)) if name.startswith("st_") and name != "st_blocks"]

    def call(descriptor: int) -> Any:
        status = fstat(descriptor)
        return types.SimpleNamespace(**{name: getattr(status, name) for name in names})

    return call
