"""The cost of a registry in between: `analyze docker://` beside `analyze oci:`, and fetching alone.

    python -m benchmarks.registry [--data DIRECTORY] [--rounds N] [--json FILE]

The registry is Debian's docker-registry at loopback, in memory, on the same cores. Rounds take
turns; of each row the one with the least wall time counts. Fetching is what a rank does with every
layer, beside `skopeo copy` of every image to `dir:`, both to memory; a run's CPU time is its own,
the registry's stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hpc_remetrics
from hpc_remetrics.records import Digest
from hpc_remetrics.registry.endpoint import Registry as Client

from .download import Registry
from .layers import blobs, build
from .measure import NOTHING, Cost, machine, measure

SKOPEO = ["skopeo", "--insecure-policy", "copy", "-q", "--preserve-digests"]


class Contest:
    """Images in a layout and at a registry, and what is done with them."""

    def __init__(self, data: Path, work: Path) -> None:
        self.layout, self.work, self.output = build(data), work, work / "output"
        index = json.loads((self.layout / "index.json").read_text())
        self.names = [
            entry["annotations"]["org.opencontainers.image.ref.name"]
            for entry in index["manifests"]
        ]
        self.layers = blobs(self.layout)
        self.registry = Registry(work / "registry")
        for name in self.names:
            source, target = f"oci:{self.layout}:{name}", f"docker://{self._image(name)}"
            measure([*SKOPEO, "--dest-tls-verify=false", source, target], self.output)

    def _image(self, name: str) -> str:
        repository, _, tag = name.partition(":")
        return f"{self.registry.host}/bench/{repository}:{tag or 'latest'}"

    def contenders(self) -> dict[str, Callable[[], Cost]]:
        found: dict[str, Callable[[], Cost]] = {}
        for types in ("exact", "plain", "none"):
            remote = [f"docker://{self._image(name)}" for name in self.names]
            local = [f"oci:{self.layout}"]
            found[f"analyze oci:, types {types}"] = lambda local=local, types=types: self.analyze(
                local, types
            )
            found[f"analyze docker://, types {types}"] = lambda remote=remote, types=types: (
                self.analyze(remote, types)
            )
        found["skopeo copy"] = self.skopeo
        found["fetch blob"] = self.fetch
        return found

    def analyze(self, sources: list[str], types: str) -> Cost:
        """The whole command in one process, which profiles in one child."""
        target = self.work / "dataset.h5"
        options = ["-o", target, "--types", types, "--scratch", self.work / "scratch"]
        cost = measure(
            [sys.executable, "-m", "hpc_remetrics", "analyze", *sources, *options], self.output
        )
        with hpc_remetrics.open(target) as dataset:
            assert dataset.ledger.exit_code == 0
        shutil.rmtree(target.with_name(f"{target.name}.parts"))
        target.unlink()
        return cost

    def skopeo(self) -> Cost:
        total = NOTHING
        for name in self.names:
            target = self.work / "copy"
            source = f"docker://{self._image(name)}"
            total += measure(
                [*SKOPEO, "--src-tls-verify=false", source, f"dir:{target}"], self.output
            )
            shutil.rmtree(target)
        return total

    def fetch(self) -> Cost:
        """Every layer by one process, verified."""
        program = [
            sys.executable,
            "-m",
            "benchmarks.registry",
            "--fetch",
            self.registry.host,
            self.work / "blob",
        ]
        digests = {path.name: path.stat().st_size for path in self.layers.values()}
        pairs = [f"{self._holder(digest)}@{digest}@{size}" for digest, size in digests.items()]
        return measure([*program, *pairs], self.output)

    def _holder(self, digest: str) -> str:
        """Return a repository that has a layer."""
        for name in self.names:
            repository = self._image(name).partition("/")[2].rpartition(":")[0]
            document = json.loads(
                Client(self.registry.host)
                .manifest(repository, self._image(name).rpartition(":")[2])
                .data
            )
            if any(layer["digest"] == f"sha256:{digest}" for layer in document["layers"]):
                return repository
        raise RuntimeError(f"no image has {digest}")


def fetch_all(host: str, target: Path, pairs: list[str]) -> None:
    """Fetch blobs one after the other, as a rank of a run does."""
    client = Client(host)
    for pair in pairs:
        repository, digest, size = pair.split("@")
        client.fetch_blob(repository, Digest(bytes.fromhex(digest)), int(size), target)
        target.unlink()


def run(data: Path, rounds: int) -> dict[str, Any]:
    """Return the figures of all contenders."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    best: dict[str, tuple[Cost, float]] = {}
    with tempfile.TemporaryDirectory(dir=memory) as work:
        contest = Contest(data, Path(work))
        try:
            for number in range(rounds):
                for name, one_round in contest.contenders().items():
                    print(f"round {number + 1}: {name}", file=sys.stderr, flush=True)
                    before = contest.registry.cpu
                    cost = one_round()
                    if name not in best or cost.wall < best[name][0].wall:
                        best[name] = cost, contest.registry.cpu - before
        finally:
            contest.registry.close()
        size = sum(path.stat().st_size for path in contest.layers.values())
    rows = [
        {"name": name, **asdict(cost), "registry_cpu": cpu} for name, (cost, cpu) in best.items()
    ]
    return {
        "machine": machine(),
        "layers": len(contest.layers),
        "bytes": size,
        "rounds": rounds,
        "rows": rows,
    }


def table(result: dict[str, Any]) -> str:
    """Return the figures as a table for people."""
    rows = {row["name"]: row for row in result["rows"]}
    lines = [
        f"{'':<32}{'wall s':>8}{'CPU s':>8}{'registry CPU s':>16}"
        f"{'wall ratio':>12}{'CPU ratio':>11}"
    ]
    for name, row in rows.items():
        base = rows.get(name.replace("docker://", "oci:").replace("fetch blob", "skopeo copy"), row)
        lines.append(
            f"{name:<32}{row['wall']:>8.2f}{row['cpu']:>8.2f}{row['registry_cpu']:>16.2f}"
            f"{row['wall'] / base['wall']:>12.2f}{row['cpu'] / base['cpu']:>11.2f}"
        )
    about = result["machine"]
    lines.append(
        f"{result['layers']} layers, {result['bytes'] / 1e6:.0f} MB; "
        f"{about['cpu']}, {about['date']}"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.registry", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--data", type=Path, default=Path("bench-data"), help="where the layers are, or are made"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--fetch", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fetch:
        return fetch_all(options.fetch[0], Path(options.fetch[1]), options.fetch[2:])
    result = run(options.data, options.rounds)
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
