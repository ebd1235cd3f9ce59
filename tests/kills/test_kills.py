"""Jobs killed and stopped at random moments, and run again: nothing lost, nothing counted twice."""

import random
import signal
import time

import pytest
from support.sabotage import Job, published, wait_until
from support.same import assert_same

from hpc_remetrics.parts.job_notes import read_notes
from hpc_remetrics.parts.parts_directory import parts_directory

pytestmark = pytest.mark.slow

LAYERS = 13
RESTARTS = 40


def start(runs, layout, ranks):
    output = runs.directory / "out.h5"
    return output, Job(
        runs.analyze(f"oci:{layout}", output, "--publish-seconds", "0.05", ranks=ranks),
        runs.directory,
    )


def whole_run(runs, layout, ranks) -> float:
    """Return how long an undisturbed run takes, and leave nothing of it."""
    begun = time.monotonic()
    output, job = start(runs, layout, ranks)
    assert job.wait(120) == 0, job.said
    seconds = time.monotonic() - begun
    begin_anew(output)
    return seconds


def begin_anew(output):
    output.unlink()
    for path in parts_directory(output).iterdir():
        path.unlink()


def check_parts(output, before: set[str]) -> set[str]:
    """Every layer that was published before still is, and none twice; return what is."""
    found = published(output) if parts_directory(output).exists() else []
    assert len(found) == len(set(found))
    assert before <= set(found)
    return set(found)


@pytest.mark.parametrize("ranks", [0, 3])
def test_kills_lose_nothing_and_count_nothing_twice(runs, layout, truth, sweep, ranks):
    rng = random.Random(ranks)
    seconds = whole_run(runs, layout, ranks)
    kills = finished = 0
    done: set[str] = set()
    while kills < sweep(6):
        output, job = start(runs, layout, ranks)
        left = LAYERS - len(done)
        time.sleep(rng.uniform(0.05, 1.0) * seconds)
        what = rng.choice(["rank", "root", "child", "all"])
        job.kill(what, rng)
        kills += 1
        code = job.wait(120)
        assert code != 2 and "Traceback" not in job.said.replace("ends the job", ""), job.said
        done = check_parts(output, done)
        # What is in parts is never profiled again: each kill costs at most what was not yet
        # published.
        notes = read_notes(parts_directory(output)) if parts_directory(output).exists() else []
        if notes and notes[-1].todo_layers:
            assert notes[-1].todo_layers >= left
        if code in (0, 3):
            assert code == 0 or what == "child", job.said
            if code == 3:
                assert Job(job.process.args, runs.directory).wait(120) == 0
            assert_same(truth, output)
            begin_anew(output)
            done, finished = set(), finished + 1
    output, job = start(runs, layout, ranks)
    assert job.wait(120) == 0, job.said
    assert_same(truth, output)
    check_parts(output, done)


@pytest.mark.parametrize("ranks", [0, 3])
def test_a_stop_at_any_moment_ends_with_4_and_loses_nothing(runs, layout, truth, sweep, ranks):
    rng = random.Random(10 + ranks)
    seconds = whole_run(runs, layout, ranks)
    done: set[str] = set()
    for _ in range(sweep(5)):
        lock = runs.directory / "out.h5.lock"
        lock.unlink(missing_ok=True)  # what the job before wrote into it
        output, job = start(runs, layout, ranks)
        wait_until(
            lambda lock=lock, job=job: (
                job.process.poll() is not None or (lock.exists() and lock.stat().st_size)
            )
        )
        time.sleep(rng.uniform(0, 1.0) * seconds)
        job.process.send_signal(rng.choice([signal.SIGTERM, signal.SIGUSR1]))
        code = job.wait(120)
        assert code in (0, 4), job.said
        done = check_parts(output, done)
        if code == 4:
            assert "run the command again to continue" in job.said
        else:
            assert_same(truth, output)
            begin_anew(output)
            done = set()
    output, job = start(runs, layout, ranks)
    assert job.wait(120) == 0, job.said
    assert_same(truth, output)
