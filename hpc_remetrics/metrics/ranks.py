"""What each rank of a run did, as rates and seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..store.dataset import Dataset

_SECONDS = {
    "busy_seconds": "profiling, by the clock",
    "profile_cpu_seconds": "profiling, CPU",
    "cpu_seconds": "fetching, publishing, messages: CPU",
}


@dataclass(frozen=True)
class Ranks:
    """Ranks that profiled anything; arrays have one value a rank and are empty where the dataset does not say.

    :ivar seconds: what for -> seconds.
    """

    rank: np.ndarray
    layers_per_second: np.ndarray
    bytes_per_second: np.ndarray
    seconds: dict[str, np.ndarray]


def ranks(dataset: Dataset) -> Ranks:
    """Return the rates of a dataset's ranks over the time in which they had a layer; bytes are compressed ones."""
    table = dataset.ranks
    if not table:
        none = np.empty(0)
        return Ranks(none, none, none, {})
    busy = table["busy_seconds"] > 0
    seconds = table["busy_seconds"][busy]
    return Ranks(
        table["rank"][busy],
        table["layers"][busy] / seconds,
        table["bytes"][busy] / seconds,
        {label: table[name][busy] for name, label in _SECONDS.items() if name in table},
    )
