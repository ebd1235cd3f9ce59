"""The tables, totals and distributions about bases, which rank 0 makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import ratio, summed_by
from ..records import BASE_CLAIMS
from .base_claims import Claim, JudgedClaims, judge
from .bases import NO_DATE, BaseResults, newer_images
from .distribution import Summary
from .inputs import MetricsInputs
from .small_tables import MOST, ValueCount, count_values, distributions_of

_DAY = 86_400

_SUMS = ("files", "FLS", "CLS")
"""Columns of /layers that are added up over inherited and own layers."""


@dataclass(frozen=True)
class BaseNumbers:
    """What the bases of all images come to, one value an image.

    :ivar inherited: layers, files, FLS, CLS -> (images,) int64, what each has from its base, 0
        where it has none; `own` the rest.
    :ivar age: (images,) f8, days from the making of the base to that of the image, NaN where a
        date is not known.
    :ivar newer: (images,) int64, the newest image of the base's repository, -1 where there is none.
    :ivar behind: (images,) f8, days from the making of the base to that of the newer image, or NaN.
    :ivar claims: what the claims about bases come to.
    """

    results: BaseResults
    inherited: dict[str, np.ndarray]
    own: dict[str, np.ndarray]
    age: np.ndarray
    newer: np.ndarray
    behind: np.ndarray
    claims: JudgedClaims

    @property
    def has_base(self) -> np.ndarray:
        """Whether each image has a base, (images,) bool."""
        return self.results.base >= 0


def base_numbers(inputs: MetricsInputs, results: BaseResults) -> BaseNumbers:
    """Work out what images inherit, how old their bases are, and which claims are true."""
    images = inputs.dataset.images
    newer = newer_images(results, images["repository"].astype(np.int64))
    # The lowest layers of an image, as many as its base has, are inherited.
    stacks = results.stacks
    length = np.where(results.base < 0, 0, stacks.count[results.base])
    inherited = {"layers": length}
    own = {"layers": images["layers"] - length}
    for name in _SUMS:
        values = inputs.layer(name)
        inherited[name] = stacks.sums(values[results.rows], length)
        own[name] = inputs.by_image(values) - inherited[name]
    claims = judge(
        results.claims,
        stacks,
        images.column("name").tolist() if results.claims else [b""] * len(images),
        images["digest"].tolist(),
        results.platform,
    )
    return BaseNumbers(
        results=results,
        inherited=inherited,
        own=own,
        age=_between(results.created, results.base, np.arange(len(images))),
        newer=newer,
        behind=_between(results.created, results.base, newer),
        claims=claims,
    )


def _between(created: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the days from the making of images to that of others, (n,) f8, else NaN.

    :param first: (n,) int64, rows of images, -1 for none; `second` likewise.
    """
    is_known = (first >= 0) & (second >= 0)
    is_known &= (created[first] != NO_DATE) & (created[second] != NO_DATE)
    days = np.full(len(first), np.nan)
    days[is_known] = (created[second[is_known]] - created[first[is_known]]) / _DAY
    return days


def base_table(numbers: BaseNumbers) -> dict[str, Any]:
    """Return the table `bases`."""
    results = numbers.results

    # Take the images that have a base or claim one.
    rows = np.flatnonzero(numbers.has_base | (numbers.claims.verdict != BASE_CLAIMS["none"]))
    claims = [results.claims.get(row, Claim()) for row in rows.tolist()]

    # A claim that is no name or digest at all is not shown as one.
    invalid = numbers.claims.verdict[rows] == BASE_CLAIMS["invalid"]
    shown = [
        Claim() if is_invalid else one for is_invalid, one in zip(invalid, claims, strict=True)
    ]

    # Look up what they inherit and what is their own.
    table: dict[str, Any] = {"image": rows, "base": results.base[rows]}
    for name in ("layers", *_SUMS):
        table[f"inherited_{name}"] = numbers.inherited[name][rows]
        table[f"own_{name}"] = numbers.own[name][rows]
    return {
        **table,
        "age": numbers.age[rows],
        "newer": numbers.newer[rows],
        "behind": numbers.behind[rows],
        "claim": numbers.claims.verdict[rows],
        "claimed": numbers.claims.image[rows],
        "claimed_name": [one.name for one in shown],
        "claimed_digest": [one.digest for one in shown],
    }


def top_bases(inputs: MetricsInputs, numbers: BaseNumbers) -> dict[str, Any]:
    """Return the table `top_bases`."""
    based = numbers.results.based
    base = numbers.results.base[based]
    count = len(numbers.newer)
    images = np.bincount(base, minlength=count)
    rows = np.lexsort((np.arange(count), -images))[:MOST]
    rows = rows[images[rows] > 0]
    # The newest image of its repository, which may be one of the images that stand on it.
    behind = np.full(count, np.nan)
    np.fmax.at(behind, base, numbers.behind[based])
    names = inputs.dataset.images.readable("name")
    inherited = {name: summed_by(base, numbers.inherited[name][based], count) for name in _SUMS}
    return {
        "base": rows,
        "name": names[rows].tolist(),
        "images": images[rows],
        **{f"inherited_{name}": values[rows] for name, values in inherited.items()},
        "behind": behind[rows],
    }


def base_totals(numbers: BaseNumbers, images: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return columns of `totals`.

    :param images: columns of `/metrics/images`.
    """
    # Count images and their bases.
    base = numbers.results.base
    based = numbers.results.based
    outdated = based[numbers.newer[based] >= 0]
    totals: dict[str, Any] = {
        "images_with_base": len(based),
        "images_on_outdated_base": len(outdated),
        "base_images": int((np.bincount(base[based]) > 0).sum()),
        "outdated_bases": int((np.bincount(base[outdated]) > 0).sum()),
    }

    # Sum up what is inherited and what is not, and its shares.
    for name in ("layers", *_SUMS):
        totals[f"inherited_{name}"] = int(numbers.inherited[name].sum())
        totals[f"own_{name}"] = int(numbers.own[name].sum())
    totals["base_share"] = float(ratio(np.array(len(based)), np.array(len(base))))
    totals["outdated_base_share"] = float(ratio(np.array(len(outdated)), np.array(len(based))))
    for name in ("CLS", "FLS"):
        part = np.array(totals[f"inherited_{name}"])
        totals[f"inherited_{name}_share"] = float(ratio(part, images[name].sum()))
    return totals


def base_distributions(numbers: BaseNumbers) -> dict[str, Summary]:
    """Return the distributions over images with a base: shares inherited, and ages in days."""
    based = numbers.results.based
    values = {}
    for name in ("layers", *_SUMS):
        inherited = numbers.inherited[name][based]
        values[f"inherited_{name}_share"] = ratio(inherited, inherited + numbers.own[name][based])
    # A base that was made after its image has no age.
    values["base_age"] = np.where(numbers.age >= 0, numbers.age, np.nan)
    values["base_behind"] = numbers.behind
    return distributions_of("images", values)


def base_counts(numbers: BaseNumbers, image_cls: np.ndarray) -> list[list[ValueCount]]:
    """Return rows of `value_counts`: images by their base, and by what they claim.

    :param image_cls: (images,) int64, compressed bytes.
    """
    results = numbers.results
    is_dated = results.created[results.base] != NO_DATE
    words = np.select(
        [~numbers.has_base, numbers.newer >= 0, is_dated],
        ["none", "outdated", "current"],
        "undated",
    )
    claims = np.array(list(BASE_CLAIMS), object)[numbers.claims.verdict]
    return [count_values("base", words, image_cls), count_values("base_claim", claims, image_cls)]
