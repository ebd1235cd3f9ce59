"""One real dataset for all tests of a session that judge metrics by other means, and DuckDB over
its tables."""

from pathlib import Path

import pytest
from support.runs import Runs

import hpc_remetrics

from . import corpus as made_of_real_files


@pytest.fixture(scope="session")
def real(tmp_path_factory) -> Path:
    """A dataset of 42 images and more than 100,000 files, with its metrics."""
    runs = Runs(tmp_path_factory.mktemp("real"))
    layout = made_of_real_files.build(runs.directory)
    runs.run(runs.analyze(f"oci:{layout}", runs.directory / "real.h5", ranks=2))
    return runs.directory / "real.h5"


@pytest.fixture(scope="session")
def dataset(real):
    with hpc_remetrics.open(real) as opened:
        yield opened


@pytest.fixture(scope="session")
def sql(dataset):
    """Return a function from SQL to rows, over tables made of the dataset's without its counts of
    copies and users.

    files(layer, content, path, size, type), pairs(image, layer) as manifests list them, layers,
    images, types.
    """
    duckdb, pa = pytest.importorskip("duckdb"), pytest.importorskip("pyarrow")
    from support.made import clean

    from hpc_remetrics.dataset.text_values import path_text

    database = duckdb.connect()
    first = dataset.layers["first_entry"]
    rows = range(len(dataset.entries))
    tables = {
        "entries": {
            "row": list(rows),
            "layer": (first.searchsorted(rows, "right") - 1).tolist(),
            "content": dataset.entries.column("content"),
            "kind": dataset.entries.readable("kind").tolist(),
            "path": [path_text(clean(path)) for path in dataset.paths()],
        },
        "contents": {
            "content": list(range(len(dataset.contents))),
            **{name: dataset.contents[name] for name in ("size", "type")},
        },
        "pairs": {
            "image": [
                n for n, count in enumerate(dataset.images["layers"].tolist()) for _ in range(count)
            ],
            "layer": dataset.image_layers["layer"],
        },
        "types": {
            "type": list(range(len(dataset.types))),
            **{
                name: dataset.types.readable(name).tolist()
                for name in ("class", "group", "description")
            },
        },
        "layers": {
            "layer": list(range(len(dataset.layers))),
            **{
                name: dataset.layers[name] for name in ("CLS", "TLS", "FLS", "directories", "depth")
            },
            **{
                name: dataset.layers.readable(name).tolist()
                for name in ("status", "compression", "media_type")
            },
        },
        "images": {
            "image": list(range(len(dataset.images))),
            "repository": dataset.images["repository"],
            "layers": dataset.images["layers"],
            **{
                name: dataset.images.readable(name).tolist()
                for name in ("name", "manifest_type", "platform")
            },
        },
    }
    for name, columns in tables.items():
        database.register(
            f"arrow_{name}", pa.table({key: pa.array(values) for key, values in columns.items()})
        )
        database.execute(f"create table {name} as select * from arrow_{name}")
    database.execute("""
        create table files as
        select layer, content, path, size, type, row, string_split(path, '/') as parts
        from entries join contents using (content) where kind = 'file'
    """)
    return lambda text: database.execute(text).fetchall()
