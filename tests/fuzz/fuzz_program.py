"""Runs commands on hostile files and says which of them ended otherwise than in success or one
line.

A process of its own, which holds the program's imports and forks for each run; pytest itself is no
process to fork. Each line that it prints is a bad end.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import datasets
import ends
import files
import h5py
import matplotlib.pyplot as _pyplot  # noqa: F401  imported so that runs need not
import numpy as np
import parts
import pyarrow.csv as _csv  # noqa: F401
import pyarrow.parquet as _parquet  # noqa: F401

import hpc_remetrics.analyze.run
import hpc_remetrics.cli
import hpc_remetrics.gather.merge
import hpc_remetrics.report.html
import hpc_remetrics.report.plan_page
import hpc_remetrics.report.plot  # noqa: F401

_SECRET = b"NOBODY MAY READ THIS "
_NAME = "h.h5"

_SAMPLES = ["--compress-sample", "1", *(["--chunks"] if find_spec("pyfastcdc") else [])]
"""What the dataset was made with that hostile ones are made of."""

Words = list[str]


def commands_on_datasets(directory: Path) -> list[Words]:
    """Return the commands that read a dataset of somebody else."""
    scratch = ["--scratch", str(directory / "scratch"), "--quiet"]
    return [
        ["report", _NAME],
        ["report", _NAME, "--json"],
        ["export", _NAME, "--format", "csv", "-o", "csv"],
        ["reduce", _NAME, *scratch],
        ["compare", _NAME, "good.h5"],
        ["merge", _NAME, "good.h5", "-o", "merged.h5", *scratch],
        ["export", _NAME, "--format", "parquet", "-o", "parquet"],
        ["export", _NAME, "--format", "json", "-o", "json"],
        ["export", _NAME, "--format", "seed2017", "-o", "seed2017"],
        ["plot", _NAME, "--figure", "4", "--format", "svg", "-o", "plots"],
        ["plan", "oci:layout", "--time", "--calibration", _NAME],
        ["analyze", "oci:layout", "-o", "warm.h5", "--warm-types", _NAME, *scratch],
        ["analyze", "oci:layout", "-o", "next.h5", "--reuse", _NAME, *_SAMPLES, *scratch],
        ["status", _NAME],
        ["report", _NAME, "--html", "page.html"],
    ]


class Fuzz:
    """Runs of commands in a directory, which is made anew for each case."""

    def __init__(self, base: Path, layout: Path, directory: Path) -> None:
        self.base, self.directory = base, directory
        self.keep = directory.with_name(directory.name + "-kept")
        self.keep.mkdir()
        secret = self.keep / "secret"
        secret.write_bytes(_SECRET * 2000)
        with h5py.File(self.keep / "secret.h5", "w") as file:
            file["data"] = np.frombuffer(secret.read_bytes(), "u1")
        self.secret, self.layout = secret, layout
        self.baseline = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )

    def clean(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        (self.directory / "scratch").mkdir(mode=0o700)
        os.symlink(self.layout, self.directory / "layout")
        shutil.copyfile(self.base, self.directory / "good.h5")

    def judge(self, case: str, words: Words, code: int | None = None) -> ends.End:
        """Run a command and say what is wrong with its end."""
        end = ends.run(words, self.directory)
        wrong = end.wrong(code)
        if end.peak > self.baseline + ends.MEMORY:
            wrong = wrong or f"it took {end.peak / 1e9:.1f} GB"
        if not wrong and (leak := self._leak()):
            wrong = f"another file's bytes are in {leak}"
        if wrong:
            said = " // ".join(end.errors.strip().splitlines()[-4:])[-1500:]
            print(
                f"{case} | {' '.join(words)} | {wrong} | {end.seconds:.1f} s | {said}", flush=True
            )
        return end

    def _leak(self) -> str:
        for path in self.directory.rglob("*"):
            # What the hostile file itself holds is no leak; nor is a file that is too large to hold
            # only that.
            small = path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 27
            if small and path.name != _NAME and _SECRET in path.read_bytes():
                return path.name
        return ""


def hostile_datasets(fuzz: Fuzz, numbers: range, every: bool) -> None:
    """Datasets with one thing each that this program never writes."""
    for number, (name, change) in enumerate(datasets.HOSTILE.items()):
        if number not in numbers:
            continue
        commands = commands_on_datasets(fuzz.directory)
        # Each case has the commands that read all there is; the others take turns.
        chosen = commands if every else [*commands[1:4], commands[4 + number % (len(commands) - 5)]]
        made = fuzz.keep / _NAME
        if not datasets.write(fuzz.base, made, change, random.Random(number), fuzz.secret):
            continue
        for words in chosen:
            fuzz.clean()
            shutil.copyfile(made, fuzz.directory / _NAME)
            fuzz.judge(name, words)


def drawn_datasets(fuzz: Fuzz, numbers: range, every: bool) -> None:
    """Datasets in which something is changed by chance: by HDF5 itself, or byte by byte."""
    data = fuzz.base.read_bytes()
    places = datasets.places_of_structure(data)
    for seed in numbers:
        rng = random.Random(seed)
        fuzz.clean()
        target = fuzz.directory / _NAME
        if seed % 2:
            target.write_bytes(datasets.flipped(data, rng, places))
        elif not datasets.write(fuzz.base, target, datasets.any_change, rng, fuzz.secret):
            continue
        changed = target.read_bytes()
        commands = commands_on_datasets(fuzz.directory)
        for words in commands if every else [commands[1 + seed % 3], rng.choice(commands[:-1])]:
            fuzz.clean()
            target.write_bytes(changed)
            fuzz.judge(f"drawn {seed}", words)


class Parts:
    """A directory of good parts, to be spoiled."""

    def __init__(self, fuzz: Fuzz) -> None:
        self.fuzz = fuzz
        fuzz.clean()
        scratch = str(fuzz.directory / "scratch")
        self.words = ["analyze", "oci:layout", "-o", _NAME, "--quiet", "--scratch", scratch]
        fuzz.judge("a good run", self.words, code=0)
        self.good = fuzz.keep / "parts"
        shutil.copytree(fuzz.directory / f"{_NAME}.parts", self.good)

    def spoiled(
        self, case: str, change: Callable[[Path, random.Random], None], pattern: str, seed: int
    ) -> None:
        """Spoil one file, look at the run from outside, and go on with it twice."""
        self.fuzz.clean()
        directory = self.fuzz.directory / f"{_NAME}.parts"
        shutil.copytree(self.good, directory)
        change(next(directory.glob(pattern)), random.Random(seed))
        self.fuzz.judge(case, ["status", _NAME], code=0)
        # Whatever a part holds, the run ends with all layers, and so does the one after it.
        self.fuzz.judge(case, self.words, code=0)
        self.fuzz.judge(f"{case}, again", self.words, code=0)
        self.fuzz.judge(case, ["status", _NAME, "--json"], code=0)


def hostile_parts(fuzz: Fuzz, numbers: range, every: bool) -> None:
    """Parts and notes with one thing each that this program never writes."""
    made = Parts(fuzz)
    cases = [(name, change, "part-*") for name, change in parts.HOSTILE.items()]
    cases += [(name, change, "job-*") for name, change in parts.NOTES.items()]
    for number, (name, change, pattern) in enumerate(cases):
        if number in numbers:
            made.spoiled(name, change, pattern, number)


def drawn_parts(fuzz: Fuzz, numbers: range, every: bool) -> None:
    """Parts in which bytes are changed by chance, with right checksums or wrong ones."""
    made = Parts(fuzz)
    for seed in numbers:
        made.spoiled(f"drawn part {seed}", parts.any_change, "part-*", seed)


def other_files(fuzz: Fuzz, numbers: range, every: bool) -> None:
    """Locks, journals, settings and datasets that are no files at all."""
    for number, (name, prepare, words) in enumerate(files.cases()):
        if number in numbers:
            fuzz.clean()
            prepare(fuzz.directory, fuzz.base)
            fuzz.judge(
                name, [word.replace("SCRATCH", str(fuzz.directory / "scratch")) for word in words]
            )


_KINDS = {
    one.__name__: one
    for one in (hostile_datasets, drawn_datasets, hostile_parts, drawn_parts, other_files)
}


def count_of(kind: str) -> int:
    """Return how many cases of a kind there are, 0 where they are drawn."""
    counts = {
        "hostile_datasets": len(datasets.HOSTILE),
        "hostile_parts": len(parts.HOSTILE) + len(parts.NOTES),
        "other_files": len(list(files.cases())),
    }
    return counts.get(kind, 0)


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=_KINDS)
    parser.add_argument("base", type=Path)
    parser.add_argument("layout", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("first", type=int)
    parser.add_argument("end", type=int)
    parser.add_argument("step", type=int)
    parser.add_argument("--every", action="store_true")
    words = parser.parse_args()
    fuzz = Fuzz(words.base, words.layout, words.directory)
    _KINDS[words.kind](fuzz, range(words.first, words.end, words.step), words.every)


if __name__ == "__main__":
    _main()
