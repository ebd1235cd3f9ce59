"""Opening and reading a dataset, and what is refused there."""

import h5py
import numpy as np
import pytest
from support.made import Entry, Made

import hpc_remetrics
from hpc_remetrics.dataset import reader
from hpc_remetrics.dataset.ledger import Ledger
from hpc_remetrics.dataset.reader import Dataset, is_dataset, reading
from hpc_remetrics.dataset.schema import TABLES
from hpc_remetrics.errors import DatasetError, UsageError

from .conftest import LAYERS, MADE


@pytest.fixture(scope="module")
def dataset(made):
    with hpc_remetrics.open(made) as opened:
        yield opened


def order() -> list[int]:
    """Return the places of the layers as /layers has them, by digest."""
    return sorted(range(len(LAYERS)), key=lambda layer: MADE.digest(layer).raw)


def test_entries_of_layers(dataset):
    paths = [entry.path for layer in order() for entry in LAYERS[layer]]
    links = [entry.link for layer in order() for entry in LAYERS[layer]]
    assert (dataset.paths(), dataset.links()) == (paths, links)
    assert dataset.paths(3, 70) == paths[3:70]
    for row, layer in enumerate(order()):
        rows = dataset.entries_of(row)
        assert paths[rows] == [entry.path for entry in LAYERS[layer]]


def test_contents_with_their_types(dataset, monkeypatch):
    monkeypatch.setattr(reader, "CHUNK_ROWS", 16)
    found = {}
    for digests, types in dataset.typed_contents():
        assert len(digests) == len(types) <= 16
        found |= dict(zip(digests, types, strict=True))
    files = [entry for layer in LAYERS for entry in layer if entry.kind == "file"]
    assert found == {
        entry.digest: "ASCII text" if entry.content % 2 else "ELF 64-bit" for entry in files
    }


def test_what_the_run_says(dataset, tmp_path):
    assert dataset.ledger == Ledger(ok=2, partial=1, failed=1)
    assert (str(dataset.compress_sample), str(dataset.chunk_sample)) == ("1/2", "0")
    assert (dataset.fingerprint, dataset.sources) == ("abc", ["oci:/a"])
    assert dataset.failed_on == {MADE.digest(layer).raw: (-1, "") for layer in MADE.status}
    assert dataset.ranks == dataset.run_table("jobs") == {}
    path = Made([[]], [[0]]).write(tmp_path / "made", metrics=False)
    with Dataset(path) as bare:
        assert (bare.fingerprint, bare.sources, bare.failed_on) == ("", [], {})
        assert not bare.has_metrics and dataset.has_metrics


def test_tables_by_name(dataset):
    assert list(dataset) == dataset.keys() == list(TABLES)
    assert dataset["layers"] is dataset.layers
    with pytest.raises(KeyError, match="there is no table 'layer', there are repositories, images"):
        dataset["layer"]


def test_files_that_are_no_dataset(tmp_path, changed):
    with pytest.raises(DatasetError, match=r"no\.h5 is not there"):
        Dataset(tmp_path / "no.h5")
    assert is_dataset(changed)
    assert not is_dataset(tmp_path / "no.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["format"] = np.array(["hpc_remetrics dataset"] * 2, "S30")
    assert not is_dataset(tmp_path / "other.h5")
    with pytest.raises(DatasetError, match="an HDF5 file, but none of this program"):
        Dataset(tmp_path / "other.h5")


def refuse(path, words):
    with pytest.raises(DatasetError, match=words):
        Dataset(path)


def test_another_version_is_refused_but_known_as_a_dataset(changed):
    with h5py.File(changed, "r+") as file:
        file.attrs["schema_version"] = 99
    refuse(changed, "has schema version 99, this program reads 1")
    assert is_dataset(changed)


def test_missing_tables(changed):
    with h5py.File(changed, "r+") as file:
        del file["chunks"]
    with Dataset(changed) as dataset:  # a table that was added within the version
        assert len(dataset.chunks) == 0
    with h5py.File(changed, "r+") as file:
        del file["types"], file["skipped"]
    refuse(changed, "lacks /types, /skipped: it is damaged")


def test_a_file_may_not_say_how_it_was_made(changed):
    with h5py.File(changed, "r+") as file:
        del file["run"]
    with Dataset(changed) as dataset:
        assert not dataset.has_run and dataset.run == {}
        assert dataset.sources == [] and dataset.fingerprint == "" and dataset.ranks == {}
        assert dataset.failed_on == {} and dataset.compress_sample == 0


def swap(file, name, one, other):
    values = file[name][:]
    values[[one, other]] = values[[other, one]]
    file[name][...] = values


@pytest.mark.parametrize(
    ("name", "row", "value", "words"),
    [
        ("layers/entries", 0, 1, "/layers does not say which rows of /entries"),
        ("images/layers", 0, 1, "/images does not say which rows of /image_layers"),
        ("layers/FLS", 3, 1 << 62, r"sum of /layers/FLS is beyond"),
        ("layers/CLS", order().index(3), 1 << 61, "sum of /layers/CLS is beyond"),
    ],
)
def test_small_tables_that_contradict_each_other(changed, name, row, value, words):
    """The last layer is in two images and in one of them twice, so its bytes count three times."""
    with h5py.File(changed, "r+") as file:
        values = file[name][:]
        values[row] = value
        file[name][...] = values
    refuse(changed, words)


def test_tables_with_more_rows_than_there_can_be(changed):
    with h5py.File(changed, "r+") as file:
        rows = len(file["images"]["name"])
        for name in list(file["repositories"]):
            values = file["repositories"][name][:]
            del file["repositories"][name]
            file["repositories"][name] = np.repeat(values, rows + 1, axis=0)
    refuse(changed, "/repositories has more rows than /images")


def test_more_images_than_layers_may_be_wrong_about_sizes(tmp_path):
    """Each image that states a wrong size for a shared layer is a row of /failures."""
    made = Made([[Entry("file", b"a", 1)]], [[0], [0], [0]], check_sizes=True)
    path = made.write(tmp_path / "made")
    with Dataset(path) as dataset:
        assert dataset.failures.readable("stage").tolist() == ["manifest"] * 3
        assert dataset.has_metrics
        assert len(dataset.layers) == 1


def test_digests_of_layers_are_sorted(changed):
    with h5py.File(changed, "r+") as file:
        swap(file, "layers/digest", 1, 2)
    refuse(changed, "the digests in /layers are not sorted")


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("place", ["first", "block", "last"])
def test_a_wrong_value_is_found_by_the_rank_that_has_it(
    changed, monkeypatch, small_chunks, ranks, place
):
    rows = sum(map(len, LAYERS))
    row = {"first": 0, "block": 64, "last": rows - 1}[place]
    with h5py.File(changed, "r+") as file:
        values = file["entries/mode"][:]
        values[row] = 0o10000
        file["entries/mode"][...] = values
    found = []
    for rank in range(ranks):
        with Dataset(changed) as dataset:
            try:
                dataset.check_all(rank, ranks)
            except DatasetError as error:
                found.append((rank, "allowed are 0 to 4,095" in str(error)))
    blocks = -(-rows // 64)
    owner = next(rank for rank in range(ranks) if row // 64 < (rank + 1) * blocks // ranks)
    assert found == [(owner, True)]


def test_order_is_checked_between_blocks(changed, small_chunks):
    with h5py.File(changed, "r+") as file:
        swap(file, "contents/digest", 63, 64)
    with Dataset(changed) as dataset, pytest.raises(DatasetError, match="/contents are not sorted"):
        dataset.check_all()


def test_offsets_are_checked_between_blocks(changed, small_chunks):
    with h5py.File(changed, "r+") as file:
        offsets = file["entries/path_offset"][:]
        offsets[64] = 0
        file["entries/path_offset"][...] = offsets
    with (
        Dataset(changed) as dataset,
        pytest.raises(DatasetError, match="path_offset does not rise"),
    ):
        dataset.check_all()


def test_bytes_of_all_copies_fit_an_integer(changed):
    with h5py.File(changed, "r+") as file:
        for name, value in (("size", 1 << 40), ("copies", 1 << 16)):
            values = file["contents"][name][:]
            values[5] = value
            file["contents"][name][...] = values
    with Dataset(changed) as dataset, pytest.raises(DatasetError, match=r"/contents has 7e\+16"):
        dataset.check_all()


def test_contradictions_that_a_computation_meets_are_blamed_on_the_dataset(dataset, made):
    with (
        pytest.raises(DatasetError, match=rf"{made.name} holds values that contradict .*\(KeyErr"),
        reading(dataset),
    ):
        raise KeyError("x")
    with pytest.raises(UsageError), reading(dataset):
        raise UsageError("x", "y")
    with pytest.raises(RecursionError), reading(dataset):
        raise RecursionError


def test_a_closed_dataset_says_so(made):
    dataset = Dataset(made)
    dataset.close()
    for read in (lambda: dataset.entries["uid"], lambda: dataset.paths(), lambda: dataset.run):
        with pytest.raises(OSError, match=r"made\.h5 is closed; open it again"):
            read()
