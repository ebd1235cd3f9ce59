"""Bytes by kind of step are what plain Python works out from the history of each image."""

from __future__ import annotations

import random
import tempfile
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import h5py
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from support.examples import share_of
from support.made import Entry, Made
from support.thread_ranks import on_ranks

import hpc_remetrics
from hpc_remetrics.dataset.reader import Dataset
from hpc_remetrics.dataset.schema import ADDED
from hpc_remetrics.metrics import steps as module
from hpc_remetrics.metrics.hidden import HiddenPass
from hpc_remetrics.metrics.inputs import MetricsInputs
from hpc_remetrics.metrics.results import StepResults
from hpc_remetrics.metrics.step_kinds import TEXT_BYTES
from hpc_remetrics.records import STEP_KINDS, Step

from . import brute_force as brute
from .test_brute_force import datasets, rows_of_layers

KINDS = list(STEP_KINDS)

LINES = {
    "ADD rootfs.tar / # buildkit": "ADD",
    "COPY . /app": "COPY",
    "RUN /bin/sh -c apt-get update # buildkit": "RUN_apt",
    "RUN /bin/sh -c pip install numpy # buildkit": "RUN_pip",
    "/bin/sh -c #(nop) WORKDIR /app": "WORKDIR",
    "something else": "other",
    "": "no_history",
}
"""What a step says, and its kind; the first one is `base` below all others."""

BASE = "ADD rootfs.tar / # buildkit"


def config(*lines: str | None) -> dict[str, tuple[Step, ...]]:
    """Return a config with steps that say these lines; with None, one that makes no layer."""
    steps = [
        Step(created_by="ENV A=b", is_empty=True) if line is None else Step(created_by=line)
        for line in lines
    ]
    return {"history": tuple(steps)}


def random_configs(made: Made, rng: random.Random) -> Made:
    """Return the dataset with configs, of which some have a step too few or none at all."""
    configs = {}
    for number, layers in enumerate(made.images):
        count = len(layers) + rng.choice([0, 0, 0, 1])
        lines: list[str | None] = [rng.choice(list(LINES)) for _ in range(count)]
        for _ in range(rng.randrange(3)):
            lines.insert(rng.randrange(len(lines) + 1), None)
        if rng.randrange(5):
            configs[number] = config(*lines)
    return replace(made, configs=configs)


def kinds_of(made: Made, image: int) -> list[str]:
    """Return the kind of each layer of an image."""
    layers = made.images[image]
    steps = made.configs.get(image, config())["history"]
    lines = [step.created_by for step in steps if not step.is_empty]
    if len(lines) != len(layers):
        return ["no_history"] * len(layers)
    return ["base" if line == BASE and not n else LINES[line] for n, line in enumerate(lines)]


def first_in_order(counts: Counter[str]) -> str:
    """Return the kind with the largest count, of equal ones the first; a known one before none."""
    known = {kind: count for kind, count in counts.items() if kind != "no_history"}
    return min(known, key=lambda kind: (-known[kind], KINDS.index(kind)), default="no_history")


def expected(made: Made, row: list[int]) -> tuple[dict, dict]:
    """Return sums by kind, and by (image, kind).

    :param row: the row in /layers of each layer.
    """
    by_image: dict[tuple[int, str], Counter] = defaultdict(Counter)
    by_kind: dict[str, Counter] = defaultdict(Counter)
    votes: dict[int, Counter[str]] = defaultdict(Counter)
    for image, layers in enumerate(made.images):
        hidden = brute.hidden_in([made.layers[layer] for layer in layers])
        for place, (layer, kind) in enumerate(zip(layers, kinds_of(made, image), strict=True)):
            sums = amounts(made.layers[layer])
            sums["hidden_bytes"] = sum(size for at, size, _, _ in hidden if at == place)
            by_image[image, kind].update(layers=1, **sums)
            by_kind[kind].update(image_layers=1, hidden_bytes=sums.pop("hidden_bytes"))
            by_kind[kind].update({f"image_{name}": size for name, size in sums.items()})
            votes[layer][kind] += 1
    for _, kind in by_image:
        by_kind[kind]["images"] += 1
    # Layers, each once; redundant is what a layer before has, in the order of /layers
    seen: set[bytes] = set()
    for layer in sorted(range(len(made.layers)), key=lambda layer: row[layer]):
        sums = by_kind[first_in_order(votes[layer])]
        sums.update(layers=1, **amounts(made.layers[layer]))
        for entry in made.layers[layer]:
            if entry.kind == "file" and entry.digest in seen:
                sums["redundant_bytes"] += entry.size
            elif entry.kind == "file":
                seen.add(entry.digest)
    # Steps, those of each config once
    configs = {repr(one): (number, one) for number, one in reversed(made.configs.items())}
    for number, one in configs.values():
        kinds = iter(kinds_of(made, number))
        is_known = sum(not step.is_empty for step in one["history"]) == len(made.images[number])
        for step in one["history"]:
            kind = "metadata" if step.is_empty else LINES[step.created_by]
            if is_known and not step.is_empty:
                kind = next(kinds)
            by_kind[kind]["steps"] += 1
    return by_kind, by_image


def amounts(entries: list[Entry]) -> dict[str, int]:
    """Return files, FLS and CLS of a layer."""
    sizes = [entry.size for entry in entries if entry.kind == "file"]
    return {"files": len(sizes), "FLS": sum(sizes), "CLS": 10 * len(entries)}


def rows(table, keys: tuple[str, ...]) -> dict:
    """Return a table as key -> column -> value, without zeros and without shares."""
    names = [name for name in table.columns if name not in keys and "share" not in name]
    found = {}
    for place in range(len(table)):
        key = tuple(table.readable(name)[place] for name in keys)
        values = {name: int(table[name][place]) for name in names if table[name][place]}
        found[key if len(key) > 1 else key[0]] = values
    return found


def check(made: Made) -> None:
    """Write a dataset, and compare both tables."""
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as directory,
        hpc_remetrics.open(made.write(Path(directory))) as dataset,
    ):
        by_kind, by_image = expected(made, rows_of_layers(made, dataset))
        metrics = dataset.metrics
        assert rows(metrics["steps"], ("kind",)) == {k: +v for k, v in by_kind.items()}
        assert rows(metrics["image_steps"], ("image", "kind")) == {
            key: +sums for key, sums in by_image.items()
        }
        check_sums(dataset)


TOTALS = (
    *("image_layers", "image_files", "image_FLS", "image_CLS", "hidden_bytes"),
    *("layers", "files", "FLS", "CLS"),
)
"""Columns of `steps` that add up to the totals of the same name."""


def check_sums(dataset: Dataset) -> None:
    """Compare sums of the tables with totals, with other tables, and with shares."""
    metrics = dataset.metrics
    table = metrics["steps"]
    totals = metrics.totals
    assert {name: table[name].sum() for name in TOTALS} == {name: totals[name] for name in TOTALS}
    assert table["redundant_bytes"].sum() == totals["FLS"] - totals["content_bytes"]
    assert table["steps"].sum() == len(dataset.history)
    layers = metrics["layers"]
    assert layers["redundant_bytes"].sum() == totals["FLS"] - totals["content_bytes"]
    assert layers["redundant_files"].sum() == totals["files"] - totals["contents"]
    # Each image has the sums of its row in `images`
    images = metrics["images"]
    by_image = metrics["image_steps"]
    for name in ("files", "FLS", "CLS", "hidden_bytes"):
        sums = np.bincount(by_image["image"], by_image[name], len(images))
        assert sums.tolist() == images[name].tolist()
    order = list(zip(by_image["image"].tolist(), by_image["kind"].tolist(), strict=True))
    assert order == sorted(set(order))
    assert table["image_FLS"].tolist() == sorted(table["image_FLS"].tolist(), reverse=True)
    # Shares are of the sums, or of the bytes of the kind
    with np.errstate(invalid="ignore"):
        for name in module._SHARES:
            want = table[name] / np.float64(table[name].sum())
            np.testing.assert_array_equal(table[f"share_of_{name}"], want)
        for part, whole in (("hidden", "image_FLS"), ("redundant", "FLS")):
            want = table[f"{part}_bytes"] / table[whole]
            np.testing.assert_array_equal(table[f"{part}_byte_share"], want)


def some() -> Made:
    """Return a dataset with ties, layers under several kinds, and the odd cases of histories."""
    files = [
        [Entry("file", b"a", 1), Entry("file", b"b", 2), Entry("file", b"c", 2)],
        [Entry("file", b"a", 1), Entry("file", b"d", 3)],
        [Entry("whiteout", b".wh.b"), Entry("file", b"e", 4)],
        [Entry("file", b"f", 3), Entry("directory", b"g")],
        [Entry("file", b"e", 2)],
    ]
    images = [[0, 1], [0, 1, 2], [0, 1, 2], [1, 0, 0], [3], [3], [4, 3, 3], [], [2], [4]]
    apt, pip, *_ = (line for line, kind in LINES.items() if kind.startswith("RUN"))
    return Made(
        files,
        images,
        configs={
            0: config(BASE, apt),
            1: config(BASE, None, pip, "COPY . /app"),
            # The same layers by other steps: no text, and an unknown one
            2: config("", "something else", "COPY . /app", None),
            # A base that is not the lowest layer
            3: config(pip, BASE, apt),
            # A tie of COPY and RUN apt, and a layer that two steps of one image made
            4: config(apt),
            6: config("something else", "COPY . /app", "COPY . /app"),
            5: config(apt),
            # Steps and layers disagree; no layer at all
            8: config(apt, apt),
            7: config(None),
        },
    )


def test_every_case_by_hand() -> None:
    made = some()
    votes = [first_in_order(Counter(kinds_of(made, n))) for n in (4, 6, 8, 7)]
    assert votes == ["RUN_apt", "COPY", "no_history", "no_history"]
    check(made)


def test_a_dataset_drawn_at_random() -> None:
    rng = random.Random(5)
    names = [b"a", b"b", b"c", b"d/e"]
    layers = [
        [Entry("file", rng.choice(names), rng.randrange(9)) for _ in range(rng.randrange(6))]
        for _ in range(12)
    ]
    images = [rng.choices(range(12), k=rng.randrange(7)) for _ in range(30)]
    check(random_configs(Made(layers, [*images, list(range(12))]), rng))


@pytest.mark.slow
@settings(max_examples=share_of(12), suppress_health_check=list(HealthCheck))
@given(datasets(), st.randoms(use_true_random=False))
def test_random_datasets(made: Made, rng: random.Random) -> None:
    check(random_configs(made, rng))


def results_of(comm, path: Path) -> StepResults:
    """Return what the pass over the steps of a dataset finds on a rank."""
    scratch = path.parent / f"{comm.rank}-of-{comm.size}"
    scratch.mkdir()
    with Dataset(path) as dataset:
        inputs = MetricsInputs(comm, dataset, scratch, 1 << 20)
        inputs.map_sizes()
        hidden = HiddenPass(inputs)
        hidden.run()
        return module.step_results(inputs, hidden.image_layers)


def test_any_number_of_ranks_gives_the_same(tmp_path: Path) -> None:
    path = some().write(tmp_path, metrics=False)
    (alone,) = on_ranks(1, lambda comm: results_of(comm, path))
    assert len(alone.image_steps) and alone.steps.any() and alone.layer_kinds.any()
    for size in (2, 3, 11):
        first, *others = on_ranks(size, lambda comm: results_of(comm, path))
        assert first.image_steps.tolist() == alone.image_steps.tolist()
        assert first.layer_kinds.tolist() == alone.layer_kinds.tolist()
        assert first.steps.tolist() == alone.steps.tolist()
        assert not any(len(one.image_steps) or len(one.layer_kinds) for one in others)


def test_a_dataset_without_histories_has_one_kind(tmp_path: Path) -> None:
    """An older program wrote none of what configs say."""
    path = some().write(tmp_path, metrics=False)
    with h5py.File(path, "r+") as file:
        for name in ADDED - {"chunks"}:
            del file[name]
        del file["image_layers/step"], file["images/config"]
    (found,) = on_ranks(1, lambda comm: results_of(comm, path))
    assert not found.steps.any()
    assert set(found.layer_kinds.tolist()) == {STEP_KINDS["no_history"]}
    assert set(found.image_steps["kind"].tolist()) == {STEP_KINDS["no_history"]}
    assert found.image_steps["layers"].sum() == sum(map(len, some().images))


@pytest.mark.slow
@pytest.mark.xdist_group("metrics of real files")
def test_a_real_dataset_adds_up(dataset: Dataset) -> None:
    check_sums(dataset)
    kinds = set(dataset.metrics["steps"].readable("kind"))
    assert kinds == {"base", "ADD", "COPY", "RUN_apt", "RUN_pip", "bazel", "metadata", "no_history"}


def test_long_texts_are_read_in_part_and_some_megabytes_at_a_time(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "_BATCH_BYTES", 3 * TEXT_BYTES)
    texts = ["a" * n for n in (5, 0, 10 * TEXT_BYTES, TEXT_BYTES, TEXT_BYTES - 1, 7, 0, 0)]
    made = Made([[Entry("file", b"a", 1)]], [[0]], configs={0: config(*texts)})
    with Dataset(made.write(tmp_path, metrics=False)) as dataset:
        for start, stop in ((0, 8), (1, 3), (2, 8), (3, 3)):
            found = list(module._texts(dataset.chunks_of("history"), "created_by", start, stop))
            assert found == [text[:TEXT_BYTES].encode() for text in texts[start:stop]]


def test_equal_steps_are_looked_at_once_while_there_is_room(monkeypatch) -> None:
    asked = []

    def kind(created_by: bytes, comment: bytes, is_first: bool) -> int:
        asked.append((created_by, comment, is_first))
        return len(asked)

    monkeypatch.setattr(module, "step_kind", kind)
    known = module._KnownSteps(1000)
    steps = [(b"a", b"", False), (b"a", b"", True), (b"a", b"x", False), (b"b", b"", False)]
    assert [known.kind(*step) for step in steps[:3] * 2] == [1, 2, 3] * 2
    assert [known.kind(*step) for step in (steps[3], steps[3], steps[0])] == [4, 4, 5]
    assert asked == [*steps, steps[0]]
