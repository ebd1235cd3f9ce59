"""Replacement of a dataset: which a run may replace, and the message on what would be lost."""

import h5py
import pytest
from support.made import Entry, Made

from hpc_remetrics.errors import UsageError
from hpc_remetrics.gather.replacement import check_dataset_output, is_covered, source_names


def write(directory, sources, layers=2):
    """Write a dataset of some sources with layers of one file each."""
    made = Made([[Entry("file", b"f", n)] for n in range(layers)], [list(range(layers))])
    made.run["sources"] = {"source": sources}
    return made, made.write(directory, metrics=False)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write(tmp_path_factory.mktemp("made") / "made", ["oci:/a:x", "oci:/b"])


def held(made, *layers):
    return lambda: {made.digest(layer).raw for layer in layers}


def test_a_dataset_is_replaced_by_a_run_of_all_its_sources(dataset):
    made, path = dataset
    check_dataset_output(path, ["oci:/b", "oci:/a", "oci:/c"], held(made))
    check_dataset_output(path, ["oci:/b", "oci:/a:x"], held(made))
    with pytest.raises(UsageError) as error:
        check_dataset_output(path, ["oci:/b"], held(made))
    assert str(error.value).startswith(
        f"{path} holds 2 layers of oci:/a:x, oci:/b that would be lost"
    )


def test_layers_that_are_stored_elsewhere_are_not_lost(dataset):
    made, path = dataset
    check_dataset_output(path, [], held(made, 0, 1))
    with pytest.raises(UsageError, match="holds 1 layer of"):
        check_dataset_output(path, [], held(made, 1))
    check_dataset_output(path, [], held(made), force=True)


def test_what_the_parts_hold_is_asked_only_where_it_matters(dataset, tmp_path):
    def never():
        raise AssertionError

    _, path = dataset
    check_dataset_output(path, ["oci:/a:x", "oci:/b"], never)
    check_dataset_output(tmp_path / "new.h5", [], never)
    (tmp_path / "empty.h5").touch()
    check_dataset_output(tmp_path / "empty.h5", [], never)


def test_the_demo_is_never_lost(tmp_path):
    made, path = write(tmp_path / "made", ["demo:", "demo:x"])
    check_dataset_output(path, [], held(made))


def test_a_dataset_without_sources_or_layers(tmp_path):
    made, path = write(tmp_path / "made", [])
    with pytest.raises(UsageError, match="2 layers of unknown sources that would be lost"):
        check_dataset_output(path, ["oci:/a"], held(made))
    made, path = write(tmp_path / "empty", [], layers=0)
    check_dataset_output(path, [], held(made))


def test_long_lists_of_sources_are_cut(tmp_path):
    for count, words in (
        (3, "of oci:/0, oci:/1, oci:/2 that"),
        (4, "of oci:/0, oci:/1, oci:/2 and 1 more source that"),
        (9, "of oci:/0, oci:/1, oci:/2 and 6 more sources that"),
    ):
        made, path = write(tmp_path / str(count), [f"oci:/{n}" for n in range(count)])
        with pytest.raises(UsageError, match=words):
            check_dataset_output(path, [], held(made))


def test_a_dataset_of_another_version_is_kept(dataset, tmp_path):
    made, path = dataset
    other = tmp_path / "other.h5"
    other.write_bytes(path.read_bytes())
    with h5py.File(other, "r+") as file:
        file.attrs["schema_version"] = 99
    with pytest.raises(UsageError, match=r"what it holds can't be told: .* has schema version 99"):
        check_dataset_output(other, ["oci:/a", "oci:/b"], held(made, 0, 1))
    other.write_bytes(b"something else")
    with pytest.raises(UsageError, match="exists and is"):
        check_dataset_output(other, ["oci:/a", "oci:/b"], held(made, 0, 1))
    assert other.read_bytes() == b"something else"


def test_names_of_sources_are_absolute_and_each_once():
    assert source_names(["oci:/a/../b", "oci:/b", "docker://redis", "demo:"]) == [
        "oci:/b",
        "docker://docker.io/library/redis:latest",
        "demo:",
    ]


def test_covering():
    assert is_covered(["demo:"], []) and not is_covered(["demo:", "oci:/a"], [])
    assert not is_covered(["oci:/a"], ["oci:/a:x"])
