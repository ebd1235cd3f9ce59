"""Totals of the jobs that made a dataset: ranks, layers, seconds."""

from __future__ import annotations

from dataclasses import dataclass

from ..dataset.reader import Dataset


@dataclass(frozen=True)
class RunTotals:
    """Sums over all jobs on a dataset, and their profiling ranks.

    :ivar rank_seconds: ranks times seconds of profiling; `busy_seconds` of them a rank's child had
    a layer, in `idle_seconds` none. `fetch_seconds` and `publish_seconds` may overlap with both.
    """

    jobs: int
    hosts: int
    most_ranks: int
    seconds: float
    layers: int
    bytes: int
    rank_seconds: float
    busy_seconds: float
    fetch_seconds: float
    publish_seconds: float
    idle_seconds: float


def run_totals(dataset: Dataset) -> RunTotals:
    """Add up what the jobs did; all zero for a dataset whose jobs left no notes."""
    jobs, ranks = dataset.run_table("jobs"), dataset.run_table("job_ranks")
    stages = {f"{name}_seconds": 0.0 for name in ("busy", "fetch", "publish", "idle")}
    if not jobs or not len(jobs["job"]):
        return RunTotals(0, 0, 0, 0.0, 0, 0, 0.0, **stages)
    stages = {name: float(ranks[name].sum()) for name in stages}
    return RunTotals(
        jobs=len(jobs["job"]),
        hosts=len(set(ranks["host"].tolist())),
        most_ranks=int(jobs["ranks"].max()),
        seconds=float(jobs["seconds"].sum()),
        layers=int(sum(ranks[word].sum() for word in ("ok", "partial", "failed"))),
        bytes=int(ranks["bytes"].sum()),
        rank_seconds=float((jobs["ranks"] * jobs["seconds"]).sum()),
        **stages,
    )
