"""Job notes: one small JSON file for each job on a dataset, beside the parts.

They are for information only: `status` reads them from outside, and the gather copies them to
`/run`. A job rewrites its note now and then; one that can't be written or read is ignored.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..files.publish import write_whole
from ..files.untrusted import read_whole
from ..records import LAST_SECOND

_FORMAT = 1
_EVERY_SECONDS = 5.0
_NOTE_BYTES = 64 << 20
"""The longest note that is read: that of a hundred thousand ranks."""

_WORD = 1024
"""Strings in a note are shorter than this, in characters."""

_MAX = 1 << 60
"""Numbers in a note are below this, so that they can be added up."""

_COLUMN = re.compile("[a-z][a-z_]{0,39}")

_RANK_COLUMNS = frozenset(
    {"rank", "host", "ok", "partial", "failed", "files", "bytes", "busy_seconds"}
)
"""Columns that each row of a rank has."""

_RANKS_A_SECOND = 100
"""A job of many ranks rewrites its note less often: it writes this many rows a second at most."""


@dataclass
class JobNote:
    """One job on an output.

    :ivar job: the word for it in the names of parts.
    :ivar share: `K/N` of a job that took a share of the layers, else "".
    :ivar host: of its rank 0, and `process` its number there.
    :ivar started: Unix time, as is `updated`, that of this note.
    :ivar ended: how it ended; "" while it runs, and after it was killed.
    :ivar layers: of the dataset, with `bytes` compressed; `todo_…`: what was left for this job;
        `reused_…`: what no part held, and earlier datasets did.
    :ivar seconds: since its profiling began.
    :ivar ranks: what each profiling rank did so far, a row a rank.
    """

    job: str
    share: str
    host: str
    process: int
    started: float
    layers: int
    bytes: int
    todo_layers: int
    todo_bytes: int
    reused_layers: int = 0
    reused_bytes: int = 0
    updated: float = 0.0
    ended: str = ""
    seconds: float = 0.0
    ranks: list[dict[str, Any]] = field(default_factory=list)

    def sum(self, name: str) -> Any:
        """Return the sum of a number over all ranks."""
        return sum(rank[name] for rank in self.ranks)


class Notebook:
    """Keeps the note of a running job beside its parts."""

    def __init__(self, directory: Path, note: JobNote) -> None:
        self.note = note
        self._path = directory / f"job-{note.job}.json"
        self._begun = time.monotonic()
        self._every = max(_EVERY_SECONDS, len(note.ranks) / _RANKS_A_SECOND)
        self._due = 0.0

    def update(self, tallies: Mapping[int, Any]) -> None:
        """Write what each rank did so far, if the last note is old enough.

        :param tallies: rank -> a dataclass of numbers.
        """
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + self._every
        self._write(tallies)

    def close(self, tallies: Mapping[int, Any], ended: str) -> None:
        """Write the last note, with how the job ended."""
        self.note.ended = ended
        self._write(tallies)

    def _write(self, tallies: Mapping[int, Any]) -> None:
        note = self.note
        seconds = time.monotonic() - self._begun
        note.updated = time.time()
        note.seconds = round(seconds, 3)
        for row in note.ranks:
            if (tally := tallies.get(row["rank"])) is not None:
                row.update(asdict(tally))
            row["idle_seconds"] = round(max(seconds - row.get("busy_seconds", 0.0), 0.0), 3)
        text = json.dumps({"format": _FORMAT, **asdict(note)})
        with contextlib.suppress(OSError):  # a full disk must not end the run here
            write_whole(self._path, [text], sync=False)


def read_notes(directory: Path) -> list[JobNote]:
    """Return the notes of all jobs on an output, in order of their start."""
    notes = filter(None, map(_read, sorted(directory.glob("job-*.json"))))
    return sorted(notes, key=lambda note: (note.started, note.job))


def _read(path: Path) -> JobNote | None:
    """Return a note, None where the file is not one: another user may have written anything."""
    try:
        values = json.loads(read_whole(path, largest=_NOTE_BYTES, follow=False))
        if values.pop("format") != _FORMAT:
            return None
        note = JobNote(**values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return note if _is_sound(note) else None


def _is_sound(note: JobNote) -> bool:
    """Return whether all values of a note have their types, and numbers are in range."""
    # List the values by kind.
    words = (note.job, note.share, note.host, note.ended)
    numbers = (
        *(note.process, note.layers, note.bytes, note.todo_layers, note.todo_bytes),
        *(note.reused_layers, note.reused_bytes),
    )
    times = (note.started, note.updated, note.seconds)

    # Check each kind.
    if not all(isinstance(word, str) and len(word) < _WORD for word in words):
        return False
    rows: Any = note.ranks
    if not isinstance(rows, list):
        return False
    if not all(isinstance(number, int) for number in numbers):
        return False
    if not all(map(_is_number, (*numbers, *times))):
        return False
    return max(times) <= LAST_SECOND and all(map(_is_sound_rank, note.ranks))


def _is_sound_rank(row: Any) -> bool:
    if not isinstance(row, dict) or not row.keys() >= _RANK_COLUMNS:
        return False
    if not isinstance(row["host"], str):
        return False
    # The names become columns of `/run/job_ranks`
    if not all(map(_COLUMN.fullmatch, row)):
        return False
    return all(
        len(value) < _WORD if name == "host" else _is_number(value) for name, value in row.items()
    )


def _is_number(value: Any) -> bool:
    # Comparing works for integers of any length, and is false for NaN
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _MAX


_JOB_COLUMNS = (
    "job",
    "share",
    "host",
    "started",
    "updated",
    "ended",
    "seconds",
    "todo_layers",
    "todo_bytes",
)


def job_tables(notes: Sequence[JobNote]) -> dict[str, dict[str, list[Any]]]:
    """Return the tables `jobs` and `job_ranks` of `/run`: column -> one value a job, or a rank."""
    jobs = {name: [getattr(note, name) for note in notes] for name in _JOB_COLUMNS}
    jobs["ranks"] = [len(note.ranks) for note in notes]
    rows = [(note.job, row) for note in notes for row in note.ranks]
    names = dict.fromkeys(name for _, row in rows for name in row)
    ranks = {name: [row.get(name, 0) for _, row in rows] for name in names}
    return {"jobs": jobs, "job_ranks": {"job": [job for job, _ in rows], **ranks}}
