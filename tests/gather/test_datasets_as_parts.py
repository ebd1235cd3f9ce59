"""Datasets merged are what one gather of all their images makes, whatever they share and however
often."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.same import assert_same
from support.thread_ranks import on_ranks
from support.tools import need

import hpc_remetrics
from hpc_remetrics.gather import content_numbers, dataset_reader, datasets_as_parts
from hpc_remetrics.gather.datasets_as_parts import merge
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.parts.part_format import EXTRA_RECORDS, LAYER
from hpc_remetrics.records import NOTES, Catalog, Popularity

from .test_gather import SIZES, Corpus


def pieces(corpus: Corpus, number: int, chunk_samples: Sequence[str] = "1111") -> list[Path]:
    """Gather some of a corpus's images by themselves, so that every image is in one of the datasets
    at least."""
    whole, files = corpus.catalog, []
    images = whole.images
    for n in range(number):
        corpus.catalog = Catalog(
            [image for place, image in enumerate(images) if place % number == n],
            configs=whole.configs,
        )
        corpus.catalog.images += corpus.rng.sample(images, len(images) // 3)
        files.append(corpus.gather(f"piece{n}", chunk_sample=chunk_samples[n]))
    corpus.catalog = whole
    return files


def merged(files: list[Path], directory: Path) -> Path:
    scratch = directory / "node" / "rank"
    scratch.mkdir(parents=True)
    datasets = [hpc_remetrics.open(file) for file in files]
    merge(SerialComm(), datasets, directory / "merged.h5", scratch, {"by": "test"})
    for dataset in datasets:
        dataset.close()
    return directory / "merged.h5"


def test_small_blocks(tmp_path, small_chunks):
    """Two datasets that share layers and images, merged by two ranks of one node.

    The second says that it has a quarter of the chunks, so that is what both have in common.
    """
    corpus = Corpus(tmp_path, 4, SIZES)
    files = pieces(corpus, 2, ("1", "1/4"))
    output = tmp_path / "merged.h5"

    def run(comm):
        scratch = tmp_path / "node" / f"rank{comm.rank}"
        scratch.mkdir(parents=True)
        with ExitStack() as opened:
            datasets = [opened.enter_context(hpc_remetrics.open(file)) for file in files]
            return merge(comm, datasets, output, scratch, {"by": "test"})

    ledgers = on_ranks(2, run)
    corpus.check(output, chunk_share=0.25)
    with hpc_remetrics.open(output) as dataset:
        assert ledgers == [dataset.ledger] * 2
        dataset.check_all()


@pytest.mark.parametrize(
    ("fraction", "kept"),
    [
        (Fraction(0), []),
        (Fraction(1, 4), [0, (1 << 62) - 1]),
        (Fraction(1), [0, (1 << 62) - 1, 1 << 62, (1 << 64) - 1]),
    ],
)
def test_chunks_of_a_sample_are_those_below_its_bound(monkeypatch, fraction, kept):
    heads = [0, (1 << 62) - 1, 1 << 62, (1 << 64) - 1]
    records = np.zeros(4, EXTRA_RECORDS["chunks"])
    for row, head in zip(records, heads, strict=True):
        row["fingerprint"] = np.void(head.to_bytes(8, "big") + b"\xff" * 8)
    monkeypatch.setattr(dataset_reader, "_table_records", lambda *about: iter([records]))
    pieces = dataset_reader._chunk_records(None, fraction, 0, 1)
    found = [row["fingerprint"].tobytes()[:8] for piece in pieces for row in piece]
    assert [int.from_bytes(head, "big") for head in found] == kept


def test_a_wrong_diff_id_in_one_dataset_is_noted_and_media_types_are_judged_anew():
    wrong = NOTES["diff_id_mismatch"]
    other = NOTES["media_type_mismatch"]
    layers = np.zeros(3, LAYER)
    layers["digest"] = np.array([bytes([n]) * 32 for n in (1, 2, 3)], "V32")
    layers["notes"] = [other, 0, other | wrong]
    index = SimpleNamespace(layers=layers.copy())
    index.layers["notes"] = [0, wrong | other, 0]
    datasets_as_parts._unite_notes(layers, [index, SimpleNamespace(layers=layers[:0])])
    assert layers["notes"].tolist() == [0, wrong, wrong]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_like_one_gather_of_all(tmp_path, seed):
    corpus = Corpus(tmp_path, seed, [40, 0, 300, 1, 60, 60])
    found = merged(pieces(corpus, 1 + seed % 4), tmp_path)
    corpus.check(found)
    assert_same(corpus.gather("whole"), found)


@pytest.mark.slow
def test_stars_and_pulls_are_kept(tmp_path):
    """What a later crawl says of a repository counts; one dataset may know of it what the other
    doesn't."""
    corpus = Corpus(tmp_path, 24, [20, 30])
    names = sorted({image.repository for image in corpus.catalog.images})
    files = []
    for n, known in enumerate([Popularity(3, 5), Popularity(-1, 8)]):
        corpus.catalog.repositories = dict.fromkeys(names[n:], known)
        files.append(corpus.gather(f"crawl{n}"))
    with hpc_remetrics.open(merged(files, tmp_path)) as dataset:
        table = dataset.repositories
        found = list(
            zip(
                table.readable("name"),
                table["stars"].tolist(),
                table["pulls"].tolist(),
                strict=True,
            )
        )
    assert found == [(name, 3, 8 if n else 5) for n, name in enumerate(names)]


@pytest.mark.slow
def test_small_buckets(tmp_path, monkeypatch):
    monkeypatch.setattr(content_numbers, "_BUCKET_ROWS", 50)
    corpus = Corpus(tmp_path, 20, [300, 200, 100])
    corpus.check(merged(pieces(corpus, 3), tmp_path))


@pytest.mark.slow
def test_layers_that_reach_over_blocks(tmp_path):
    corpus = Corpus(tmp_path, 21, [100, 150_000, 50, 2000])
    assert_same(corpus.gather("whole"), merged(pieces(corpus, 2), tmp_path))


@pytest.mark.slow
def test_in_any_order_and_with_itself(tmp_path):
    corpus = Corpus(tmp_path, 22, [50, 60])
    one, two = pieces(corpus, 2)
    whole = corpus.gather("whole")
    for n, files in enumerate([[two, one], [one, one, two, one], [whole], [whole, two]]):
        directory = tmp_path / f"{n}"
        assert_same(whole, merged(files, directory))


@pytest.mark.slow
def test_the_best_row_of_a_layer_wins(tmp_path):
    """A layer that failed in the first dataset and is whole in the second is whole."""
    corpus = Corpus(tmp_path / "good", 23, [50, 60])
    good = corpus.gather("good")
    layer = corpus.layers[0]
    zero = dict.fromkeys(
        ("entries", "files", "directories", "symlinks", "hardlinks", "devices", "FLS", "TLS"), 0
    )
    zero |= dict.fromkeys(("whiteouts", "others", "path_bytes", "link_bytes", "depth"), 0)
    bad = Corpus.__new__(Corpus)
    bad.__dict__ |= {
        **corpus.__dict__,
        "place": tmp_path / "bad",
        "directory": tmp_path / "bad" / "parts",
    }
    (bad.place / "spills").mkdir(parents=True)
    bad.directory.mkdir()
    profile = replace(
        layer.profile, status="failed", stage="fetch", cause="killed", diff_id="", **zero
    )
    bad.layers = [replace(layer, profile=profile, rows=[], extras={}), *corpus.layers[1:]]
    bad.write()
    with hpc_remetrics.open(bad.gather("bad")) as dataset:
        assert dataset.ledger.failed == 3
    for n, files in enumerate([[bad.place / "bad.h5", good], [good, bad.place / "bad.h5"]]):
        assert_same(good, merged(files, tmp_path / f"{n}"))


@pytest.mark.slow
def test_the_command_under_mpi(tmp_path):
    corpus = Corpus(tmp_path, 24, [400, 30, 200])
    files = pieces(corpus, 3)
    command = [
        sys.executable,
        "-m",
        "hpc_remetrics",
        "merge",
        *files,
        "-o",
        tmp_path / "m.h5",
        "--scratch",
        tmp_path,
    ]
    subprocess.run([need("mpirun"), "-n", "3", *command], check=True, timeout=300)
    assert_same(corpus.gather("whole"), tmp_path / "m.h5", "/metrics")
    assert not list(tmp_path.glob("hpc-remetrics-*"))


@pytest.mark.slow
def test_mistakes_are_one_line(tmp_path):
    def run(*words: object) -> tuple[int, str]:
        command = [sys.executable, "-m", "hpc_remetrics", "merge", *map(str, words)]
        result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        return result.returncode, result.stderr

    corpus = Corpus(tmp_path, 25, [5])
    good = corpus.gather("good")
    (tmp_path / "none.h5").write_bytes(b"nothing")
    for words, code, text in (
        ([good], 2, "--output"),
        ([good, "missing.h5", "-o", "x.h5"], 2, "missing.h5 is not there"),
        ([good, "none.h5", "-o", "x.h5"], 2, "not an HDF5 file"),
        ([good, "-o", tmp_path], 5, "is a directory"),
    ):
        assert run(*words)[0] == code
        assert text in run(*words)[1] and run(*words)[1].count("\n") == 1
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.slow
def test_a_full_disk_leaves_what_was_there(tmp_path):
    corpus = Corpus(tmp_path, 26, [900, 900])
    one, two = pieces(corpus, 2)
    before = tmp_path / "before.h5"
    before.write_bytes(b"what was there")
    command = [
        sys.executable,
        "-m",
        "hpc_remetrics",
        "merge",
        one,
        two,
        "-o",
        before,
        "--force",
        "--scratch",
        tmp_path,
    ]
    shell = ["bash", "-c", 'ulimit -f 100; exec "$@"', "-", *map(str, command)]
    result = subprocess.run(shell, capture_output=True, text=True)
    assert result.returncode == 5 and result.stderr.count("\n") == 1, result.stderr
    assert before.read_bytes() == b"what was there"
    assert not list(tmp_path.glob(".*tmp"))
