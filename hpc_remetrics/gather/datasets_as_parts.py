"""Merge datasets into one, each layer once, as if all images had been analyzed in one run.

It is a gather whose parts are datasets (`dataset_reader.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset.ledger import Ledger
from ..dataset.reader import Dataset
from ..dataset.schema import MISSING
from ..files.disk_errors import disk_errors
from ..mpi.collective import Collective
from ..mpi.comm import Comm
from ..parts.part_format import PartIndex
from ..records import NOTES, Catalog, Digest, Image, Layer, Popularity, Skipped
from .dataset_configs import DatasetConfigs
from .dataset_reader import DatasetReader, columns_of, digests_of, index_of, write_flat
from .gather import DatasetBuild, Finish
from .placement import Placement, place, sorted_images


def merge(
    comm: Comm,
    datasets: Sequence[Dataset],
    output: Path,
    scratch: Path,
    run: Mapping[str, Any],
    finish: Finish | None = None,
) -> Ledger:
    """Make the dataset `output` of others, replacing what is there; collective.

    Of a layer in several datasets the best row counts: ok, partial, failed; then the first one's.

    :param scratch: this rank's directory on node-local disk, in one that the ranks of a node share.
    :param run: the contents of `/run`: values, and mappings from column to list.
    :raises OutputError: the output or scratch can't be written; the output is as it was before.
    """
    catalog = _catalog(datasets) if comm.rank == comm.root else None
    images = sorted_images(catalog) if catalog is not None else []
    placement: Placement = comm.bcast(_place(datasets, images) if comm.rank == comm.root else None)
    with Collective(comm), disk_errors(scratch, "scratch"):
        write_flat(comm, datasets, scratch)
    reader = DatasetReader(placement, datasets, scratch.parent)
    return DatasetBuild(comm, reader, scratch).run(catalog, images, output, run, finish)


def _catalog(datasets: Sequence[Dataset]) -> Catalog:
    """Return the images, skipped objects, repositories and configs of all datasets."""
    catalogs = (
        Catalog(list(_images(one)), list(_skipped(one)), _repositories(one)) for one in datasets
    )
    catalog = sum(catalogs, Catalog())
    catalog.configs = DatasetConfigs(datasets)
    return catalog


def _repositories(dataset: Dataset) -> dict[str, Popularity]:
    rows = columns_of(dataset.repositories, "name", "stars", "pulls", "stratum", "weight", "drawn")
    found = {}
    for name, stars, pulls, stratum, weight, drawn in rows:
        known_weight = 0.0 if math.isnan(weight) else weight
        found[name] = Popularity(stars, pulls, stratum, known_weight, drawn)
    return found


def _images(dataset: Dataset) -> Iterator[Image]:
    # Make each layer once
    layers = []
    rows = columns_of(dataset.layers, "CLS", "media_type")
    for digest, (size, media_type) in zip(digests_of(dataset.layers), rows, strict=True):
        layers.append(Layer(digest, size, media_type))

    # Give each image its layers, its config and its annotations
    image_layers = dataset.image_layers["layer"].tolist()
    configs: list[Digest | None] = [*digests_of(dataset.configs), None]
    annotations = _annotations(dataset)
    columns = ("name", "platform", "manifest_type", "first_layer", "layers")
    rows = zip(
        digests_of(dataset.images),
        dataset.images.column("config").tolist(),
        dataset.images.column("pushed").tolist(),
        columns_of(dataset.images, *columns),
        strict=True,
    )
    for number, (digest, config, pushed, values) in enumerate(rows):
        name, platform, kind, first, count = values
        mine = tuple(layers[row] for row in image_layers[first : first + count])
        stated = tuple(annotations.get(number, ()))
        date = None if pushed == MISSING["NaT"] else pushed
        yield Image(name, digest, platform, kind, mine, configs[config], stated, date)


def _annotations(dataset: Dataset) -> dict[int, list[tuple[str, str]]]:
    """Return row of an image -> key and value of each of its annotations."""
    found: dict[int, list[tuple[str, str]]] = {}
    for image, key, value in columns_of(dataset.annotations, "image", "key", "value"):
        found.setdefault(image, []).append((key, value))
    return found


def _skipped(dataset: Dataset) -> Iterator[Skipped]:
    names = dataset.skipped.columns
    for values in columns_of(dataset.skipped, *names):
        yield Skipped(**dict(zip(names, values, strict=True)))


def _place(datasets: Sequence[Dataset], images: list[Image]) -> Placement:
    indexes = [index_of(dataset) for dataset in datasets]
    placement = place(indexes, images)
    _unite_notes(placement.layers, indexes)
    return placement


def _unite_notes(layers: np.ndarray, indexes: Sequence[PartIndex]) -> None:
    """Set the notes that depend on the images of all datasets.

    A diff_id may be wrong in an image of one dataset only. Notes on media types are cleared: the
    gather sets them anew.

    :param layers: (n,) `LAYER`; changed.
    """
    layers["notes"] &= ~np.uint32(NOTES["media_type_mismatch"])
    known = layers["digest"].view("S32")
    for index in indexes:
        wrong = index.layers["digest"][index.layers["notes"] & NOTES["diff_id_mismatch"] > 0]
        layers["notes"][np.isin(known, wrong.view("S32"))] |= NOTES["diff_id_mismatch"]
