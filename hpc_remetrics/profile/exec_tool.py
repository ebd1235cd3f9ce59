"""Run the user's tool on an unpacked layer: start it, watch it, end it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from .. import programs
from ..records import Digest

# A plain fork of a rank is not safe under MPI, so `preexec_fn` can't be used: a small program sets
# PR_SET_PDEATHSIG, which ends the tool when its rank ends, and becomes the shell.
_START = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0); "
    "os.execv('/bin/sh', ['sh', '-c', sys.argv[1]])"
)


class Tool:
    """One call of `command` by the shell, with `{dir}` and `{digest}` in it replaced.

    :param directory: the unpacked layer.
    :param seconds: time limit of the call.
    :ivar killed: whether a signal ended the tool, as when a job is stopped: it may be tried again.
    """

    def __init__(self, command: str, directory: Path, digest: Digest, seconds: float) -> None:
        line = command.replace("{dir}", shlex.quote(str(directory)))
        line = line.replace("{digest}", digest.hex)
        self.killed = False
        self._seconds = seconds
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _START, line],
            env=programs.environment(),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            start_new_session=True,
        )

    def poll(self) -> str | None:
        """Return None while the tool runs, "" when it ended with code 0, else an error message."""
        code = self._process.poll()
        if code is None:
            if time.monotonic() - self._started < self._seconds:
                return None
            self.kill()
            return f"the tool was ended after {self._seconds:.0f} s"
        self._kill_group()
        if not code:
            return ""
        # A shell that called a program which a signal ended returns a code above 128
        self.killed = code < 0 or code > 128
        if code < 0:
            return f"the tool ended with signal {-code}"
        return f"the tool ended with exit code {code}"

    def kill(self) -> None:
        """End the tool and the processes that it started."""
        self._kill_group()
        self._process.wait()

    def _kill_group(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
