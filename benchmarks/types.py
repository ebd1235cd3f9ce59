"""Compare `--types exact` with all rules of libmagic: descriptions of real files, and CPU times.

    python -m benchmarks.types [--files N] [--corpus TAR] [--layers DIRECTORY] [--json FILE]
                               [--library libmagic.so.1 [--magic magic.mgc] [--program file]]

With --layers, the files are those of the main benchmark (benchmarks/layers.py) and the CPU time
counts; without, they are those of some hundreds of packages (benchmarks/corpus.py), whole, cut and
damaged, and differences count: a difference is printed, and the exit code is 1. With --corpus they
are kept in a tar, and read from it the next time; any other tar does too.

--library names another libmagic than that of the machine, --magic its database, and --program its
`file`, whose answers are then taken in place of those of the library with all rules.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import io
import itertools
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
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

    def compare(self, kind: str, contents: list[bytes], program: Path | None) -> None:
        """Compare the descriptions of some contents with those of `file`, or of all rules."""
        held = [_held(data) for data in contents]
        if program is None:
            wanted = [self.libmagic.describe_plainly(content) for content in held]
        else:
            wanted = _described(program, contents)
        for content, want in zip(held, wanted, strict=True):
            self._count(kind, content, want, self.libmagic.describe(content))

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
            "libmagic": Libmagic.version(),
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


BATCH = 500
"""Files that one process of `file` describes."""


def judge(
    files: Iterable[tuple[str, bytes]], seed: int, program: Path | None = None
) -> dict[str, Any]:
    """Compare the answers on distinct files, each with its kind, and on variants of some."""
    contest = Contest()
    drawn = random.Random(seed)
    numbered = enumerate(files)
    while batch := list(itertools.islice(numbered, BATCH)):
        damaged = [
            variant
            for number, (_, data) in batch
            if not number % FILES_PER_VARIANT
            for variant in variants(data[: 1 << 20], drawn)
        ]
        by_kind: dict[str, list[bytes]] = {"variants": damaged}
        for _, (kind, data) in batch:
            by_kind.setdefault(kind, []).append(data)
        for kind, some in by_kind.items():
            contest.compare(kind, some, program)
        if not batch[0][0] % 5000:
            differ = len(contest.differ)
            print(f"{batch[0][0]} files, {differ} differ", file=sys.stderr, flush=True)
    return contest.result()


def _described(program: Path, contents: list[bytes]) -> list[bytes | None]:
    """Return what `file --brief` prints of some contents."""
    with tempfile.TemporaryDirectory() as directory:
        paths = [Path(directory, str(number)) for number in range(len(contents))]
        for path, data in zip(paths, contents, strict=True):
            path.write_bytes(data)
        names = "".join(f"{path}\n" for path in paths)
        command = [program, "--brief", "--files-from", "-"]
        # Its exit code tells whether it met an error with one of them.
        output = subprocess.run(command, input=names.encode(), stdout=subprocess.PIPE, check=False)
    lines = output.stdout.split(b"\n")[:-1]
    if len(lines) != len(contents):
        raise SystemExit(f"{program} said {len(lines)} things of {len(contents)} files")
    # The library gives an error where the program prints one.
    return [None if line.startswith(b"ERROR:") else line for line in lines]


def _files(count: int, seed: int, corpus: Path | None) -> Iterator[tuple[str, bytes]]:
    """Yield the kind and the bytes of distinct files of packages.

    :param corpus: a tar to read them from; it is made if it isn't there.
    """
    found = itertools.islice(contents(seed), count)
    if corpus is None:
        yield from found
        return
    if not corpus.exists():
        with tarfile.open(corpus, "w") as archive:
            for number, (kind, data) in enumerate(found):
                member = tarfile.TarInfo(f"{kind}/{number}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    with tarfile.open(corpus) as archive:
        for member in itertools.islice(archive, count):
            file = archive.extractfile(member) if member.isreg() and member.size else None
            if file is not None:
                yield member.name.partition("/")[0], file.read()


def race(directory: Path) -> dict[str, Any]:
    """Compare the CPU times on the distinct files of the main benchmark's layers.

    All rules are asked about a whole layer, then few: what one has in the processor's caches the
    other doesn't pay for.
    """
    contest = Contest()
    for name, blob in blobs(build(directory)).items():
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


def _use_libmagic(library: Path, magic: Path | None) -> None:
    """Run this program anew with another libmagic, unless it has it."""
    directory = str(library.resolve().parent)
    others = os.environ.get("LD_LIBRARY_PATH", "")
    if others.split(":")[0] == directory:
        return
    os.environ["LD_LIBRARY_PATH"] = f"{directory}:{others}".rstrip(":")
    if magic is not None:
        os.environ["MAGIC"] = str(magic.resolve())
    os.execv(sys.executable, [sys.executable, "-m", "benchmarks.types", *sys.argv[1:]])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks.types", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=2017)
    parser.add_argument("--layers", type=Path)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--library", type=Path)
    parser.add_argument("--magic", type=Path)
    parser.add_argument("--program", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.library is not None:
        _use_libmagic(options.library, options.magic)
    if options.layers:
        result = race(options.layers)
    else:
        files = _files(options.files, options.seed, options.corpus)
        result = judge(files, options.seed, options.program)
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
