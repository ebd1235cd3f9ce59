"""Stops, faults and mistakes in a whole run: the right exit code, every layer counted, one line."""

import bz2
import contextlib
import hashlib
import json
import shutil
import signal
import subprocess
import time

import h5py
import psutil
import pytest


def wait_for(condition, seconds=300):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def children_of(process):
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if "hpc_remetrics.profile.child" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            pass
    return found


def child_at_the_slow_layer(process):
    """Wait until a child reads the slow layer, when all before it are whole; return it."""
    name = hashlib.sha256(slow_layer()).hexdigest()

    def found():
        for child in children_of(process):
            with contextlib.suppress(psutil.Error):
                if any(file.path.endswith(name) for file in child.open_files()):
                    return child
        return None

    return wait_for(found)


LIFTED = ("--limit", "ratio=1000000000")
"""So that the slow layer is not given up for what it is."""


@pytest.fixture
def endless(layout, tmp_path):
    """The layout with one image more, whose last layer takes minutes: many GB of zeros in bzip2."""
    copy = tmp_path / "layout"
    shutil.copytree(layout, copy)
    index = json.loads((copy / "index.json").read_text())
    manifest = json.loads((copy / "blobs/sha256" / index["manifests"][0]["digest"][7:]).read_text())
    blob = put(copy, slow_layer())
    manifest["layers"].append({**manifest["layers"][0], **blob})
    # The config of that image says how many layers there are; one without diff_ids says nothing.
    manifest["config"].update(put(copy, b"{}"))
    index["manifests"].append({**index["manifests"][0], **put(copy, json.dumps(manifest).encode())})
    (copy / "index.json").write_text(json.dumps(index))
    return copy


def put(layout, data):
    name = hashlib.sha256(data).hexdigest()
    (layout / "blobs/sha256" / name).write_bytes(data)
    return {"digest": f"sha256:{name}", "size": len(data)}


def slow_layer() -> bytes:
    members = 400
    block = bytearray(b"zeros".ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2)
    block += (
        f"{members << 26:o}".rjust(12, "0").encode()
        + b"00000000000\0"
        + b" " * 8
        + b"0"
        + bytes(355)
    )
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bz2.compress(bytes(block)) + members * bz2.compress(bytes(64 << 20), 9)


# Not a Ctrl-C under mpirun, which takes it for itself.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "ranks"),
    [
        (signal.SIGTERM, 0),
        (signal.SIGUSR1, 0),
        (signal.SIGINT, 0),
        (signal.SIGTERM, 2),
        (signal.SIGUSR1, 2),
    ],
)
def test_a_stop_publishes_what_is_whole_and_ends_with_4(runs, endless, number, ranks):
    output = runs.directory / "out.h5"
    process = subprocess.Popen(
        runs.analyze(f"oci:{endless}", output, *LIFTED, ranks=ranks),
        cwd=runs.directory,
        stderr=subprocess.PIPE,
        text=True,
    )
    child_at_the_slow_layer(process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 4, errors
    assert "run the command again to continue" in errors
    assert list((runs.directory / "out.h5.parts").glob("part-*.h5"))


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_child_that_is_killed_or_stopped_costs_one_layer(runs, endless, how):
    output = runs.directory / "out.h5"
    command = runs.analyze(f"oci:{endless}", output, *LIFTED, "--limit", "layer_seconds=8", ranks=2)
    process = subprocess.Popen(command, cwd=runs.directory, stderr=subprocess.PIPE, text=True)
    child = child_at_the_slow_layer(process)
    child.send_signal(how)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 3, errors
    with h5py.File(output) as file:
        statuses = file["layers/status"][:].tolist()
        assert statuses.count(0) == len(statuses) - 1
        assert len(file["failures/digest"]) == 1
        causes = {
            number: word
            for word, number in h5py.check_enum_dtype(file["failures/cause"].dtype).items()
        }
        assert causes[int(file["failures/cause"][0])] in ("killed", "limit_time")


@pytest.mark.slow
def test_a_second_job_on_one_output_is_refused(runs, endless):
    output = runs.directory / "out.h5"
    first = subprocess.Popen(
        runs.analyze(f"oci:{endless}", output, *LIFTED),
        cwd=runs.directory,
        stderr=subprocess.DEVNULL,
    )
    try:
        child_at_the_slow_layer(first)
        result = runs.run(runs.analyze(f"oci:{endless}", output, *LIFTED), code=6)
        assert "another job holds" in result.stderr
    finally:
        first.kill()
        first.wait()


@pytest.mark.slow
def test_a_broken_layer_is_a_failure_row_and_its_neighbours_are_whole(runs, layout, tmp_path):
    copy = tmp_path / "layout"
    shutil.copytree(layout, copy)
    blob = max((copy / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    output = runs.directory / "out.h5"
    runs.run(runs.analyze(f"oci:{copy}", output, ranks=2), code=3)
    with h5py.File(output) as file:
        assert [bytes(digest).hex() for digest in file["failures/digest"][:]] == [blob.name]
        assert file["layers/status"][:].tolist().count(2) == 1


@pytest.mark.slow
def test_mistakes_give_one_line(runs, layout):
    cases = [
        (["analyze", "oci:/does/not/exist"], 2),
        (["analyze", "nonsense:thing"], 2),
        (["analyze", f"oci:{layout}:missing"], 2),
        (["report", "nothing.h5"], 2),
        (["report", str(layout / "index.json")], 2),
        (["analyze", f"oci:{layout}", "-o", str(layout / "index.json" / "x.h5")], 5),
        (["analyze", f"oci:{layout}", "-o", str(layout)], 5),
        (["analyze", f"oci:{layout}", "--limit", "nonsense=1"], 2),
    ]
    for arguments, code in cases:
        result = runs.run(runs.command(*arguments), code=code)
        lines = result.stderr.strip().splitlines()
        assert lines[-1].startswith("hpc-remetrics: error: "), result.stderr
        assert "Traceback" not in result.stderr
        assert len(lines) <= 2, result.stderr
