"""Run a command with limits on time and memory, and judge how it ends."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CODES = (0, 2, 3, 4, 5, 6)
"""Exit codes that README names; 1 is a fault of the program."""

SECONDS = 120
"""After which a command counts as hanging; on a machine of its own each takes two at most."""

MEMORY = 1 << 30
"""Bytes that a command may take beyond what it takes for a good file."""


@dataclass(frozen=True)
class End:
    """How one command ended.

    :ivar code: exit code, or minus the signal that ended it.
    :ivar peak: bytes of memory at most.
    """

    command: tuple[str, ...]
    code: int
    output: str
    errors: str
    seconds: float
    peak: int

    def wrong(self, code: int | None = None) -> str:
        """Return what is wrong with this end, "" if it is success, or one line.

        :param code: the exit code that it must be, if that is known.
        """
        complaints = [
            line for line in self.errors.splitlines() if line.startswith("hpc-remetrics: error:")
        ]
        if self.code not in CODES or (code is not None and self.code != code):
            return f"it ended with {self.code}"
        if "Traceback" in self.errors or "fault of the program" in self.errors:
            return "a traceback"
        if len(complaints) != (self.code in (2, 5, 6)):
            return f"{len(complaints)} lines that say why it ended with {self.code}"
        if self.code == 5 and "written" in self.errors:
            return "what it could not read is said to be something that it could not write"
        return ""


def run(
    command: Sequence[str], directory: Path, memory: int = MEMORY, seconds: float = SECONDS
) -> End:
    """Run a command line of the program in a child of this process, in a directory, within limits.

    What the program needs is imported here already, so that a run costs a few milliseconds.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        begun = time.monotonic()
        child = os.fork()
        if not child:
            _become(command, directory, memory, output.fileno(), errors.fileno())
        status, usage = _wait(child, begun + seconds)
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read(1 << 20).decode("utf-8", "replace"))
    took = time.monotonic() - begun
    return End(
        tuple(command), os.waitstatus_to_exitcode(status), *texts, took, 1024 * usage.ru_maxrss
    )


def _wait(child: int, until: float) -> tuple[int, resource.struct_rusage]:
    """Wait for a child, which is killed if it takes too long."""
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return status, usage
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


def _become(command: Sequence[str], directory: Path, memory: int, output: int, errors: int) -> None:
    """Be the command: never return."""
    code = 99
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        os.chdir(directory)
        held = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_DATA, (held + 6 * memory, held + 6 * memory))
        from hpc_remetrics.cli import main

        try:
            code = main(list(command))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
