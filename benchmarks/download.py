"""`download` beside `skopeo copy` and `skopeo sync`: the same images from one local registry.

    python -m benchmarks.download [--data DIRECTORY] [--copies N] [--rounds N] [--json FILE]

Images share no layer: the real layers of `benchmarks.layers`, each N times, made different by an
empty gzip member at its end. Of each row the round that took least wall time counts. CPU time is
the contender's own, and the registry's beside it; where all cores are busy with both, the machine
is the limit. `skopeo copy` writes an OCI layout as `download` does, an image after the other;
`skopeo sync` writes a directory an image.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .layers import blobs, build
from .measure import NOTHING, Cost, machine, measure

_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_ORDER = ("download, 1 rank", "download, 2 ranks", "skopeo copy", "skopeo sync")


class Registry:
    """Debian's docker-registry over a directory, without TLS and logins."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{probe.getsockname()[1]}"
        settings = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(directory)}},
            "http": {"addr": self.host},
        }
        configuration = directory.with_suffix(".yml")
        configuration.write_text(json.dumps(settings))
        command = ["docker-registry", "serve", str(configuration)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._wait()

    def _wait(self) -> None:
        for _ in range(100):
            try:
                with urllib.request.urlopen(f"http://{self.host}/v2/", timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("docker-registry does not answer")

    @property
    def cpu(self) -> float:
        """Seconds of CPU time so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


class Contest:
    """A registry with images, and a directory to download them to."""

    def __init__(self, data: Path, work: Path, copies: int) -> None:
        self.work, self.target, self.output = work, work / "target", work / "output"
        source = _images(data, work / "source", copies)
        self.names = [f"bench/copy-{number}:1" for number in range(copies)]
        self.registry = Registry(work / "registry")
        for name in self.names:
            _skopeo(
                "copy",
                "--dest-tls-verify=false",
                f"oci:{source}:{name}",
                f"docker://{self.registry.host}/{name}",
            )
        self.size = sum(path.stat().st_size for path in (source / "blobs" / "sha256").iterdir())
        shutil.rmtree(source)

    def contenders(self) -> dict[str, Callable[[], Cost]]:
        """Return name -> one round."""
        return dict(
            zip(
                _ORDER,
                (lambda: self.download(1), lambda: self.download(2), self.copy, self.sync),
                strict=True,
            )
        )

    def download(self, ranks: int) -> Cost:
        launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
        images = [f"{self.registry.host}/{name}" for name in self.names]
        command = [
            *launcher,
            sys.executable,
            "-m",
            "hpc_remetrics",
            "download",
            *images,
            "-o",
            self.target,
        ]
        return measure(command, self.output)

    def copy(self) -> Cost:
        total = NOTHING
        for name in self.names:
            image = f"docker://{self.registry.host}/{name}"
            command = [
                "skopeo",
                "copy",
                "-q",
                "--src-tls-verify=false",
                image,
                f"oci:{self.target}:{name}",
            ]
            total += measure(command, self.output)
        return total

    def sync(self) -> Cost:
        self.target.mkdir()
        images = {name.partition(":")[0]: ["1"] for name in self.names}
        wanted = self.work / "sync.yml"
        wanted.write_text(json.dumps({self.registry.host: {"tls-verify": False, "images": images}}))
        return measure(
            ["skopeo", "sync", "--src", "yaml", "--dest", "dir", wanted, self.target], self.output
        )

    def clear(self) -> None:
        shutil.rmtree(self.target, ignore_errors=True)
        os.sync()


def _skopeo(*arguments: str) -> None:
    subprocess.run(["skopeo", *arguments], check=True, stdout=subprocess.DEVNULL)


def _images(data: Path, target: Path, copies: int) -> Path:
    """Write a layout of `copies` images with layers of their own."""
    layers = blobs(build(data))
    (target / "blobs" / "sha256").mkdir(parents=True)
    index = []
    for copy in range(copies):
        end = gzip.compress(b"", mtime=copy + 1)
        descriptors = [_blob(target, path.read_bytes() + end, _LAYER) for path in layers.values()]
        config = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": []},
            "copy": copy,
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _blob(
                target, json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"
            ),
            "layers": descriptors,
        }
        entry = _blob(target, json.dumps(manifest).encode(), manifest["mediaType"])
        name = f"bench/copy-{copy}:1"
        index.append({**entry, "annotations": {"org.opencontainers.image.ref.name": name}})
    (target / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    (target / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": index}))
    return target


def _blob(layout: Path, data: bytes, media_type: Any) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs" / "sha256" / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def run(data: Path, work: Path, copies: int, rounds: int) -> dict[str, Any]:
    """Return the figures of all contenders."""
    best: dict[str, Cost] = {}
    served: dict[str, float] = {}
    contest = Contest(data, work, copies)
    try:
        for number in range(rounds):
            for name, one_round in contest.contenders().items():
                print(f"round {number + 1}: {name}", file=sys.stderr, flush=True)
                contest.clear()
                before = contest.registry.cpu
                cost = one_round()
                if name not in best or cost.wall < best[name].wall:
                    best[name], served[name] = cost, contest.registry.cpu - before
    finally:
        contest.registry.close()
    rows = [
        {
            "name": name,
            "mb_per_second": round(contest.size / cost.wall / 1e6, 1),
            "ratio": round(best["skopeo copy"].wall / cost.wall, 2),
            "wall_seconds": round(cost.wall, 2),
            "cpu_seconds": round(cost.cpu, 2),
            "registry_cpu_seconds": round(served[name], 2),
            "cores_busy": round((cost.cpu + served[name]) / cost.wall, 2),
        }
        for name, cost in best.items()
    ]
    return {
        "machine": machine(),
        "images": copies,
        "bytes": contest.size,
        "rounds": rounds,
        "rows": rows,
    }


def table(result: dict[str, Any]) -> str:
    """Return the figures as a table for people."""
    lines = [
        f"{'':<20}{'MB/s':>8}{'x copy':>8}{'wall s':>8}{'CPU s':>8}{'registry':>10}{'cores':>7}"
    ]
    lines += [
        f"{row['name']:<20}{row['mb_per_second']:>8.0f}{row['ratio']:>8.2f}"
        f"{row['wall_seconds']:>8.2f}{row['cpu_seconds']:>8.2f}"
        f"{row['registry_cpu_seconds']:>10.2f}{row['cores_busy']:>7.2f}"
        for row in result["rows"]
    ]
    about = result["machine"]
    lines.append(
        f"{result['images']} images, {result['bytes'] / 1e6:.0f} MB; "
        f"{about['cpu']}, {about['date']}"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.download", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--data", type=Path, default=Path("bench-data"), help="where the layers are, or are made"
    )
    parser.add_argument(
        "--work", type=Path, help="where the registry and what is downloaded lie (default: --data)"
    )
    parser.add_argument("--copies", type=int, default=8, help="of each layer, and so images")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work or options.data) as work:
        result = run(options.data, Path(work), options.copies, options.rounds)
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
