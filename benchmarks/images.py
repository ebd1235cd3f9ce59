"""Gather and metrics of made-up images: CPU time by phase, and the memory of each rank.

    python -m benchmarks.images [--images 16000] [--ranks 1] [--memory 1000] [--json FILE]

An image has 20 layers and 20 steps of history, and a config of its own; ten tags of a repository,
a week apart, stand on one of some bases. The catalog is merged as a run merges what it resolves,
then come gather and metrics, each in processes of its own. Smaller runs before the whole one, of a
quarter and a half of the images, show whether time and memory grow in step with them.

One layer in eight has entries, as few as time allows: `gather` and `reduce` measure those.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hpc_remetrics.gather.gather import gather
from hpc_remetrics.metrics import compute
from hpc_remetrics.mpi.comm import Comm
from hpc_remetrics.mpi.launch import connect
from hpc_remetrics.parts.part_writer import PartLayer, write_part
from hpc_remetrics.parts.spill_format import LayerProfile
from hpc_remetrics.records import Catalog, Digest, Image, ImageConfig, Layer, Step
from hpc_remetrics.sources.manifests import merge
from hpc_remetrics.sources.stored_configs import StoredConfigs

from .gather import TYPES, write_spill
from .measure import arguments, launched, peak_bytes, sized_runs, used_cpu

TAGS = 10
"""Images of a repository."""

TAGS_OF_BASE = 200
"""Images that stand on one base; the first tag of every 20th repository is that base."""

BASE, OF_REPOSITORY, OF_HALF, OWN = 8, 8, 3, 1
"""Layers that an image has from its base, with all tags, with half of the tags, and alone."""

STACK = BASE + OF_REPOSITORY + OF_HALF + OWN

LAYERS_A_PART = 20_000
ENTRIES = 4
SPILLS = 64
"""Spills that stand for the entries of all layers."""

TIME = 1_700_000_000
WEEK = 7 * 86_400
COMMANDS = (
    *("/bin/sh -c #(nop) ADD file:0123456789abcdef in / ", '/bin/sh -c #(nop)  CMD ["bash"]'),
    "RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends curl gnupg && "
    "rm -rf /var/lib/apt/lists/* # buildkit",
    "COPY . /usr/src/app # buildkit",
)


def digest(word: str, number: int) -> Digest:
    return Digest(hashlib.sha256(f"{word} {number}".encode()).digest())


def stack(number: int) -> Iterator[tuple[str, int]]:
    """Yield word and number of each layer of an image, base first."""
    repository = number // TAGS
    for place in range(BASE):
        yield "base", number // TAGS_OF_BASE * BASE + place
    if is_base(number):
        return
    for place in range(OF_REPOSITORY):
        yield "repository", repository * OF_REPOSITORY + place
    for place in range(OF_HALF):
        yield "half", number // (TAGS // 2) * OF_HALF + place
    yield "own", number


def is_base(number: int) -> bool:
    return number % TAGS_OF_BASE == 0


def layers_of(images: int) -> Iterator[Digest]:
    """Yield each layer of so many images once."""
    for number in range(images):
        yield digest("own", number)
        if number % (TAGS // 2) == 0:
            first = number // (TAGS // 2) * OF_HALF
            yield from (digest("half", first + place) for place in range(OF_HALF))
        if number % TAGS == 0:
            first = number // TAGS * OF_REPOSITORY
            yield from (digest("repository", first + place) for place in range(OF_REPOSITORY))
        if is_base(number):
            first = number // TAGS_OF_BASE * BASE
            yield from (digest("base", first + place) for place in range(BASE))


def config(number: int) -> ImageConfig:
    """Return a config of some two kilobytes, as many real ones are; most texts are shared."""
    repository, tag = divmod(number, TAGS)
    created = TIME + tag * WEEK + repository
    words = list(stack(number))
    history = tuple(
        Step(created + step, 0, f"{COMMANDS[step % 4]} {word} {place}", "buildkit", "", False)
        for step, (word, place) in enumerate(words)
    )
    base = f"docker.io/made/{number // TAGS_OF_BASE * TAGS_OF_BASE // TAGS:06}:0"
    labels = {f"org.opencontainers.image.{n}": f"{number} {n}" for n in range(4)}
    labels["org.opencontainers.image.base.name"] = base
    return ImageConfig(
        digest("config", number),
        2500,
        created,
        os="linux",
        architecture="amd64",
        entrypoint='["/usr/local/bin/docker-entrypoint.sh"]',
        cmd='["server"]',
        labels=tuple(labels.items()),
        environment=tuple((f"NAME_{n}", f"/usr/local/{number}/{n}") for n in range(5)),
        history=history,
    )


def resolved(number: int) -> Catalog:
    """Return the catalog of one image, as its manifest gives it: with layers of its own."""
    repository, tag = divmod(number, TAGS)
    layers = tuple(
        Layer(digest(*named), 1 << 20, "oci_tar_gzip", origin=f"docker.io/made/{repository:06}")
        for named in stack(number)
    )
    found = config(number)
    image = Image(
        f"docker.io/made/{repository:06}:{tag}",
        digest("image", number),
        "linux/amd64",
        "oci",
        layers,
        found.digest,
        (("org.opencontainers.image.version", str(tag)),),
    )
    catalog = Catalog([image])
    catalog.configs.add(found)
    return catalog


def prepare(directory: Path, images: int) -> None:
    """Write the parts of all layers."""
    parts = directory / "parts"
    scratch = directory / "prepare"
    parts.mkdir()
    scratch.mkdir()
    # Make some spills, which are those of many layers
    spills = []
    for number in range(SPILLS):
        path = scratch / f"{number}.spill"
        spills.append((write_spill(path, number, 1000, ENTRIES), path))
    empty = LayerProfile(status="ok", compression="gzip", CLS=1 << 20, TLS=1024, diff_id="0" * 64)
    # Give them to one layer in eight
    held: list[PartLayer] = []
    written = 0
    for one in layers_of(images):
        chosen = one.raw[0] % SPILLS
        profile, spill = spills[chosen] if one.raw[1] % 8 == 0 else (empty, None)
        held.append((one, profile, spill))
        if len(held) == LAYERS_A_PART:
            write_part(parts, f"made-{written}", held, [], TYPES, {}, scratch)
            written += 1
            held = []
    write_part(parts, f"made-{written}", held, [], TYPES, {}, scratch)


class Costs:
    """CPU time of this rank by phase, and its peak memory at the end of each.

    :ivar phases: name -> seconds of CPU time; `peaks` name -> bytes.
    """

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}
        self.peaks: dict[str, int] = {}
        self.names: list[str] = []

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, and notes what it took."""

        def noted(*arguments: Any, **options: Any) -> Any:
            before = used_cpu()
            result = work(*arguments, **options)
            self.phases[name] = self.phases.get(name, 0.0) + used_cpu() - before
            self.peaks[name] = peak_bytes()
            return result

        return noted

    def report(self, comm: Comm) -> None:
        """Print what all ranks took, on rank 0."""
        ranks = comm.allgather((self.phases, self.peaks, peak_bytes()))
        if comm.rank == comm.root:
            phases = {
                name: round(sum(one.get(name, 0.0) for one, _, _ in ranks), 2)
                for name in ranks[0][0]
            }
            result = {
                "cpu_seconds": phases,
                "rank_0_peaks": ranks[0][1],
                "peak_bytes": [peak for _, _, peak in ranks],
            }
            print(json.dumps(result))


def run_gather(directory: Path, images: int) -> None:
    """Merge the catalog on rank 0, and gather on all ranks."""
    comm = connect()
    costs = Costs()
    scratch = directory / f"gather-{comm.rank}"
    scratch.mkdir()
    catalog = None
    if comm.rank == comm.root:
        stored = StoredConfigs(scratch)
        # What makes the images is no part of what is measured
        made = map(costs.timed("make", resolved), range(images))
        catalog = costs.timed("merge", merge)(made, stored)
        stored.no_more_images()
        costs.phases["merge"] -= costs.phases.pop("make")
    run = {} if comm.rank == comm.root else None
    path = directory / "made.h5"
    costs.timed("gather", gather)(comm, directory / "parts", catalog, path, scratch, run)
    costs.report(comm)


PASSES = {
    "contents": "_content_pass",
    "files": "_file_pass",
    "hidden": "_hidden_pass",
    "steps": "step_results",
    "pairs": "consecutive_pairs",
    "bases": "find_bases",
    "tables": "assemble",
    "write": "write_metrics",
}
"""Phase -> the function of `metrics/compute.py` that is timed; the passes are those of `reduce`."""


def run_metrics(directory: Path, memory: int) -> None:
    """Compute the metrics of the dataset on all ranks."""
    comm = connect()
    costs = Costs()
    for name, function in PASSES.items():
        setattr(compute, function, costs.timed(name, getattr(compute, function)))
    compute.UpdatePass.run = costs.timed("updates", compute.UpdatePass.run)  # type: ignore[method-assign]
    scratch = directory / f"metrics-{comm.rank}"
    scratch.mkdir()
    path = directory / "made.h5"
    costs.timed("metrics", compute.add_metrics)(comm, path, scratch, memory * 10**6)
    costs.report(comm)


def measured(base: Path | None, images: int, ranks: int, memory: int) -> dict[str, Any]:
    """Write parts, gather them, compute the metrics, and return the figures."""
    with tempfile.TemporaryDirectory(dir=base) as name:
        this = [sys.executable, "-m", "benchmarks.images", "--directory", name]
        this += ["--images", str(images), "--memory", str(memory), "--step"]
        subprocess.run([*this, "prepare"], check=True)
        os.sync()
        steps = {}
        for step in ("gather", "metrics"):
            command = [*launched(ranks), *this, step]
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            steps[step] = json.loads(said.stdout)
        return {
            "images": images,
            "ranks": ranks,
            "memory": memory,
            "dataset_bytes": (Path(name) / "made.h5").stat().st_size,
            **steps,
        }


def line(result: dict[str, Any]) -> str:
    images = result["images"]
    lines = [f"{images:,} images on {result['ranks']} ranks, --memory {result['memory']}"]
    for step in ("gather", "metrics"):
        taken = result[step]
        costs = ", ".join(
            f"{phase} {1e6 * seconds / images:.1f}"
            for phase, seconds in taken["cpu_seconds"].items()
        )
        peaks = ", ".join(f"{peak / 1e6:.0f}" for peak in taken["peak_bytes"])
        lines.append(f"  {step}: µs of CPU an image: {costs}; peak memory by rank {peaks} MB")
    return "\n".join(lines)


def main() -> None:
    parser = arguments("images", __doc__, ("prepare", "gather", "metrics"))
    parser.add_argument("--images", type=int, default=16_000)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--memory", type=int, default=1000, help="MB of each rank")
    options = parser.parse_args()
    if options.step == "prepare":
        return prepare(options.directory, options.images)
    if options.step == "gather":
        return run_gather(options.directory, options.images)
    if options.step == "metrics":
        return run_metrics(options.directory, options.memory)
    sized_runs(
        options.json,
        [max(options.images // part, TAGS_OF_BASE) for part in (4, 2, 1)],
        lambda images: measured(options.work, images, options.ranks, options.memory),
        line,
    )


if __name__ == "__main__":
    main()
