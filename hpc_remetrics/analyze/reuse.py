"""Reuse layers of earlier datasets (`--reuse`), which are neither fetched nor profiled again.

What may be taken has to be what a run from scratch would find:

    the earlier dataset     made with the same signature (`signature.py`), and nothing in it damaged
    a layer                 ok; or partial or failed by its bytes alone, not by a wrong size that an
                            image states, by the network, by this machine or by a tool
    its chunks              `/chunks` does not tell which layer has a chunk, so with `--chunks` all
                            layers of the dataset have to be taken, or none
    with `--keep`           what the kept layout has not is fetched, and so profiled again
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from ..buckets import total_size
from ..claimed_sizes import unique_layers
from ..config import AnalyzeOptions
from ..dataset.reader import Dataset, reading
from ..errors import DatasetError
from ..gather.dataset_reader import Reused, index_of, open_on_all_ranks
from ..layout.image_layout import Layout
from ..mpi.collective import on_rank_0
from ..mpi.comm import Comm
from ..parts.part_format import PartIndex
from ..records import NOTES, STATUSES, TRANSIENT_CAUSES, Catalog, Digest, Failure, Layer
from ..wording import counted
from .session import Session
from .signature import check_recorded_signature, chunk_share, recorded_signature

log = logging.getLogger(__name__)

_STAGES = ("decompress", "tar")
"""Stages in which a layer becomes partial or failed by its bytes."""

_NOTES_OF_IMAGES = NOTES["diff_id_mismatch"] | NOTES["media_type_mismatch"]
"""Notes on a layer that depend on the images that have it."""


def check_reusable(options: AnalyzeOptions) -> None:
    """Refuse earlier datasets that can't be used at all, before anything is made.

    :raises DatasetError: one is missing, damaged, or of another version.
    :raises UsageError: one was made with other options, or does not say with which.
    """
    for path in options.reuse:
        with Dataset(path) as dataset, reading(dataset):
            _check_options(dataset, options)


def _check_options(dataset: Dataset, options: AnalyzeOptions) -> None:
    check_recorded_signature(dataset.signature, recorded_signature(options), dataset.path)


@contextmanager
def reused_layers(session: Session, catalog: Catalog | None) -> Iterator[Reused]:
    """Open the earlier datasets of a run, and choose what is taken of them; collective.

    :param catalog: the images, on rank 0.
    :raises DatasetError: one can't be opened; on every rank.
    :raises UsageError: one was made with other options; on every rank.
    """
    options = session.options
    comm = session.comm
    with ExitStack() as stack:
        datasets = open_on_all_ranks(comm, options.reuse, stack)
        # A share takes the layers of a dataset as done; the run that gathers checks their values.
        wrong = {} if options.share else _damages(comm, datasets)
        sound = [one for number, one in enumerate(datasets) if number not in wrong]
        indexes: list[PartIndex] = []

        def choose() -> set[Path]:
            for text in wrong.values():
                log.warning("a dataset is not reused, its layers are profiled again: %s", text)
            for dataset in sound:
                _check_options(dataset, options)
            assert catalog is not None
            indexes.extend(_chosen(session, sound, unique_layers(catalog).values()))
            return {index.path for index in indexes}

        # The indexes may be large, and stay on rank 0
        taken: set[Path] = on_rank_0(comm, choose)
        yield Reused([dataset for dataset in sound if dataset.path in taken], indexes)


def _damages(comm: Comm, datasets: Sequence[Dataset]) -> dict[int, str]:
    """Read all values of some datasets; return what is wrong, by place. Collective."""
    found = {}
    for number, dataset in enumerate(datasets):
        try:
            dataset.check_all(comm.rank, comm.size)
        except DatasetError as error:
            found[number] = str(error)
    everyone = comm.allgather(found)
    return {number: text for one in reversed(everyone) for number, text in one.items()}


def _chosen(
    session: Session, datasets: Sequence[Dataset], layers: Iterable[Layer]
) -> list[PartIndex]:
    """Return what is taken of each dataset, none of those that give nothing, and say it."""
    options = session.options
    wanted = {layer.digest.raw: layer for layer in layers}
    kept = Layout(options.keep) if options.keep is not None else None
    fetched = [
        layer
        for layer in wanted.values()
        if kept is not None and layer.origin and not kept.has(layer.digest, layer.size)
    ]
    takeable = {digest: layer.size for digest, layer in wanted.items()}
    for layer in fetched:
        del takeable[layer.digest.raw]

    # Choose the layers of each dataset
    chosen = []
    for dataset in datasets:
        with reading(dataset):
            index = reusable(index_of(dataset), takeable, options.retry_failed)
        lost = _with_files(dataset.layers["files"]) - _with_files(index.layers["files"])
        if chunk_share(options) and lost:
            log.warning(
                "%s is not reused: which of its chunks belong to the %s that this run does not "
                "take from it can't be told",
                dataset.path,
                counted(lost, "layer"),
            )
        elif len(index.layers):
            chosen.append(index)

    # Say what comes of it
    found = {digest for index in chosen for digest in index.layers["digest"].tolist()}
    size = total_size(wanted[digest] for digest in found)
    session.say(f"reused: {counted(len(found), 'layer')} of earlier datasets, {size / 1e9:.2f} GB")
    if fetched:
        session.say(
            f"--keep stores {counted(len(fetched), 'layer')} that {options.keep} lacks, "
            "so these are fetched and profiled, whatever earlier datasets hold"
        )
    if options.exec and found:
        session.say("the command of --exec does not run on layers that are reused")
    return chosen


def takeable_digests(paths: Iterable[Path], layers: Mapping[Digest, Layer]) -> set[Digest]:
    """Return which of some layers a run with the right options would take of earlier datasets."""
    sizes = {digest.raw: layer.size for digest, layer in layers.items()}
    taken: set[Digest] = set()
    for path in paths:
        with Dataset(path) as dataset, reading(dataset):
            taken.update(reusable(index_of(dataset), sizes).digests())
    return taken


def reusable(
    index: PartIndex, wanted: Mapping[bytes, int], retry_failed: bool = False
) -> PartIndex:
    """Return the layers of an earlier dataset that may be taken, without what images state of them.

    :param wanted: digest of each layer of this run -> its size as images state it, -1: unknown.
    :param retry_failed: whether every failed layer is profiled again.
    """
    lasting = {one.digest.raw for one in index.failures if _is_lasting(one)}
    layers = index.layers
    is_taken = np.zeros(len(layers), bool)
    columns = (layers[name].tolist() for name in ("digest", "status", "CLS"))
    for row, (digest, status, size) in enumerate(zip(*columns, strict=True)):
        is_again = status == STATUSES["failed"] and retry_failed
        is_sound = status == STATUSES["ok"] or (digest in lasting and not is_again)
        # A layer of another size than images state fails by that.
        is_taken[row] = is_sound and wanted.get(digest) in (size, -1)

    taken = layers[is_taken]
    # The gather notes anew what images state falsely
    taken["notes"] &= ~np.uint32(_NOTES_OF_IMAGES)
    digests = set(taken["digest"].tolist())
    failures = [one for one in index.failures if not one.is_claim and one.digest.raw in digests]
    return PartIndex(index.path, taken, index.types, failures, {}, {}, {})


def _is_lasting(failure: Failure) -> bool:
    """Return whether a layer fails again in the same way, whoever reads its bytes."""
    return failure.stage in _STAGES and failure.cause not in TRANSIENT_CAUSES


def _with_files(files: np.ndarray) -> int:
    """Return how many layers have files, of their numbers of files."""
    return int((files > 0).sum())
