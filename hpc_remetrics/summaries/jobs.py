"""Totals over the jobs that made a dataset, and the rates and times of each rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dataset.reader import Dataset

_STAGES = {"busy": "profiling", "fetch": "fetching", "publish": "publishing", "idle": "idle"}
"""Beginning of a column of `/run/job_ranks` -> the word for it on pages and in figures."""


@dataclass(frozen=True)
class RunTotals:
    """Sums over all jobs on a dataset, and over their profiling ranks.

    :ivar seconds: of profiling, added up over the jobs.
    :ivar rank_seconds: ranks times seconds of profiling, added up over the jobs. In `busy_seconds`
        of them the rank's child had a layer, in `idle_seconds` it had none; `fetch_seconds` and
        `publish_seconds` may overlap with both.
    :ivar reused_layers: taken from earlier datasets, with `reused_bytes` compressed.
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
    reused_layers: int = 0
    reused_bytes: int = 0


@dataclass(frozen=True)
class Ranks:
    """The profiling ranks of all jobs; arrays have a value for each rank of each job.

    :ivar layers_per_second: while the rank's child had a layer; `bytes_per_second` likewise, of
        compressed bytes.
    :ivar seconds: stage -> wall-clock seconds; fetching and publishing overlap with the others.
    """

    rank: np.ndarray
    layers_per_second: np.ndarray
    bytes_per_second: np.ndarray
    seconds: dict[str, np.ndarray]


def run_totals(dataset: Dataset) -> RunTotals:
    """Add up what the jobs did; all zero for a dataset whose jobs left no notes."""
    jobs = dataset.run_table("jobs")
    ranks = dataset.run_table("job_ranks")
    reused = dataset.run_table("reused")
    reused_sums = [int(reused[name].sum()) if reused else 0 for name in ("layers", "bytes")]
    if not jobs or not len(jobs["job"]):
        return RunTotals(0, 0, 0, 0.0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, *reused_sums)
    return RunTotals(
        jobs=len(jobs["job"]),
        hosts=len(set(ranks["host"].tolist())),
        most_ranks=int(jobs["ranks"].max()),
        seconds=float(jobs["seconds"].sum()),
        layers=int(_layers(ranks).sum()),
        bytes=int(ranks["bytes"].sum()),
        rank_seconds=float((jobs["ranks"] * jobs["seconds"]).sum()),
        **{f"{stage}_seconds": float(ranks[f"{stage}_seconds"].sum()) for stage in _STAGES},
        reused_layers=reused_sums[0],
        reused_bytes=reused_sums[1],
    )


def rank_rates(dataset: Dataset) -> Ranks:
    """Return the rates and times of ranks that had a layer; none if the jobs left no notes."""
    table = dataset.run_table("job_ranks")
    if not any(map(len, table.values())):
        none = np.empty(0)
        return Ranks(none, none, none, {})
    had_layers = table["busy_seconds"] > 0
    chosen = {name: column[had_layers] for name, column in table.items()}
    return Ranks(
        rank=chosen["rank"],
        layers_per_second=_layers(chosen) / chosen["busy_seconds"],
        bytes_per_second=chosen["bytes"] / chosen["busy_seconds"],
        seconds={word: chosen[f"{stage}_seconds"] for stage, word in _STAGES.items()},
    )


def _layers(ranks: dict[str, np.ndarray]) -> np.ndarray:
    """Return (ranks,) int64, how many layers each rank is done with."""
    return ranks["ok"] + ranks["partial"] + ranks["failed"]
