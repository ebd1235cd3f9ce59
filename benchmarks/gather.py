"""Gather of made-up rows: rows a second, bytes a row, and the memory of each rank.

    python -m benchmarks.gather [--rows 20000000] [--ranks 2] [--json FILE]

The parts are written first, in other processes; then `mpirun -n RANKS` gathers them. The smaller
run before the whole one, of a quarter of the rows, shows whether memory grows with them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from hpc_remetrics.gather.gather import gather
from hpc_remetrics.mpi.launch import connect
from hpc_remetrics.parts.part_writer import write_part
from hpc_remetrics.parts.spill_format import (
    BLOCK_ROWS,
    COLUMNS,
    EXTRAS,
    HEADER,
    MAGIC,
    NO_CONTENT,
    NO_TYPE,
    LayerProfile,
)
from hpc_remetrics.records import KINDS, Catalog, Digest, Image, Layer

from .measure import arguments, launched, peak_bytes, sized_runs, used_cpu

LAYER_ROWS = 10_000
"""Entries of a layer, near the mean of real ones."""

LAYERS_A_PART = 100
TYPES = {number: f"type {number}" for number in range(4, 300)}


def layer_digest(number: int) -> Digest:
    return Digest(hashlib.sha256(b"layer %d" % number).digest())


def write_spill(path: Path, number: int, contents: int, entries: int = LAYER_ROWS) -> LayerProfile:
    """Write the entries of a layer: one in eight a directory, the others shared files."""
    rng = np.random.default_rng(number)
    profile = LayerProfile(
        status="ok", compression="gzip", CLS=1 << 20, TLS=1 << 22, diff_id="0" * 64
    )
    directories = 0
    with open(path, "wb") as file:
        for start in range(0, entries, BLOCK_ROWS):
            rows = min(BLOCK_ROWS, entries - start)
            isfile = rng.random(rows) > 0.125
            # A few contents are in most layers, most are in few.
            chosen = (contents * rng.random(rows) ** 4).astype(np.int64)
            paths = [made_path(number, row) for row in range(start, start + rows)]
            digest = np.zeros((rows, 4), "<u8")
            for word in range(4):
                digest[:, word] = _mixed(chosen + (word << 40))
            digest[~isfile] = 0
            values = {
                "kind": np.where(isfile, KINDS["file"], KINDS["directory"]),
                "mode": np.where(isfile, 0o644, 0o755),
                "uid": np.zeros(rows),
                "gid": np.zeros(rows),
                "mtime": np.full(rows, 1_700_000_000 + number),
                "mtime_ns": np.zeros(rows),
                "size": np.where(
                    isfile, (_mixed(chosen) >> np.uint64(50)).astype("<u8"), np.uint64(NO_CONTENT)
                ),
                "type": np.where(isfile, 4 + chosen % 296, NO_TYPE),
                "digest": digest,
                "path_length": np.array([len(one) for one in paths]),
                "link_length": np.zeros(rows),
            }
            blob = b"".join(paths)
            file.write(HEADER.pack(MAGIC, rows, len(blob), 0, *[0] * len(EXTRAS)))
            for name, (code, _) in COLUMNS.items():
                column = values[name]
                file.write((column if name == "digest" else column.astype(f"<{code}")).tobytes())
            file.write(blob)
            directories += int((~isfile).sum())
            profile.FLS += int(values["size"][isfile].sum())
            profile.path_bytes += len(blob)
    profile.entries, profile.directories, profile.files = (
        entries,
        directories,
        entries - directories,
    )
    return profile


def made_path(layer: int, row: int) -> bytes:
    """Return a path: every second directory is in all layers, the others in one only."""
    package = row // 64
    if package % 2:
        package += (layer + 1) * LAYER_ROWS
    return b"usr/lib/python3/dist-packages/package%d/module%d.py" % (package, row)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Return 64 bits that look random for each value (the finaliser of splitmix64)."""
    mixed = values.astype("<u8") + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def prepare(directory: Path, layers: int) -> None:
    """Write the parts of `layers` layers."""
    parts, scratch = directory / "parts", directory / "scratch"
    parts.mkdir()
    scratch.mkdir()
    for first in range(0, layers, LAYERS_A_PART):
        written = []
        for number in range(first, min(first + LAYERS_A_PART, layers)):
            spill = scratch / f"{number}.spill"
            written.append(
                (layer_digest(number), write_spill(spill, number, layers * LAYER_ROWS // 4), spill)
            )
        write_part(parts, f"made-{first}", written, [], TYPES, {}, scratch)
        for _, _, spill in written:
            spill.unlink()


def run_rank(directory: Path, layers: int) -> None:
    """Gather on this rank; rank 0 prints what it took as JSON."""
    comm = connect()
    catalog = None
    if comm.rank == comm.root:
        named = [Layer(layer_digest(number), 1 << 20, "oci_tar_gzip") for number in range(layers)]
        images = [
            Image(
                f"made/{first}:1",
                layer_digest(-1 - first),
                "linux/amd64",
                "oci",
                tuple(named[first : first + 10]),
            )
            for first in range(0, layers, 10)
        ]
        catalog = Catalog(images)
    scratch = directory / f"scratch-{comm.rank}"
    scratch.mkdir()
    start_bytes = peak_bytes()
    before = used_cpu()
    started = time.monotonic()
    gather(
        comm,
        directory / "parts",
        catalog,
        directory / "made.h5",
        scratch,
        {} if comm.rank == comm.root else None,
    )
    seconds = time.monotonic() - started
    ranks = comm.allgather((used_cpu() - before, start_bytes, peak_bytes()))
    if comm.rank == comm.root:
        result = {
            "rows": layers * LAYER_ROWS,
            "ranks": comm.size,
            "wall_seconds": round(seconds, 2),
            "cpu_seconds": round(sum(cpu for cpu, _, _ in ranks), 2),
            "start_bytes": [start for _, start, _ in ranks],
            "peak_bytes": [peak for _, _, peak in ranks],
            "dataset_bytes": (directory / "made.h5").stat().st_size,
            "part_bytes": sum(path.stat().st_size for path in (directory / "parts").iterdir()),
        }
        print(json.dumps(result))


def measured(base: Path | None, layers: int, ranks: int) -> dict[str, Any]:
    """Write parts, gather them, and return the figures."""
    with tempfile.TemporaryDirectory(dir=base) as name:
        directory = Path(name)
        this = [
            sys.executable,
            "-m",
            "benchmarks.gather",
            "--directory",
            name,
            "--layers",
            str(layers),
        ]
        subprocess.run([*this, "--step", "prepare"], check=True)
        os.sync()
        said = subprocess.run(
            [*launched(ranks), *this, "--step", "gather"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        result = json.loads(said.stdout)
        check = shutil.which("h5dump")
        if check:
            subprocess.run(
                [check, "-H", directory / "made.h5"], check=True, stdout=subprocess.DEVNULL
            )
        return dict(result)


def line(result: dict[str, Any]) -> str:
    rows = result["rows"]
    peaks = ", ".join(f"{peak / 1e6:.0f}" for peak in result["peak_bytes"])
    return (
        f"{rows / 1e6:>6.1f} M rows on {result['ranks']} ranks:"
        f" {rows / result['wall_seconds'] / 1e3:,.0f} thousand rows/s,"
        f" {1e6 * result['cpu_seconds'] / rows:.2f} µs of CPU a row,"
        f" {result['dataset_bytes'] / rows:.1f} bytes a row"
        f" (parts {result['part_bytes'] / rows:.0f}), peak memory by rank {peaks} MB"
    )


def main() -> None:
    parser = arguments("gather", __doc__, ("prepare", "gather"))
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--layers", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        (prepare if options.step == "prepare" else run_rank)(options.directory, options.layers)
        return
    layers = max(options.rows // LAYER_ROWS, 4)
    sized_runs(
        options.json,
        (layers // 4, layers),
        lambda count: measured(options.work, count, options.ranks),
        line,
    )


if __name__ == "__main__":
    main()
