"""The data of pages and figures: metrics, totals, and work of the ranks."""

from __future__ import annotations

from dataclasses import dataclass

from ..dataset.metrics import Metrics
from ..dataset.reader import Dataset
from ..summaries.jobs import Ranks, rank_rates


@dataclass(frozen=True)
class ReportData:
    """All that is drawn; a few MB however large the dataset is."""

    name: str
    metrics: Metrics
    totals: dict[str, int | float]
    ranks: Ranks


def read_report_data(dataset: Dataset) -> ReportData:
    """Return the numbers of an open dataset; `DatasetError` if it has no metrics."""
    metrics = dataset.metrics
    return ReportData(dataset.path.name, metrics, metrics.totals, rank_rates(dataset))
