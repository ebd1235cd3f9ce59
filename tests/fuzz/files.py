"""Files that are no files: FIFOs, devices and links where a command expects a dataset, a lock or
settings."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

Prepare = Callable[[Path, Path], None]
"""Is given the directory in which a command will run, and a good dataset."""

_ANALYZE = ["analyze", "oci:layout", "-o", "h.h5", "--quiet", "--scratch", "SCRATCH"]


def _fifo(directory: Path, name: str) -> None:
    os.mkfifo(directory / name)


def _fifo_behind_a_link(directory: Path, name: str) -> None:
    os.mkfifo(directory / "fifo")
    os.symlink("fifo", directory / name)


def _zero(directory: Path, name: str) -> None:
    os.symlink("/dev/zero", directory / name)


def _directory(directory: Path, name: str) -> None:
    (directory / name).mkdir()


def _holes(directory: Path, name: str) -> None:
    (directory / name).touch()
    os.truncate(directory / name, 1 << 40)


def _nowhere(directory: Path, name: str) -> None:
    os.symlink("nowhere", directory / name)


def _loop(directory: Path, name: str) -> None:
    os.symlink(name, directory / name)


def _noise(directory: Path, name: str) -> None:
    (directory / name).write_bytes(random.Random(7).randbytes(5000))


_INSTEAD = {
    "a FIFO": _fifo,
    "a FIFO behind a link": _fifo_behind_a_link,
    "a link to /dev/zero": _zero,
    "a directory": _directory,
    "a huge file of holes": _holes,
    "a link to nowhere": _nowhere,
    "a link to itself": _loop,
    "noise": _noise,
}

_SETTINGS = {
    "no UTF-8": b"\xff\xfe = 1",
    "half a string": b'output = "',
    "a number as output": b"output = 7",
    "an infinite number": b"memory = inf",
    "a date": b"platform = 1979-05-27",
    "an odd name": b'"\\u001b[31m" = 1',
    "NUL": b'output = "a\\u0000b"',
    "a table": b"[output]\nx = 1",
    "a number of 5,000 digits": b"memory = 1" + b"0" * 5000,
    "a hexadecimal number of 5,000 digits": b"threads = 0x" + b"f" * 5000,
    "a share with a huge exponent": b'compress_sample = "1e-999999999"',
    "a table in a table": b"[limits.entries]\nx = 1",
    "deep arrays": b"output = " + b"[" * 100_000,
    "a string of 900,000 bytes": b'types = "' + b"x" * 900_000 + b'"',
}


def cases() -> Iterator[tuple[str, Prepare, list[str]]]:
    """Yield name, what is to be prepared, and the command."""
    for what, make in _INSTEAD.items():
        for words in (
            ["report", "h.h5"],
            ["merge", "good.h5", "h.h5", "-o", "m.h5", "--scratch", "SCRATCH"],
        ):
            yield f"dataset: {what}", _placed(make, "h.h5"), words
        yield f"lock: {what}", _beside(make, "h.h5.lock"), ["status", "h.h5"]
        yield f"lock: {what}", _placed(make, "h.h5.lock"), _ANALYZE
        yield f"parts: {what}", _placed(make, "h.h5.parts"), _ANALYZE
        yield f"parts: {what}", _placed(make, "h.h5.parts"), ["status", "h.h5"]
        yield f"output: {what}", _placed(make, "h.h5"), _ANALYZE
        yield (
            f"settings: {what}",
            _placed(make, "remetrics.toml"),
            ["analyze", "oci:layout", "--help"],
        )
        yield (
            f"settings: {what}",
            _placed(make, "s.toml"),
            ["plan", "oci:layout", "--config", "s.toml"],
        )
        yield f"settings: {what}", _placed(make, "s.toml"), [*_ANALYZE, "--config", "s.toml"]
        yield f"warm types: {what}", _placed(make, "w.h5"), [*_ANALYZE, "--warm-types", "w.h5"]
        yield f"reuse: {what}", _placed(make, "r.h5"), [*_ANALYZE, "--reuse", "r.h5"]
        yield (
            f"calibration: {what}",
            _placed(make, "c.h5"),
            ["plan", "oci:layout", "--time", "--calibration", "c.h5"],
        )
    for what, text in _SETTINGS.items():
        yield f"settings: {what}", _written("s.toml", text), [*_ANALYZE, "--config", "s.toml"]


def _placed(make: Callable[[Path, str], None], name: str) -> Prepare:
    return lambda directory, base: make(directory, name)


def _beside(make: Callable[[Path, str], None], name: str) -> Prepare:
    """Beside a good dataset."""

    def prepare(directory: Path, base: Path) -> None:
        shutil.copyfile(base, directory / name.removesuffix(".lock"))
        make(directory, name)

    return prepare


def _written(name: str, text: bytes) -> Prepare:
    return lambda directory, base: (directory / name).write_bytes(text) and None
