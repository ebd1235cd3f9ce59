"""What pages and figures are made of: a dataset's metrics, its totals, what its ranks did."""

from __future__ import annotations

from dataclasses import dataclass

from ..dataset.metrics import Metrics
from ..dataset.reader import Dataset
from ..summaries.ranks import Ranks, ranks


@dataclass(frozen=True)
class Numbers:
    """All that is drawn; a few MB however large the dataset is."""

    name: str
    metrics: Metrics
    totals: dict[str, int | float]
    ranks: Ranks


def numbers_of(dataset: Dataset) -> Numbers:
    """Return the numbers of an open dataset; `DatasetError` if it has no metrics."""
    metrics = dataset.metrics
    return Numbers(dataset.path.name, metrics, metrics.totals, ranks(dataset))
