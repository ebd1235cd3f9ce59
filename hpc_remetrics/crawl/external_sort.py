"""Sorting more lines than fit into memory: sorted runs in temporary files, merged."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

RUN = 500_000
"""Lines that are sorted at once, some 100 MB."""


def sorted_lines(lines: Iterable[str], folder: Path, run: int = RUN) -> Iterator[str]:
    """Yield lines (without their ends) in order; `folder` holds what doesn't fit into memory."""
    source = iter(lines)
    with contextlib.ExitStack() as stack:
        runs: list[TextIO] = []
        while chunk := sorted(itertools.islice(source, run)):
            if len(chunk) < run and not runs:
                yield from chunk
                return
            file = stack.enter_context(
                tempfile.TemporaryFile("w+", dir=folder, encoding="utf-8", newline="\n")
            )
            file.writelines(f"{line}\n" for line in chunk)
            file.seek(0)
            runs.append(file)
        for line in heapq.merge(*runs):
            yield line[:-1]
