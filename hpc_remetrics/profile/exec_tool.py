"""A tool of the user's on an unpacked layer: started, watched, ended."""

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

# A plain fork of a rank is not safe under MPI, so what ties the tool to its rank's life is done
# after the exec.
_TIE = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0); os.execv('/bin/sh', ['sh', '-c', sys.argv[1]])"


class Tool:
    """One call of `command` by the shell, with `{dir}` and `{digest}` in it replaced.

    :param tree: the unpacked layer.
    :param seconds: after which the call is ended.
    """

    def __init__(self, command: str, tree: Path, digest: Digest, seconds: float) -> None:
        text = command.replace("{dir}", shlex.quote(str(tree))).replace("{digest}", digest.hex)
        self.killed = False
        """Whether it ended by a signal, as when a job is stopped: it may be tried anew."""
        self._seconds, self._begun = seconds, time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _TIE, text],
            env=programs.environment(),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            start_new_session=True,
        )

    def poll(self) -> str | None:
        """Return None while the tool runs, "" when it ended with code 0, else what went wrong."""
        code = self._process.poll()
        if code is None:
            if time.monotonic() - self._begun < self._seconds:
                return None
            self.kill()
            return f"the tool was ended after {self._seconds:.0f} s"
        self._kill_group()
        # As a shell says it of what it called.
        self.killed = code < 0 or code > 128
        return (
            f"the tool ended with {'signal' if code < 0 else 'exit code'} {abs(code)}"
            if code
            else ""
        )

    def kill(self) -> None:
        """End the tool and what it started."""
        self._kill_group()
        self._process.wait()

    def _kill_group(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
