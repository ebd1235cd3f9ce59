"""Runs that take layers of earlier datasets make what a run from scratch makes."""

import os
import shutil
import signal

import h5py
import pytest
from support.sabotage import Job, published, wait_until
from support.same import assert_same

import hpc_remetrics
from hpc_remetrics.parts.job_notes import read_notes
from hpc_remetrics.parts.parts_directory import parts_directory

LAYERS = 13
"""Layers of the layout; its image `one:1` has six of them."""


@pytest.fixture(scope="session")
def six_layers(tmp_path_factory, layout):
    """A dataset of the image `one:1`."""
    from support.runs import Runs

    runs = Runs(tmp_path_factory.mktemp("six"))
    runs.run(runs.analyze(f"oci:{layout}:one:1", "six.h5"))
    return runs.directory / "six.h5"


@pytest.fixture
def earlier(six_layers, runs):
    """A copy of it, without parts."""
    return shutil.copy(six_layers, runs.directory / "earlier.h5")


def reuse(runs, layout, output, *options, ranks=0, code=0):
    command = runs.analyze(f"oci:{layout}", output, "--reuse", "earlier.h5", *options, ranks=ranks)
    return runs.run(command, code=code).stderr


def todo_of(runs, output) -> int:
    """Return how many layers the last job on an output had to profile."""
    return read_notes(parts_directory(runs.directory / output))[-1].todo_layers


@pytest.mark.parametrize("ranks", [0, 3])
def test_it_profiles_the_rest_and_makes_the_same(runs, layout, truth, earlier, ranks):
    said = reuse(runs, layout, "out.h5", ranks=ranks)
    assert "reused: 6 layers of earlier datasets" in said
    assert todo_of(runs, "out.h5") == LAYERS - 6
    assert_same(truth, runs.directory / "out.h5")
    said = runs.run(runs.command("status", "out.h5")).stdout
    assert "reused                         6" in said and "left                           0" in said
    assert list(runs.scratch.iterdir()) == []
    if not ranks:
        # All layers of another run are there, and nothing is profiled.
        shutil.move(runs.directory / "out.h5", earlier)
        assert "reused: 13 layers" in reuse(runs, layout, "third.h5")
        assert not list(parts_directory(runs.directory / "third.h5").glob("*"))
        assert_same(truth, runs.directory / "third.h5")


def test_the_output_can_be_the_earlier_dataset(runs, layout, truth, earlier):
    reuse(runs, layout, "earlier.h5")
    assert_same(truth, earlier)
    assert todo_of(runs, "earlier.h5") == LAYERS - 6
    with hpc_remetrics.open(earlier) as dataset:
        assert dataset.run_table("reused")["dataset"].tolist() == [os.fsencode(earlier)]


def test_shares_and_the_run_that_gathers_them(runs, layout, truth, earlier):
    for share in ("1/2", "2/2"):
        reuse(runs, layout, "out.h5", "--share", share)
    assert "0 layers done" not in reuse(runs, layout, "out.h5")
    notes = read_notes(parts_directory(runs.directory / "out.h5"))
    assert sum(note.todo_layers for note in notes) == LAYERS - 6
    assert_same(truth, runs.directory / "out.h5")


def test_a_damaged_dataset_is_not_trusted(runs, layout, truth, earlier):
    with h5py.File(earlier) as file:
        place = file["entries/path"].id.get_chunk_info(0).byte_offset
    with open(earlier, "r+b") as file:
        file.seek(place + 100)
        file.write(bytes(100))
    before = earlier.read_bytes()
    said = reuse(runs, layout, "out.h5")
    assert "a dataset is not reused, its layers are profiled again: earlier.h5" in said
    assert todo_of(runs, "out.h5") == LAYERS
    assert_same(truth, runs.directory / "out.h5")
    assert earlier.read_bytes() == before


def test_chunks_are_reused_with_all_layers_of_a_dataset_or_not_at_all(runs, layout):
    options = ("--chunks", "--types", "none")
    for source, name in ((layout, "all"), (f"{layout}:one:1", "one")):
        runs.run(runs.analyze(f"oci:{source}", f"{name}.h5", *options))
    shutil.copy(runs.directory / "one.h5", runs.directory / "earlier.h5")
    assert "reused: 6 layers" in reuse(runs, layout, "out.h5", *options)
    assert_same(runs.directory / "all.h5", runs.directory / "out.h5")

    shutil.copy(runs.directory / "all.h5", runs.directory / "earlier.h5")
    said = reuse(runs, f"{layout}:one:1", "fewer.h5", *options)
    assert "earlier.h5 is not reused: which of its chunks belong to the 7 layers" in said
    assert_same(runs.directory / "one.h5", runs.directory / "fewer.h5")


@pytest.mark.parametrize("ranks", [0, 3])
def test_a_kill_in_the_middle_and_a_restart_make_the_same(runs, layout, truth, earlier, ranks):
    output = runs.directory / "out.h5"
    command = runs.analyze(
        *(f"oci:{layout}", output, "--reuse", earlier, "--publish-seconds", "0.05"), ranks=ranks
    )
    job = Job(command, runs.directory)
    # Kill it as soon as something new is in a part
    wait_until(lambda: job.process.poll() is not None or any(parts_of(output)))
    os.killpg(job.process.pid, signal.SIGKILL)
    job.end()
    held = set(published(output))
    assert held
    left = LAYERS - 6 - len(held)
    runs.run(command)
    # If the job came further before it was killed, nothing was left
    assert not left or todo_of(runs, "out.h5") == left
    assert_same(truth, output)


def parts_of(output):
    return parts_directory(output).glob("part-*.h5")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--types", "none"), "can't be reused: it was made with types="),
        (("--limit", "entries=7"), "can't be reused: it was made with entries="),
        (("--compress-sample", "1"), "can't be reused: it was made with compress_sample=1/256"),
        (("--reuse", "none.h5"), "none.h5 is not there"),
    ],
)
def test_a_dataset_that_cant_be_used_at_all_is_refused(runs, layout, earlier, options, message):
    assert message in reuse(runs, layout, "out.h5", *options, code=2)
    assert not (runs.directory / "out.h5").exists()
    assert not parts_directory(runs.directory / "out.h5").exists()
