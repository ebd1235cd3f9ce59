"""Compare `--types exact` with all rules of libmagic: descriptions of real files, and CPU times.

    python -m benchmarks.types [--files N] [--layers DIRECTORY] [--json FILE]

With --layers, the files are those of the main benchmark (benchmarks/layers.py) and the CPU time
counts; without, they are those of some hundreds of packages (benchmarks/corpus.py), whole, cut and
damaged, and differences count: a difference is printed, and the exit code is 1.
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

from hpc_remetrics.filetype.held_content import HEAD_BYTES, ContentBytes, keep
from hpc_remetrics.filetype.libmagic import ContentEnds, Libmagic

from .corpus import contents
from .layers import blobs, build
from .measure import machine

FILES_PER_VARIANT = 40
"""One file in so many is cut and damaged too."""


class Contest:
    """libmagic with all its rules, and with those that can match; what they say, and what it takes.

    The time to begin includes the comparison on the samples.
    """

    def __init__(self) -> None:
        started = time.process_time()
        self.libmagic = Libmagic()
        gc.freeze()  # as the program does
        self.start_seconds = time.process_time() - started
        if self.libmagic.unsupported:
            raise SystemExit(self.libmagic.unsupported)
        self.asked: Counter[str] = Counter()
        self.differ: list[tuple[str, int, bytes | None, bytes | None]] = []
        self.cpu = [0.0, 0.0]

    def compare(self, kind: str, content: ContentBytes) -> None:
        """Compare the descriptions of one content."""
        libmagic = self.libmagic
        self._count(kind, content, libmagic.describe_plainly(content), libmagic.describe(content))

    def race(self, kind: str, files: list[ContentBytes]) -> None:
        """Compare the descriptions of many files, and the CPU times."""
        answers = []
        costs = []
        for describe in (self.libmagic.describe_plainly, self.libmagic.describe):
            begun = time.process_time()
            answers.append([describe(content) for content in files])
            costs.append(time.process_time() - begun)
        for content, want, got in zip(files, *answers, strict=True):
            self._count(kind, content, want, got)
        self.cpu = [before + cost for before, cost in zip(self.cpu, costs, strict=True)]
        plain, exact = (1e6 * cost / len(files) for cost in costs)
        message = f"{kind}: {len(files)} files, {plain:.0f} and {exact:.0f} µs"
        print(message, file=sys.stderr, flush=True)

    def _count(
        self, kind: str, content: ContentBytes, want: bytes | None, got: bytes | None
    ) -> None:
        self.asked[kind] += 1
        if not Libmagic.agree(want, got):
            size = content.size if isinstance(content, ContentEnds) else len(content)
            self.differ.append((kind, size, want, got))
            print(f"{kind}, {size} bytes: {want!r} but {got!r}", file=sys.stderr, flush=True)

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


CUTS = (1, 2, 3, 5, 17, 100, 300, 513, 4096, 8191, 8192, 8193, 65535, 65536, 65537)
"""Bytes that are left of a file: around what libmagic's buffers hold."""


def variants(data: bytes, drawn: random.Random) -> Iterator[bytes]:
    """Yield a file cut, extended, and with single bits turned, most of them near the beginning."""
    for size in (*CUTS, len(data) - 1):
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
    contest = Contest()
    drawn = random.Random(seed)
    for number, (kind, data) in enumerate(contents(seed)):
        if number >= files:
            break
        contest.compare(kind, _held(data))
        if not number % FILES_PER_VARIANT:
            for variant in variants(data[: 1 << 20], drawn):
                contest.compare("variants", variant)
        if not number % 5000:
            print(f"{number} files, {len(contest.differ)} differ", file=sys.stderr, flush=True)
    return contest.result()


def race(folder: Path) -> dict[str, Any]:
    """Compare the CPU times on the distinct files of the main benchmark's layers.

    All rules are asked about a whole layer, then few: what one has in the processor's caches the
    other doesn't pay for.
    """
    contest = Contest()
    for name, blob in blobs(build(folder)).items():
        contest.race(name, list(_distinct(blob)))
    return contest.result()


def _distinct(blob: Path) -> Iterator[ContentBytes]:
    """Yield the distinct files of a layer, held as the program holds them."""
    seen: set[bytes] = set()
    with tarfile.open(blob) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() and member.size else None
            data = b"" if file is None else file.read()
            digest = hashlib.sha256(data).digest()
            if data and digest not in seen:
                seen.add(digest)
                yield _held(data)


def _held(data: bytes) -> ContentBytes:
    """Return all of a small file, both ends of a large one."""
    pieces = (data[at : at + HEAD_BYTES] for at in range(0, len(data), HEAD_BYTES))
    return keep(pieces, len(data), None, len)


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
