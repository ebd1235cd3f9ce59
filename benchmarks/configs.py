"""Configs of made-up images: CPU time and memory that their tables add to a gather.

    python -m benchmarks.configs [--images 100000] [--json FILE]

Each image has a config of its own with 20 steps, 8 of which made its layers. Configs are stored as
a run stores them, become tables, and are read again. The smaller run before the whole one, of a
quarter of the images, shows that time and memory grow in step with them; a million images take ten
times as long as 100,000.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpc_remetrics.dataset.hdf5 import new_file
from hpc_remetrics.gather.config_tables import ConfigTables
from hpc_remetrics.records import Digest, Image, ImageConfig, Layer, Step
from hpc_remetrics.sources.stored_configs import StoredConfigs

from .measure import machine

STEPS = 20
LAYERS = 8
TIME = 1_700_000_000
COMMANDS = (
    *("/bin/sh -c #(nop) ADD file:0123456789abcdef in / ", '/bin/sh -c #(nop)  CMD ["bash"]'),
    "RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends curl gnupg && "
    "rm -rf /var/lib/apt/lists/* # buildkit",
    "COPY . /usr/src/app # buildkit",
)


def digest(word: str, number: int) -> Digest:
    return Digest(hashlib.sha256(f"{word} {number}".encode()).digest())


def config(number: int) -> ImageConfig:
    """Return a config of some two kilobytes, as many real ones are."""
    history = tuple(
        Step(TIME + step, 0, f"{COMMANDS[step % 4]} {number}", "buildkit", "", step >= LAYERS)
        for step in range(STEPS)
    )
    return ImageConfig(
        digest("config", number),
        2500,
        TIME + number,
        os="linux",
        architecture="amd64",
        entrypoint='["/usr/local/bin/docker-entrypoint.sh"]',
        cmd='["server"]',
        labels=tuple((f"org.opencontainers.image.{n}", f"{number} {n}") for n in range(5)),
        environment=tuple((f"NAME_{n}", f"/usr/local/{number}/{n}") for n in range(5)),
        history=history,
    )


def images(count: int) -> list[Image]:
    """Return images that share layers, so that these take little memory themselves."""
    layers = tuple(Layer(digest("layer", n), 1 << 20, "oci_tar_gzip") for n in range(LAYERS))
    names = sorted(f"made/{number:07}:1" for number in range(count))
    return [
        Image(name, digest("image", n), "linux/amd64", "oci", layers, digest("config", n))
        for n, name in enumerate(names)
    ]


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds that some work took, and what it returned."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    result = work()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime - before.ru_utime - before.ru_stime, result


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(directory: Path, count: int) -> dict[str, Any]:
    """Store, write and read the configs of so many images, and return what it took."""
    made = images(count)
    stored = StoredConfigs(directory)
    made_seconds, _ = cpu_seconds(lambda: [config(n) and None for n in range(count)])
    before = peak_bytes()
    store_seconds, _ = cpu_seconds(lambda: [stored.add(config(n)) for n in range(count)])
    after_store = peak_bytes()

    def write() -> dict[str, int]:
        rows = {"images": count, "image_layers": count * LAYERS}
        with (
            ConfigTables(made, stored, directory) as tables,
            new_file(directory / "made.h5") as (file, sink),
        ):
            tables.write(file, rows | tables.rows)
            sink.check()
            return tables.rows

    write_seconds, rows = cpu_seconds(write)
    return {
        "images": count,
        "steps": rows["history"],
        "store_cpu_seconds": round(store_seconds - made_seconds, 2),
        "gather_cpu_seconds": round(write_seconds, 2),
        "before_bytes": before,
        "store_added_bytes": after_store - before,
        "gather_added_bytes": peak_bytes() - after_store,
        "file_bytes": (directory / "made.h5").stat().st_size,
    }


def line(result: dict[str, Any]) -> str:
    steps = result["steps"]
    return (
        f"{result['images']:>9,} images, {steps / 1e6:.1f} M steps:"
        f" store {1e6 * result['store_cpu_seconds'] / steps:.2f} and gather"
        f" {1e6 * result['gather_cpu_seconds'] / steps:.2f} µs of CPU a step,"
        f" memory +{result['store_added_bytes'] / 1e6:.0f} and"
        f" +{result['gather_added_bytes'] / 1e6:.0f} MB,"
        f" {result['file_bytes'] / steps:.1f} bytes a step in the dataset"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.configs", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--work", type=Path, help="where the files go (default: $TMPDIR)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.count:
        with tempfile.TemporaryDirectory(dir=options.work) as name:
            print(json.dumps(run(Path(name), options.count)))
        return
    results = []
    for count in (max(options.images // 4, 1), options.images):
        command = [sys.executable, "-m", "benchmarks.configs", "--count", str(count)]
        command += ["--work", str(options.work)] if options.work else []
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        results.append(json.loads(said.stdout))
        print(line(results[-1]), flush=True)
    if options.json:
        options.json.write_text(
            json.dumps({"machine": machine(), "runs": results}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
