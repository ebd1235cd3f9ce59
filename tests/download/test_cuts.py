"""A download that is killed before any of its system calls on the mirror leaves a right one, and
goes on."""

import random
import re
import shutil
import signal
import subprocess
from collections import Counter

import pytest
from support.tools import need

_CALL = re.compile(r"^(\d+) +([a-z_0-9]+)\(", re.MULTILINE)


class Traced:
    """Runs a command under strace, which sees its system calls on a directory's files."""

    def __init__(self, command, directory, log) -> None:
        self._command, self._directory, self._log = [str(word) for word in command], directory, log

    def run(self, *options) -> int:
        strace = [
            need("strace"),
            "-f",
            "-y",
            "-o",
            str(self._log),
            "-e",
            "trace=file,desc",
            *options,
            *self._command,
        ]
        return subprocess.run(strace, capture_output=True, timeout=120).returncode

    def calls(self) -> list[tuple[str, int]]:
        """Run the command whole; return its calls on the directory, each with its number within
        its thread."""
        assert self.run() == 0
        seen: Counter = Counter()
        found = {}
        for line in self._log.read_text().splitlines():
            if match := _CALL.match(line):
                seen[match.groups()] += 1
                if str(self._directory) in line:
                    found[match[2], seen[match.groups()]] = None
        return list(found)


@pytest.mark.slow
def test_a_cut_before_any_system_call_leaves_a_right_mirror(registry, mirror, tmp_path):
    rng = random.Random(2)
    names = [f"{registry.host}/forms/{name}" for name in ("one:1", "schema2:1")]
    mirror(names[0])
    before = tmp_path / "before"
    shutil.copytree(mirror.directory, before)
    traced = Traced(mirror.command(*names, "--threads", 1), mirror.directory, tmp_path / "log")
    calls = traced.calls()
    whole, index = mirror.blobs(), (mirror.directory / "index.json").read_bytes()
    decisive = [
        call
        for call in calls
        if call[0] in ("renameat", "fsync", "ftruncate", "unlinkat", "mkdirat")
    ]
    assert {name for name, _ in decisive} >= {"renameat", "fsync"}
    others = [call for call in calls if call not in decisive]
    # The last calls of all come when the new index has its name; those that decide are counted for
    # each thread.
    cuts = calls[-4:] + decisive[-4:] + rng.sample(decisive[:-4], 7) + rng.sample(others, 5)
    found, killed = set(), 0
    for name, number in cuts:
        shutil.rmtree(mirror.directory)
        shutil.copytree(before, mirror.directory)
        code = traced.run(f"--inject={name}:signal=KILL:when={number}")
        killed += code in (-signal.SIGKILL, 128 + signal.SIGKILL)
        seen = mirror.names()
        assert {names[0]} <= seen <= set(names)
        assert set(mirror.blobs()) <= set(whole)
        found.add(len(seen))
        mirror(*names)
        assert mirror.blobs() == whole
        assert (mirror.directory / "index.json").read_bytes() == index
        assert not list((mirror.directory / ".remetrics" / "partial").iterdir())
    assert killed > len(cuts) // 2
    assert found == {1, 2}
