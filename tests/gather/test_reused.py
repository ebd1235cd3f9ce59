"""A gather of parts and earlier datasets makes what a gather of parts alone makes."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.same import assert_same
from support.synthetic import SIGNATURE, TYPES
from support.thread_ranks import on_ranks

import hpc_remetrics
from hpc_remetrics.analyze.reuse import reusable
from hpc_remetrics.errors import DatasetError
from hpc_remetrics.gather import gather as gather_module
from hpc_remetrics.gather.dataset_reader import (
    DatasetReader,
    Reused,
    index_of,
    open_on_all_ranks,
)
from hpc_remetrics.gather.gather import gather
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.parts.part_writer import write_part
from hpc_remetrics.records import Catalog

from .test_gather import SIZES, Corpus


class Snapshots:
    """A corpus, a dataset of some of its images, and parts with the layers which that lacks."""

    def __init__(self, directory: Path, seed: int, sizes: list[int]) -> None:
        self.place = directory
        self.corpus = corpus = Corpus(directory, seed, sizes)
        whole = corpus.catalog
        corpus.catalog = Catalog(whole.images[:2])
        self.earlier = corpus.gather("earlier")
        corpus.catalog = whole
        self.truth = corpus.gather("truth")
        with hpc_remetrics.open(self.earlier) as dataset:
            taken = self.taken(dataset).layers
        self.CLS = int(taken["CLS"].sum())
        held = set(taken["digest"].tolist())
        fresh = [layer for layer in corpus.layers if layer.digest.raw not in held]
        self.held = len(corpus.layers) - len(fresh)
        assert self.held and fresh
        self.parts = directory / "fresh"
        self.parts.mkdir()
        items = [(one.digest, one.profile, one.spill(directory / "spills")) for one in fresh]
        write_part(self.parts, "0-0-0", items, corpus.lone, TYPES, SIGNATURE, directory)

    def taken(self, dataset):
        """Return what is taken of the earlier dataset, whatever sizes images state."""
        wanted = {layer.digest.raw: -1 for layer in self.corpus.layers}
        return reusable(index_of(dataset), wanted)

    def gather(self, comm, name: str = "found", change=None) -> Path:
        output = self.place / f"{name}.h5"
        scratch = self.place / "node" / f"{name}-{comm.rank}"
        scratch.mkdir(parents=True)
        is_first = comm.rank == 0
        with ExitStack() as opened:
            datasets = open_on_all_ranks(comm, [self.earlier], opened)
            if change:
                change()
            indexes = list(map(self.taken, datasets)) if is_first else []
            gather(
                comm,
                self.parts,
                self.corpus.catalog if is_first else None,
                output,
                scratch,
                {"chunk_sample": "1"} if is_first else None,
                reused=Reused(datasets, indexes),
            )
        return output


def test_like_a_gather_of_parts_alone(tmp_path, small_chunks):
    snapshots = Snapshots(tmp_path, 4, SIZES)
    on_ranks(2, snapshots.gather)
    snapshots.corpus.check(tmp_path / "found.h5")
    with hpc_remetrics.open(tmp_path / "found.h5") as dataset:
        dataset.check_all()
        about = dataset.run_table("reused")
        assert about["layers"].tolist() == [snapshots.held]
        assert about["dataset"].tolist() == [str(snapshots.earlier).encode()]
        assert about["bytes"].tolist() == [snapshots.CLS]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_every_table_is_the_same(tmp_path, seed):
    snapshots = Snapshots(tmp_path, seed, [40, 0, 300, 1, 60, 60])
    assert_same(snapshots.truth, snapshots.gather(SerialComm()))


@pytest.mark.slow
def test_a_dataset_that_is_changed_meanwhile_is_named(tmp_path, monkeypatch):
    snapshots = Snapshots(tmp_path, 5, SIZES)
    write = gather_module.DatasetBuild._write_large

    def change_and_write(*arguments):
        os.utime(snapshots.earlier, (1, 1))
        write(*arguments)

    monkeypatch.setattr(gather_module.DatasetBuild, "_write_large", change_and_write)
    message = r"earlier\.h5 was changed while it was read; run the command again"
    with pytest.raises(DatasetError, match=message):
        snapshots.gather(SerialComm())
    assert not (tmp_path / "found.h5").exists()


@pytest.mark.slow
def test_a_name_that_is_replaced_meanwhile_changes_nothing(tmp_path):
    snapshots = Snapshots(tmp_path, 6, SIZES)

    def change():
        other = tmp_path / "other.h5"
        other.write_text("another file")
        other.replace(snapshots.earlier)

    assert_same(snapshots.truth, snapshots.gather(SerialComm(), "found", change))


def test_ranks_that_opened_different_files_say_so(tmp_path):
    path = tmp_path / "earlier.h5"
    gather(SerialComm(), tmp_path / "none", Catalog(), path, tmp_path, {})

    class OtherRank(SerialComm):
        def bcast(self, value):
            return [(1, 2)] if isinstance(value, list) and value else value

    with ExitStack() as opened:
        assert [one.path for one in open_on_all_ranks(SerialComm(), [path], opened)] == [path]
        with pytest.raises(DatasetError, match="replaced while the ranks"):
            open_on_all_ranks(OtherRank(), [path], opened)


def test_records_of_parts_and_of_datasets_are_counted(tmp_path):
    """Of a dataset all rows count, those of contents of its other layers too."""
    datasets = []
    for number, (contents, chunks) in enumerate([(3, 5), (20, 40)]):
        (tmp_path / f"flat-{number}").touch()
        version = {"file_version": (0, 0), "chunks_of": lambda table: None}
        datasets.append(SimpleNamespace(contents=[0] * contents, chunks=[0] * chunks, **version))
    extras = {kind: np.array([[0, 100], [100, 200]]) for kind in ("samples", "chunks")}
    placement = SimpleNamespace(paths=[1, 2, 3], extras=extras)
    reader = DatasetReader(placement, datasets, tmp_path)
    assert reader.extras_count("samples") == 300 + 23
    assert reader.extras_count("chunks") == 300 + 45


def test_what_is_left_out_gives_nothing():
    some = [SimpleNamespace(path=Path(name)) for name in ("a.h5", "b.h5")]
    reused = Reused(some.copy(), some.copy())
    reused.leave_out({Path("another.h5")})
    assert reused == Reused(some, some)
    reused.leave_out({Path("a.h5")})
    assert reused == Reused(some[1:], some[1:])
