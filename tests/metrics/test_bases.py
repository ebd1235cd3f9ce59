"""Bases of made datasets: tables and totals against plain Python over the images."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from support.made import Entry, Made
from support.thread_ranks import on_ranks

import hpc_remetrics
from hpc_remetrics.metrics.base_tables import base_numbers, base_table
from hpc_remetrics.metrics.bases import find_bases
from hpc_remetrics.metrics.inputs import MetricsInputs
from hpc_remetrics.records import BASE_CLAIMS, Image

DAY = 86_400
EARLIEST = 1_356_998_400
NAME = "org.opencontainers.image.base.name"
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm64/v8", "linux/x86_64", "")
SAME = {"linux/arm64/v8": "linux/arm64", "linux/x86_64": "linux/amd64"}
EMPTY_TAR = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"


def some_dataset(seed: int) -> Made:
    """Return images of few layers in few repositories, with dates, most of which share layers."""
    rng = random.Random(seed)
    layers = [[Entry("file", b"f%d" % n, n + 1) for n in range(rng.randrange(4))] for _ in range(9)]
    images: list[list[int]] = []
    for _ in range(40):
        below = rng.choice(images) if images and rng.random() < 0.8 else []
        images.append([*below, *(rng.randrange(9) for _ in range(rng.randrange(3)))])
    made = Made(layers, images)
    # Two blobs of one tar, an empty tar, and layers whose diff_id is not known
    made.diff_ids = {0: "1" * 64, 1: "1" * 64, 2: EMPTY_TAR, 3: "3" * 64}
    dates = [None, -62_135_596_800, 0, 315_532_801, EARLIEST - 1, EARLIEST]
    dates += [EARLIEST + DAY * n for n in range(1, 9)]
    for number in range(len(images)):
        made.configs[number] = {"created": rng.choice(dates), "labels": _claim(rng)}
        made.changed[number] = {
            "name": f"{rng.choice('abc')}/{rng.choice('xy')}:{number}",
            "platform": rng.choice(PLATFORMS),
            "manifest_type": rng.choice(["oci", "docker_schema2", "docker_schema1"]),
            "annotations": _claim(rng),
        }
    del made.configs[4]
    return made


def _claim(rng: random.Random) -> tuple[tuple[str, str], ...]:
    said = {NAME: f"{rng.choice('abc')}/x:{rng.randrange(30)}", "title": "of no interest"}
    return tuple(item for item in said.items() if rng.random() < 0.4)


class Expected:
    """The bases of a made dataset, found by comparing all pairs of its images."""

    def __init__(self, made: Made) -> None:
        self.made = made
        self._images = [made.image(number) for number in range(len(made.images))]
        self.order = sorted(
            range(len(made.images)), key=lambda n: (self.image(n).name, self.image(n).digest)
        )
        self.base = {n: self._base(n) for n in self.order}

    def image(self, number: int) -> Image:
        return self._images[number]

    def platform(self, number: int) -> str:
        text = self.image(number).platform
        return SAME.get(text, text)

    def created(self, number: int) -> int | None:
        created = self.made.configs.get(number, {}).get("created")
        return None if created is None or created < EARLIEST else created

    def stack(self, number: int) -> list[str]:
        known = [self.made.diff_ids.get(n, str(n)) for n in self.made.images[number]]
        if self.image(number).manifest_type == "docker_schema1":
            return [layer for layer in known if layer != EMPTY_TAR]
        return known

    def _base(self, number: int) -> int | None:
        mine = self.stack(number)
        found = []
        for other in self.order:
            its = self.stack(other)
            is_prefix = 0 < len(its) < len(mine) and mine[: len(its)] == its
            if is_prefix and self.platform(other) == self.platform(number):
                created = self.created(other)
                date = math.inf if created is None else created
                found.append((-len(its), date, self.order.index(other), other))
        return min(found)[-1] if found else None

    def newer(self, number: int) -> int | None:
        base = self.base[number]
        if base is None or self.created(base) is None:
            return None
        found = [
            (-(self.created(other) or 0), self.order.index(other), other)
            for other in self.order
            if other != number
            and self.image(other).repository == self.image(base).repository
            and self.platform(other) == self.platform(base)
            and (self.created(other) or 0) > self.created(base)
        ]
        return min(found)[-1] if found else None

    def days(self, first: int | None, second: int | None) -> float | None:
        dates = [None if n is None else self.created(n) for n in (first, second)]
        return None if None in dates else (dates[1] - dates[0]) / DAY

    def sums(self, number: int, is_inherited: bool) -> tuple[int, int, int, int]:
        """Return layers, files, FLS and CLS that an image has from its base, or those it adds."""
        base = self.base[number]
        left = len(self.stack(base)) if base is not None else 0
        inherited = []
        for layer in self.made.images[number]:
            is_empty = self.made.diff_ids.get(layer) == EMPTY_TAR
            is_left_out = is_empty and self.image(number).manifest_type == "docker_schema1"
            inherited.append(not is_left_out and left > 0)
            left -= inherited[-1]
        every = [
            self.made.layers[layer]
            for layer, is_its in zip(self.made.images[number], inherited, strict=True)
            if is_its == is_inherited
        ]
        files = [entry for layer in every for entry in layer]
        return len(every), len(files), sum(one.size for one in files), 10 * len(files)


SUMS = ("layers", "files", "FLS", "CLS")


def rows_of(table) -> list[dict[str, object]]:
    """Return the rows of a table, with -1 and NaN where there is no value."""
    is_word = {name: table.form.columns[name].type in ("text", "enum") for name in table.columns}
    values = [
        table.readable(name) if is_word[name] else table.column(name) for name in table.columns
    ]
    columns = [column.tolist() for column in values]
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def check(made: Made, dataset) -> Counter[str]:
    """Compare all tables; return how many images have a base, an age and so on."""
    want = Expected(made)
    place: dict[int | None, int] = {number: row for row, number in enumerate(want.order)}
    place[None] = -1
    rows = {row["image"]: row for row in rows_of(dataset.metrics["bases"])}
    assert list(rows) == sorted(rows)
    seen = Counter()
    for number in want.order:
        base = want.base[number]
        newer = want.newer(number)
        got = rows.get(place[number], {"base": -1, "claim": "none"})
        assert got["base"] == place[base]
        if place[number] not in rows:
            continue
        assert base is not None or got["claim"] != "none"
        seen["base"] += base is not None
        assert got["newer"] == place[newer]
        for name, is_inherited in (("inherited", True), ("own", False)):
            assert tuple(got[f"{name}_{one}"] for one in SUMS) == want.sums(number, is_inherited)
        for name, days in (("age", want.days(base, number)), ("behind", want.days(base, newer))):
            seen[name] += days is not None
            np.testing.assert_allclose(got[name], math.nan if days is None else days, rtol=1e-12)
    check_totals(want, dataset.metrics)
    return seen


def check_totals(want: Expected, metrics) -> None:
    based = [n for n in want.order if want.base[n] is not None]
    outdated = [n for n in based if want.newer(n) is not None]
    totals = metrics.totals
    assert totals["images_with_base"] == len(based)
    assert totals["images_on_outdated_base"] == len(outdated)
    assert totals["base_images"] == len({want.base[n] for n in based})
    assert totals["outdated_bases"] == len({want.base[n] for n in outdated})
    for prefix, is_inherited in (("inherited", True), ("own", False)):
        sums = np.sum([want.sums(n, is_inherited) for n in want.order], axis=0).tolist()
        assert [totals[f"{prefix}_{name}"] for name in SUMS] == sums
    assert totals["image_FLS"] == totals["inherited_FLS"] + totals["own_FLS"]
    assert totals["inherited_FLS_share"] == totals["inherited_FLS"] / totals["image_FLS"]
    assert totals["base_share"] == len(based) / len(want.order)
    assert totals["outdated_base_share"] == len(outdated) / len(based)
    # Distributions
    one = metrics.distribution("images/inherited_layers_share")
    shares = [want.sums(n, True)[0] / len(want.made.images[n]) for n in based]
    assert (one.count, one.sum) == (len(based), pytest.approx(sum(shares)))
    ages = [want.days(want.base[n], n) for n in based]
    one = metrics.distribution("images/base_age")
    assert one.count == sum(days is not None and days >= 0 for days in ages)
    behind = [want.days(want.base[n], want.newer(n)) for n in based]
    one = metrics.distribution("images/base_behind")
    assert one.sum == pytest.approx(sum(days for days in behind if days is not None))
    # Images by their base
    words = Counter()
    for n in want.order:
        if want.base[n] is None:
            words["none"] += 1
        elif want.created(want.base[n]) is None:
            words["undated"] += 1
        else:
            words["outdated" if want.newer(n) is not None else "current"] += 1
    assert counts_of(metrics, "base") == words
    # The bases that most images stand on
    top = rows_of(metrics["top_bases"])
    by_base = Counter(want.order.index(want.base[n]) for n in based)
    listed = sorted(by_base.items(), key=lambda item: (-item[1], item[0]))
    assert [(row["base"], row["images"]) for row in top] == listed
    assert sum(row["inherited_CLS"] for row in top) == totals["inherited_CLS"]
    assert [row["name"] for row in top] == [want.image(want.order[n]).name for n, _ in listed]


def counts_of(metrics, variable: str) -> dict[str, int]:
    rows = rows_of(metrics["value_counts"])
    return {row["value"]: row["count"] for row in rows if row["variable"] == variable}


@pytest.fixture(scope="module")
def made() -> Made:
    return some_dataset(1)


@pytest.fixture(scope="module")
def dataset(made, tmp_path_factory):
    with hpc_remetrics.open(made.write(tmp_path_factory.mktemp("bases"))) as opened:
        yield opened


def test_tables_are_those_of_all_pairs(made, dataset):
    seen = check(made, dataset)
    assert min(seen[name] for name in ("base", "age", "behind")) > 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_tables_of_other_datasets(tmp_path, seed):
    made = some_dataset(seed)
    with hpc_remetrics.open(made.write(tmp_path)) as opened:
        check(made, opened)


def test_claims_are_those_of_annotations_else_of_labels(made, dataset):
    want = Expected(made)
    rows = rows_of(dataset.metrics["bases"])
    names = {row["image"]: row["claimed_name"] for row in rows}
    found = Counter()
    for row, number in enumerate(want.order):
        annotations = dict(want.image(number).annotations)
        labels = dict(made.configs.get(number, {}).get("labels", ()))
        found["annotation" if NAME in annotations else "label" if NAME in labels else "none"] += 1
        assert names.get(row, "") == (annotations.get(NAME) or labels.get(NAME) or "")
    assert min(found.values()) > 2
    by_row = Counter(row["claim"] for row in rows)
    by_row["none"] += len(want.order) - len(rows)
    assert counts_of(dataset.metrics, "base_claim") == by_row


def test_three_ranks_make_the_same_table(dataset, tmp_path):
    def run(comm):
        with hpc_remetrics.open(dataset.path) as mine:
            inputs = MetricsInputs(comm, mine, tmp_path, 1 << 20)
            found = find_bases(inputs)
            return base_table(base_numbers(inputs, found)) if comm.rank == 0 else None

    got = on_ranks(3, run)[0]
    want = dataset.metrics["bases"]
    for name in want.columns:
        values = want.column(name)
        if values.dtype.kind == "S":
            values = want.readable(name)
        np.testing.assert_array_equal(np.array(got[name], values.dtype), np.asarray(values))


def test_words_of_claims_are_those_of_the_page():
    page = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text()
    assert [word for word in BASE_CLAIMS if f"`{word}`" not in page] == []


@pytest.mark.slow
@pytest.mark.xdist_group("metrics of real files")
def test_bases_of_real_images_are_those_of_all_pairs(real):
    with hpc_remetrics.open(real) as data:
        diff_ids = data.layers["diff_id"].tolist()
        digests = data.layers["digest"].tolist()
        layers = [one if any(one) else other for one, other in zip(diff_ids, digests, strict=True)]
        first = data.images["first_layer"].tolist()
        every = [layers[row] for row in data.image_layers["layer"].tolist()]
        stacks = [every[low:high] for low, high in zip(first, [*first[1:], None], strict=True)]
        platform = data.images.readable("platform").tolist()
        created = data.images.column("created")
        dates = np.where(created < EARLIEST, math.inf, created).tolist()
        want = {}
        for image, stack in enumerate(stacks):
            found = [
                (-len(other), dates[row], row)
                for row, other in enumerate(stacks)
                if 0 < len(other) < len(stack) and stack[: len(other)] == other
                if platform[row] == platform[image]
            ]
            if found:
                want[image] = min(found)[-1]
        rows = rows_of(data.metrics["bases"])
    assert {row["image"]: row["base"] for row in rows if row["base"] >= 0} == want
    assert len(want) > 2
