"""The dataset is what plain Python works out of the same layers, for any number of ranks and any
parts."""

from __future__ import annotations

import contextlib
import pickle
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from support.made_configs import make_config, make_pairs
from support.same import assert_same
from support.synthetic import SIGNATURE, TYPES, SyntheticLayer, digest_of, make_layer
from support.thread_ranks import on_ranks
from support.tools import need

import hpc_remetrics
from hpc_remetrics.dataset.ledger import Ledger
from hpc_remetrics.errors import OutputError, PartError
from hpc_remetrics.gather import content_numbers, numbering
from hpc_remetrics.gather import gather as gather_module
from hpc_remetrics.gather.gather import DatasetBuild, gather
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.parts.part_reader import read_part
from hpc_remetrics.parts.part_writer import write_part
from hpc_remetrics.records import Catalog, Failure, Image, Layer

from .brute_force import expected, extras_of

PROGRAM = Path(__file__).with_name("gather_program.py")


class Corpus:
    """Made-up layers in parts, some of them more than once and as failures first, and images of
    them."""

    def __init__(self, directory: Path, seed: int, sizes: list[int]) -> None:
        self.rng = rng = random.Random(seed)
        self.place, self.directory = directory, directory / "parts"
        (directory / "spills").mkdir(parents=True)
        self.directory.mkdir()
        self.layers = [make_layer(rng, (seed, n), size) for n, size in enumerate(sizes)]
        self.layers += [make_layer(rng, (seed, "partial"), 40, status="partial")]
        self.layers += [make_layer(rng, (seed, "failed"), 0, status="failed")]
        self.lone = [
            Failure(digest_of("lone", seed), "fetch", "missing", "it is gone", rank=3, host="n1")
        ]
        for layer in self.layers:
            layer.extras = extras_of(layer.rows)
        self.catalog = Catalog([self.image(number) for number in range(6)])
        self.catalog.images = [self.with_config(image) for image in self.catalog.images]
        self.catalog.configs.add(make_config(rng, "of no image", 1))
        named = {layer.digest for image in self.catalog.images for layer in image.layers}
        every = [layer.digest for layer in self.layers] + [failure.digest for failure in self.lone]
        rest = [self.layer(digest) for digest in every if digest not in named]
        self.catalog.images.append(
            Image("rest@sha256:1", digest_of("rest"), "", "docker_schema1", tuple(rest))
        )
        self.write()

    def layer(self, digest) -> Layer:
        diff_id = self.rng.choice([None, digest_of("some"), digest_of("diff", 1)])
        return Layer(
            digest,
            5,
            self.rng.choice(["unspecified", "oci_tar", "oci_tar_gzip", "docker_tar_zstd"]),
            diff_id,
        )

    def image(self, number: int) -> Image:
        digests = [layer.digest for layer in self.layers]
        layers = tuple(
            self.layer(self.rng.choice(digests)) for _ in range(self.rng.randrange(1, 6))
        )
        name = f"host:5000/{self.rng.choice('abc')}/x:{number}"
        return Image(
            name, digest_of("image", number), self.rng.choice(["", "linux/amd64"]), "oci", layers
        )

    def with_config(self, image: Image) -> Image:
        """Return an image with annotations, and with a config of its own, that of others, or none.

        Some configs have another number of steps than the image has layers.
        """
        rng = self.rng
        pushed = rng.choice([None, 0, 1_767_323_045])
        image = replace(image, annotations=make_pairs(rng), pushed=pushed)
        if rng.random() < 0.2:
            return image
        steps = len(image.layers) + (rng.random() < 0.2)
        config = make_config(rng, rng.choice([image.name, "of many"]), steps)
        self.catalog.configs.add(config)
        return replace(image, config=config.digest)

    def write(self) -> None:
        """Spread the layers over parts; some stand in two, and some failed at first."""
        rng = self.rng
        piles: list[list[SyntheticLayer]] = [[] for _ in range(4)]
        for layer in self.layers:
            piles[rng.randrange(4)].append(layer)
        for layer in rng.sample(self.layers, len(self.layers) // 3):
            others = [pile for pile in piles if layer not in pile]
            if layer.profile.status == "ok" and rng.random() < 0.5:
                fault = {
                    "status": "failed",
                    "stage": "child",
                    "cause": "killed",
                    "diff_id": "",
                    "entries": 0,
                }
                zero = dict.fromkeys(
                    ("files", "directories", "symlinks", "hardlinks", "devices", "FLS"), 0
                )
                zero |= dict.fromkeys(
                    ("whiteouts", "others", "path_bytes", "link_bytes", "depth"), 0
                )
                layer = SyntheticLayer(layer.digest, replace(layer.profile, **fault, **zero), [])
            rng.choice(others).append(layer)
        for number, pile in enumerate(piles):
            items = [
                (layer.digest, layer.profile, layer.spill(self.place / "spills")) for layer in pile
            ]
            lone = self.lone if number == 2 else []
            write_part(self.directory, f"{number}-0-0", items, lone, TYPES, SIGNATURE, self.place)

    def gather(self, name: str, ranks: int = 0, chunk_sample: str = "1") -> Path:
        output, scratch = self.place / f"{name}.h5", self.place / name
        scratch.mkdir()
        run = {"by": "test", "chunk_sample": chunk_sample}
        if ranks:
            catalog = self.place / f"{name}.pickle"
            catalog.write_bytes(pickle.dumps(self.catalog))
            command = [
                need("mpirun"),
                "-n",
                str(ranks),
                sys.executable,
                PROGRAM,
                self.directory,
                catalog,
                output,
                scratch,
            ]
            subprocess.run(command, check=True, timeout=300)
        else:
            gather(SerialComm(), self.directory, self.catalog, output, scratch, run)
        return output

    def check(self, output: Path, chunk_share: float = 1) -> None:
        want = expected(self.layers, self.lone, self.catalog, chunk_share)
        with hpc_remetrics.open(output) as dataset:
            for table, columns in want.items():
                for name, values in columns.items():
                    if name in ("path", "link"):
                        got = dataset.paths() if name == "path" else dataset.links()
                    else:
                        got = getattr(dataset, table).readable(name).tolist()
                    assert got == values, f"/{table}/{name}"


SIZES = [60, 0, 200, 5]
"""Entries of the layers of a corpus that takes little time, but many blocks of 64 rows."""


@pytest.mark.parametrize("ranks", [1, 3])
def test_small_blocks_and_buckets(tmp_path, monkeypatch, small_chunks, ranks):
    """As with billions of rows: many blocks of entries, and many buckets of digests."""
    monkeypatch.setattr(content_numbers, "_BUCKET_ROWS", 50)
    bucket_rows = []

    def counted(rows, *others):
        bucket_rows.append(len(rows))
        return numbering.number(rows, *others)

    monkeypatch.setattr(content_numbers, "number", counted)
    corpus = Corpus(tmp_path, 3, SIZES)
    output = tmp_path / "out.h5"

    def run(comm):
        scratch = tmp_path / f"scratch{comm.rank}"
        scratch.mkdir()
        catalog = corpus.catalog if comm.rank == 0 else None
        about = {"by": "test"} if comm.rank == 0 else None
        gathered = gather(comm, corpus.directory, catalog, output, scratch, about)
        return gathered.ledger, list(scratch.iterdir())

    for ledger, left in on_ranks(ranks, run):
        assert (ledger, left) == (Ledger(ok=4, partial=1, failed=2), [])
    corpus.check(output)
    with hpc_remetrics.open(output) as dataset:
        dataset.check_all()
        assert dataset.run["by"] == "test"
        carried = int(dataset.layers["files"].sum() + dataset.layers["hardlinks"].sum())
    # Digests are spread evenly over the buckets.
    assert len(bucket_rows) == -(-carried // 50) > 3
    assert min(bucket_rows) > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_against_brute_force(tmp_path, seed):
    rng = random.Random(seed)
    corpus = Corpus(
        tmp_path, seed, [rng.choice([0, 1, 5, 60, 300]) for _ in range(rng.randrange(1, 9))]
    )
    corpus.check(corpus.gather("serial"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_small_buckets_and_many_journeys(tmp_path, monkeypatch, seed):
    """As with billions of rows: many buckets of digests."""
    monkeypatch.setattr(content_numbers, "_BUCKET_ROWS", 50)
    corpus = Corpus(tmp_path, seed, [300, 200, 100, 400])
    corpus.check(corpus.gather("serial"))


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_any_number_of_ranks(tmp_path, ranks):
    corpus = Corpus(tmp_path, 11, [400, 0, 30, 200, 1])
    output = corpus.gather("ranks", ranks)
    corpus.check(output)
    assert_same(corpus.gather("serial"), output)


@pytest.mark.slow
def test_layers_that_reach_over_blocks(tmp_path):
    """A block is 131,072 rows; of one layer's 300,000 and its neighbours'."""
    corpus = Corpus(tmp_path, 12, [100, 300_000, 50, 2000])
    output = corpus.gather("ranks", 3)
    assert_same(corpus.gather("serial"), output)
    sizes = np.array(
        [
            row.size
            for layer in sorted(corpus.layers, key=lambda one: one.digest)
            for row in layer.rows
        ],
        "u8",
    )
    with hpc_remetrics.open(output) as dataset:
        contents = dataset.entries.column("content")
        assert (contents >= 0).tolist() == (sizes != np.uint64(2**64 - 1)).tolist()
        assert (
            dataset.contents["size"][contents[contents >= 0]].tolist()
            == sizes[contents >= 0].tolist()
        )
        assert dataset.paths() == [
            row.path
            for layer in sorted(corpus.layers, key=lambda one: one.digest)
            for row in layer.rows
        ]


def test_nothing_at_all(tmp_path):
    """No image, no layer, no part."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "scratch").mkdir()
    output = tmp_path / "empty.h5"
    gather(SerialComm(), tmp_path / "parts", Catalog(), output, tmp_path / "scratch", {})
    with hpc_remetrics.open(output) as dataset:
        assert all(
            len(getattr(dataset, name)) == 0
            for name in ("images", "layers", "entries", "contents", "types")
        )
        assert dataset.paths() == []
    with h5py.File(output) as file:
        # Offsets have one row more than there are entries
        assert file["entries/path_offset"][()].tolist() == [0]
        assert file["entries/link_offset"][()].tolist() == [0]
    assert subprocess.run([need("h5dump"), output], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("error", "calls"),
    [(None, ["drain", "drain", "finish", "close"]), (OSError("x"), ["drain", "drain", "finish"])],
)
def test_chunks_of_other_ranks_are_stored_while_one_writes_and_when_it_fails(
    tmp_path, monkeypatch, error, calls
):
    """They wait for rank 0 to store their chunks, and for all to have finished."""
    done = []

    class RecordedWriter:
        def __init__(self, comm, file):
            pass

        def drain(self):
            done.append("drain")

        def finish(self):
            done.append("finish")

    def pieces(writer, contents, chunks):
        yield
        yield
        if error:
            raise error

    monkeypatch.setattr(gather_module, "ChunkWriter", RecordedWriter)
    reader = SimpleNamespace(placement=None, close=lambda: done.append("close"))
    build = DatasetBuild(SerialComm(), reader, tmp_path)
    monkeypatch.setattr(build, "_write_pieces", pieces)
    with pytest.raises(OutputError) if error else contextlib.nullcontext():
        build._write_large(None, None, None)
    assert done == calls


def test_a_layer_that_no_part_holds_is_never_left_out_in_silence(tmp_path):
    corpus = Corpus(tmp_path, 13, [5])
    corpus.catalog.images.append(
        Image("more:1", digest_of("m"), "", "oci", (Layer(digest_of("gone"), 1, "oci_tar"),))
    )
    with pytest.raises(RuntimeError, match="1 layers stand in no part"):
        corpus.gather("serial")


def test_lengths_that_do_not_add_up_are_refused_when_they_are_written(tmp_path):
    corpus = Corpus(tmp_path, 15, [60])
    for path in corpus.directory.iterdir():
        if read_part(path).layers["entries"].any():
            with open(path, "r+b") as file:
                file.seek(read_part(path).offsets["path_length"])
                file.write(b"\xff")
    with pytest.raises(PartError, match="the lengths of its paths don't add up"):
        corpus.gather("serial")
    assert not (tmp_path / "serial.h5").exists()


def test_a_digest_with_two_sizes_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(gather_module, "new_file", None)
    corpus = Corpus(tmp_path, 14, [60])
    rows = [row for row in corpus.layers[0].rows if row.kind == "file"]
    lie = make_layer(corpus.rng, "lie", 1)
    lie.rows = [replace(rows[0], size=rows[0].size + 1)]
    lie.profile = replace(
        lie.profile,
        entries=1,
        files=1,
        path_bytes=len(rows[0].path),
        link_bytes=0,
        FLS=rows[0].size + 1,
    )
    lie.profile = replace(
        lie.profile, directories=0, symlinks=0, hardlinks=0, devices=0, whiteouts=0, others=0
    )
    corpus.layers.append(lie)
    image = Image("lie:1", digest_of("lying"), "", "oci", (Layer(lie.digest, 1, "oci_tar"),))
    corpus.catalog.images.append(image)
    items = [(lie.digest, lie.profile, lie.spill(tmp_path / "spills"))]
    write_part(corpus.directory, "9-0-0", items, [], TYPES, SIGNATURE, tmp_path)
    with pytest.raises(PartError, match="different sizes"):
        corpus.gather("serial")
