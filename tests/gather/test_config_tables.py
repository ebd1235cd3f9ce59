"""The tables of configs: which step made which layer, and what is kept of many configs."""

from __future__ import annotations

import random

import h5py
import numpy as np
import pytest
from support.made_configs import image_config, make_config
from support.synthetic import digest_of

import hpc_remetrics
from hpc_remetrics.gather import config_tables, dataset_configs
from hpc_remetrics.gather.config_tables import ConfigTables
from hpc_remetrics.gather.dataset_configs import DatasetConfigs, configs_of
from hpc_remetrics.gather.gather import gather
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.records import Catalog, Configs, Image, ImageConfig, Layer, Step

LAYER = Layer(digest_of("layer"), 5, "oci_tar")
NOT_A_TIME = -(1 << 63)


def image(name: str, layers: int, config: ImageConfig | None = None) -> Image:
    digest = None if config is None else config.digest
    return Image(name, digest_of(name), "", "oci", (LAYER,) * layers, digest)


def steps(text: str) -> tuple[Step, ...]:
    """Return a step for each letter: one that made a layer for each `L`."""
    return tuple(Step(created_by=f"{place}", is_empty=one != "L") for place, one in enumerate(text))


def in_order(*configs: ImageConfig) -> list[ImageConfig]:
    return sorted(configs, key=lambda config: config.digest)


def read(tables: ConfigTables, name: str, *columns: str) -> list[list]:
    """Return columns of a table as it is written."""
    with h5py.File("a.h5", "w", driver="core", backing_store=False) as file:
        tables.write(file, {"images": 9, "image_layers": 9, **tables.rows})
        return [file[name][column][:].tolist() for column in columns]


def test_steps_that_are_not_empty_made_the_layers(tmp_path):
    """Where there are as many as the image has layers: nobody knows what made others."""
    x = image_config("x", history=steps("-L-L"), created=77)
    y = image_config("y", history=steps("L-"))
    images = [image("a", 2, x), image("b", 3, x), image("c", 2, x), image("d", 3, y), image("e", 1)]
    with ConfigTables(images, in_order(x, y), tmp_path) as tables:
        first = 0 if x.digest < y.digest else 2
        row = int(x.digest > y.digest)
        assert tables.config.tolist() == [row, row, row, 1 - row, -1]
        assert tables.created.tolist() == [77, 77, 77, NOT_A_TIME, NOT_A_TIME]
        made = [first + 1, first + 3]
        assert tables.step.tolist() == [*made, -1, -1, -1, *made, -1, -1, -1, -1]
        (layers,) = read(tables, "history", "image_layer")
        assert layers[first : first + 4] == [-1, 0, -1, 1]
        assert sorted(layers) == [-1, -1, -1, -1, 0, 1]
        assert read(tables, "configs", "images")[0][row] == 3


def test_an_image_whose_layers_are_told_may_not_be_the_first(tmp_path):
    x = image_config("x", history=steps("LL"))
    images = [image("a", 1, x), image("b", 2, x)]
    with ConfigTables(images, [x], tmp_path) as tables:
        assert tables.step.tolist() == [-1, 0, 1]
        assert read(tables, "history", "image_layer") == [[-1, -1]]


def test_a_config_without_history_or_layers(tmp_path):
    x = image_config("x")
    y = image_config("y", history=steps("--"))
    with ConfigTables([image("a", 0, x), image("b", 0, y)], in_order(x, y), tmp_path) as tables:
        assert tables.rows == {
            "configs": 2,
            "labels": 0,
            "environment": 0,
            "history": 2,
            "annotations": 0,
        }
        assert tables.step.tolist() == []
        assert read(tables, "history", "image_layer") == [[-1, -1]]


def test_configs_that_no_image_has_are_left_out(tmp_path):
    x, y, z = (image_config(word, labels=((word, ""),)) for word in "xyz")
    with ConfigTables([image("a", 0, y), image("b", 0)], in_order(x, y, z), tmp_path) as tables:
        assert tables.rows["configs"] == tables.rows["labels"] == 1
        assert bytes(read(tables, "labels", "key")[0]) == b"y"
    with ConfigTables([image("a", 0, y)], [], tmp_path) as tables:
        assert tables.config.tolist() == [-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("batch", [1, 3000, 1 << 23])
def test_few_configs_at_a_time_make_the_same_tables(tmp_path, monkeypatch, batch):
    """And they are read from the dataset as they were written, however few at a time."""
    rng = random.Random(5)
    images, catalog = [], Configs()
    for number in range(40):
        config = make_config(rng, number // 2, number % 4)
        catalog.add(config)
        images.append(image(f"{number}", number % 4, config))
    monkeypatch.setattr(config_tables, "_BATCH_BYTES", batch)
    monkeypatch.setattr(config_tables, "_IMAGES", batch)
    monkeypatch.setattr(dataset_configs, "_BYTES", batch)
    monkeypatch.setattr(dataset_configs, "_CONFIGS", batch)
    with ConfigTables(images, catalog, tmp_path) as tables:
        kept = dict(tables.rows)
        assert kept["configs"] == 20
        (digests,) = read(tables, "configs", "digest")
        assert [bytes(one) for one in digests] == [config.digest.raw for config in catalog]
        assert np.array(read(tables, "configs", "steps")).sum() == kept["history"]


def written(directory, catalog: Catalog):
    """Return the dataset of a catalog whose images have no layers."""
    for name in ("parts", "scratch"):
        (directory / name).mkdir(parents=True)
    gather(
        SerialComm(), directory / "parts", catalog, directory / "a.h5", directory / "scratch", {}
    )
    return directory / "a.h5"


@pytest.mark.parametrize("at_once", [3, 1 << 10])
def test_configs_of_a_dataset_are_those_it_was_made_of(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(dataset_configs, "_CONFIGS", at_once)
    rng = random.Random(at_once)
    catalog = Catalog()
    for number in range(12):
        config = make_config(rng, number, 0)
        catalog.configs.add(config)
        catalog.images.append(image(f"{number}", 0, config))
    path = written(tmp_path, catalog)
    with hpc_remetrics.open(path) as data:
        assert list(configs_of(data)) == list(catalog.configs)
        assert Catalog(catalog.images, configs=DatasetConfigs([data, data])) == catalog


def test_a_config_without_its_secrets_is_preferred(tmp_path):
    """Whatever the order: one of the datasets was made with --keep-secrets."""
    kept = image_config("x", environment=(("TOKEN", "12345"),))
    replaced = image_config("x", environment=(("TOKEN", "<redacted:token:5>"),), secrets=1)
    opened = []
    for number, config in enumerate((kept, replaced)):
        catalog = Catalog([image("a", 0, config)])
        catalog.configs.add(config)
        opened.append(hpc_remetrics.open(written(tmp_path / str(number), catalog)))
    for datasets in (opened, opened[::-1]):
        assert list(DatasetConfigs(datasets)) == [replaced]
    for dataset in opened:
        dataset.close()
