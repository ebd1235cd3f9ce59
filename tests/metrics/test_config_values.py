"""What images say most often is what plain Python and DuckDB count."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import h5py
import numpy as np
import pytest
from support.made import Entry, Made
from support.thread_ranks import on_ranks

import hpc_remetrics
from hpc_remetrics.dataset.metrics_schema import CONFIG_VALUES
from hpc_remetrics.dataset.reader import Dataset
from hpc_remetrics.dataset.schema import ADDED
from hpc_remetrics.dataset.table import Table
from hpc_remetrics.export import export_command
from hpc_remetrics.metrics import config_values as module
from hpc_remetrics.metrics.inputs import MetricsInputs
from hpc_remetrics.records import Step
from hpc_remetrics.sources.secrets import FORMS, KINDS_OF_SECRETS, NAMES, placeholder

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"

TEXTS = ["", '["sh"]', '["a","b"]', "é" * 600, "x" * 1024 + "1", "x" * 1024 + "2", "日\x1b\n"]
PORTS = ["80/tcp", "443/tcp", "53/udp", "8080"]
KEYS = ["a", "ab", "org.opencontainers.image.title", "<script>", "k" * 1024 + "1"]


def config(rng: random.Random) -> dict[str, Any]:
    """Return the fields of a config at random; some have what stands for secrets."""
    token = placeholder("token", "abc")
    environment = [("A", rng.choice(["b", token, f"{token} {token} <redacted:nothing:3>"]))]
    steps = [Step(created_by=rng.choice(["RUN a", f"RUN b {placeholder('jwt', 'x')}"]))]
    ports = {port: {} for port in rng.sample(PORTS, rng.randrange(4))}
    return {
        "entrypoint": rng.choice(TEXTS),
        "cmd": rng.choice(TEXTS),
        "user": rng.choice(["", "root", "0"]),
        "exposed_ports": json.dumps(ports) if ports else rng.choice(["", "{}", "[1]", "{"]),
        "labels": tuple((key, "v") for key in rng.sample(KEYS, rng.randrange(4))),
        "environment": tuple(environment),
        "history": tuple(steps),
        "secrets": rng.choice([0, 1]),
    }


def some(images: int = 60) -> Made:
    """Return a dataset of images with few distinct configs, and some without a config."""
    rng = random.Random(5)
    distinct = [config(rng) for _ in range(images // 2)]
    configs = {n: rng.choice(distinct) for n in range(images) if n % 7}
    dates = [-62_000_000_000, 0, 1_500_000_000, 1_500_000_001]
    return Made(
        [[Entry("file", b"a", 1)]],
        [[0] for _ in range(images)],
        configs=configs,
        created={n: rng.choice(dates) for n in configs if n % 3},
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return some().write(tmp_path_factory.mktemp("values"), metrics=False)


def table_of(comm: Any, path: Path, memory: int = 1 << 20) -> list[tuple[str, str, int]]:
    """Return the rows of `config_values` as a rank finds them, none but on rank 0."""
    scratch = path.parent / f"{comm.rank}-of-{comm.size}-{memory}"
    scratch.mkdir()
    with Dataset(path) as dataset:
        columns = module.config_values(MetricsInputs(comm, dataset, scratch, memory))
    return list(zip(*columns.values(), strict=True)) if columns else []


def cut(text: str) -> str:
    """Return the first 1,024 bytes of a text."""
    return text.encode()[: module.LONGEST].decode("utf-8", "replace")


def ports_of(text: str) -> list[str]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return []
    return list(found) if isinstance(found, dict) else []


def columns_of(table: Table, *names: str) -> list[tuple[Any, ...]]:
    """Return the rows of some columns."""
    return list(zip(*(table.readable(name).tolist() for name in names), strict=True))


def brute(path: Path) -> list[tuple[str, str, int]]:
    """Count image by image, in the order of the configs, so that of equals the first is first."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in CONFIG_VALUES}
    with hpc_remetrics.open(path) as data:
        names = ("images", "entrypoint", "cmd", "user", "exposed_ports")
        configs = columns_of(data.configs, *names)
        secrets = data.configs["secrets"].tolist()
        labels = columns_of(data.labels, "config", "key")
        texts = columns_of(data.environment, "config", "value")
        texts += columns_of(data.history, "config", "created_by")
        created = data.images.readable("created")
    for images, entrypoint, cmd, user, ports in configs:
        for name, value in (("entrypoint", entrypoint), ("cmd", cmd), ("user", user)):
            counts[name][cut(value)] += images
        for port in ports_of(ports):
            counts["port"][port] += images
    for number, key in labels:
        counts["label"][cut(key)] += configs[number][0]
    kinds = {
        (number, kind)
        for number, text in texts
        if secrets[number]
        for kind in re.findall(r"<redacted:(\w+):\d+>", text)
        if kind in KINDS_OF_SECRETS
    }
    for number, kind in sorted(kinds, key=lambda pair: pair[1]):
        counts["secret"][kind] += configs[number][0]
    years = Counter("" if np.isnat(time) else str(time)[:4] for time in created)
    counts["year"] = Counter(dict.fromkeys(sorted(years), 0))
    rows = [("year", year, years[year]) for year in sorted(years)]
    for name in list(CONFIG_VALUES)[1:]:
        rows += [(name, *pair) for pair in counts[name].most_common(module.MOST)]
    return rows


def test_every_value_is_counted(path: Path) -> None:
    (found,) = on_ranks(1, lambda comm: table_of(comm, path))
    assert found == brute(path)
    assert {variable for variable, _, _ in found} == set(CONFIG_VALUES)
    assert {"token", "jwt"} == {value for variable, value, _ in found if variable == "secret"}
    # Two values whose first 1,024 bytes are equal count as one
    assert ("user", "root") in {row[:2] for row in found}
    assert sum(value == "x" * 1024 for variable, value, _ in found if variable == "cmd") == 1


@pytest.mark.parametrize("size", [2, 5])
def test_any_number_of_ranks_gives_the_same(
    path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So do small blocks of rows, small batches, and many buckets."""
    for name, value in (("_BATCH_BYTES", 10), ("_BATCH_PORTS", 3), ("MOST", 3)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr("hpc_remetrics.metrics.inputs.CHUNK_ROWS", 4)
    monkeypatch.setattr(module, "LONGEST", 9)
    first, *others = on_ranks(size, lambda comm: table_of(comm, path, 1 << 10))
    assert first == brute(path)
    assert not any(others)


def test_a_dataset_without_configs_has_years_alone(tmp_path: Path) -> None:
    """An older program wrote none of what configs say."""
    path = some(3).write(tmp_path, metrics=False)
    with h5py.File(path, "r+") as file:
        for name in ADDED - {"chunks"}:
            del file[name]
        del file["image_layers/step"], file["images/config"], file["images/created"]
    (found,) = on_ranks(1, lambda comm: table_of(comm, path))
    assert found == [("year", "", 3)]


def test_all_kinds_of_secrets_are_known() -> None:
    assert set(KINDS_OF_SECRETS) == {*NAMES.values(), *(form.kind for form in FORMS)}


@pytest.mark.slow
def test_the_queries_of_the_page_count_the_same(tmp_path: Path, monkeypatch: Any) -> None:
    made = Made(
        [[Entry("file", b"a", 1)]],
        [[0]] * 4,
        created={0: 0, 1: 0},
        configs={
            0: {"labels": (("a", "b"),), "exposed_ports": '{"80/tcp":{},"1/udp":{}}'},
            1: {"labels": (("c", "d"), ("a", "e")), "exposed_ports": '{"80/tcp":{}}'},
            2: {"environment": (("X", placeholder("token", "abc")),), "secrets": 1},
        },
    )
    path = made.write(tmp_path)
    export_command(path, "parquet", tmp_path / "hub", [])
    with hpc_remetrics.open(path) as data:
        table = data.metrics["config_values"]
        rows = list(zip(table.readable("variable"), table.readable("value"), strict=True))
        images = dict(zip(rows, table["images"].tolist(), strict=True))
    section = PAGE.read_text().split("## What images say\n")[1]
    queries = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)[0].strip().split("\n\n")
    monkeypatch.chdir(tmp_path)
    for query, name in zip(queries, ("label", "port", "year", "secret"), strict=True):
        answer = duckdb.sql(query).fetchall()
        got = {("" if value is None else str(value)): int(count) for value, count in answer}
        assert got == {
            value: count for (variable, value), count in images.items() if variable == name
        }
