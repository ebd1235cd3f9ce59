"""Throughput and times of each rank of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dataset.reader import Dataset

_STAGES = {"busy": "profiling", "fetch": "fetching", "publish": "publishing", "idle": "idle"}


@dataclass(frozen=True)
class Ranks:
    """Profiling ranks of all jobs on a dataset; a value a rank of a job, none where the dataset
    does not say.

    :ivar layers_per_second: while the rank had a layer, as is `bytes_per_second`, of compressed
    bytes.
    :ivar seconds: stage -> seconds by the clock; fetching and publishing go on beside the others.
    """

    rank: np.ndarray
    layers_per_second: np.ndarray
    bytes_per_second: np.ndarray
    seconds: dict[str, np.ndarray]


def ranks(dataset: Dataset) -> Ranks:
    """Return what the ranks did; those that never had a layer are left out."""
    table = dataset.run_table("job_ranks")
    if not any(map(len, table.values())):
        none = np.empty(0)
        return Ranks(none, none, none, {})
    chosen = {name: column[table["busy_seconds"] > 0] for name, column in table.items()}
    layers = chosen["ok"] + chosen["partial"] + chosen["failed"]
    return Ranks(
        chosen["rank"],
        layers / chosen["busy_seconds"],
        chosen["bytes"] / chosen["busy_seconds"],
        {label: chosen[f"{name}_seconds"] for name, label in _STAGES.items()},
    )
