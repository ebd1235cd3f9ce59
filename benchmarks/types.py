"""Compare the screened answers of libmagic with its plain ones, on real files, cut and damaged
ones; and CPU times.

    python -m benchmarks.types [--files N] [--layers FOLDER] [--json FILE]

With --layers, the files are those of the main benchmark (benchmarks/layers.py) and the CPU time
counts; without, they are those of some hundreds of packages (benchmarks/corpus.py), and differences
count: a difference is printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import random
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpc_remetrics.filetype.libmagic.binding import Magic
from hpc_remetrics.filetype.libmagic.exact import Exact, agree

from .corpus import contents
from .layers import blobs, build
from .measure import machine

VARIANTS = 40  # one file in so many is cut and damaged too
MOST = 7 << 20


class Contest:
    """libmagic with all its rules, and with those that a file can match; what they said, and what
    it took."""

    def __init__(self) -> None:
        self.plain = Magic()
        started = time.process_time()
        self.exact = Exact(self.plain)
        gc.freeze()  # as the program does
        self.start_seconds = time.process_time() - started
        self.asked: Counter[str] = Counter()
        self.differ: list[tuple[str, int, bytes | None, bytes | None]] = []
        self.cpu = [0.0, 0.0]

    def ask(self, kind: str, data: bytes) -> None:
        self._compare(kind, data, self.plain.ask(data), self.exact.ask(data))

    def race(self, kind: str, files: list[bytes]) -> None:
        answers, costs = [], []
        for ask in (self.plain.ask, self.exact.ask):
            begun = time.process_time()
            answers.append([ask(data) for data in files])
            costs.append(time.process_time() - begun)
        for data, want, have in zip(files, *answers, strict=True):
            self._compare(kind, data, want, have)
        self.cpu = [before + cost for before, cost in zip(self.cpu, costs, strict=True)]
        each = [1e6 * cost / len(files) for cost in costs]
        print(
            f"{kind}: {len(files)} files, {each[0]:.0f} and {each[1]:.0f} µs",
            file=sys.stderr,
            flush=True,
        )

    def _compare(self, kind: str, data: bytes, want: bytes | None, have: bytes | None) -> None:
        self.asked[kind] += 1
        if not agree(want, have):
            self.differ.append((kind, len(data), want, have))
            print(f"{kind}, {len(data)} bytes: {want!r} but {have!r}", file=sys.stderr, flush=True)

    def result(self) -> dict[str, Any]:
        return {
            "machine": machine(),
            "asked": self.asked.total(),
            "kinds": dict(self.asked.most_common()),
            "differ": len(self.differ),
            "plain_microseconds": round(1e6 * self.cpu[0] / self.asked.total(), 1),
            "exact_microseconds": round(1e6 * self.cpu[1] / self.asked.total(), 1),
            "start_seconds": round(self.start_seconds, 3),
        }


def variants(data: bytes, drawn: random.Random) -> Iterator[bytes]:
    """Yield a file cut, extended, and with single bits turned, most of them near the beginning."""
    for size in (
        1,
        2,
        3,
        5,
        17,
        100,
        300,
        513,
        4096,
        8191,
        8192,
        8193,
        65535,
        65536,
        65537,
        len(data) - 1,
    ):
        if 0 < size < len(data):
            yield data[:size]
    yield data + bytes(drawn.randrange(1, 600))
    yield data[drawn.randrange(len(data)) :]
    for reach in (8, 64, 600, 9000, len(data)):
        damaged = bytearray(data)
        for _ in range(drawn.choice((1, 1, 3))):
            damaged[drawn.randrange(min(reach, len(data)))] ^= 1 << drawn.randrange(8)
        yield bytes(damaged)


def judge(files: int, seed: int) -> dict[str, Any]:
    """Compare the answers on so many distinct files of packages, and on variants of some."""
    contest, drawn = Contest(), random.Random(seed)
    for number, (kind, data) in enumerate(contents(seed)):
        if number >= files:
            break
        contest.ask(kind, data[:MOST])
        if not number % VARIANTS:
            for variant in variants(data[: 1 << 20], drawn):
                contest.ask("variants", variant)
        if not number % 5000:
            print(f"{number} files, {len(contest.differ)} differ", file=sys.stderr, flush=True)
    return contest.result()


def race(folder: Path) -> dict[str, Any]:
    """Compare the CPU times on the distinct files of the main benchmark's layers.

    One asks about a whole layer, then the other: what one has in the processor's caches the other
    doesn't pay for.
    """
    contest = Contest()
    for name, blob in blobs(build(folder)).items():
        files = list(_distinct(blob))
        contest.race(name, files)
    return contest.result()


def _distinct(blob: Path) -> Iterator[bytes]:
    seen: set[bytes] = set()
    with tarfile.open(blob) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() and member.size else None
            data = b"" if file is None else file.read()[:MOST]
            digest = hashlib.sha256(data).digest()
            if data and digest not in seen:
                seen.add(digest)
                yield data


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks.types", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=2017)
    parser.add_argument("--layers", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = race(options.layers) if options.layers else judge(options.files, options.seed)
    print(
        f"{result['asked']} answers, {result['differ']} differ; start {result['start_seconds']} s"
    )
    if options.layers:
        plain, exact = result["plain_microseconds"], result["exact_microseconds"]
        print(f"{plain} µs of CPU a file, screened {exact}: {plain / exact:.2f} times less")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if result["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
