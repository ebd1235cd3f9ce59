"""The totals from the metrics are those that reading every entry and content gives."""

import shutil

import h5py
import pytest

import hpc_remetrics
from hpc_remetrics.summaries.totals import totals

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("scale", ["empty", "one", "fifty"])
def test_with_and_without_metrics(datasets, tmp_path, scale):
    bare = shutil.copy(datasets[scale], tmp_path / "bare.h5")
    with h5py.File(bare, "a") as file:
        del file["metrics"]
    with hpc_remetrics.open(datasets[scale]) as one, hpc_remetrics.open(bare) as other:
        assert one.has_metrics and not other.has_metrics
        assert totals(one) == totals(other)
