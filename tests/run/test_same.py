"""The dataset is the same for every number of ranks and every history of kills."""

import contextlib
import random
import signal
import subprocess
import time

import psutil
import pytest
from support.same import assert_same


@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_any_number_of_ranks_gives_the_same(runs, layout, truth, ranks):
    output = runs.directory / "out.h5"
    runs.run(runs.analyze(f"oci:{layout}", output, ranks=ranks))
    assert_same(truth, output)


def test_a_dataset_goes_where_a_link_leads(runs, layout, truth):
    output = runs.directory / "link.h5"
    output.symlink_to(runs.directory / "far.h5")
    runs.run(runs.analyze(f"oci:{layout}", output))
    assert_same(truth, runs.directory / "far.h5")
    runs.run(runs.command("reduce", output))
    assert output.is_symlink()
    assert_same(truth, runs.directory / "far.h5")


@pytest.mark.slow
def test_64_ranks_give_the_same(runs, layout, truth):
    output = runs.directory / "out.h5"
    runs.run(runs.analyze(f"oci:{layout}", output, ranks=64), timeout=600)
    assert_same(truth, output)


def kill_all(process):
    """Kill a job with all its ranks and children; mpirun gives each rank a session of its own."""
    everything = [*psutil.Process(process.pid).children(recursive=True), process]
    for one in everything:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    for one in everything:
        one.wait()


def killed_run(command, directory, seconds):
    """Run a command in a group of its own and kill the whole group after some time.

    Return the seconds that it took, or None if it was killed.
    """
    begun = time.monotonic()
    with open(directory / "said", "w+") as said:
        process = subprocess.Popen(
            command, cwd=directory, start_new_session=True, stdout=said, stderr=said
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            kill_all(process)
            return None
        said.seek(0)
        assert code == 0, f"exit code {code}: {said.read()[-4000:]}"
        return time.monotonic() - begun


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 3])
def test_a_run_killed_at_random_moments_and_resumed_gives_the_same(runs, layout, truth, ranks):
    """Kill at 30 random moments, and resume until the dataset is there; then begin again."""
    rng = random.Random(7 + ranks)
    output, parts = runs.directory / "out.h5", runs.directory / "out.h5.parts"
    command = runs.analyze(f"oci:{layout}", output, "--publish-seconds", "0.05", ranks=ranks)
    # The shortest whole run so far: what else the machine does must not move the kills behind the
    # end.
    whole, kills = 30.0, 0
    while kills < 30:
        seconds = killed_run(command, runs.directory, rng.uniform(0.05, 1.0) * whole)
        if seconds is None:
            kills += 1
            continue
        whole = min(whole, seconds)
        assert_same(truth, output)
        output.unlink()
        for part in sorted(parts.glob("part-*"))[:: rng.choice([1, 2])]:
            part.unlink()
    runs.run(command)
    assert_same(truth, output)


def test_a_killed_rank_ends_the_job_and_the_next_run_finishes_it(runs, layout, truth):
    output = runs.directory / "out.h5"
    command = runs.analyze(f"oci:{layout}", output, "--publish-seconds", "0.05", ranks=3)
    process = subprocess.Popen(
        command, cwd=runs.directory, start_new_session=True, stderr=subprocess.DEVNULL
    )
    victim = None
    until = time.monotonic() + 60
    while victim is None and time.monotonic() < until and process.poll() is None:
        found = psutil.Process(process.pid).children(recursive=True)
        ranks = [p for p in found if "analyze" in _line(p) and "profile.child" not in _line(p)]
        victim = ranks[-1] if len(ranks) >= 3 else None
        time.sleep(0.02)
    assert victim is not None
    time.sleep(1.0)
    # A job can't end while one of its ranks is stopped, so it is killed before it is done or after.
    with contextlib.suppress(psutil.NoSuchProcess):
        victim.suspend()
    if process.poll() is None:
        victim.kill()
        assert process.wait(300) != 0
    runs.run(command)
    assert_same(truth, output)


def _line(process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_a_second_run_says_that_all_is_done(runs, layout):
    output = runs.directory / "out.h5"
    runs.run(runs.analyze(f"oci:{layout}", output))
    before = output.stat()
    result = runs.run(runs.analyze(f"oci:{layout}", output, ranks=2))
    assert "nothing to do" in result.stderr
    assert output.stat().st_mtime_ns == before.st_mtime_ns


def test_nothing_is_left_on_scratch(runs, layout):
    runs.run(runs.analyze(f"oci:{layout}", runs.directory / "out.h5", ranks=3))
    assert list(runs.scratch.iterdir()) == []
