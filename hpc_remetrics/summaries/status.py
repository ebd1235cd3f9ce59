"""The progress of a dataset, seen from outside: its parts, job notes and lock."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..dataset.ledger import Ledger
from ..dataset.reader import Dataset, reading
from ..errors import DatasetError
from ..files.lock import holders, lock_path
from ..mpi.comm import SerialComm
from ..parts.job_notes import JobNote, read_notes
from ..parts.parts_directory import best_statuses, parts_directory, scan_parts
from ..records import TRANSIENT_CAUSES

_FRESH = 60.0
"""Seconds for which the note of a job says that it lasts; it is written anew every few."""


@dataclass(frozen=True)
class JobStatus:
    """One job: layers and compressed bytes that its ranks are done with, published or not.

    :ivar state: `running`, how it ended, or `ended without a word` (killed, or its node lost).
    :ivar started: Unix time; `seconds` of profiling since.
    :ivar busy: share of their time in which the children of its ranks had a layer.
    """

    job: str
    share: str
    host: str
    ranks: int
    state: str
    started: float
    seconds: float
    layers: int
    failed: int
    files: int
    bytes: int
    busy: float

    @property
    def running(self) -> bool:
        return self.state == "running"


@dataclass(frozen=True)
class Status:
    """How far a dataset is.

    :ivar state: `running`, `gathering`, `stopped`, or `done` (the dataset is there and no job is on
    it).
    :ivar held_by: host and process of the jobs that hold it.
    :ivar ledger: of the published layers; `pending` are those in no part, -1 where no note says how
    many there are.
    :ivar unpublished: layers that running jobs are done with, but no part holds yet.
    :ivar bytes_done: compressed bytes of published layers, `bytes_left` of the others (-1:
    unknown).
    :ivar layers_a_second: of the running jobs, as is `bytes_a_second`.
    :ivar seconds_left: by that rate; -1 where none can be told.
    :ivar parts_made_by: names of the other users who made parts.
    :ivar causes: of the published layers that are failed or partial; `again` of them are tried by
    the next start.
    """

    dataset: str
    state: str
    held_by: list[str]
    ledger: Ledger
    unpublished: int
    bytes_done: int
    bytes_left: int
    layers_a_second: float
    bytes_a_second: float
    seconds_left: float
    parts: int
    damaged_parts: int
    parts_made_by: list[str]
    causes: dict[str, int]
    again: int
    jobs: list[JobStatus]


def status(output: Path) -> Status:
    """Look at a dataset's parts, notes and lock, and change nothing; `DatasetError` if there is no
    trace of it."""
    folder = parts_directory(output)
    if not (output.exists() or folder.is_dir() or lock_path(output).exists()):
        raise DatasetError(
            f"there is no {output}, nor any part of it", "name the file that `analyze -o` was given"
        )
    found, notes = scan_parts(folder, SerialComm()), read_notes(folder)
    held = _held(output, notes)
    done = best_statuses(found.parts)
    sizes = {
        d: s
        for part in found.parts
        for d, s in zip(part.digests(), part.layers["CLS"].tolist(), strict=True)
    }
    bytes_done = sum(sizes.values())
    jobs = [_job(note, held) for note in notes]
    running = [job for job in jobs if job.running]
    published = Counter(dict.fromkeys((job.job for job in running), 0))
    for part in found.parts:
        published[part.path.name.split("-")[1]] += len(part.layers)
    rates = [
        sum(getattr(job, name) / max(job.seconds, 1.0) for job in running)
        for name in ("layers", "bytes")
    ]
    whole = notes[-1] if notes else None
    bytes_left = max(whole.bytes - bytes_done, 0) if whole else -1
    ledger = _ledger(output, done, whole)
    failures = {
        f.digest: f.cause
        for part in found.parts
        for f in part.failures
        if done[f.digest][0] != "ok"
    }
    return Status(
        dataset=str(output),
        state=_state(bool(held), ledger.pending, output),
        held_by=[
            f"process {process} on {host}" + (f" (share {n})" if n else "")
            for n, host, process in held
        ],
        ledger=ledger,
        unpublished=sum(max(job.layers - published[job.job], 0) for job in running),
        bytes_done=bytes_done,
        bytes_left=bytes_left,
        layers_a_second=rates[0],
        bytes_a_second=rates[1],
        seconds_left=bytes_left / rates[1] if rates[1] > 0 and bytes_left >= 0 else -1.0,
        parts=len(found.parts),
        damaged_parts=len(found.damaged),
        parts_made_by=found.others,
        causes=dict(Counter(failures.values()).most_common()),
        again=sum(
            done[d][0] == "failed" and cause in TRANSIENT_CAUSES for d, cause in failures.items()
        ),
        jobs=jobs,
    )


def _held(output: Path, notes: list[JobNote]) -> list[tuple[int, str, str]]:
    """Return who holds the output; by the notes of jobs where the lock is not for this user to
    read."""
    try:
        return holders(output)
    except PermissionError:
        now = time.time()
        lasting = [note for note in notes if not note.ended and now - note.updated < _FRESH]
        return [
            (int(note.share.partition("/")[0] or 0), note.host, str(note.process))
            for note in lasting
        ]


def _state(held: bool, pending: int, output: Path) -> str:
    if held:
        return "running" if pending else "gathering"
    return "done" if output.exists() else "stopped"


def _ledger(output: Path, done: dict, whole: JobNote | None) -> Ledger:  # type: ignore[type-arg]
    """Return how layers ended: by the parts, or by the dataset where the parts are gone."""
    if not done and output.exists():
        with Dataset(output) as dataset, reading(dataset):
            return dataset.ledger
    ledger = Ledger.of(word for word, _ in done.values())
    return ledger + Ledger(pending=max(whole.layers - ledger.layers, 0) if whole else -1)


def _job(note: JobNote, held: list[tuple[int, str, str]]) -> JobStatus:
    lives = any((host, process) == (note.host, str(note.process)) for _, host, process in held)
    layers = {word: note.sum(word) for word in ("ok", "partial", "failed")}
    return JobStatus(
        job=note.job,
        share=note.share,
        host=note.host,
        ranks=len(note.ranks),
        state=note.ended or ("running" if lives else "ended without a word"),
        started=note.started,
        seconds=note.seconds,
        layers=sum(layers.values()),
        failed=layers["failed"] + layers["partial"],
        files=note.sum("files"),
        bytes=note.sum("bytes"),
        busy=note.sum("busy_seconds") / max(note.seconds * len(note.ranks), 1e-9),
    )
