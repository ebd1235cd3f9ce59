"""Totals of all repositories, estimated from a stratified sample of them, with confidence
intervals.

What images share can't be estimated so (the layers and contents of a sample are shared among
fewer), and is not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .inputs import Inputs, summed_by

NORMAL = 1.959963984540054
"""The standard normal distribution has 95 % within this many deviations."""

_TOTAL = "stratified expansion: each repository times its weight; normal 95 % interval, finite population"
_RATIO = "ratio of two estimated totals, linearised; normal 95 % interval, finite population"
_SUMS = ("CLS", "TLS", "FLS", "files")
_HIDDEN = ("hidden_files", "hidden_bytes")


class Sample:
    """The repositories of a sample.

    :param stratum: of each repository the number of its stratum.
    :param weight: of each stratum the repositories that one stands for.
    :param drawn: of each stratum the repositories that were drawn; those without images count as 0
        of everything.
    """

    def __init__(self, stratum: np.ndarray, weight: np.ndarray, drawn: np.ndarray) -> None:
        self.stratum, self.weight, self.drawn = stratum, weight, drawn

    def total(self, values: np.ndarray) -> float:
        """Return the estimated sum of values over all repositories."""
        return float((self.weight * self._sums(values)).sum())

    def deviation(self, values: np.ndarray) -> float:
        """Return the estimated standard deviation of `total`; NaN if a stratum has one of several
        repositories."""
        sums, squares = self._sums(values), self._sums(values * values)
        population = self.weight * self.drawn
        variance = np.zeros(len(self.drawn))
        several = self.drawn > 1
        within = (squares - sums**2 / self.drawn)[several] / (self.drawn - 1)[several]
        left = np.maximum(1 - self.drawn / population, 0)
        variance[several] = (population**2 * left / self.drawn)[several] * within
        variance[~several & (left > 0)] = math.nan
        return (
            math.sqrt(max(float(variance.sum()), 0.0)) if not np.isnan(variance).any() else math.nan
        )

    def _sums(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.stratum, np.asarray(values, float), len(self.drawn))


def sample_of(inputs: Inputs) -> Sample | None:
    """Return the sample that the dataset's repositories are, or None if it is none."""
    table = inputs.dataset.repositories
    if "weight" not in table.stored or not len(table) or not (table["weight"] > 0).all():
        return None
    _, first, stratum = np.unique(table["stratum"], return_index=True, return_inverse=True)
    stratum, weight = stratum.reshape(-1), table["weight"][first]
    return Sample(stratum, weight, np.maximum(table["drawn"][first], np.bincount(stratum)))


def estimates(inputs: Inputs, images: dict[str, np.ndarray]) -> dict[str, list[Any]]:
    """Return `estimates`; without rows where the repositories are no sample.

    :param images: columns of `/metrics/images`.
    """
    sample, rows = sample_of(inputs), []
    if sample is not None:
        values = _by_repository(inputs, images)
        rows = [_total_row(sample, name, column) for name, column in values.items()]
        rows.append(
            _ratio_row(sample, "hidden_byte_share", values["hidden_bytes"], values["image_FLS"])
        )
    names = ("name", "sample_value", "estimate", "ci_low", "ci_high", "method")
    return {name: [row[n] for row in rows] for n, name in enumerate(names)}


def _by_repository(inputs: Inputs, images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the totals that are sums over repositories, by repository."""
    repository = inputs.dataset.images["repository"]
    columns = {"images": np.ones_like(repository), "image_layers": inputs.dataset.images["layers"]}
    columns |= {f"image_{name}": images[name] for name in _SUMS} | {
        name: images[name] for name in _HIDDEN
    }
    count = len(inputs.dataset.repositories)
    summed = {name: summed_by(repository, values, count) for name, values in columns.items()}
    return {"repositories": np.ones(count, np.int64), **summed}


def _total_row(sample: Sample, name: str, values: np.ndarray) -> tuple[Any, ...]:
    known, estimate = float(values.sum()), sample.total(values)
    half = NORMAL * sample.deviation(values)
    # There are at least those that the sample has.
    return name, known, estimate, max(estimate - half, known), estimate + half, _TOTAL


def _ratio_row(sample: Sample, name: str, part: np.ndarray, whole: np.ndarray) -> tuple[Any, ...]:
    known = float(part.sum()) / float(whole.sum()) if whole.any() else math.nan
    total = sample.total(whole)
    estimate = sample.total(part) / total if total else math.nan
    half = NORMAL * sample.deviation(part - estimate * whole) / total if total else math.nan
    return name, known, estimate, max(estimate - half, 0.0), min(estimate + half, 1.0), _RATIO
