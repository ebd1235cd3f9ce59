"""A commit that is killed before each of its system calls leaves what was there, or all that is
new."""

from __future__ import annotations

import pickle
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from support.same import assert_same
from support.synthetic import SIGNATURE, TYPES
from support.tools import need

import hpc_remetrics
from hpc_remetrics.errors import DatasetError
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.parts.parts_directory import scan_parts, sweep_temporaries

from .test_gather import PROGRAM, Corpus

pytestmark = pytest.mark.slow
TEMPORARY = f".{{}}.{16 * '0'}.tmp"
"""What the programs under test call a file until it is whole."""

_CALL = re.compile(r"^(?:\d+ +)?([a-z_0-9]+)\(", re.MULTILINE)


class Cuts:
    """A command, and the system calls that it makes on some paths."""

    def __init__(self, command: list[object], paths: list[Path], log: Path) -> None:
        self._command, self._log = command, log
        self._paths = [option for path in paths for option in ("-P", path)]

    def _run(self, *options: str) -> int:
        strace = [need("strace"), "-f", "-o", self._log, *self._paths, *options, *self._command]
        return subprocess.run(strace, capture_output=True, timeout=120).returncode

    def calls(self) -> list[tuple[str, int]]:
        """Run the command whole; return its system calls, each with its number among those of its
        name."""
        assert self._run() == 0
        seen: Counter[str] = Counter()
        calls = []
        for name in _CALL.findall(self._log.read_text()):
            seen[name] += 1
            calls.append((name, seen[name]))
        return calls

    def kill_before(self, name: str, number: int) -> None:
        code = self._run(f"--inject={name}:signal=KILL:when={number}")
        assert code in (-signal.SIGKILL, 128 + signal.SIGKILL), f"{name} {number}: exit code {code}"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("cuts"), 21, [60, 5, 300, 0])


def test_a_part(corpus, tmp_path):
    directory, scratch = tmp_path / "parts", tmp_path / "scratch"
    for made in (directory, scratch):
        made.mkdir()
    items = [
        (layer.digest, layer.profile, layer.spill(corpus.place / "spills"))
        for layer in corpus.layers
    ]
    layers = tmp_path / "layers"
    layers.write_bytes(pickle.dumps((items, TYPES, SIGNATURE)))
    target, temporary = directory / "part-1-0-0.h5", directory / TEMPORARY.format("part-1-0-0.h5")
    command = [
        sys.executable,
        Path(__file__).with_name("part_program.py"),
        layers,
        "1-0-0",
        directory,
        scratch,
    ]
    cuts = Cuts(
        command, [directory, target, temporary, scratch / ".part-1-0-0.h5.local"], tmp_path / "log"
    )
    calls = cuts.calls()
    whole = target.read_bytes()
    assert {name for name, _ in calls} >= {"openat", "write", "fsync", "renameat"}
    there = tried = 0
    for name, number in calls:
        # Reads and writes of the same file are many and alike: every fourth is enough.
        if name in ("pread64", "pwrite64") and number % 4 != 1:
            continue
        tried += 1
        shutil.rmtree(directory)
        directory.mkdir()
        for left in scratch.iterdir():
            left.unlink()
        cuts.kill_before(name, number)
        found = scan_parts(directory, SerialComm())
        assert found.damaged == []
        if found.parts:
            assert target.read_bytes() == whole
            there += 1
        sweep_temporaries(directory)
        assert {path.name for path in directory.iterdir()} <= {target.name}
    assert 0 < there < tried


def test_the_dataset(corpus, tmp_path):
    """The old one is there until the new one is; a start after the cut makes the new one."""
    old, new = corpus.gather("old"), corpus.place / "new.h5"
    catalog = tmp_path / "catalog"
    corpus.catalog.images.pop()
    want = corpus.gather("want")
    catalog.write_bytes(pickle.dumps(corpus.catalog))

    def command(number: object) -> list[object]:
        (tmp_path / f"scratch{number}").mkdir()
        return [
            sys.executable,
            PROGRAM,
            corpus.directory,
            catalog,
            new,
            tmp_path / f"scratch{number}",
        ]

    paths = [new, new.with_name(TEMPORARY.format(new.name)), corpus.place]
    calls = Cuts(command("first"), paths, tmp_path / "log").calls()
    assert_same(want, new)
    names = Counter(name for name, _ in calls)
    assert names["renameat"] == 1
    assert names["fsync"] == 2
    # Writing takes hundreds of calls: the first, some, and the last of each name; all of those that
    # name or sync.
    chosen = [
        (name, n)
        for name, n in calls
        if names[name] < 8 or n in (1, 2, names[name] // 2, names[name] - 1, names[name])
    ]
    outcomes = set()
    for number, (name, n) in enumerate(chosen):
        shutil.copy(old, new)
        Cuts(command(number), paths, tmp_path / "log").kill_before(name, n)
        with hpc_remetrics.open(new) as dataset:
            outcome = len(dataset.images)
        outcomes.add(outcome)
        assert_same(old if outcome == len(corpus.catalog.images) + 1 else want, new)
    assert len(outcomes) == 2
    subprocess.run(command("last"), check=True)
    assert_same(want, new)
    assert not new.with_name(TEMPORARY.format(new.name)).exists()


def test_a_dataset_that_is_cut_is_never_taken_for_one(corpus, tmp_path):
    """As when somebody copies a file that is being written."""
    data = corpus.gather("cut").read_bytes()
    cut = tmp_path / "cut.h5"
    for end in range(0, len(data), len(data) // 40 + 1):
        cut.write_bytes(data[:end])
        with pytest.raises(DatasetError) as error:
            hpc_remetrics.open(cut)
        assert "\n" not in str(error.value)
