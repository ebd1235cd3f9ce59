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
from ..parts.part_format import PartIndex
from ..parts.parts_directory import best_statuses, parts_directory, scan_parts
from ..records import TRANSIENT_CAUSES, Digest

_FRESH_SECONDS = 60.0
"""A job whose note is older does not run any more: jobs rewrite their notes every few seconds."""

Holders = list[tuple[int, str, str]]
"""(share, host, process) of the jobs that hold an output; the share is 0 for a job without one."""


@dataclass(frozen=True)
class JobStatus:
    """One job: layers and compressed bytes that its ranks are done with, published or not.

    :ivar state: `running`, how it ended, or `ended without a word` (killed, or its node lost).
    :ivar started: Unix time; `seconds`: of profiling since then.
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
        """Whether the job runs now."""
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
    :ivar bytes_done: compressed bytes of the published layers; `bytes_left`: of the others, -1
        where that is unknown.
    :ivar layers_a_second: of all running jobs together; `bytes_a_second` likewise.
    :ivar seconds_left: at that rate, -1 where it is unknown.
    :ivar parts_made_by: names of the other users who made parts.
    :ivar causes: cause -> published layers that are failed or partial for it, most common first.
    :ivar again: how many of these the next run tries again.
    :ivar reused: layers that are taken from earlier datasets, and so in no part.
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
    reused: int = 0


def status(output: Path) -> Status:
    """Look at a dataset's parts, job notes and lock, and change nothing.

    :raises DatasetError: there is no trace of the dataset.
    """
    directory = parts_directory(output)
    if not (output.exists() or directory.is_dir() or lock_path(output).exists()):
        message = f"there is no {output}, nor any part of it"
        raise DatasetError(message, "name the file that `analyze -o` was given")

    # Read the parts, the notes and the lock
    scanned = scan_parts(directory, SerialComm())
    notes = read_notes(directory)
    held = _holders(output, notes)
    done = best_statuses(scanned.parts)
    jobs = [_job_status(note, held) for note in notes]
    running = [job for job in jobs if job.running]

    # Work out what is left, by the latest note, and how long it takes the running jobs
    latest = notes[-1] if notes else None
    ledger = _ledger(output, done, latest)
    bytes_done = _published_bytes(scanned.parts)
    bytes_left = max(latest.bytes - latest.reused_bytes - bytes_done, 0) if latest else -1
    layers_a_second = sum(job.layers / max(job.seconds, 1.0) for job in running)
    bytes_a_second = sum(job.bytes / max(job.seconds, 1.0) for job in running)
    is_known = bytes_left >= 0 and bytes_a_second > 0

    # Count what went wrong with the published layers
    wrong = [(state, cause) for state, cause in done.values() if state != "ok"]
    causes = Counter(cause for _, cause in wrong)
    again = sum(state == "failed" and cause in TRANSIENT_CAUSES for state, cause in wrong)
    return Status(
        dataset=str(output),
        state=_state(bool(held), ledger.pending, output),
        held_by=[_holder(*holder) for holder in held],
        ledger=ledger,
        unpublished=_unpublished(scanned.parts, running),
        bytes_done=bytes_done,
        bytes_left=bytes_left,
        layers_a_second=layers_a_second,
        bytes_a_second=bytes_a_second,
        seconds_left=bytes_left / bytes_a_second if is_known else -1.0,
        parts=len(scanned.parts),
        damaged_parts=len(scanned.damaged),
        parts_made_by=scanned.others,
        causes=dict(causes.most_common()),
        again=again,
        jobs=jobs,
        reused=latest.reused_layers if latest else 0,
    )


def _holders(output: Path, notes: list[JobNote]) -> Holders:
    """Return who holds the output: by the lock, or by fresh notes if this user can't read it."""
    try:
        return holders(output)
    except PermissionError:
        oldest = time.time() - _FRESH_SECONDS
        return [
            (int(note.share.partition("/")[0] or 0), note.host, str(note.process))
            for note in notes
            if not note.ended and note.updated > oldest
        ]


def _holder(share: int, host: str, process: str) -> str:
    return f"process {process} on {host}" + (f" (share {share})" if share else "")


def _state(is_held: bool, pending: int, output: Path) -> str:
    if is_held:
        return "running" if pending else "gathering"
    return "done" if output.exists() else "stopped"


def _ledger(output: Path, done: dict[Digest, tuple[str, str]], latest: JobNote | None) -> Ledger:
    """Return how layers ended: by the parts, or by the dataset where the parts are gone.

    :param done: status and cause of each published layer.
    :param latest: the note that says how many layers the dataset has.
    """
    if not done and output.exists():
        with Dataset(output) as dataset, reading(dataset):
            return dataset.ledger
    ledger = Ledger.of(state for state, _ in done.values())
    if latest is None:
        return ledger + Ledger(pending=-1)
    held = ledger.layers + latest.reused_layers
    return ledger + Ledger(pending=max(latest.layers - held, 0))


def _published_bytes(parts: list[PartIndex]) -> int:
    """Return the compressed bytes of all layers that parts hold, each layer once."""
    sizes: dict[Digest, int] = {}
    for part in parts:
        sizes |= zip(part.digests(), part.layers["CLS"].tolist(), strict=True)
    return sum(sizes.values())


def _unpublished(parts: list[PartIndex], running: list[JobStatus]) -> int:
    """Return how many layers running jobs are done with that none of their parts holds yet."""
    published: Counter[str] = Counter()
    for part in parts:
        published[part.path.name.split("-")[1]] += len(part.layers)
    return sum(max(job.layers - published[job.job], 0) for job in running)


def _job_status(note: JobNote, held: Holders) -> JobStatus:
    is_held = any((host, process) == (note.host, str(note.process)) for _, host, process in held)
    failed = note.sum("failed") + note.sum("partial")
    return JobStatus(
        job=note.job,
        share=note.share,
        host=note.host,
        ranks=len(note.ranks),
        state=note.ended or ("running" if is_held else "ended without a word"),
        started=note.started,
        seconds=note.seconds,
        layers=note.sum("ok") + failed,
        failed=failed,
        files=note.sum("files"),
        bytes=note.sum("bytes"),
        busy=note.sum("busy_seconds") / max(note.seconds * len(note.ranks), 1e-9),
    )
