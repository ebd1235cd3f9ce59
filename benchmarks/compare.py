"""CPU time and memory of this program and of others, on the same real layers.

    python -m benchmarks.compare [--data FOLDER] [--rounds N] [--json FILE]

Of each row the round with the least CPU time counts. Rows that differ in what they do say so:
bsdtar types nothing and gives no digests of blob and tar; syft types by name and looks for
packages.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hpc_remetrics

from .layers import blobs, build
from .measure import NOTHING, Cost, machine, measure

MTREE = "--options=!all,type,size,sha256,uid,gid,mode,time,link"
UNPACK = """
set -e
mkdir "$2"
tar -xf "$1" -C "$2" --no-same-owner
chmod -R u+rwX "$2"
sha256sum "$1"
find "$2" -type f -print0 | xargs -0 sha256sum
find "$2" -type f | file --brief --files-from -
rm -rf "$2"
"""
SYFT = [
    "scan",
    "--scope",
    "all-layers",
    "--override-default-catalogers",
    "dpkg-db-cataloger",
    "-o",
    "json",
]
SYFT_SETTINGS = {
    "SYFT_CHECK_FOR_APP_UPDATE": "false",
    "SYFT_FILE_METADATA_SELECTION": "all",
    "SYFT_FILE_METADATA_DIGESTS": "sha256",
}


class Contest:
    """The layers, a directory in memory to work in, and the contenders."""

    def __init__(self, data: Path, work: Path) -> None:
        # In a process of its own: what a process had in memory counts as the peak of those that it
        # starts.
        subprocess.run(
            [sys.executable, "-m", "benchmarks.layers", data], check=True, stdout=subprocess.DEVNULL
        )
        self.layout, self.work = build(data), work
        self.layers = blobs(self.layout)
        self.output = work / "output"
        self.passes: dict[str, float] = {}

    def contenders(self) -> dict[str, Callable[[], Cost]]:
        """Return name -> one round; programs that aren't installed are left out, with a word."""
        found: dict[str, Callable[[], Cost]] = {
            "hpc_remetrics, no types": lambda: self.product("none"),
            "hpc_remetrics": lambda: self.product("exact"),
            "hpc_remetrics, libmagic asked plainly": lambda: self.product("plain"),
        }
        others = {
            "bsdtar mtree + SHA-256, no types": ("bsdtar", self.bsdtar),
            "tar + sha256sum + file, on tmpfs": ("file", self.unpacked),
            "tarfile + hashlib + python-magic": (sys.executable, self.tarfile),
            "syft": ("syft", self.syft),
        }
        for name, (tool, one_round) in others.items():
            if shutil.which(tool):
                found[name] = one_round
            else:
                print(f"{tool} is not installed: left out", file=sys.stderr)
        return found

    def product(self, types: str) -> Cost:
        """Measure the whole command (plan, profile, gather); the memory of rank and child together.

        What the child took, all that it did to start included, is kept in `passes`.
        """
        target = self.work / "product.h5"
        command = [
            sys.executable,
            "-m",
            "hpc_remetrics",
            "analyze",
            f"oci:{self.layout}",
            "-o",
            target,
        ]
        cost = measure([*command, "--types", types, "--scratch", self.work], self.output)
        with hpc_remetrics.open(target) as dataset:
            ranks = dataset.ranks
            peak = int(ranks["peak_memory"][0] + ranks["child_peak_memory"][0])
            took = float(ranks["profile_cpu_seconds"][0])
        self.passes[types] = min(self.passes.get(types, took), took)
        shutil.rmtree(target.with_name(f"{target.name}.parts"))
        target.unlink()
        return Cost(cost.cpu, cost.wall, peak)

    def each(self, command: Callable[[Path], list[object]]) -> Cost:
        return sum((measure(command(blob), self.output) for blob in self.layers.values()), NOTHING)

    def bsdtar(self) -> Cost:
        return self.each(lambda blob: ["bsdtar", "-cf", "-", "--format=mtree", MTREE, f"@{blob}"])

    def unpacked(self) -> Cost:
        return self.each(lambda blob: ["sh", "-c", UNPACK, "unpack", blob, self.work / "tree"])

    def tarfile(self) -> Cost:
        return self.each(
            lambda blob: [sys.executable, Path(__file__).with_name("with_tarfile.py"), blob]
        )

    def syft(self) -> Cost:
        """Each image as a layout of its own, as syft wants it."""
        total, index = NOTHING, json.loads((self.layout / "index.json").read_text())
        for entry in index["manifests"]:
            single = self.work / "single"
            single.mkdir()
            (single / "blobs").symlink_to(self.layout.resolve() / "blobs")
            (single / "oci-layout").write_text((self.layout / "oci-layout").read_text())
            (single / "index.json").write_text(json.dumps({**index, "manifests": [entry]}))
            environment = {**os.environ, **SYFT_SETTINGS, "TMPDIR": str(self.work)}
            total += measure(["syft", *SYFT, f"oci-dir:{single}"], self.output, env=environment)
            shutil.rmtree(single)
        return total


def run(data: Path, rounds: int) -> dict[str, Any]:
    """Return the figures of all contenders."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as work:
        contest = Contest(data, Path(work))
        best: dict[str, Cost] = {}
        for number in range(rounds):
            for name, one_round in contest.contenders().items():
                print(f"round {number + 1}: {name}", file=sys.stderr, flush=True)
                cost = one_round()
                best[name] = min(best.get(name, cost), cost, key=lambda one: one.cpu)
        size = sum(path.stat().st_size for path in contest.layers.values())
    reference = best.get("bsdtar mtree + SHA-256, no types")
    rows = [
        {
            "name": name,
            "cpu_seconds": round(cost.cpu, 2),
            "ratio": round(cost.cpu / reference.cpu, 2) if reference else None,
            "wall_seconds": round(cost.wall, 2),
            "peak_bytes": cost.peak,
        }
        for name, cost in best.items()
    ]
    passes = {types: round(took, 2) for types, took in contest.passes.items()}
    about = {"machine": machine(), "layers": len(contest.layers), "bytes": size, "rounds": rounds}
    return {
        **about,
        "rows": rows,
        "pass_cpu_seconds": passes,
        "reference_cpu_seconds": reference and reference.cpu,
    }


def table(result: dict[str, Any]) -> str:
    """Return the figures as a table for people."""
    lines = [f"{'':<36}{'CPU s':>8}{'x bsdtar':>10}{'wall s':>8}{'peak MB':>9}"]
    for row in result["rows"]:
        ratio = f"{row['ratio']:.2f}" if row["ratio"] else ""
        lines.append(
            f"{row['name']:<36}{row['cpu_seconds']:>8.1f}{ratio:>10}{row['wall_seconds']:>8.1f}"
            f"{row['peak_bytes'] / 1e6:>9.0f}"
        )
    about, reference = result["machine"], result["reference_cpu_seconds"]
    for types, took in result["pass_cpu_seconds"].items():
        times = f", {took / reference:.2f} x bsdtar" if reference else ""
        lines.append(
            f"the pass alone, --types {types}, with the start of its process: {took:.1f} s{times}"
        )
    lines.append(
        f"{result['layers']} layers, {result['bytes'] / 1e6:.0f} MB; "
        f"{about['cpu']}, {about['date']}"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.compare", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--data", type=Path, default=Path("bench-data"), help="where the layers are, or are made"
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = run(options.data, options.rounds)
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
