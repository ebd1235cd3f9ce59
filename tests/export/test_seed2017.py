"""The 2017 tool's files: its own readers' steps over them give the dataset's numbers."""

import json
import os
from pathlib import Path

import pytest
from support.same import hex_digests

from hpc_remetrics.export.files_of_2017 import write

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def exported(odd, tmp_path_factory) -> Path:
    import hpc_remetrics

    exported = tmp_path_factory.mktemp("seed")
    with hpc_remetrics.open(odd) as dataset:
        write(dataset, exported)
    return exported


def load(path):
    return json.loads(path.read_text())


@pytest.fixture
def layers(dataset):
    names = (
        "digest",
        "status",
        "CLS",
        "TLS",
        "FLS",
        "files",
        "symlinks",
        "hardlinks",
        "devices",
        "directories",
    )
    columns = {
        name: dataset.layers.readable(name).tolist()
        for name in (*names, "images", "depth", "others")
    }
    return {
        row[0]: dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    }


def test_profiles_add_up_to_the_layers(exported, layers):
    """The steps of its `load_layer_metrics_data`."""
    profiles = [load(path) for path in sorted((exported / "layer_db_json").iterdir())]
    assert {one["layer_id"] for one in profiles} == {
        name for name, row in layers.items() if row["status"] != "failed"
    }
    for profile in profiles:
        row = layers[profile["layer_id"]]
        size = profile["size"]
        assert (
            size["uncompressed_sum_of_files"]
            == row["FLS"]
            == sum(one["dir_size"] for one in profile["dirs"])
        )
        assert (size["compressed_size_with_method_gzip"], size["archival_size"]) == (
            row["CLS"],
            row["TLS"],
        )
        assert len([one for one in profile["dirs"] if one["subdir"]]) == row["directories"]
        assert profile["file_cnt"] == sum(len(one["files"]) for one in profile["dirs"])
        listed = row["files"] + row["symlinks"] + row["hardlinks"] + row["devices"] + row["others"]
        assert profile["file_cnt"] == listed
        assert profile["repeats"] == row["images"]
        assert profile["layer_depth"]["dir_max_depth"] <= row["depth"]


def test_every_file_of_a_layer(exported, dataset):
    for layer in range(len(dataset.layers)):
        part = dataset.entries_of(layer)
        if part.start == part.stop:
            continue
        (digest,) = hex_digests(dataset.layers, "digest", layer, layer + 1)
        (path,) = (exported / "layer_db_json").glob(f"sha256-{digest}-*.json")
        got = {}
        for directory in load(path)["dirs"]:
            for file in directory["files"]:
                got[
                    os.path.join(directory["subdir"], file["filename"]).encode(
                        "utf-8", "surrogateescape"
                    )
                ] = file
        frame = dataset.entries.frame(["kind", "content", "uid", "mtime"], part.start, part.stop)
        frame["content"] = frame["content"].fillna(-1)
        digests, types = hex_digests(dataset.contents), dataset.types.readable("description")
        size, type_of = dataset.contents["size"], dataset.contents["type"]
        seen = 0
        for name, row in zip(dataset.paths(part.start, part.stop), frame.itertuples(), strict=True):
            if row.kind in ("directory", "whiteout", "opaque"):
                continue
            seen += 1
            clean = os.path.normpath(b"/" + name)
            file = got.get(clean) or got[clean.removeprefix(b"/")]
            info = file["file_info"]
            assert (info["st_uid"], info["st_mtime"]) == (row.uid, row.mtime)
            assert info["stat_size"] == (size[row.content] if row.kind == "file" else 0)
            assert file["sha256"] == (digests[row.content] if row.content >= 0 else None)
            assert file["type"] == (types[type_of[row.content]] if row.content >= 0 else None)
            assert (info["link"] or {}).get("link_type") == (
                row.kind if row.kind.endswith("link") else None
            )
        assert seen == len(got)


def test_odd_things_are_there(exported):
    files = {}
    for path in (exported / "layer_db_json").iterdir():
        for directory in load(path)["dirs"]:
            files |= {
                os.path.join(directory["subdir"], file["filename"]): file
                for file in directory["files"]
            }
    assert files["/a/hard"]["file_info"]["link"] == {
        "link_type": "hardlink",
        "num_hdlinks": 2,
        "target_path": "./a/file",
    }
    assert files["/a/hard"]["sha256"] == files["/a/file"]["sha256"] == files["/a/copy"]["sha256"]
    assert files["/a/soft"]["file_info"]["link"] == {
        "link_type": "symlink",
        "target_path": "../nowhere",
    }
    assert files["/pipe"]["file_info"]["stat_type"] == "FIFOTYPE"
    assert "/bad\udcff name\nline" in files
    assert not [name for name in files if ".wh." in name]


def test_lists_hold_every_layer_once(exported, layers):
    jobs = exported / "job_list_dir"
    lists = [
        load(jobs / f"{name}.json")
        for name in ("list_less_50m", "list_less_1g", "list_less_2g", "list_bigger_2g")
    ]
    listed = {name: size for one in lists for name, size in one.items()}
    assert sum(map(len, lists)) == len(layers)
    assert {f"sha256:{name.split('-')[1]}": size for name, size in listed.items()} == {
        name: row["CLS"] for name, row in layers.items()
    }
    # Its analyzer takes a name only with these.
    assert all(len(name.split("-")) == 3 and len(name) >= 82 for name in listed)
    good = (jobs / "analyzed_layer_filename.out").read_text().split()
    bad = (jobs / "bad_nonanalyzed_layer_list.out").read_text().split()
    assert sorted(good + bad) == sorted(listed)
    assert {name.split("-")[1] for name in bad} == {
        name[7:] for name, row in layers.items() if row["status"] == "failed"
    }
    known = (jobs / "analyzed_absfilename.out").read_text().split()
    assert known == [f"sha256:{name.split('-')[1]}" for name in good]


def test_mappers_lead_to_the_profiles(exported, dataset, layers):
    """The steps of its `load_layers_mappers` and `load_image_metrics_data`."""
    jobs = exported / "job_list_dir"
    mappers, manifests = load(jobs / "image_mapper.json"), load(jobs / "manifest_map_dir.json")
    assert len(mappers) == len(dataset.images)
    json_map, tar_map = (
        load(jobs / "layer_json_map_dir.json"),
        load(jobs / "layer_config_map_dir.json"),
    )
    assert set(tar_map) == set(layers)
    lost = [name for name, row in layers.items() if row["status"] == "failed"]
    for mapper in mappers:
        ((name, path),) = mapper["manifest"].items()
        assert manifests[name] == path
        total = 0
        for digest, value in mapper["layers"].items():
            assert list(value) == ["json_absfilename"]
            assert value["json_absfilename"] == json_map[digest]
            total += load(Path(value["json_absfilename"]))["size"][
                "compressed_size_with_method_gzip"
            ]
        assert total == sum(layers[digest]["CLS"] for digest in mapper["layers"])
    named = [mapper for mapper in mappers if mapper["has_non_analyzed_layer_tarballs"]]
    todo = load(jobs / "layer_analyzer_jobs.json")
    assert len(todo) == len(named) > 0
    assert {digest for one in todo for digest in one} == set(lost)
    assert load(jobs / "bad_manifests.json") == []
    singles = [load(path) for path in (exported / "image_db_json").iterdir()]
    assert sorted(map(repr, singles)) == sorted(map(repr, mappers))
