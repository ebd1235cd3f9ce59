"""`reduce` of made-up rows against DuckDB doing the same group-bys on as many cores.

    python -m benchmarks.reduce [--rows 50000000] [--ranks 2] [--memory 1000] [--json FILE]

DuckDB reads Parquet files of the dataset's tables; the time it takes to write them is not counted.
What it has no group-by for (bytes that images hide) is in our time alone. A smaller run before the
whole one, of a quarter of the rows, shows whether memory grows with them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import hpc_remetrics
from hpc_remetrics.gather.gather import gather
from hpc_remetrics.metrics.growth import ORDERS, checkpoints, order_of
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.records import Catalog, Image, Layer

from .gather import LAYER_ROWS, layer_digest, prepare
from .measure import Cost, arguments, launched, measure, sized_runs

_AT_ONCE = 1 << 21
_AMOUNTS = "select k, sum(n), count(*), sum(n * size), sum(size)"

QUERIES = {
    "sizes": "select size, count(*), sum(copies) from c group by size",
    "types": """select type, count(*), sum(copies), sum(size), sum(copies * size)
        from c group by type""",
    "copies, layers, images": """select copies, count(*) from c group by copies union all
        select layers, count(*) from c group by layers union all
        select images, count(*) from c group by images""",
    "kinds": "select kind, count(*) from e group by kind",
    "contents at each path": """create table places as
        select path, count(*) as files, count(distinct content) as contents from f group by path""",
    "paths by contents and files": """
        select contents, count(*), sum(files) from places group by contents union all
        select files, count(*), 0 from places group by files""",
    "contents by paths": """select paths, count(*) from
        (select content, count(distinct path) as paths from f group by content) group by paths""",
    "extensions": f"""{_AMOUNTS} from (
        select case when contains(name[2:], '.') then string_split(name, '.')[-1] end as k,
        content, count(*) as n
        from (select content, string_split(path, '/')[-1] as name from f) group by all)
        join c using (content) group by k order by 2 desc limit 1000""",
    **{
        f"directories of {depth} parts": f"""{_AMOUNTS} from
            (select string_split(path, '/')[:-2][:{depth}] as k, content, count(*) as n
            from f group by all)
            join c using (content) group by k order by 2 desc limit 1000"""
        for depth in (1, 2, 3, 4)
    },
    "contents of layers": """create table pairs as
        select content, layer, count(*) as n from f group by all""",
    "layers": """select layer, count(*), sum(size),
        sum(n) filter (images > 1), sum(n * size) filter (images > 1),
        count(*) filter (layers = 1), sum(size) filter (layers = 1)
        from pairs join c using (content) group by layer""",
    "growth": f"""create table first as
        select content, {", ".join(f"min(o{n}) as o{n}" for n in range(ORDERS))}
        from pairs join orders using (layer) group by content""",
    **{
        f"growth, order {n}": f"""select o{n}, count(*), sum(size)
        from first join c using (content) group by o{n}"""
        for n in range(ORDERS)
    },
}


def make(directory: Path, layers: int) -> None:
    """Write parts, gather them, and write the Parquet files; groups of images share two layers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    prepare(directory, layers)
    named = [Layer(layer_digest(number), 1 << 20, "oci_tar_gzip") for number in range(layers)]
    images = []
    for number in range(0, layers, 4):
        base = number // 100 * 100
        stack = (*named[base : base + 2], *named[number : number + 4])
        images.append(
            Image(f"made/{number}:1", layer_digest(-1 - number), "linux/amd64", "oci", stack)
        )
    scratch = directory / "gather"
    scratch.mkdir()
    gather(SerialComm(), directory / "parts", Catalog(images), directory / "made.h5", scratch, {})
    with hpc_remetrics.open(directory / "made.h5") as data:
        first = data.layers["first_entry"]
        contents = {
            name: data.contents[name] for name in ("size", "type", "copies", "layers", "images")
        }
        contents["content"] = np.arange(len(data.contents))
        pq.write_table(pa.table(contents), directory / "contents.parquet")
        writer = None
        for start in range(0, len(data.entries), _AT_ONCE):
            stop = min(start + _AT_ONCE, len(data.entries))
            table = pa.table(
                {
                    "content": data.entries.column("content", start, stop),
                    "kind": data.entries.column("kind", start, stop),
                    "layer": (np.searchsorted(first, np.arange(start, stop), "right") - 1).astype(
                        np.int32
                    ),
                    "path": pa.array(data.paths(start, stop)).cast(pa.string()),
                }
            )
            writer = writer or pq.ParquetWriter(directory / "entries.parquet", table.schema)
            writer.write_table(table)
        if writer:
            writer.close()
        digests = np.frombuffer(data.layers["digest"].tobytes(), ">u8")[::4].astype(np.uint64)
        points = checkpoints(len(digests))
        steps = np.searchsorted(points, np.arange(1, len(digests) + 1))
        orders: dict[str, Any] = {"layer": np.arange(len(digests))}
        for order in range(ORDERS):
            orders[f"o{order}"] = np.empty(len(digests), np.int32)
            orders[f"o{order}"][order_of(digests, order)] = steps
        pq.write_table(pa.table(orders), directory / "orders.parquet")


def query(directory: Path, threads: int, memory: int) -> None:
    """Answer all queries with DuckDB; print how many rows each gave."""
    import duckdb

    database = duckdb.connect(str(directory / "duck.db"))
    database.execute(
        f"set threads = {threads}; set memory_limit = '{memory}MB';"
        f" set temp_directory = '{directory}/spill'"
    )
    for name, file in (("c", "contents"), ("e", "entries"), ("orders", "orders")):
        database.execute(f"create view {name} as select * from '{directory / file}.parquet'")
    database.execute("create view f as select content, layer, path from e where kind = 0")
    for name, text in QUERIES.items():
        print(name, len(database.execute(text).fetchall()), flush=True)


def measured(base: Path | None, layers: int, ranks: int, memory: int) -> dict[str, Any]:
    """Make a dataset, take both costs, and return the figures."""
    with tempfile.TemporaryDirectory(dir=base) as name:
        directory = Path(name)
        this = [sys.executable, "-m", "benchmarks.reduce", "--directory", name]
        subprocess.run([*this, "--step", "make", "--layers", str(layers)], check=True)
        os.sync()
        command = [
            *launched(ranks),
            sys.executable,
            "-m",
            "hpc_remetrics",
            "reduce",
            directory / "made.h5",
        ]
        ours = measure([*command, "--scratch", name, "--memory", memory], directory / "said")
        # Its memory is that of all threads together.
        room = max(memory * ranks * 2, 1000)
        theirs = measure(
            [*this, "--step", "query", "--ranks", ranks, "--memory", room], directory / "said"
        )
        return {
            "rows": layers * LAYER_ROWS,
            "ranks": ranks,
            "memory": memory,
            "reduce": vars(ours),
            "duckdb": vars(theirs),
        }


def line(result: dict[str, Any]) -> str:
    ours, theirs = Cost(**result["reduce"]), Cost(**result["duckdb"])
    return (
        f"{result['rows'] / 1e6:>6.1f} M rows on {result['ranks']} cores, "
        "CPU s (wall s, peak of the largest process):"
        f" reduce {ours.cpu:.1f} ({ours.wall:.1f}, {ours.peak / 1e6:.0f} MB),"
        f" DuckDB {theirs.cpu:.1f} ({theirs.wall:.1f}, {theirs.peak / 1e6:.0f} MB),"
        f" ratio {theirs.cpu / ours.cpu:.2f} ({theirs.wall / ours.wall:.2f})"
    )


def main() -> None:
    parser = arguments("reduce", __doc__, ("make", "query"))
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--memory", type=int, default=1000, help="MB of each rank")
    parser.add_argument("--layers", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step == "make":
        return make(options.directory, options.layers)
    if options.step == "query":
        return query(options.directory, options.ranks, options.memory)
    layers = max(options.rows // LAYER_ROWS, 8)
    sized_runs(
        options.json,
        (layers // 4, layers),
        lambda count: measured(options.work, count, options.ranks, options.memory),
        line,
    )


if __name__ == "__main__":
    main()
