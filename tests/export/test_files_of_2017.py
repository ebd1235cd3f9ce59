"""The files of the 2017 tool for a small dataset, value by value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.made import Entry, Made

import hpc_remetrics
from hpc_remetrics.errors import UsageError
from hpc_remetrics.export import files_of_2017
from hpc_remetrics.export.files_of_2017 import Written, check, write
from hpc_remetrics.records import Skipped

MOTD = Entry("file", b"./etc/motd", 1)
DEEP = Entry("file", b"a/b/c.tar.gz", 3)
TOP = Entry("file", b"top", 2)
LAYERS = [
    [
        *[MOTD, TOP, DEEP, Entry("hardlink", b"etc/l", link=b"./etc/motd")],
        *[Entry("symlink", b"s", link=b"../x\xff"), Entry("directory", b"empty/")],
        *[Entry("whiteout", b"etc/.wh.a"), Entry("fifo", b"dev/p")],
    ],
    [Entry("directory", b"./"), Entry("file", b"sub/other.txt", 0)],
    [],
    [],
]
FAILED = 2
MADE = Made(
    LAYERS,
    [[0, 1], [1, 0, FAILED], [3]],
    status={FAILED: "failed"},
    skipped=[
        Skipped("bad/x:1", "", -1, "", "bad_manifest"),
        Skipped("bad/y:1", "", -1, "", "artifact"),
    ],
    run={"started": 1_500_000_000},
)
NAMES = [f"sha256-{MADE.digest(layer).hex}-1500000000" for layer in range(4)]
DIGESTS = [f"sha256:{MADE.digest(layer).hex}" for layer in range(4)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    with hpc_remetrics.open(MADE.write(tmp_path_factory.mktemp("made") / "made", False)) as opened:
        yield opened


@pytest.fixture(scope="module")
def exported(dataset, tmp_path_factory) -> Path:
    exported = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        limits = [10, 20, 79]  # the layers have 80, 20, 0 and 0 bytes
        lists = dict(zip(files_of_2017._LISTS, [*limits, None], strict=True))
        patch.setattr(files_of_2017, "_LISTS", lists)
        assert write(dataset, exported) == Written(layers=3, images=3)
    return exported


def load(path: Path):
    return json.loads(path.read_text())


def job(exported: Path, name: str):
    return load(exported / "job_list_dir" / f"{name}.json")


def file(entry: Entry, **fields):
    """Return a file with content, as a profile has it."""
    info = {
        "stat_size": entry.size,
        "stat_type": "REGTYPE",
        "link": None,
        "st_uid": 0,
        "st_gid": 0,
        "st_atime": None,
        "st_mtime": 0,
        "st_ctime": None,
    }
    name = entry.path.decode().rpartition("/")[2]
    return {
        "filename": name,
        "sha256": entry.digest.hex(),
        "type": "ASCII text" if entry.content % 2 else "ELF 64-bit",
        "extension": "." + name.rpartition(".")[2] if "." in name else "",
        "file_info": info | fields,
    }


def without_content(name: str, **fields):
    return file(TOP, stat_size=0, **fields) | {
        "filename": name,
        "sha256": None,
        "type": None,
        "extension": None,
    }


def directory(path: str, depth: int, *files):
    size = sum(file["file_info"]["stat_size"] for file in files)
    return {
        "subdir": path,
        "dir_depth": depth,
        "file_cnt": len(files),
        "files": list(files),
        "dir_size": size,
    }


def test_the_profile_of_a_layer(exported):
    hard = {"link_type": "hardlink", "num_hdlinks": 2, "target_path": "./etc/motd"}
    soft = {"link_type": "symlink", "target_path": "../x\udcff"}
    assert load(exported / "layer_db_json" / f"{NAMES[0]}.json") == {
        "layer_id": DIGESTS[0],
        "dirs": [
            directory("", 0, file(TOP), without_content("s", stat_type="SYMTYPE", link=soft)),
            directory("/a", 1),
            directory("/a/b", 2, file(DEEP)),
            directory("/dev", 1, without_content("p", stat_type="FIFOTYPE")),
            directory("/empty", 1),
            directory(
                "/etc",
                1,
                file(MOTD),
                file(MOTD, stat_size=0, link=hard) | {"filename": "l"},
            ),
        ],
        "layer_depth": {
            "dir_max_depth": 2,
            "dir_min_depth": 0,
            "dir_median_depth": 1,
            "dir_avg_depth": 1.0,
        },
        "size": {
            "uncompressed_sum_of_files": MOTD.size + TOP.size + DEEP.size,
            "compressed_size_with_method_gzip": 80,
            "archival_size": 512 * 8,
        },
        "repeats": 2,
        "file_cnt": 6,
    }


def test_the_root_is_a_directory_if_it_is_an_entry(exported):
    profile = load(exported / "layer_db_json" / f"{NAMES[1]}.json")
    assert profile["dirs"] == [directory("/", 0), directory("/sub", 1, file(LAYERS[1][1]))]


def test_a_layer_without_entries_has_a_profile_and_a_failed_one_has_none(exported):
    profile = load(exported / "layer_db_json" / f"{NAMES[3]}.json")
    assert (profile["dirs"], profile["file_cnt"]) == ([], 0)
    assert set(profile["layer_depth"].values()) == {0}
    assert not (exported / "layer_db_json" / f"{NAMES[FAILED]}.json").exists()


def test_lists_of_layers(exported):
    assert job(exported, "list_less_50m") == {NAMES[2]: 0, NAMES[3]: 0}
    assert job(exported, "list_less_1g") == {NAMES[1]: 20}
    assert job(exported, "list_less_2g") == {}
    assert job(exported, "list_bigger_2g") == {NAMES[0]: 80}
    lists = {
        name: (exported / "job_list_dir" / f"{name}.out").read_text().splitlines()
        for name in (
            "analyzed_layer_filename",
            "bad_nonanalyzed_layer_list",
            "analyzed_absfilename",
        )
    }
    profiled = [layer for layer in range(4) if layer != FAILED]
    assert sorted(lists["analyzed_layer_filename"]) == sorted(NAMES[layer] for layer in profiled)
    assert lists["bad_nonanalyzed_layer_list"] == [NAMES[FAILED]]
    assert sorted(lists["analyzed_absfilename"]) == sorted(DIGESTS[layer] for layer in profiled)


def test_the_limits_are_powers_of_two():
    assert list(files_of_2017._LISTS.values()) == [50 * 2**20, 2**30, 2**31, None]


def test_maps_of_layers(exported):
    assert job(exported, "layer_config_map_dir") == {
        digest: str(exported / "layers" / name) for digest, name in zip(DIGESTS, NAMES, strict=True)
    }
    profiles = {
        digest: str(exported / "layer_db_json" / f"{name}.json")
        for digest, name in zip(DIGESTS, NAMES, strict=True)
    }
    del profiles[DIGESTS[FAILED]]
    assert job(exported, "layer_json_map_dir") == profiles


def test_mappers_of_images(exported):
    names = ["made-0000", "made-0001", "made-0002"]
    manifests = {name: str(exported / "manifests" / f"{name}-1500000000.json") for name in names}
    assert job(exported, "manifest_map_dir") == manifests
    mappers = job(exported, "image_mapper")
    profile = {
        digest: {"json_absfilename": path}
        for digest, path in job(exported, "layer_json_map_dir").items()
    }
    for number, mapper in enumerate(mappers):
        layers = [DIGESTS[layer] for layer in MADE.images[number] if layer != FAILED]
        assert mapper == {
            "version": "schema2",
            "manifest": {names[number]: manifests[names[number]]},
            "config": {},
            "layers": {digest: profile[digest] for digest in layers},
            "has_non_analyzed_layer_tarballs": FAILED in MADE.images[number],
            "has_non_downloaded_config": False,
        }
        assert list(mapper["layers"]) == layers
    single = [load(path) for path in (exported / "image_db_json").iterdir()]
    assert sorted(map(repr, single)) == sorted(map(repr, mappers))
    blobs = job(exported, "layer_config_map_dir")
    assert job(exported, "layer_analyzer_jobs") == [{DIGESTS[FAILED]: blobs[DIGESTS[FAILED]]}]
    path = str(exported / "manifests" / "bad-x-1-1500000000.json")
    assert job(exported, "bad_manifests") == [{"bad-x-1": path}]


def test_manifests_of_schema_1_are_told_apart():
    assert files_of_2017._VERSIONS["docker_schema1"] == "schema1"


def test_nothing_else_is_left(exported):
    assert {path.name for path in exported.iterdir()} == {
        ".hpc-remetrics-export",
        "image_db_json",
        "job_list_dir",
        "layer_db_json",
    }


def test_only_an_export_of_this_program_is_replaced(exported, tmp_path):
    check(exported)
    check(tmp_path / "new")
    (tmp_path / "image_db_json").mkdir()
    check(tmp_path)
    (tmp_path / "image_db_json" / "x").touch()
    with pytest.raises(UsageError, match="image_db_json exists and is no export"):
        check(tmp_path)
    check(tmp_path, force=True)
