"""Full file systems under output and scratch: no crash, no damage; with room, a good end."""

import json
import subprocess

import pytest
from support.sabotage import Job, published
from support.same import assert_same
from support.tools import mount_small, unmount

from hpc_remetrics.parts.parts_directory import parts_directory

pytestmark = pytest.mark.slow

NEEDED = 8 << 20
"""Bytes with which everything fits, of the output or of scratch."""


@pytest.fixture
def small(tmp_path):
    """Return a function that makes a file system of some bytes, or gives it another size."""
    directory = tmp_path / "small"
    directory.mkdir()
    mounted = False

    def resize(size: int):
        nonlocal mounted
        mount_small(directory, size, again=mounted)
        mounted = True
        return directory

    yield resize
    if mounted:
        unmount(directory)


def steps(count: int) -> list[int]:
    """Return sizes from next to nothing to nearly enough, more of them where it is tight."""
    return [int(16384 + (NEEDED // 2) * (number / count) ** 2) for number in range(count)]


def test_an_output_that_is_full_at_20_points_keeps_what_it_has(runs, layout, truth, small):
    """A file system grows step by step under one output; each run continues until it is full."""
    full, done = 0, set()
    for number in range(20):
        output = small(16_384 + number * 40_960) / "out.h5"
        command = runs.analyze(f"oci:{layout}", output, "--publish-seconds", "0.05")
        full += ends_well(Job(command, runs.directory), output.parent)
        done = goes_on(output, done)
    assert full >= 15
    small(NEEDED)
    runs.run(command)
    assert_same(truth, output)


def test_a_scratch_that_is_full_at_20_points_costs_no_layer_and_no_part(runs, layout, truth, small):
    """The same with the last tier of scratch, where spills lie, and parts until they are copied."""
    full, done, output = 0, set(), runs.directory / "out.h5"
    for number in range(20):
        directory = small(4096 * (number + 1))
        command = runs.analyze(
            f"oci:{layout}", output, "--scratch", directory, "--publish-seconds", "0.05"
        )
        full += ends_well(Job(command, runs.directory), directory)
        done = goes_on(output, done)
        assert list(directory.iterdir()) == []
    assert full >= 15
    small(NEEDED)
    runs.run(command)
    assert_same(truth, output)


def ends_well(job, place) -> bool:
    """Wait for a job, which says so if a place is full; return whether it was."""
    code = job.wait(120)
    assert code in (0, 5), job.said
    assert "Traceback" not in job.said
    assert code == 0 or ("No space left" in job.said and str(place) in job.said.splitlines()[-1]), (
        job.said
    )
    return code == 5


def goes_on(output, before: set[str]) -> set[str]:
    """Return the layers in the parts: those before, some more perhaps, and none twice."""
    done = published(output) if parts_directory(output).exists() else []
    assert len(done) == len(set(done))
    assert before <= set(done)
    return set(done)


def test_a_full_output_of_ranks_ends_with_5_and_room_ends_it_well(
    runs, layout, truth, small, sweep
):
    for size in steps(sweep(2)):
        directory = small(size)
        output = directory / "out.h5"
        command = runs.analyze(f"oci:{layout}", output, "--publish-seconds", "0.05", ranks=3)
        job = Job(command, runs.directory)
        code = job.wait(120)
        assert code in (0, 5), job.said
        assert "Traceback" not in job.said
        if code == 5:
            assert "No space left" in job.said
        done = published(output) if parts_directory(output).exists() else []
        assert len(done) == len(set(done))
        small(4 * NEEDED)
        status = subprocess.run(
            [*runs.command("status", output, "--json")], capture_output=True, text=True
        )
        if status.returncode == 0:
            assert json.loads(status.stdout)["damaged_parts"] == 0
        runs.run(command)
        assert_same(truth, output)
        assert set(done) <= set(published(output))
        for path in (*parts_directory(output).iterdir(), output, directory / "out.h5.lock"):
            path.unlink()


@pytest.mark.parametrize("how", [(), ("--extract",)])
def test_a_full_scratch_costs_layers_or_ends_with_5_and_room_ends_it_well(
    runs, layout, truth, small, sweep, how
):
    """The table of types lies in the first tier, and layers may take next to nothing of that."""
    tiers = ["--scratch", f"{runs.scratch}=1k", "--scratch"]
    for size in steps(sweep(3)):
        directory = small(size)
        output = runs.directory / "out.h5"
        words = [
            "analyze",
            f"oci:{layout}",
            "-o",
            output,
            "--publish-seconds",
            "0.05",
            *tiers,
            directory,
            *how,
        ]
        command = runs.command(*words, ranks=3)
        job = Job(command, runs.directory)
        code = job.wait(120)
        assert code in (0, 3, 5), job.said
        assert "Traceback" not in job.said
        assert list(directory.iterdir()) == []
        if code == 3:
            causes = json.loads(runs.run(runs.command("status", output, "--json")).stdout)["causes"]
            assert set(causes) <= {"no_room", "io_error", "crashed"}, causes
        small(12 * NEEDED)
        runs.run(command)
        assert_same(truth, output)
        for path in (*parts_directory(output).iterdir(), output):
            path.unlink()
