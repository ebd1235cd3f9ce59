"""Reading entries of parts by their place in the dataset, also from parts that are damaged."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.synthetic import SIGNATURE, TYPES, digest_of, make_layer

from hpc_remetrics.dataset.schema import CHUNK_BYTES
from hpc_remetrics.errors import PartError
from hpc_remetrics.gather import placed_reader
from hpc_remetrics.gather.entry_writer import EntryWriter, _BlobOffsets
from hpc_remetrics.gather.placed_reader import PartReader
from hpc_remetrics.gather.placement import place
from hpc_remetrics.parts.part_format import ENTRY_COLUMNS
from hpc_remetrics.parts.part_reader import read_part
from hpc_remetrics.parts.part_writer import write_part
from hpc_remetrics.parts.spill_format import EXTRA_STRUCTS
from hpc_remetrics.records import Image, Layer

SIZES = [30, 0, 1, 50, 200]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Layers in parts of one, two and two layers, with as many samples as entries each."""
    directory = tmp_path_factory.mktemp("parts")
    rng = random.Random(5)
    layers = [make_layer(rng, number, size) for number, size in enumerate(SIZES)]
    for number, layer in enumerate(layers):
        pack = EXTRA_STRUCTS["samples"].pack
        records = [pack(digest_of(n).raw, n, number) for n in range(SIZES[number])]
        layer.extras = {"samples": b"".join(records)}
    paths = []
    for name, some in (("a", layers[:1]), ("b", layers[1:3]), ("c", layers[3:])):
        items = [(layer.digest, layer.profile, layer.spill(directory)) for layer in some]
        paths.append(write_part(directory, name, items, [], TYPES, SIGNATURE, directory))
    return layers, paths


@pytest.fixture
def parts(written, tmp_path):
    """The same as copies, to be damaged."""
    layers, paths = written
    return layers, [Path(shutil.copy(path, tmp_path)) for path in paths]


@pytest.fixture
def reader(parts):
    layers, paths = parts
    some = tuple(Layer(layer.digest, 1, "oci_tar") for layer in layers)
    image = Image("x", digest_of("x"), "", "oci", some)
    reader = PartReader(place([read_part(path) for path in paths], [image]))
    yield reader
    reader.close()


def in_order(parts):
    """Return the layers as the dataset has them."""
    return sorted(parts[0], key=lambda layer: layer.digest)


def rows_of(parts):
    return [row for layer in in_order(parts) for row in layer.rows]


@pytest.mark.parametrize("span", [(0, 281), (0, 0), (29, 83), (80, 81), (280, 281), (281, 281)])
def test_ranges_go_over_layers_and_parts(reader, parts, span):
    rows = rows_of(parts)
    assert len(rows) == sum(SIZES)
    start, stop = span
    assert reader.column("uid", start, stop).tolist() == [row.uid for row in rows[start:stop]]
    layers = [place for place, layer in enumerate(in_order(parts)) for _ in layer.rows]
    assert reader.layers(start, stop).tolist() == layers[start:stop]
    assert reader.column("mode", start, stop).dtype == ENTRY_COLUMNS["mode"]


def test_blobs_go_over_layers_and_parts(reader, parts):
    paths = b"".join(row.path for row in rows_of(parts))
    for start, stop in ((0, len(paths)), (5, 6), (100, 1000), (len(paths), len(paths))):
        assert reader.blob("path", start, stop) == paths[start:stop]
    reader.check()


@pytest.mark.parametrize("ranks", [1, 3])
def test_extra_records_of_all_layers(reader, parts, small_chunks, ranks):
    assert reader.extras_count("samples") == sum(SIZES)
    pieces = [piece for rank in range(ranks) for piece in reader.extras("samples", rank, ranks)]
    found = [(one["zstd"], one["gzip"]) for piece in pieces for one in piece]
    numbers = [parts[0].index(layer) for layer in in_order(parts)]
    assert found == [(number, n) for number in numbers for n in range(SIZES[number])]
    if ranks == 1:
        # Small layers are joined to pieces of 64 records or more, large ones are cut
        assert all(64 <= len(piece) < 128 for piece in pieces[:-1])
    assert list(reader.extras("chunks", 0, 1)) == []


def test_few_files_are_open(reader, parts, monkeypatch):
    monkeypatch.setattr(placed_reader, "_OPEN_FILES", 2)
    want = [row.gid for row in rows_of(parts)]
    for _ in range(2):
        assert reader.column("gid", 0, len(want)).tolist() == want
        assert len(reader._files) == 2
    descriptors = list(reader._files.values())
    reader.close()
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def faults(reader, words):
    """Return the names of the parts that the first fault is about."""
    with pytest.raises(PartError, match=words) as error:
        reader.check()
    return error.value.parts


def test_a_part_that_became_shorter_reads_as_zeros(reader, parts):
    path = parts[1][2]
    os.truncate(path, reader.placement.offsets[2]["digest"])
    rows = len(rows_of(parts))
    digests = reader.column("digest", 0, rows).tolist()
    for row, digest in zip(rows_of(parts), digests, strict=True):
        assert digest in (row.digest, bytes(32))
    assert faults(reader, "it ends within digest") == [str(path)]


def test_a_part_that_is_gone_reads_as_zeros(reader, parts):
    parts[1][0].unlink()
    reader.column("uid", 0, 281)
    assert faults(reader, "it can't be read: No such file") == [str(parts[1][0])]


def test_values_that_can_not_be_are_reported(reader, parts):
    path = parts[1][0]
    with open(path, "r+b") as file:
        file.seek(reader.placement.offsets[0]["mode"])
        file.write(b"\xff\xff")
    assert reader.column("mode", 0, 281).max() <= 0o7777
    assert faults(reader, "mode has values out of range") == [str(path)]


def test_a_fault_names_each_part_once(reader, parts):
    reader.fault([2, 0, 2], "it is odd")
    reader.fault([1], "it comes later")
    names = [str(parts[1][0]), str(parts[1][2])]
    assert faults(reader, f"^{names[0]} and {names[1]}: it is odd") == names


class Kept:
    """A writer that keeps what it is given."""

    def __init__(self):
        self.written = {}

    def write_rows(self, table, start, stop, size):
        self.write(f"{table}/row", None, start, np.arange(start, stop), size)

    def write(self, path, column, start, values, size):
        self.written.setdefault(path, []).append((start, values.tolist(), size))


def test_offsets_of_any_block(reader, parts, small_chunks):
    """Blocks may come in any order: a rank begins in the middle."""
    rows = rows_of(parts)
    ends = np.cumsum([len(row.link) for row in rows]).tolist()
    for block in (2, 3, 1, 4, 0):
        writer = Kept()
        start, stop = 64 * block, min(64 * block + 64, len(rows))
        EntryWriter(reader, writer).write_block(block, np.zeros(stop - start, int))
        want = [0, *ends][start:stop] if stop < len(rows) else [0, *ends][start:]
        assert writer.written["entries/link_offset"] == [(start, want, len(rows) + 1)]
        assert writer.written["entries/uid"] == [
            (start, [row.uid for row in rows[start:stop]], len(rows))
        ]
    reader.check()


def test_chunks_of_blobs(reader, parts, small_chunks):
    data = b"".join(row.path for row in rows_of(parts))
    writer = Kept()
    for chunk in range(reader.placement.blob_chunks("path")):
        EntryWriter(reader, writer).write_blob("path", chunk)
    pieces = writer.written["entries/path"]
    assert [(start, size) for start, _, size in pieces] == [
        (start, len(data)) for start in range(0, len(data), 512)
    ]
    assert b"".join(bytes(values) for _, values, _ in pieces) == data
    assert CHUNK_BYTES == 1 << 20


def damage_first_length(reader, parts, layer):
    """Change the length of the first path of a layer, given by its place; return its part."""
    placement = reader.placement
    number = int(placement.part[layer])
    row = int(placement.layers["first_entry"][layer])
    with open(parts[1][number], "r+b") as file:
        file.seek(placement.offsets[number]["path_length"] + 4 * row)
        file.write(b"\xff")
    return str(parts[1][number])


@pytest.mark.parametrize("layer", [0, 1, 2, 3, 4])
def test_lengths_that_do_not_add_up_are_reported(reader, parts, layer):
    """A block that ends with a layer, and one that begins with the next one, are told apart."""
    first = reader.placement.first["entries"].tolist()
    if first[layer] == first[layer + 1]:
        return
    path = damage_first_length(reader, parts, layer)
    offsets = _BlobOffsets(reader)
    for other in range(5):
        if first[other] < first[other + 1] and other != layer:
            offsets.block("path", first[other], first[other + 1])
    reader.check()
    offsets.block("path", first[layer], first[layer + 1])
    assert faults(reader, "the lengths of its paths don't add up") == [path]


def test_lengths_are_checked_in_a_block_of_many_layers(reader, parts):
    path = damage_first_length(reader, parts, 4)
    EntryWriter(reader, Kept()).write_block(0, np.zeros(281, int))
    assert faults(reader, "the lengths of its paths don't add up") == [path]
