"""Every number of a real dataset is what DuckDB finds, to the last digit."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from hpc_remetrics.dataset.metrics_schema import DISTRIBUTIONS
from hpc_remetrics.metrics.distribution import PROBABILITIES

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("metrics of real files")]


def rows(table, *names) -> list[tuple]:
    """Return columns of a table as rows."""
    columns = (table.readable(name).tolist() for name in names)
    return list(zip(*columns, strict=True))


def amounts(sql, key: str, source: str = "files") -> dict:
    """Return key -> (files, contents, bytes, content_bytes) by DuckDB."""
    found = sql(f"""
        with copies as (select {key} as key, content, any_value(size) as size, count(*) as n from {source} group by all)
        select key, sum(n), count(*), sum(n * size), sum(size) from copies group by key
    """)
    return {key: tuple(map(int, numbers)) for key, *numbers in found}


def test_the_dataset_is_as_large_as_the_claim(dataset):
    totals = dataset.metrics.totals
    assert totals["files"] > 100_000 and totals["images"] >= 40 and totals["hidden_files"] > 1000


def test_totals(sql, dataset):
    totals = dataset.metrics.totals
    ((files, size, contents, paths, pairs, empty),) = sql("""
        select count(*), sum(size), count(distinct content), count(distinct path), count(distinct (path, content)),
               count(*) filter (size = 0) from files
    """)
    ((content_bytes,),) = sql("select sum(size) from (select distinct content, size from files)")
    want = {
        "files": files,
        "FLS": size,
        "contents": contents,
        "paths": paths,
        "path_contents": pairs,
    }
    want |= {"empty_files": empty, "content_bytes": content_bytes}
    ((want["CLS"], want["TLS"], want["layers"], want["directories"]),) = sql(
        "select sum(CLS), sum(TLS), count(*), sum(directories) from layers"
    )
    ((want["image_CLS"], want["image_TLS"], want["image_FLS"], want["image_layers"]),) = sql(
        "select sum(CLS), sum(TLS), sum(FLS), count(*) from pairs join layers using (layer)"
    )
    ((want["image_files"],),) = sql("select count(*) from pairs join files using (layer)")
    for kind in ("symlink", "hardlink", "other"):
        ((want[f"{kind}s"],),) = sql(f"select count(*) from entries where kind = '{kind}'")
    ((want["whiteouts"],),) = sql(
        "select count(*) from entries where kind in ('whiteout', 'opaque')"
    )
    ((want["devices"],),) = sql(
        "select count(*) from entries where kind like '%device' or kind = 'fifo'"
    )
    ((want["entries"],),) = sql("select count(*) from entries")
    ((want["images"], want["repositories"]),) = sql(
        "select count(*), count(distinct repository) from images"
    )
    for word in ("ok", "partial", "failed"):
        ((want[f"layers_{word}"],),) = sql(f"select count(*) from layers where status = '{word}'")
    assert {name: totals[name] for name in want} == {
        name: int(value) for name, value in want.items()
    }
    assert totals["dedup_ratio_by_count"] == files / contents and totals[
        "dedup_ratio_by_capacity"
    ] == int(size) / int(content_bytes)
    assert totals["sharing_ratio"] == int(want["image_CLS"]) / int(want["CLS"])
    assert totals["redundant_byte_share"] == (int(size) - int(content_bytes)) / int(size)
    assert totals["unique_file_share"] == contents / files
    assert totals["compression_ratio_FLS"] == int(size) / int(want["CLS"])


@pytest.mark.parametrize("table", ["classes", "groups", "types"])
def test_types(sql, dataset, table):
    keys = {
        "classes": ["class"],
        "groups": ["class", "group"],
        "types": ["class", "group", "description"],
    }[table]
    joined = ", ".join(f'"{key}"' for key in keys)
    want = amounts(sql, f"concat_ws('|', {joined})", "files join types using (type)")
    want = {tuple(key.split("|", len(keys) - 1)): value for key, value in want.items()}
    names = [key.replace("description", "type") for key in keys]
    found = dataset.metrics[table]
    got = {
        row[: len(keys)]: row[len(keys) :]
        for row in rows(found, *names, "files", "contents", "bytes", "content_bytes")
    }
    assert got == want
    check_amounts(dataset, found)
    for column in ("files", "contents", "bytes", "content_bytes"):
        assert found[column].sum() == dataset.metrics.totals["FLS" if column == "bytes" else column]
    assert math.isclose(found["share_of_redundant_bytes"].sum(), 1, rel_tol=1e-12)


def check_amounts(dataset, table):
    """Ratios and shares are quotients of the columns beside them."""
    totals = dataset.metrics.totals
    redundant = totals["FLS"] - totals["content_bytes"]
    for row in table.frame().itertuples():
        assert row.redundant_bytes == row.bytes - row.content_bytes
        pairs = {
            "mean_size": (row.bytes, row.files),
            "dedup_ratio_by_count": (row.files, row.contents),
        }
        pairs |= {
            "dedup_ratio_by_capacity": (row.bytes, row.content_bytes),
            "share_of_files": (row.files, totals["files"]),
        }
        pairs |= {"share_of_bytes": (row.bytes, totals["FLS"])}
        pairs |= {"share_of_redundant_bytes": (row.redundant_bytes, redundant)}
        for name, (part, whole) in pairs.items():
            got = getattr(row, name)
            assert got == part / whole if whole else math.isnan(got), name


def test_extensions(sql, dataset):
    name = "parts[-1]"
    key = f"case when contains({name}[2:], '.') then string_split({name}, '.')[-1] else '' end"
    table = dataset.metrics["extensions"]
    assert dict(
        ordered(rows(table, "extension", "files", "contents", "bytes", "content_bytes"))
    ) == amounts(sql, key)
    assert table["files"].sum() == dataset.metrics.totals["files"]
    assert not table["is_other"].any() and (np.diff(table["files"]) <= 0).all()
    check_amounts(dataset, table)


def ordered(rows: list[tuple]) -> list[tuple]:
    return [(name, numbers) for name, *more in rows for numbers in [tuple(more)]]


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_directories(sql, dataset, depth):
    want = amounts(sql, f"array_to_string(parts[:-2][:{depth}], '/')")
    table = dataset.metrics["directories"]
    every = rows(
        table, "depth", "is_other", "directory", "files", "contents", "bytes", "content_bytes"
    )
    mine = [row for row in every if row[0] == depth]
    named = dict(ordered([row[2:] for row in mine if not row[1]]))
    assert named == {name: want[name] for name in named}
    assert len(named) == min(len(want), 1000)
    assert sum(row[3] for row in mine) == dataset.metrics.totals["files"]
    assert sum(row[5] for row in mine) == dataset.metrics.totals["FLS"]
    if len(want) > 1000:
        assert min(row[0] for row in named.values()) >= max(
            n[0] for key, n in want.items() if key not in named
        )
    check_amounts(dataset, table)


def test_same_path(sql, dataset):
    want = {}
    for what, key, other in (
        ("paths_{}_content", "path", "content"),
        ("contents_{}_path", "content", "path"),
    ):
        ((one, at_one, more, at_more),) = sql(f"""
            with counted as (select {key}, count(distinct {other}) as n, count(*) as files from files group by {key})
            select count(*) filter (n = 1), coalesce(sum(files) filter (n = 1), 0),
                   count(*) filter (n > 1), coalesce(sum(files) filter (n > 1), 0) from counted
        """)
        want[what.format("one")], want[what.format("several") + "s"] = (
            (one, int(at_one)),
            (more, int(at_more)),
        )
    got = rows(dataset.metrics["same_path"], "category", "count", "files")
    assert {what: (count, files) for what, count, files in got} == want
    assert sum(files for _, _, files in got) == 2 * dataset.metrics.totals["files"]


def test_dedup_levels(sql, dataset):
    ((files, size, in_layers, bytes_in_layers, contents, content_bytes),) = sql("""
        with f as (select count(*) n, sum(size) b from files),
             l as (select count(*) n, sum(size) b from (select distinct layer, content, size from files)),
             c as (select count(*) n, sum(size) b from (select distinct content, size from files))
        select f.n, f.b, l.n, l.b, c.n, c.b from f, l, c
    """)
    want = [
        ("within_layers", files - in_layers, int(size - bytes_in_layers)),
        ("across_layers", in_layers - contents, int(bytes_in_layers - content_bytes)),
        ("all", files - contents, int(size - content_bytes)),
    ]
    table = dataset.metrics["dedup_levels"]
    assert rows(table, "level", "files", "bytes") == want
    assert table["share_of_files"].tolist() == [row[1] / files for row in want]
    assert table["share_of_bytes"].tolist() == [row[2] / int(size) for row in want]


IMAGES_OF = "(select content, count(distinct image) as images from files join pairs using (layer) group by content)"


def test_layers(sql, dataset):
    want = sql(f"""
        with users as {IMAGES_OF},
             carriers as (select content, count(distinct layer) as layers from files group by content),
             one as (select layer, content, any_value(size) as size, count(*) as n from files group by all)
        select layer, count(*), sum(size), coalesce(sum(n) filter (images > 1), 0),
               coalesce(sum(n * size) filter (images > 1), 0), count(*) filter (layers = 1),
               coalesce(sum(size) filter (layers = 1), 0)
        from one join users using (content) join carriers using (content) group by layer
    """)
    want = {layer: tuple(map(int, numbers)) for layer, *numbers in want}
    names = (
        "contents",
        "content_bytes",
        "shared_files",
        "shared_bytes",
        "exclusive_contents",
        "exclusive_bytes",
    )
    got = rows(dataset.metrics["layers"], *names)
    assert got == [want.get(layer, (0,) * 6) for layer in range(len(got))]


def test_images(sql, dataset):
    sums = sql("""
        select image, sum(CLS), sum(TLS), sum(FLS), sum(directories) from pairs join layers using (layer)
        group by image order by image
    """)
    counts = sql(f"""
        select image, count(*), count(*) filter (images > 1), coalesce(sum(size) filter (images > 1), 0)
        from pairs join files using (layer) join {IMAGES_OF} using (content) group by image order by image
    """)
    got = rows(dataset.metrics["images"], "CLS", "TLS", "FLS", "directories")
    assert got == [tuple(map(int, row[1:])) for row in sums]
    got = rows(dataset.metrics["images"], "files", "shared_files", "shared_bytes")
    assert got == [tuple(map(int, row[1:])) for row in counts]
    totals, table = dataset.metrics.totals, dataset.metrics["images"]
    for name in ("shared_files", "shared_bytes", "hidden_files", "hidden_bytes"):
        assert table[name].sum() == totals[name]


def test_words(sql, dataset):
    want = sql(
        "select 'kind', kind, count(*), coalesce(sum(size) filter (kind = 'file'), 0) from entries "
        "left join contents using (content) group by kind"
    )
    for what in ("status", "compression", "media_type"):
        want += sql(f"select '{what}', {what}, count(*), sum(CLS) from layers group by {what}")
    image = "(select image, sum(CLS) as CLS from pairs join layers using (layer) group by image)"
    for what in ("manifest_type", "platform"):
        want += sql(
            f"select '{what}', {what}, count(*), sum(CLS) from images join {image} using (image) group by {what}"
        )
    got = [
        row
        for row in rows(dataset.metrics["value_counts"], "variable", "value", "count", "bytes")
        if row[0] not in ("notes", "base", "base_claim")
    ]
    assert sorted(got) == sorted((what, word, count, int(size)) for what, word, count, size in want)


def test_top_lists(sql, dataset):
    metrics = dataset.metrics
    for by, order in (("copies", "copies"), ("redundant_bytes", "(copies - 1) * size")):
        want = sql(f"""
            select content, size, copies, layers, images, (copies - 1) * size, path from (
                select content, any_value(size) as size, count(*) as copies, count(distinct layer) as layers,
                       arg_min(path, row) as path from files group by content
            ) join {IMAGES_OF} using (content) where copies > 1 order by {order} desc, content limit 100
        """)
        names = ("content", "size", "copies", "layers", "images", "redundant_bytes", "path")
        got = rows(metrics["top_contents"], "ranked_by", *names)
        assert [row[1:] for row in got if row[0] == by] == want
    want = sql("""
        select any_value(path), count(distinct content) as contents, count(*) as files from files group by path
        order by contents desc, files desc, min(row) limit 100
    """)
    assert rows(metrics["top_paths"], "path", "contents", "files") == want
    want = sql("""
        select layer, count(distinct image) as images, any_value(CLS), any_value(FLS), min_by(name, image)
        from pairs join layers using (layer) join images using (image) group by layer
        order by images desc, layer limit 100
    """)
    assert rows(metrics["top_layers"], "layer", "images", "CLS", "FLS", "image") == want


def test_growth_ends_with_the_whole(dataset):
    table, totals = dataset.metrics["growth"], dataset.metrics.totals
    last = table["layers"] == totals["layers_ok"]
    assert last.sum() >= 10
    for name, total in (
        ("files", "files"),
        ("contents", "contents"),
        ("bytes", "FLS"),
        ("content_bytes",) * 2,
    ):
        assert set(table[name][last].tolist()) == {totals[total]}


def test_growth(sql, dataset):
    """Each order anew: its layers by the definition, its contents by DuckDB."""
    from .brute_force import order_of

    digests = [value.tobytes() for value in dataset.layers["digest"]]
    table = rows(
        dataset.metrics["growth"], "order", "layers", "files", "contents", "bytes", "content_bytes"
    )
    for order, count, *numbers in table:
        if order % 5 == 0 and count % 7 == 1:
            chosen = ", ".join(map(str, order_of(digests, order)[:count]))
            (want,) = sql(f"""
                select sum(n), count(*), coalesce(sum(n * size), 0), coalesce(sum(size), 0) from (
                    select content, any_value(size) as size, count(*) as n from files
                    where layer in ({chosen}) group by content)
            """)
            assert numbers == [int(value or 0) for value in want]


VALUES = {
    "layers/CLS": "select CLS from layers",
    "layers/TLS": "select TLS from layers",
    "layers/FLS": "select FLS from layers",
    "layers/FLS_CLS": "select FLS / CLS from layers",
    "layers/TLS_CLS": "select TLS / CLS from layers",
    "layers/files": "select count(content) from layers left join files using (layer) group by layer",
    "layers/directories": "select directories from layers",
    "layers/depth": "select max(len(string_split(path, '/'))) from entries group by layer",
    "layers/images": "select count(distinct image) from pairs group by layer",
    "layers/dedup_ratio_by_count": "select count(*) / count(distinct content) from files group by layer",
    "images/CLS": "select sum(CLS) from pairs join layers using (layer) group by image",
    "images/TLS": "select sum(TLS) from pairs join layers using (layer) group by image",
    "images/FLS": "select sum(FLS) from pairs join layers using (layer) group by image",
    "images/FLS_CLS": "select sum(FLS) / sum(CLS) from pairs join layers using (layer) group by image",
    "images/TLS_CLS": "select sum(TLS) / sum(CLS) from pairs join layers using (layer) group by image",
    "images/layers": "select count(*) from pairs group by image",
    "images/files": "select count(*) from pairs join files using (layer) group by image",
    "images/directories": "select sum(directories) from pairs join layers using (layer) group by image",
    "images/shared_file_share": f"""select (count(*) filter (images > 1)) / count(*) from pairs join files using (layer)
        join {IMAGES_OF} using (content) group by image""",
    "images/shared_byte_share": f"""select coalesce(sum(size) filter (images > 1), 0) / sum(size) from pairs
        join files using (layer) join {IMAGES_OF} using (content) group by image""",
    "repositories/images": "select count(*) from images group by repository",
    "repositories/pulls": "select 1 where false",
    "repositories/stars": "select 1 where false",
    "files/size": "select size from files",
    "contents/size": "select any_value(size) from files group by content",
    "contents/size_once": "select any_value(size) from files group by content having count(*) = 1",
    "contents/size_repeated": "select any_value(size) from files group by content having count(*) > 1",
    "contents/copies": "select count(*) from files group by content",
    "contents/layers": "select count(distinct layer) from files group by content",
    "contents/images": f"select images from {IMAGES_OF}",
    "contents/paths": "select count(distinct path) from files group by content",
    "paths/contents": "select count(distinct content) from files group by path",
    "paths/files": "select count(*) from files group by path",
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions(sql, dataset, name):
    given = [value for (value,) in sql(VALUES[name])] if name in VALUES else HIDDEN[name](dataset)
    values = sorted(map(float, given))
    found = dataset.metrics.distribution(name)
    assert found.count == len(values)
    if not values:
        assert not len(found.value) and not len(found.low) and math.isnan(found.median)
        return
    ranks = [max(math.ceil(Fraction(int(p), 10000) * len(values)), 1) for p in PROBABILITIES]
    assert found.value.tolist() == [values[rank - 1] for rank in ranks]
    assert (found.min, found.max) == (values[0], values[-1])
    assert [found.median, found.p90] == [
        values[math.ceil(share * len(values) / 10) - 1] for share in (5, 9)
    ]
    assert math.isclose(found.sum, math.fsum(values), rel_tol=1e-12)
    assert found.mean == found.sum / found.count
    check_bins(found, values)


def check_bins(found, values):
    assert found.low.tolist()[1:] == found.high.tolist()[:-1]
    for n, (low, high) in enumerate(zip(found.low.tolist(), found.high.tolist(), strict=True)):
        closed = found.scale == "share" and n == len(found.low) - 1
        inside = [value for value in values if low <= value < high or (closed and value == high)]
        assert found.bin_count[n] == len(inside)
        assert math.isclose(found.bin_sum[n], math.fsum(inside), rel_tol=1e-12)
    assert found.bin_count.sum() == len(values)
    if found.scale != "share":
        assert found.bin_count[0] and found.bin_count[-1]


def _with_base(data, name) -> list[float]:
    table = data.metrics["bases"]
    values = table.column(name)[table.column("base") >= 0].astype(float)
    return values[values >= 0].tolist()


def _inherited_shares(data, name) -> list[float]:
    parts = zip(*(_with_base(data, f"{one}_{name}") for one in ("inherited", "own")), strict=True)
    return [inherited / (inherited + own) for inherited, own in parts if inherited + own]


HIDDEN = {
    "layers/hidden_bytes_max": lambda data: data.metrics["layers"]["hidden_bytes_max"].tolist(),
    "images/hidden_bytes": lambda data: data.metrics["images"]["hidden_bytes"].tolist(),
    "images/hidden_byte_share": lambda data: (
        data.metrics["images"]["hidden_bytes"] / data.metrics["images"]["FLS"]
    ).tolist(),
    **{
        f"images/inherited_{name}_share": partial(_inherited_shares, name=name)
        for name in ("layers", "files", "FLS", "CLS")
    },
    "images/base_age": lambda data: _with_base(data, "age"),
    "images/base_behind": lambda data: _with_base(data, "behind"),
}
"""Columns that test_hidden.py and test_bases.py judge."""


def test_what_if(sql, dataset):
    totals = dataset.metrics.totals
    names = ("image_CLS", "CLS", "image_FLS", "FLS", "content_bytes")
    got = rows(
        dataset.metrics["what_if"],
        "scenario",
        "bytes",
        "ratio",
        "ci_low",
        "ci_high",
        "is_estimated",
    )[:5]
    assert [row[1] for row in got] == [totals[name] for name in names]
    assert [row[2] for row in got] == [
        totals["image_CLS" if n < 2 else "image_FLS"] / row[1] for n, row in enumerate(got)
    ]
    assert all(row[1] == row[3] == row[4] and not row[5] for row in got)
