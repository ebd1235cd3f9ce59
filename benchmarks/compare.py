"""CPU time and memory of this program and of others, on the same real layers.

    python -m benchmarks.compare [--data DIRECTORY] [--sets SET…] [--rounds N] [--others]

In each round all contenders run one after the other, in the next round in reverse order, and each
time is divided by bsdtar's time in the same round. So the ratios hold on a machine whose speed
drifts:

    round    bsdtar    this program    ratio
    1        2.5 s     5.0 s           2.00
    2        3.1 s     6.0 s           1.94      median 1.97, from 1.94 to 2.00

This program's time is that of the whole command on two ranks: start, plan, pass over the layers,
parts, gather and metrics. Contenders differ in what they do: bsdtar types nothing and gives no
digests of blob and tar; syft types by name and looks for packages.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hpc_remetrics

from .layers import blobs, build
from .measure import NOTHING, Cost, machine, measure

SETS = {"small": ("oci", "python"), "six": ("oci", ""), "large": ("oci-large", "")}
"""Set -> its layout, one of `layers.SETS`, and the one image of it that is taken, "" for all."""

REFERENCE = "bsdtar mtree + SHA-256, no types"
PASS = "  of it the pass over the layers"

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


@dataclass(frozen=True)
class Row:
    """What one contender, or a part of it, took in one round."""

    name: str
    cost: Cost


Contender = Callable[[], list[Row]]
"""Runs once, and returns one row or several."""


class Contest:
    """The layers of a set, a directory in memory to work in, and the contenders.

    :param others: whether other programs than bsdtar take part.
    """

    def __init__(self, chosen: str, data: Path, work: Path, *, others: bool) -> None:
        name, image = SETS[chosen]
        self.layout = build(data, name)
        self.layers = blobs(self.layout)
        self.source = f"oci:{self.layout}"
        if image:
            self.layers = {image: self.layers[image]}
            self.source = f"oci:{self.layout}:{image}:1"
        self.work = work
        self.output = work / "output"
        self.has_others = others
        self.about: dict[str, int] = {}

    def contenders(self) -> list[Contender]:
        """Return what runs in a round; programs that are not installed are left out."""
        found: list[Contender] = [
            lambda: [Row(REFERENCE, self.bsdtar())],
            lambda: self.product("hpc_remetrics, no types", "none"),
            lambda: self.product("hpc_remetrics", "exact"),
        ]
        if not self.has_others:
            return found
        found.append(lambda: self.product("hpc_remetrics, --types plain", "plain"))
        programs = {
            "tar + sha256sum + file, on tmpfs": ("file", self.unpacked),
            "tarfile + hashlib + python-magic": (sys.executable, self.tarfile),
            "syft": ("syft", self.syft),
        }
        for name, (program, one_round) in programs.items():
            if shutil.which(program):
                found.append(lambda name=name, run=one_round: [Row(name, run())])
            else:
                print(f"{program} is not installed: left out", file=sys.stderr)
        return found

    def product(self, name: str, types: str) -> list[Row]:
        """Run the whole command; return its row, and that of its pass over the layers."""
        target = self.work / "product.h5"
        analyze = [sys.executable, "-m", "hpc_remetrics", "analyze", self.source, "-o", target]
        command = ["mpirun", "-n", "2", *analyze, "--types", types, "--scratch", self.work]
        # As for users, whose Python keeps compiled modules
        environment = {**os.environ}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        cost = measure(command, self.output, env=environment)

        # Take the memory of a rank and its child together, and the time of the pass
        with hpc_remetrics.open(target) as dataset:
            ranks = dataset.ranks
            peak = int((ranks["peak_memory"] + ranks["child_peak_memory"]).max())
            took = float(dataset.run_table("layers")["cpu_seconds"].sum())
            self.about = {
                "layers": len(dataset.layers),
                "compressed_bytes": int(dataset.layers["CLS"].sum()),
                "tar_bytes": int(dataset.layers["TLS"].sum()),
                "files": int(dataset.layers["files"].sum()),
            }
        shutil.rmtree(target.with_name(f"{target.name}.parts"))
        target.unlink()
        return [Row(name, Cost(cost.cpu, cost.wall, peak)), Row(f"{name}{PASS}", Cost(took, 0, 0))]

    def each(self, command: Callable[[Path], list[object]]) -> Cost:
        """Run a command for each layer, and return what all took."""
        return sum((measure(command(blob), self.output) for blob in self.layers.values()), NOTHING)

    def bsdtar(self) -> Cost:
        """Have bsdtar list every member with its SHA-256."""
        return self.each(lambda blob: ["bsdtar", "-cf", "-", "--format=mtree", MTREE, f"@{blob}"])

    def unpacked(self) -> Cost:
        """Unpack to a tmpfs, and run the usual commands there."""
        return self.each(lambda blob: ["sh", "-c", UNPACK, "unpack", blob, self.work / "tree"])

    def tarfile(self) -> Cost:
        """Do it in Python in the obvious way."""
        return self.each(
            lambda blob: [sys.executable, Path(__file__).with_name("with_tarfile.py"), blob]
        )

    def syft(self) -> Cost:
        """Scan each image as a layout of its own, as syft wants it."""
        total = NOTHING
        index = json.loads((self.layout / "index.json").read_text())
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


def compare(contest: Contest, rounds: int) -> dict[str, Any]:
    """Run all rounds of a set, and return its figures."""
    costs: dict[str, list[Cost]] = {}
    for number in range(rounds):
        contenders = contest.contenders()
        if number % 2:
            contenders.reverse()
        for contender in contenders:
            for row in contender():
                costs.setdefault(row.name, []).append(row.cost)
                print(f"round {number + 1}: {row.name}: {row.cost.cpu:.2f} s", file=sys.stderr)
    reference = [cost.cpu for cost in costs[REFERENCE]]
    rows = [_figures(name, found, reference) for name, found in costs.items()]
    return {**contest.about, "rounds": rounds, "rows": rows}


def _figures(name: str, costs: list[Cost], reference: list[float]) -> dict[str, Any]:
    """Return the medians of a contender, and the spread of its ratios.

    :param reference: CPU seconds of bsdtar in each round.
    """
    ratios = [cost.cpu / other for cost, other in zip(costs, reference, strict=True)]
    return {
        "name": name,
        "cpu_seconds": round(statistics.median(cost.cpu for cost in costs), 3),
        "ratio": round(statistics.median(ratios), 3),
        "least_ratio": round(min(ratios), 3),
        "greatest_ratio": round(max(ratios), 3),
        "wall_seconds": round(statistics.median(cost.wall for cost in costs), 2),
        "peak_bytes": max(cost.peak for cost in costs),
    }


def table(chosen: str, result: dict[str, Any]) -> str:
    """Return the figures of a set as a table for people.

    :param chosen: name of the set.
    """
    layers = "one layer" if result["layers"] == 1 else f"{result['layers']} layers"
    compressed = result["compressed_bytes"] / 1e6
    lines = [
        f"{chosen}: {layers} of {compressed:.0f} MB, {result['tar_bytes'] / 1e9:.2f} GB of tar, "
        f"{result['files']:,} files; medians of {result['rounds']} rounds",
        f"{'':<42}{'CPU s':>7}   {'x bsdtar, least-greatest':<24}{'wall s':>8}{'peak MB':>9}",
    ]
    for row in result["rows"]:
        name = PASS if row["name"].endswith(PASS) else row["name"]
        spread = f"{row['least_ratio']:.2f}-{row['greatest_ratio']:.2f}"
        ratio = f"{row['ratio']:.2f}  {spread}" if row["name"] != REFERENCE else "1"
        wall = f"{row['wall_seconds']:.1f}" if row["wall_seconds"] else ""
        peak = f"{row['peak_bytes'] / 1e6:.0f}" if row["peak_bytes"] else ""
        lines.append(f"{name:<42}{row['cpu_seconds']:>7.2f}   {ratio:<24}{wall:>8}{peak:>9}")
    return "\n".join(lines)


def main() -> None:
    """Compare on the sets that are named, and print a table for each."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.compare", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--data", type=Path, default=Path("bench-data"), help="where the layers are, or are made"
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--others", action="store_true", help="other programs too, on the six")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    # Make the layers in a process of its own: what a process had in memory counts as the peak of
    # those that it starts
    for large in {SETS[chosen][0] == "oci-large" for chosen in options.sets}:
        command = [sys.executable, "-m", "benchmarks.layers", options.data]
        subprocess.run(
            [*command, *(["--large"] if large else [])], check=True, stdout=subprocess.DEVNULL
        )
    compileall.compile_dir(Path(hpc_remetrics.__file__).parent, quiet=1)

    about = machine()
    results = {}
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for chosen in options.sets:
        with tempfile.TemporaryDirectory(dir=memory) as work:
            has_others = options.others and chosen == "six"
            contest = Contest(chosen, options.data, Path(work), others=has_others)
            results[chosen] = compare(contest, options.rounds)
        print(f"\n{table(chosen, results[chosen])}", flush=True)
    print(f"\n{about['cpu']}, {about['cores']} cores, Python {about['python']}, {about['date']}")
    if options.json:
        options.json.write_text(json.dumps({"machine": about, "sets": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
