"""The metrics are the same for any number of ranks and any memory, and for `reduce` as at the end
of a run."""

from __future__ import annotations

import shutil

import h5py
import pytest
from support.runs import Runs
from support.same import assert_same

import hpc_remetrics
from hpc_remetrics.dataset.metrics_schema import METRICS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("metrics of real files")]


@pytest.mark.parametrize(("ranks", "memory"), [(0, 1000), (1, 0.5), (2, 3), (3, 0.2)])
def test_reduce_gives_what_analyze_gave(tmp_path, real, ranks, memory):
    """With little memory there are many buckets, which are read in many pieces."""
    runs, copy = Runs(tmp_path), tmp_path / "copy.h5"
    shutil.copy(real, copy)
    with h5py.File(copy, "r+") as file:
        del file["metrics"]
    runs.run(
        runs.command("reduce", copy, "--memory", memory, "--scratch", runs.scratch, ranks=ranks)
    )
    assert_same(real, copy)
    assert list(runs.scratch.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "copy.h5",
        "copy.h5.lock",
        "scratch",
    ]


def test_reduce_again_changes_nothing(tmp_path, real):
    runs, copy = Runs(tmp_path), tmp_path / "copy.h5"
    shutil.copy(real, copy)
    result = runs.run(runs.command("reduce", copy))
    assert "metrics" in result.stderr
    assert_same(real, copy)
    with hpc_remetrics.open(real) as before, hpc_remetrics.open(copy) as after:
        earlier, _, line = after.file_history.rpartition("\n")
        assert earlier == before.file_history
        assert line.endswith(f" reduce {copy}")
        assert after.date_created == before.date_created


def test_every_value_has_a_description_and_numbers_have_units(real):
    with h5py.File(real, "r", locking=False) as file:
        for table in file["metrics"].values():
            assert table.attrs["description"]
            for name, column in METRICS[table.name.rpartition("/")[2]].columns.items():
                attributes = table[name].attrs
                assert attributes["long_name"]
                is_number = column.type[0] in "iuf" and column.unit != "unit"
                assert ("units" in attributes) == (is_number or column.type in ("row", "first"))


def test_reduce_of_something_else_says_so(tmp_path):
    runs = Runs(tmp_path)
    (tmp_path / "text.h5").write_text("no dataset\n")
    result = runs.run(runs.command("reduce", "text.h5"), code=2)
    assert (
        len(result.stderr.splitlines()) == 1 and "text.h5: it is not an HDF5 file" in result.stderr
    )
    result = runs.run(runs.command("reduce", "nowhere.h5"), code=2)
    assert len(result.stderr.splitlines()) == 1 and "nowhere.h5 is not there" in result.stderr
    assert (tmp_path / "text.h5").read_text() == "no dataset\n"


def test_a_dataset_without_metrics_tells_how_to_get_them(tmp_path, real):
    copy = tmp_path / "copy.h5"
    shutil.copy(real, copy)
    with h5py.File(copy, "r+") as file:
        del file["metrics"]
    with (
        hpc_remetrics.open(copy) as dataset,
        pytest.raises(hpc_remetrics.errors.DatasetError, match="reduce FILE"),
    ):
        _ = dataset.metrics
