"""Jobs, ranks and times of a run, as a section of the text page."""

from __future__ import annotations

from ..progress import clock_time
from ..summaries.jobs import RunTotals
from ..wording import counted
from .text import line, size


def section(run: RunTotals) -> list[str]:
    """Return the lines; none where no job left a note and no layer was reused."""
    if not run.jobs and not run.reused_layers:
        return []
    lines = ["", "profiling, all jobs"]
    if run.reused_layers:
        about = f"{size(run.reused_bytes)} compressed, of earlier datasets"
        lines.append(line("layers reused", f"{run.reused_layers:,}", about))
    if not run.jobs:
        return lines
    lines.append(
        line(
            "jobs",
            f"{run.jobs:,}",
            f"{clock_time(run.seconds)} on {counted(run.most_ranks, 'rank')}, {counted(run.hosts, 'host')}",
        )
    )
    lines.append(
        line(
            "layers",
            f"{run.layers:,}",
            f"{size(run.bytes)} compressed, with those done again after a kill",
        )
    )
    for name, seconds in (("busy", run.busy_seconds), ("idle", run.idle_seconds)):
        lines.append(
            line(f"ranks {name}", clock_time(seconds), f"{_share(seconds, run):.1%} of their time")
        )
    lines.append(line("fetching", clock_time(run.fetch_seconds), "to scratch, beside the others"))
    lines.append(line("publishing", clock_time(run.publish_seconds), "parts, beside the others"))
    return lines


def _share(seconds: float, run: RunTotals) -> float:
    return seconds / run.rank_seconds if run.rank_seconds else 0.0
