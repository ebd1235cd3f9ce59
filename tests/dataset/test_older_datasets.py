"""A dataset of an earlier version, without configs and what came with them, is read whole."""

from __future__ import annotations

import h5py
import pytest
from support.made import Entry, Made
from support.made_configs import ODD_CONFIG, ODD_PAIRS
from support.same import assert_same

import hpc_remetrics
from hpc_remetrics.cli import main
from hpc_remetrics.dataset.schema import ABSENT, ADDED

LAYERS = [[Entry("file", b"f%d" % place, place)] for place in range(3)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A dataset with configs and annotations."""
    made = Made(LAYERS, [[0, 1], [0, 1, 2]], configs={0: ODD_CONFIG, 1: ODD_CONFIG})
    made.changed = {1: {"annotations": ODD_PAIRS}}
    return made.write(tmp_path_factory.mktemp("made") / "made")


@pytest.fixture(scope="module")
def older(made, tmp_path_factory):
    """The same without all that was added within this version."""
    path = tmp_path_factory.mktemp("older") / "older.h5"
    path.write_bytes(made.read_bytes())
    with h5py.File(path, "r+") as file:
        for name in (*ADDED, *ABSENT, "metrics"):
            del file[name]
    return path


def test_what_it_lacks_is_missing(older, made):
    with hpc_remetrics.open(older) as data, hpc_remetrics.open(made) as whole:
        assert set(data.lacking) == {f"/{name}" for name in (*ADDED, *ABSENT)}
        assert whole.lacking == []
        for name in ADDED:
            assert len(data[name]) == len(data[name].frame()) == 0
            assert list(data[name].frame()) == list(whole[name].frame())
        for name in ABSENT:
            table, _, column = name.partition("/")
            assert data[table].frame()[column].isna().all()
        assert repr(data) and data._repr_html_()
        data.check_all()


def test_reduce_says_what_it_lacks(older, tmp_path, capsys):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(older.read_bytes())
    assert main(["reduce", str(copy)]) == 0
    said = capsys.readouterr().err
    assert (
        "an earlier version made it" in said and "/configs" in said and "/image_layers/step" in said
    )
    with hpc_remetrics.open(copy) as data:
        assert data.has_metrics
    assert main(["report", str(copy)]) == 0
    assert main(["compare", str(copy), str(older)]) == 0


@pytest.mark.parametrize("form", ["csv", "hdf5"])
@pytest.mark.parametrize("anonymous", [[], ["--anonymous"]])
def test_it_is_exported(older, tmp_path, form, anonymous):
    command = ["export", str(older), "--format", form, "-o", str(tmp_path), *anonymous]
    assert main(command) == 0
    if form == "hdf5":
        with hpc_remetrics.open(tmp_path / "older.h5") as data:
            assert len(data.images) == 2 and data.lacking
    else:
        assert any(path.stem == "configs" for path in tmp_path.iterdir())


@pytest.mark.slow
def test_merged_with_its_successor_it_lacks_nothing(older, made, tmp_path):
    for number, paths in enumerate([(older, made), (made, older)]):
        output = tmp_path / f"{number}.h5"
        assert main(["merge", *map(str, paths), "-o", str(output)]) == 0
        assert_same(output, made, "/metrics")
