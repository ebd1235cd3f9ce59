"""A job, its processes by what they are, and what its parts hold; for tests that kill, stop and
starve it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil

from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.parts.parts_directory import parts_directory, scan_parts


class Job:
    """A running command in a session of its own; what it says goes to a file."""

    def __init__(self, command: list[str], directory: Path) -> None:
        self._said = directory / "said"
        with open(self._said, "w") as file:
            self.process = subprocess.Popen(
                command, cwd=directory, start_new_session=True, stdout=file, stderr=file
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Return the processes that live: `ranks` by rank, their `children`, and `all`, the
        launcher too."""
        try:
            root = psutil.Process(self.process.pid)
            everything = [root, *root.children(recursive=True)]
        except psutil.Error:
            return {"all": [], "ranks": [], "children": []}
        lines = [(one, _line(one)) for one in everything]
        children = [one for one, line in lines if "hpc_remetrics.profile.child" in line]
        ranks = [
            one
            for one, line in lines
            if "-m hpc_remetrics analyze" in line and "mpi" not in line.split()[0]
        ]
        ranks = [one for one in ranks if "hydra" not in _line(one)]
        return {"all": everything, "ranks": sorted(ranks, key=_rank), "children": children}

    def kill(self, what: str, rng) -> None:
        """Kill `rank` (any), `root`, `child` (any) or `all`."""
        found = self.processes()
        chosen = {
            "rank": found["ranks"],
            "root": found["ranks"][:1],
            "child": found["children"],
            "all": found["all"],
        }[what]
        for process in chosen if what == "all" else rng.sample(chosen, min(len(chosen), 1)):
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.Error:
                pass

    def wait(self, seconds: float) -> int:
        """Return the exit code; a job that does not end is a hang: its stacks are told."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        stacks = "\n".join(_stack(one) for one in self.processes()["ranks"])
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        raise AssertionError(f"no end after {seconds} s\n{stacks}\n{self.said[-3000:]}")

    def end(self) -> None:
        """Kill what is left of it."""
        for process in self.processes()["all"]:
            try:
                process.kill()
            except psutil.Error:
                pass
        self.process.wait()


def _stack(process: psutil.Process) -> str:
    """Return where a process is: its kernel stack's name, and what py-spy says if it is
    installed."""
    try:
        waits = Path(f"/proc/{process.pid}/wchan").read_text()
        spied = subprocess.run(
            ["py-spy", "dump", "--pid", str(process.pid)], capture_output=True, text=True
        )
    except OSError as error:
        return f"process {process.pid}: {error}"
    return f"process {process.pid} in {waits}\n{spied.stdout}"


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _rank(process: psutil.Process) -> int:
    try:
        return int(process.environ().get("PMI_RANK", 0))
    except psutil.Error:
        return -1


def published(output: Path) -> list[str]:
    """Return the digests of the layers that are ok in parts, as often as they stand there; no part
    may be damaged."""
    found = scan_parts(parts_directory(output), SerialComm())
    assert found.damaged == []
    return [
        str(digest)
        for part in found.parts
        for digest, status in zip(part.digests(), part.layers["status"].tolist(), strict=True)
        if status == 0
    ]


def wait_until(condition, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)
