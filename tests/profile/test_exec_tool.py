"""The user's tool: what its end says, and that all of its processes end with it."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpc_remetrics.profile import exec_tool
from hpc_remetrics.profile.exec_tool import Tool
from hpc_remetrics.records import Digest

DIGEST = Digest(bytes(31) + b"\1")


class Process:
    """Stands for the process of a tool: it runs until a test gives it an exit code."""

    pid = 4242

    def __init__(self) -> None:
        self.code: int | None = None
        self.done: list[object] = []

    def poll(self) -> int | None:
        return self.code

    def wait(self) -> None:
        self.done.append("waited")


@pytest.fixture
def process(monkeypatch):
    """The process that a tool starts; its command, its group's signals and the time are kept."""
    process = Process()
    process.now = 100.0

    def start(words, **how):
        process.words = words
        process.how = how
        return process

    monkeypatch.setattr(exec_tool, "subprocess", SimpleNamespace(Popen=start, DEVNULL=-3))
    monkeypatch.setattr(exec_tool, "time", SimpleNamespace(monotonic=lambda: process.now))
    monkeypatch.setattr(os, "killpg", lambda *what: process.done.append(what))
    return process


def start(command: str = "true {dir}", seconds: float = 5.0) -> Tool:
    return Tool(command, Path("/scratch/a b"), DIGEST, seconds)


KILLED = [(4242, signal.SIGKILL)]


def test_directory_and_digest_are_put_into_the_command(process):
    start("scan {dir} > {digest}.txt; ls {dir}")
    assert process.words[-1] == f"scan '/scratch/a b' > {DIGEST.hex}.txt; ls '/scratch/a b'"
    assert process.how["start_new_session"] is True


@pytest.mark.parametrize(
    ("code", "message", "is_killed"),
    [
        (0, "", False),
        (1, "the tool ended with exit code 1", False),
        (128, "the tool ended with exit code 128", False),
        (129, "the tool ended with exit code 129", True),
        (-1, "the tool ended with signal 1", True),
        (-9, "the tool ended with signal 9", True),
    ],
)
def test_the_end_of_a_tool_is_told_by_its_code(process, code, message, is_killed):
    tool = start()
    assert tool.poll() is None
    assert process.done == []
    process.code = code
    assert tool.poll() == message
    assert tool.killed is is_killed
    # What it left in the background ends too
    assert process.done == KILLED


def test_a_tool_is_ended_at_its_time_limit(process):
    tool = start(seconds=5.0)
    process.now += 4.9
    assert tool.poll() is None
    process.now = 105.0
    assert tool.poll() == "the tool was ended after 5 s"
    assert process.done == [*KILLED, "waited"]
    assert not tool.killed


def test_a_tool_whose_processes_are_gone_can_be_ended(process, monkeypatch):
    def gone(*_):
        raise ProcessLookupError

    monkeypatch.setattr(os, "killpg", gone)
    start().kill()
    assert process.done == ["waited"]
