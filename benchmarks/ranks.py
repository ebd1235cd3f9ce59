"""Whether ranks add up: layers per second of two ranks over one, and the cost of an idle rank 0.

    python -m benchmarks.ranks [--source oci:DIR] [--times 3] [--json FILE]

The runs alternate. Unless a source is named, the layers are made of the modules of this Python's
standard library and packages, all of one size: a big one at the end would keep one rank busy and
the other not. It wants two cores that nobody else uses: the share of them that was to be had is
shown beside the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

import hpc_remetrics

from .measure import machine

IDLE_SECONDS = 20
LAYERS = 96


def layout_of_this_python(directory: Path) -> str:
    """Write an OCI layout with layers of nearly equal size: modules of this installation."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from support.layouts import Layout

    layout = Layout(directory / "layout")
    places = {Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")}
    files = sorted({path for place in places for path in place.rglob("*.py*") if path.is_file()})
    share = sum(path.stat().st_size for path in files) / LAYERS
    chosen: list[list[Path]] = [[] for _ in range(LAYERS)]
    size = 0
    for path in files:
        chosen[min(int(size / share), LAYERS - 1)].append(path)
        size += path.stat().st_size
    layers = []
    for names in filter(None, chosen):
        wanted = b"\0".join(str(path.relative_to("/")).encode() for path in names)
        command = ["tar", "-C", "/", "--null", "-T", "-", "-cf", "-"]
        packed = subprocess.run(command, input=wanted, check=True, capture_output=True)
        layers.append(layout.layer(packed.stdout, "gzip"))
    layout.image("python:1", layers)
    return f"oci:{layout.finish()}"


def profile(source: str, ranks: int, directory: Path) -> dict[str, float]:
    """Run the command; return what its job note says, and how busy other processes were."""
    output = directory / f"{ranks}-{time.monotonic_ns()}.h5"
    before, ours = psutil.cpu_times(), os.times()
    command = [
        "mpirun",
        "-n",
        str(ranks),
        sys.executable,
        "-m",
        "hpc_remetrics",
        "analyze",
        source,
        "-o",
        str(output),
    ]
    subprocess.run([*command, "--scratch", str(directory), "-q"], check=True, capture_output=True)
    after, now = psutil.cpu_times(), os.times()
    used = sum(getattr(after, name) - getattr(before, name) for name in ("user", "nice", "system"))
    mine = now.children_user + now.children_system - ours.children_user - ours.children_system
    with hpc_remetrics.open(output) as dataset:
        jobs, cpu = (
            dataset.run_table("jobs"),
            float(dataset.run_table("layers")["cpu_seconds"].sum()),
        )
        layers = len(dataset.layers)
    return {
        "layers_a_second": layers / float(jobs["seconds"][0]),
        "cpu_a_layer": cpu / layers,
        "others_cores": max(used - mine, 0.0) / (now.elapsed - ours.elapsed),
    }


def idle_root(directory: Path) -> float:
    """Return the share of a core that rank 0 takes while its one worker is at one layer."""
    command = [
        "mpirun",
        "-n",
        "2",
        sys.executable,
        "-m",
        "hpc_remetrics",
        "analyze",
        "demo:",
        "-o",
        directory / "idle.h5",
    ]
    command += ["--exec", f"sleep {IDLE_SECONDS + 20}; : {{dir}}", "--scratch", directory, "-q"]
    with subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL) as process:
        try:
            time.sleep(8)
            root = next(
                one for one in psutil.Process(process.pid).children(recursive=True) if _is_root(one)
            )
            begun = root.cpu_times()
            time.sleep(IDLE_SECONDS)
            ended = root.cpu_times()
        finally:
            process.terminate()
            process.wait()
    return (ended.user + ended.system - begun.user - begun.system) / IDLE_SECONDS


def _is_root(process: psutil.Process) -> bool:
    words = process.cmdline()
    return (
        "hpc_remetrics" in words
        and "python" in words[0]
        and process.environ().get("PMI_RANK") == "0"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", metavar="SOURCE")
    parser.add_argument("--times", type=int, default=3, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        source = options.source or layout_of_this_python(directory)
        runs: dict[int, list[dict[str, float]]] = {1: [], 2: []}
        for _ in range(options.times):
            for workers, found in runs.items():
                found.append(profile(source, workers + 1, directory))
        results = _results(runs) | {"idle_root": idle_root(directory)}
    print(
        f"two profiling ranks do {results['ratio']:.2f} times the layers a second of one", end=" "
    )
    print(
        f"(a layer took {results['cpu_ratio']:.2f} times the CPU time, "
        f"others used {results['others']:.2f} cores)"
    )
    print(f"an idle rank 0 takes {results['idle_root']:.2%} of a core")
    if options.json:
        options.json.write_text(
            json.dumps({"machine": machine(), **results, "runs": runs}, indent=2) + "\n"
        )
    return 0


def _results(runs: dict[int, list[dict[str, float]]]) -> dict[str, Any]:
    def median(workers: int, name: str) -> float:
        return statistics.median(run[name] for run in runs[workers])

    return {
        "ratio": median(2, "layers_a_second") / median(1, "layers_a_second"),
        "cpu_ratio": median(2, "cpu_a_layer") / median(1, "cpu_a_layer"),
        "others": statistics.mean(run["others_cores"] for found in runs.values() for run in found),
    }


if __name__ == "__main__":
    sys.exit(main())
