"""Totals of all repositories, estimated from a stratified sample of them, with intervals.

What images share can't be estimated so: layers and contents of a sample are shared among fewer
images. It is left out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arrays import summed_by
from .inputs import MetricsInputs

NORMAL = 1.959963984540054
"""The standard normal distribution has 95 % within this many standard deviations of its mean."""

_TOTAL = (
    "stratified expansion: each repository times its weight; "
    "normal 95 % interval, finite population"
)
_RATIO = "ratio of two estimated totals, linearised; normal 95 % interval, finite population"
_SUMS = ("CLS", "TLS", "FLS", "files")
_HIDDEN = ("hidden_files", "hidden_bytes")


class RepositorySample:
    """A stratified sample of repositories.

    :param stratum: (repositories,) int64, the number of each one's stratum.
    :param weight: (strata,) f8, repositories that each one drawn stands for.
    :param drawn: (strata,) int64, repositories that were drawn; those without images are in no
        array, and count as 0 of everything.
    """

    def __init__(self, stratum: np.ndarray, weight: np.ndarray, drawn: np.ndarray) -> None:
        self.stratum = stratum
        self.weight = weight
        self.drawn = drawn

    def total(self, values: np.ndarray) -> float:
        """Return the estimated sum of values over all repositories.

        :param values: (repositories,) numbers.
        """
        return float((self.weight * self._sums(values)).sum())

    def std_error(self, values: np.ndarray) -> float:
        """Return the standard error of `total`: the root of Σ N² · (1 - n / N) · s² / n.

        NaN where a stratum has one of several repositories.

        :param values: (repositories,) numbers.
        """
        drawn = self.drawn
        population = self.weight * drawn
        # s², from sums and sums of squares, so that repositories without images count as 0.
        sums = self._sums(values)
        squares = self._sums(values * values)
        is_several = drawn > 1
        within = (squares - sums**2 / drawn)[is_several] / (drawn - 1)[is_several]
        not_drawn = np.maximum(1 - drawn / population, 0)
        variance = np.zeros(len(drawn))
        variance[is_several] = (population**2 * not_drawn / drawn)[is_several] * within
        variance[~is_several & (not_drawn > 0)] = math.nan
        if np.isnan(variance).any():
            return math.nan
        return math.sqrt(max(float(variance.sum()), 0.0))

    def _sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sums of values by stratum, (strata,) f8."""
        return np.bincount(self.stratum, np.asarray(values, float), len(self.drawn))


def sample_of(inputs: MetricsInputs) -> RepositorySample | None:
    """Return the sample that a dataset's repositories are, or None if they are none."""
    table = inputs.dataset.repositories
    if not len(table) or not (table["weight"] > 0).all():
        return None
    _, first, stratum = np.unique(table["stratum"], return_index=True, return_inverse=True)
    stratum = stratum.ravel()
    drawn = np.maximum(table.column("drawn")[first], np.bincount(stratum))
    return RepositorySample(stratum, table["weight"][first], drawn)


def estimates(inputs: MetricsInputs, images: dict[str, np.ndarray]) -> dict[str, list[Any]]:
    """Return the table `estimates`; without rows where the repositories are no sample.

    :param images: columns of `/metrics/images`.
    """
    sample = sample_of(inputs)
    rows = []
    if sample is not None:
        values = _by_repository(inputs, images)
        rows = [_total_row(sample, name, column) for name, column in values.items()]
        part = values["hidden_bytes"]
        rows.append(_ratio_row(sample, "hidden_byte_share", part, values["image_FLS"]))
    names = ("name", "sample_value", "estimate", "ci_low", "ci_high", "method")
    return {name: [row[n] for row in rows] for n, name in enumerate(names)}


def _by_repository(inputs: MetricsInputs, images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the totals that are sums over repositories, (repositories,) int64 each."""
    repository = inputs.dataset.images["repository"]
    columns = {"images": np.ones_like(repository), "image_layers": inputs.dataset.images["layers"]}
    columns |= {f"image_{name}": images[name] for name in _SUMS}
    columns |= {name: images[name] for name in _HIDDEN}
    count = len(inputs.dataset.repositories)
    sums = {name: summed_by(repository, values, count) for name, values in columns.items()}
    return {"repositories": np.ones(count, np.int64), **sums}


def _total_row(sample: RepositorySample, name: str, values: np.ndarray) -> tuple[Any, ...]:
    known = float(values.sum())
    estimate = sample.total(values)
    half = NORMAL * sample.std_error(values)
    # There is at least what the sample has.
    return name, known, estimate, max(estimate - half, known), estimate + half, _TOTAL


def _ratio_row(
    sample: RepositorySample, name: str, part: np.ndarray, whole: np.ndarray
) -> tuple[Any, ...]:
    total = sample.total(whole)
    if not total:
        return name, math.nan, math.nan, math.nan, math.nan, _RATIO
    known = float(part.sum()) / float(whole.sum())
    estimate = sample.total(part) / total
    half = NORMAL * sample.std_error(part - estimate * whole) / total
    return name, known, estimate, max(estimate - half, 0.0), min(estimate + half, 1.0), _RATIO
