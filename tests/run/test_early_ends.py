"""Stops before there is anything to stop: code 4 from the first line on, and no traceback."""

import shutil
import signal
import subprocess
import time

import pytest

JOBS = {
    "analyze": ("analyze", "demo:images", "-o", "out.h5"),
    "reduce": ("reduce", "truth.h5"),
    "merge": ("merge", "truth.h5", "truth.h5", "-o", "out.h5"),
}


def begin(runs, words, ranks):
    # A misspelt variable makes the first line one that is printed before anything is done.
    environ = {"REMETRICS_SCRACH": "x", "REMETRICS_SCRATCH": str(runs.scratch)}
    command = [
        "env",
        *(f"{name}={value}" for name, value in environ.items()),
        *runs.command(*words, ranks=ranks),
    ]
    return subprocess.Popen(command, cwd=runs.directory, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 3])
@pytest.mark.parametrize("job", JOBS)
def test_a_stop_after_the_first_line_ends_with_4(runs, truth, job, ranks):
    shutil.copy(truth, runs.directory / "truth.h5")
    stopped = 0
    for delay in (0, 0.2, 1):
        process = begin(runs, JOBS[job], ranks)
        first = process.stderr.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=300)[1]
        assert process.returncode in (0, 4), first + rest
        assert "Traceback" not in rest
        stopped += process.returncode == 4
        assert list(runs.directory.glob(".*.tmp")) == []
        (runs.directory / "out.h5").unlink(missing_ok=True)
    assert stopped >= 1
    assert list(runs.scratch.iterdir()) == [] or ranks


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 2])
def test_layers_that_are_all_missing_are_rows_and_nothing_else(runs, layout, tmp_path, ranks):
    copy = tmp_path / "layout"
    shutil.copytree(layout, copy)
    for path in (copy / "blobs" / "sha256").iterdir():
        if not path.read_bytes().startswith(b"{"):
            path.unlink()
    for _ in range(5):
        result = runs.run(
            runs.analyze(f"oci:{copy}", runs.directory / "out.h5", ranks=ranks), code=3
        )
        assert "Traceback" not in result.stderr
        assert "missing" in result.stderr
        shutil.rmtree(runs.directory / "out.h5.parts")
        (runs.directory / "out.h5").unlink()
