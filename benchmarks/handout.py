"""Export, compare and merge of made-up rows: CPU time a row, and whether memory grows with them.

    python -m benchmarks.handout [--rows 4000000] [--json FILE]

Two datasets of three quarters of the layers each, so that half of them stand in both, are gathered
first. The smaller run before the whole one, of a quarter of the rows, shows how memory grows.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from hpc_remetrics.gather.gather import gather
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.records import Catalog, Image, Layer

from .gather import LAYER_ROWS, layer_digest, prepare
from .measure import Cost, machine, measure

_FORMATS = ("parquet", "csv", "json")


def gather_some(directory: Path, layers: range, name: str) -> Path:
    """Gather images of some of the layers in the directory's parts."""
    images = [
        Image(
            f"made/{number}:1", layer_digest(-1 - number), "linux/amd64", "oci", (_layer(number),)
        )
        for number in layers
    ]
    scratch = directory / f"scratch-{name}"
    scratch.mkdir()
    gather(
        SerialComm(), directory / "parts", Catalog(images), directory / f"{name}.h5", scratch, {}
    )
    return directory / f"{name}.h5"


def _layer(number: int) -> Layer:
    return Layer(layer_digest(number), 1 << 20, "oci_tar_gzip")


def measured(base: Path | None, layers: int) -> dict[str, Any]:
    """Make two datasets, hand them out, and return what each command took."""
    with tempfile.TemporaryDirectory(dir=base) as name:
        directory = Path(name)
        prepare(directory, layers)
        one = gather_some(directory, range(layers * 3 // 4), "one")
        other = gather_some(directory, range(layers // 4, layers), "other")
        commands: dict[str, list[object]] = {
            f"export {form}": ["export", one, "--format", form, "-o", directory / form]
            for form in _FORMATS
        }
        commands["compare"] = ["compare", one, other, "--json"]
        commands["merge, with metrics"] = [
            "merge",
            one,
            other,
            "-o",
            directory / "all.h5",
            "--memory",
            100,
        ]
        costs = {what: _measured(words, directory / "said") for what, words in commands.items()}
    rows = layers * 3 // 4 * LAYER_ROWS
    return {"rows": rows, "costs": {what: vars(cost) for what, cost in costs.items()}}


def _measured(words: list[object], output: Path) -> Cost:
    return measure([sys.executable, "-m", "hpc_remetrics", *words], output)


def table(results: list[dict[str, Any]]) -> str:
    """Return the figures of both runs side by side; a row of `merge` is one of either dataset."""
    lines = [
        f"{'':<22}" + "".join(f"{result['rows'] / 1e6:>10.2f} M rows{'':>12}" for result in results)
    ]
    for what in results[0]["costs"]:
        parts = []
        for result in results:
            cost, rows = (
                result["costs"][what],
                result["rows"] * (2 if what.startswith("merge") else 1),
            )
            parts.append(f"{1e6 * cost['cpu'] / rows:>10.2f} µs a row{cost['peak'] / 1e6:>7.0f} MB")
        lines.append(f"{what:<22}" + "".join(parts))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.handout", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--work", type=Path, help="where everything goes (default: $TMPDIR)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    layers = max(options.rows // LAYER_ROWS, 16)
    results = [measured(options.work, count) for count in (layers // 4, layers)]
    print(table(results))
    if options.json:
        options.json.write_text(
            json.dumps({"machine": machine(), "runs": results}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
