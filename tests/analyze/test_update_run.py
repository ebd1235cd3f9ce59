"""The command `updates` on versions of an image: against pyfastcdc and zstd, killed, on ranks."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from support.runs import Runs
from support.tools import need
from support.versions import Files, build

import hpc_remetrics
from hpc_remetrics.metrics.update_deltas import delta_size
from hpc_remetrics.profile.chunking import chunker

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("updates")]

VERSIONS = 4
TABLES = ("updates", "update_totals", "update_growth")


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> tuple[Path, list[list[Files]]]:
    """The layout, and the files of each layer of each image."""
    directory = tmp_path_factory.mktemp("versions") / "layout"
    return directory, build(directory, VERSIONS)


@pytest.fixture(scope="module")
def analyzed(images, tmp_path_factory) -> Path:
    runs = Runs(tmp_path_factory.mktemp("analyzed"))
    path = runs.directory / "app.h5"
    runs.run(runs.analyze(f"oci:{images[0]}", path, "--types", "none"))
    return path


@pytest.fixture(scope="module")
def whole(analyzed, tmp_path_factory) -> Path:
    """The dataset with the updates of all pairs, of a full sample."""
    runs = Runs(tmp_path_factory.mktemp("whole"))
    path = runs.directory / "app.h5"
    shutil.copy(analyzed, path)
    result = runs.run(runs.command("updates", path, "--sample", 1, "--scratch", runs.scratch))
    assert "3 pairs of images" in result.stderr
    # Nothing is left beside it.
    left = {one.name for one in runs.directory.iterdir()}
    assert left == {"app.h5", "app.h5.lock", "app.h5.updates.lock", "scratch"}
    assert list(runs.scratch.iterdir()) == []
    return path


@pytest.fixture
def updated(analyzed, tmp_path):
    """Return a function that runs `updates` on a copy of the dataset, and returns the copy."""
    runs = Runs(tmp_path)

    def run(*options: object, ranks: int = 0, name: str = "app.h5", code: int = 0) -> Path:
        path = tmp_path / name
        if not path.exists():
            shutil.copy(analyzed, path)
        words = ["updates", path, "--scratch", runs.scratch, *options]
        result = runs.run(runs.command(*words, ranks=ranks), code=code)
        run.stderr = result.stderr
        return path

    run.runs = runs
    return run


def same_tables(one: Path, other: Path) -> None:
    with hpc_remetrics.open(one) as left, hpc_remetrics.open(other) as right:
        for name in TABLES:
            for column in left.metrics[name].columns:
                np.testing.assert_array_equal(
                    left.metrics[name].column(column), right.metrics[name].column(column), column
                )


def chunks(contents: set[bytes]) -> dict[bytes, int]:
    """Cut whole contents; return the size of each distinct chunk."""
    found = {}
    for content in contents:
        for chunk in chunker().cut_buf(content) if content else ():
            found[hashlib.sha256(chunk.data).digest()] = chunk.length
    return found


def patch_size(directory: Path, reference: bytes | None, data: bytes) -> int:
    """Return the bytes of a patch by the program zstd."""
    (directory / "old").write_bytes(reference or b"")
    (directory / "new").write_bytes(data)
    origin = [] if reference is None else [f"--patch-from={directory / 'old'}"]
    command = [need("zstd"), "-q", "-f", *origin, directory / "new", "-o", directory / "patch"]
    subprocess.run(command, check=True, capture_output=True)
    return (directory / "patch").stat().st_size


def test_a_full_sample_is_what_pyfastcdc_and_zstd_say(images, whole, tmp_path):
    with hpc_remetrics.open(whole) as data:
        table = data.metrics["updates"].frame()
        totals = data.metrics["update_totals"].frame().set_index("method")
        assert "updates" in data.file_history
    for pair, (old_layers, new_layers) in enumerate(zip(images[1], images[1][1:], strict=False)):
        old = {name: data for layer in old_layers for name, data in layer.items()}
        new = {name: data for layer in new_layers for name, data in layer.items()}
        pulled = set(new.values()) - set(old.values())
        row = table.loc[pair]
        assert (row["contents"], row["content_bytes"]) == (len(pulled), sum(map(len, pulled)))
        # Chunks are exact.
        held = chunks(set(old.values()))
        sizes = [size for key, size in chunks(pulled).items() if key not in held]
        assert row["sampled_chunks"] == len(sizes)
        assert row["chunks"] == row["chunks_ci_low"] == row["chunks_ci_high"] == sum(sizes)
        # Patches are those of the program, but for its version.
        names = {data: name for name, data in new.items()}
        patches = [
            min(patch_size(tmp_path, old.get(names[data]), data), len(data)) for data in pulled
        ]
        assert row["sampled_deltas"] == len(pulled)
        assert row["delta"] == row["delta_ci_low"] == row["delta_ci_high"]
        assert row["delta"] == pytest.approx(sum(patches), rel=0.05)
    assert totals.loc["chunks", "bytes"] == table["chunks"].sum()
    assert totals.loc["delta", "bytes"] == table["delta"].sum()
    assert not totals["is_estimated"][["chunks", "delta"]].any()


def test_ranks_make_no_difference_and_intervals_have_the_truth(whole, updated):
    serial = updated("--sample", 0.5, "-q", name="serial.h5")
    several = updated("--sample", 0.5, "-q", ranks=3, name="several.h5")
    same_tables(serial, several)
    with hpc_remetrics.open(whole) as data:
        truth = data.metrics["update_totals"].frame().set_index("method")
    with hpc_remetrics.open(serial) as data:
        found = data.metrics["update_totals"].frame().set_index("method")
        assert (data.metrics["updates"]["sampled_deltas"] > 0).all()
    for method in ("chunks", "delta"):
        one = found.loc[method]
        assert one["is_estimated"]
        assert one["ci_low"] < truth.loc[method, "bytes"] < one["ci_high"]
    same = ["images", "layers", "images_uncompressed", "files"]
    assert (found.loc[same, "bytes"] == truth.loc[same, "bytes"]).all()


@pytest.mark.parametrize("written", ["part-*", "deltas-*"])
def test_a_run_that_is_killed_is_continued(analyzed, whole, updated, tmp_path, written):
    """It is killed when there is something to continue from, or has ended by itself before."""
    path = tmp_path / "app.h5"
    shutil.copy(analyzed, path)
    words = ["updates", path, "--sample", 1, "--scratch", updated.runs.scratch]
    process = subprocess.Popen(
        updated.runs.command(*words), start_new_session=True, stderr=subprocess.DEVNULL
    )
    parts = tmp_path / "app.h5.updates.parts"
    while process.poll() is None and not list(parts.glob(written)):
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    updated("--sample", 1)
    same_tables(whole, path)
    assert not parts.exists()


def test_pairs_of_a_file_and_layers_that_are_gone(images, updated, tmp_path):
    (tmp_path / "pairs.csv").write_text("old,new\napp:1,app:4\napp:4,app:1\n")
    path = updated("--pairs", "pairs.csv", "--sample", 1, name="pairs.h5")
    with hpc_remetrics.open(path) as data:
        names = data.images.readable("name")
        table = data.metrics["updates"].frame()
        assert [names[row] for row in table["new"]] == ["app:4", "app:1"]
        assert (table["chunks"] > 0).all()
        assert (table["delta"] > 0).all()
    # From a source without some layers the exact numbers are there, and no others.
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(images[0], elsewhere)
    with hpc_remetrics.open(path) as data:
        layer = data.image_layers["layer"][data.images["first_layer"][3] + 1]
        digest = data.layers.readable("digest", layer, layer + 1)[0].removeprefix("sha256:")
    (elsewhere / "blobs" / "sha256" / digest).unlink()
    again = updated("--pairs", "pairs.csv", f"oci:{elsewhere}", "--sample", 1, name="gone.h5")
    with hpc_remetrics.open(again) as data:
        lost = data.metrics["updates"].frame()
        methods = data.metrics["update_totals"].readable("method").tolist()
    assert lost["layer_bytes"].equals(table["layer_bytes"])
    assert lost["chunks"].isna().all()
    assert lost["delta"].isna().all()
    assert "chunks" not in methods


def test_what_is_wrong_is_said_before_anything_is_made(updated, tmp_path):
    updated("--sample", 0, code=2)
    assert "0 measures nothing" in updated.stderr
    updated("--pairs", "pairs.csv", code=2)
    assert "can't read pairs.csv" in updated.stderr
    updated("oci:/nowhere", code=2)
    assert "/nowhere" in updated.stderr
    left = {one.name for one in tmp_path.iterdir()} - {"scratch"}
    assert {name for name in left if not name.endswith(".lock")} == {"app.h5"}


@pytest.mark.parametrize("size", [0, 1, 100, 20_000, 300_000, 2_000_000])
def test_patches_are_as_long_as_those_of_the_program(tmp_path, size):
    rng = np.random.default_rng(size)
    old = rng.integers(0, 256, size, np.uint8).tobytes()
    new = old[: size // 2] + b"something else" + old[size // 2 :]
    want = min(patch_size(tmp_path, old, new), len(new))
    assert delta_size(old, new) == pytest.approx(want, rel=0.1, abs=4)
