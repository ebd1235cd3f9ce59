"""Reuse of layers from earlier datasets: which are taken, and which datasets are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.made import Entry, Made
from support.thread_ranks import on_ranks

from hpc_remetrics.analyze import reuse
from hpc_remetrics.analyze.reuse import (
    check_reusable,
    reusable,
    reused_layers,
    takeable_digests,
)
from hpc_remetrics.analyze.session import Session
from hpc_remetrics.analyze.signature import (
    check_recorded_signature,
    recorded_signature,
    signature_of,
)
from hpc_remetrics.config import AnalyzeOptions
from hpc_remetrics.dataset.reader import Dataset
from hpc_remetrics.errors import DatasetError, UsageError
from hpc_remetrics.layout.image_layout import Layout
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.signals import StopRequest
from hpc_remetrics.parts.part_format import LAYER, PartIndex
from hpc_remetrics.profile.compression_sample import codecs
from hpc_remetrics.records import NOTES, STATUSES, Catalog, Digest, Failure, Image, Layer

OPTIONS = AnalyzeOptions(types="none")
PATH = Path("earlier.h5")


def digest(name: str) -> Digest:
    return Digest(name.encode().ljust(32, b"."))


def index_of(*layers: tuple[str, str, str, str]) -> PartIndex:
    """Return the index of layers of 10 bytes: name, status, and stage and cause of the failure."""
    rows = np.zeros(len(layers), LAYER)
    failures = []
    for row, (name, status, stage, cause) in zip(rows, layers, strict=True):
        row["digest"] = np.void(digest(name).raw)
        row["status"] = STATUSES[status]
        row["CLS"] = 10
        row["notes"] = 0xFFFF
        if cause:
            failures.append(Failure(digest(name), stage, cause, "x"))
    return PartIndex(PATH, rows, ["empty"], failures, {"a": "b"}, {}, {})


def taken(index: PartIndex, wanted: dict[str, int], **options) -> list[str]:
    sizes = {digest(name).raw: size for name, size in wanted.items()}
    found = reusable(index, sizes, **options)
    assert (found.path, found.types, found.extras) == (PATH, ["empty"], {})
    names = [raw.rstrip(b".").decode() for raw in found.layers["digest"].tolist()]
    assert {one.digest for one in found.failures} <= {digest(name) for name in names}
    return names


@pytest.mark.parametrize(
    ("status", "stage", "cause", "is_taken"),
    [
        ("ok", "", "", True),
        ("partial", "tar", "bad_header", True),
        ("partial", "decompress", "truncated", True),
        ("failed", "decompress", "unsupported", True),
        ("failed", "tar", "limit_memory", False),
        ("failed", "child", "crashed", False),
        ("failed", "fetch", "missing", False),
        ("failed", "verify", "size_mismatch", False),
        ("failed", "verify", "digest_mismatch", False),
        ("partial", "exec", "exec_failed", False),
        ("partial", "", "", False),
    ],
)
def test_what_another_run_would_find_again_is_taken(status, stage, cause, is_taken):
    index = index_of(("one", status, stage, cause), ("other", "ok", "", ""))
    assert taken(index, {"one": 10, "other": 10}) == ["one", "other"][not is_taken :]


def test_retry_failed_takes_no_failed_layer():
    index = index_of(
        ("ok", "ok", "", ""),
        ("partial", "partial", "tar", "bad_header"),
        ("failed", "failed", "decompress", "unsupported"),
    )
    wanted = dict.fromkeys(("ok", "partial", "failed"), 10)
    assert taken(index, wanted, retry_failed=True) == ["ok", "partial"]


def test_layers_of_another_size_than_images_state_are_left_to_fail():
    index = index_of(*((name, "ok", "", "") for name in ("same", "other", "unknown", "gone")))
    assert taken(index, {"same": 10, "other": 11, "unknown": -1}) == ["same", "unknown"]


def test_what_images_state_is_forgotten():
    index = index_of(("a", "partial", "tar", "bad_header"), ("b", "ok", "", ""))
    claims = [Failure(digest(name), "manifest", "size_mismatch", "y") for name in "ab"]
    index.failures.extend(claims)
    found = reusable(index, {digest(name).raw: 10 for name in "ab"})
    assert [failure.stage for failure in found.failures] == ["tar"]
    of_images = NOTES["diff_id_mismatch"] | NOTES["media_type_mismatch"]
    assert found.layers["notes"].tolist() == [0xFFFF & ~of_images] * 2
    assert index.layers["notes"].tolist() == [0xFFFF] * 2


def test_a_claim_about_a_layer_does_not_make_its_failure_last():
    index = index_of(("a", "failed", "manifest", "size_mismatch"))
    assert taken(index, {"a": 10}) == []


def test_the_recorded_signature_names_what_compressed():
    recorded = recorded_signature(OPTIONS)
    assert recorded == {**signature_of(OPTIONS), "compress_with": codecs()}
    without = AnalyzeOptions(types="none", compress_sample=0)
    assert recorded_signature(without) == signature_of(without)


def test_datasets_of_other_options_are_refused():
    signature = recorded_signature(OPTIONS)
    check_recorded_signature(signature, signature, PATH)
    check_recorded_signature({**signature, "unknown": "today"}, signature, PATH)
    other = {**signature, "entries": "7"}
    with pytest.raises(
        UsageError, match=r"earlier\.h5 can't be reused: it was made with entries=7"
    ):
        check_recorded_signature(other, signature, PATH)
    with pytest.raises(
        UsageError, match=r"use the same versions of zlib and zstd, or leave it out"
    ):
        check_recorded_signature({**signature, "compress_with": "x"}, signature, PATH)
    with pytest.raises(UsageError, match="with --probe a='1', this run has no --probe a"):
        check_recorded_signature({**signature, "--probe a": "'1'"}, signature, PATH)
    with pytest.raises(UsageError, match="does not say how its layers were profiled"):
        check_recorded_signature({}, signature, PATH)


# What a run takes of whole datasets.

MADE = Made(
    [[Entry("file", b"a", 1)], [Entry("file", b"b", 2)], [Entry("directory", b"c")], []],
    [[0, 1, 2, 3]],
    status={3: "failed"},
    cause="killed",
    stage="child",
)
OTHER = Made([[Entry("file", b"d", 3)]], [[0]], first=10)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """Two datasets: one of four layers, of which the last one was killed, and one of another."""
    paths = []
    for number, (made, chunks) in enumerate([(MADE, False), (OTHER, False), (MADE, True)]):
        signature = recorded_signature(replace(OPTIONS, chunks=chunks))
        run = {"signature": {"name": list(signature), "value": list(signature.values())}}
        directory = tmp_path_factory.mktemp("earlier") / str(number)
        paths.append(replace(made, run=run).write(directory, metrics=False))
    return paths


def catalog_of(*layers: tuple[Made, int], origin: str = "") -> Catalog:
    """Return a catalog of one image of layers whose sizes are not stated."""
    found = tuple(Layer(made.digest(n), -1, "oci_tar", origin=origin) for made, n in layers)
    return Catalog([Image("a:1", digest("a"), "", "oci", found)])


ALL = catalog_of(*((MADE, n) for n in range(4)), (OTHER, 0))


@pytest.fixture
def reused(tmp_path):
    """Return a function that gives, by dataset, the places of the layers that a run takes."""

    def take(paths, catalog=ALL, comm=None, **options):
        comm = comm or SerialComm()
        chosen = replace(OPTIONS, output=tmp_path / "out.h5", reuse=tuple(paths), **options)
        session = Session(comm, chosen, StopRequest())
        with reused_layers(session, catalog if comm.rank == 0 else None) as found:
            names = [dataset.path for dataset in found.datasets]
            assert [index.path for index in found.indexes] == (names if comm.rank == 0 else [])
            assert all(len(dataset.layers) for dataset in found.datasets)
            digests = [index.digests() for index in found.indexes]
        return names, [places(some) for some in digests]

    return take


def places(digests: list[Digest]) -> list[tuple[Made, int]]:
    known = {made.digest(n): (made.first, n) for made in (MADE, OTHER) for n in range(4)}
    return sorted(known[one] for one in digests)


def test_layers_are_taken_of_the_datasets_that_have_them(earlier, reused, capsys):
    found = [(0, 0), (0, 1), (0, 2)], [(10, 0)]
    assert reused(earlier[:2]) == (earlier[:2], list(found))
    assert capsys.readouterr().err == "reused: 4 layers of earlier datasets, 0.00 GB\n"
    # A dataset of which nothing is taken is not read again
    assert reused(earlier[:2], catalog_of((OTHER, 0))) == ([earlier[1]], [found[1]])
    assert reused(earlier[:1], Catalog()) == ([], [])


def test_rank_0_chooses_for_all(earlier, reused, capsys):
    both = on_ranks(2, lambda comm: reused(earlier[:2], catalog_of((OTHER, 0)), comm))
    assert both == [([earlier[1]], [[(10, 0)]]), ([earlier[1]], [])]
    assert capsys.readouterr().err.count("reused: 1 layer of") == 1


def test_plans_count_what_may_be_taken(earlier):
    layers = {layer.digest: layer for layer in ALL.images[0].layers}
    assert places(takeable_digests(earlier[:1], layers)) == [(0, 0), (0, 1), (0, 2)]
    assert len(takeable_digests(earlier[:2], layers)) == 4
    assert takeable_digests([], layers) == set()


def test_a_damaged_dataset_gives_nothing_and_the_others_do(earlier, reused, monkeypatch, caplog):
    def check_all(dataset, rank, ranks):
        if dataset.path == earlier[0] and rank == ranks - 1:
            raise DatasetError(f"{dataset.path}: it is damaged on rank {rank} of {ranks}")

    monkeypatch.setattr(Dataset, "check_all", check_all)
    for ranks in (1, 2):
        results = on_ranks(ranks, lambda comm: reused(earlier[:2], ALL, comm))
        assert results[0] == ([earlier[1]], [[(10, 0)]])
        assert f"profiled again: {earlier[0]}: it is damaged on rank {ranks - 1}" in caplog.text
    # The run that gathers looks for damages, its shares don't
    assert len(reused(earlier[:2], share=(1, 2))[0]) == 2


def test_datasets_that_cant_be_used_at_all_are_refused_twice(earlier, reused):
    """Before anything is made, and when they are read: they may be others by then."""
    chosen = replace(OPTIONS, reuse=tuple(earlier[:2]))
    check_reusable(chosen)
    check_reusable(OPTIONS)
    for limits in (replace(chosen.limits, entries=7),):
        with pytest.raises(UsageError, match="it was made with entries="):
            check_reusable(replace(chosen, limits=limits))
        with pytest.raises(UsageError, match="it was made with entries="):
            reused(earlier[:2], limits=limits)
    with pytest.raises(DatasetError, match="is not there"):
        check_reusable(replace(chosen, reuse=(earlier[0], Path("none.h5"))))


def test_with_chunks_all_layers_with_files_are_taken_or_none(earlier, reused, caplog):
    with_files = catalog_of((MADE, 0), (MADE, 1))
    assert reused(earlier[2:], with_files, chunks=True)[1] == [[(0, 0), (0, 1)]]
    assert caplog.text == ""
    assert reused(earlier[2:], catalog_of((MADE, 0)), chunks=True) == ([], [])
    said = "made.h5 is not reused: which of its chunks belong to the 1 layer that this run does not"
    assert said in caplog.text


def test_what_a_kept_layout_lacks_is_not_taken(earlier, reused, tmp_path, capsys):
    layout = Layout(tmp_path / "kept")
    layout.prepare()
    layout.blob(MADE.digest(1)).write_bytes(b"x")
    remote = catalog_of((MADE, 0), (MADE, 1), origin="localhost/a")
    local = catalog_of((MADE, 2), (OTHER, 0))
    keep = {"keep": tmp_path / "kept"}
    assert reused(earlier[:2], remote + local, **keep)[1] == [[(0, 1), (0, 2)], [(10, 0)]]
    said = capsys.readouterr().err
    assert "reused: 3 layers of" in said
    assert f"--keep stores 1 layer that {tmp_path / 'kept'} lacks, so these are fetched" in said
    reused(earlier[:2], local, **keep)
    assert "--keep" not in capsys.readouterr().err


def test_a_command_does_not_run_on_reused_layers(earlier, reused, capsys):
    message = "the command of --exec does not run on layers that are reused"
    reused(earlier[:1], exec="du {dir}")
    assert message in capsys.readouterr().err
    reused(earlier[:1], Catalog(), exec="du {dir}")
    assert message not in capsys.readouterr().err


def test_retry_failed_is_passed_on(earlier, reused, monkeypatch):
    asked = []

    def recorded(index, wanted, retry_failed):
        asked.append(retry_failed)
        return reusable(index, wanted, retry_failed)

    monkeypatch.setattr(reuse, "reusable", recorded)
    reused(earlier[:1])
    reused(earlier[:1], retry_failed=True)
    assert asked == [False, True]
