"""The progress of a dataset, as a page of 80 columns or as JSON."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

from ..log import escape
from ..progress import clock_time
from ..summaries.status import JobStatus, Status, status
from ..wording import counted
from .text import counts, line, size

_MOST_JOBS = 20


def status_command(path: Path, as_json: bool) -> int:
    """Print how far a dataset is, as a page or as JSON; return the exit code."""
    found = status(path)
    print(json.dumps(dataclasses.asdict(found), indent=2) if as_json else page(found))
    return 0


def page(found: Status) -> str:
    """Return the page."""
    ledger = found.ledger
    held = f", held by {'; '.join(found.held_by)}" if found.held_by else ""
    lines = [escape(f"{found.dataset}: {found.state}{held}"), ""]
    published = ledger.ok + ledger.partial + ledger.failed
    lines.append(line("published", f"{published:,}", _parts(found)))
    lines.append(
        line(
            "  ok",
            f"{ledger.ok:,}",
            size(found.bytes_done) + " compressed, in all that are published",
        )
    )
    if ledger.partial or ledger.failed:
        again = (
            f"{found.again:,} of the failed are tried again by the next run" if found.again else ""
        )
        lines.append(line("  partial, failed", f"{ledger.partial + ledger.failed:,}", again))
    if found.reused:
        lines.append(line("reused", f"{found.reused:,}", "taken from earlier datasets"))
    if found.unpublished:
        lines.append(line("not yet published", f"{found.unpublished:,}", "done by running jobs"))
    if ledger.pending >= 0:
        lines.append(line("left", f"{ledger.pending:,}", f"{size(found.bytes_left)} compressed"))
    if found.layers_a_second:
        rate = f"{size(int(found.bytes_a_second))}/s" + (
            f", {_left(found)}" if ledger.pending else ""
        )
        lines.append(line("layers a second", f"{found.layers_a_second:.2f}", rate))
    lines += counts("failed and partial layers by cause", found.causes)
    lines += _jobs(found.jobs)
    return "\n".join([*lines, *_next(found)])


def _parts(found: Status) -> str:
    damaged = f", {found.damaged_parts} damaged and passed over" if found.damaged_parts else ""
    others = (
        f", some made by {escape(', '.join(found.parts_made_by))}" if found.parts_made_by else ""
    )
    return f"layers in {counted(found.parts, 'part')}{damaged}{others}"


def _left(found: Status) -> str:
    return (
        f"{clock_time(found.seconds_left)} left" if found.seconds_left >= 0 else "time left unknown"
    )


def _jobs(jobs: list[JobStatus]) -> list[str]:
    if not jobs:
        return []
    head = f"{'jobs, latest last':<22}{'ranks':>6}{'time':>10}{'layers':>10}{'compressed':>11}{'failed':>7}{'busy':>6}  "
    left_out = (
        [f"  … {len(jobs) - _MOST_JOBS} before these (--json shows all)"]
        if len(jobs) > _MOST_JOBS
        else []
    )
    return ["", head + "ended", *left_out, *map(_job, jobs[-_MOST_JOBS:])]


def _job(job: JobStatus) -> str:
    begun = time.strftime("%m-%d %H:%M", time.localtime(job.started))
    name = f"{begun} {job.share or escape(job.host)}"[:20]
    return (
        f"  {name:<20}{job.ranks:>6}{clock_time(job.seconds):>10}{job.layers:>10,}{size(job.bytes):>11}"
        f"{job.failed:>7,}{job.busy:>6.0%}  {escape(job.state)}"
    )


def _next(found: Status) -> list[str]:
    if found.state == "stopped":
        return ["", "Run `analyze` again with the same arguments to continue."]
    return []
