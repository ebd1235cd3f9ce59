"""Descriptions of an export for a publication, against the files and the dataset themselves."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet
import pytest
from support.made import Entry, Made
from support.made_configs import ODD_CONFIG, ODD_PAIRS
from support.tools import need

import hpc_remetrics
from hpc_remetrics.dataset.schema import TABLES
from hpc_remetrics.errors import UsageError
from hpc_remetrics.export import ENDINGS, export_command
from hpc_remetrics.export.package import PACKAGE_FILES, PackageInfo, row_columns
from hpc_remetrics.records import Popularity, Skipped

INFO = PackageInfo("Images of |tests|, 2026", ("hpc_remetrics developers",), "CC-BY-4.0")


def package(dataset: Path, directory: Path, form: str, tables=(), **options) -> Path:
    target = directory / form
    assert export_command(dataset, form, target, tables, package=INFO, **options) == 0
    return target


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A dataset with hostile names, a partial and a failed layer, and a source."""
    names = [b"=1+1", b"./plain/name", b"\xff\n", b"back\\slash", b"", b'a,"b"']
    layers = [
        [Entry("file", name, place) for place, name in enumerate(names)],
        [Entry("symlink", b"l%d" % place, link=name) for place, name in enumerate(names)],
        [],
    ]
    made = Made(layers, [[0, 1], [0, 2]], status={1: "partial", 2: "failed"})
    made.skipped = [Skipped("=skipped", "+1", 5, "@type", "artifact", "-message")]
    made.repositories = {"made0000": Popularity(3, 7, "=stratum", 2.5, 4)}
    made.configs = {0: ODD_CONFIG, 1: ODD_CONFIG}
    made.changed = {1: {"annotations": ODD_PAIRS}}
    made.run = {"fingerprint": "abc", "sources": {"source": ["oci:/a"]}}
    return made.write(tmp_path_factory.mktemp("made") / "made")


@pytest.fixture(scope="module", params=["csv", "parquet", "json"])
def packed(request, made, tmp_path_factory) -> Path:
    return package(made, tmp_path_factory.mktemp("package"), request.param)


def read(directory: Path, name: str):
    return json.loads((directory / name).read_text())


def test_the_sums_are_those_of_all_other_files(packed):
    lines = (packed / "SHA256SUMS").read_text().splitlines()
    sums = dict(reversed(line.split("  ", 1)) for line in lines)
    files = {str(path.relative_to(packed)) for path in packed.rglob("*") if path.is_file()}
    assert set(sums) == files - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((packed / name).read_bytes()).hexdigest() == digest


def test_each_table_is_a_resource_with_all_columns(packed, made):
    resources = read(packed, "datapackage.json")["resources"]
    ending = ENDINGS[packed.name]
    with hpc_remetrics.open(made) as data:
        names = [*data, *(f"metrics/{name}" for name in data.metrics)]
        assert [one["path"] for one in resources] == [f"{name}.{ending}" for name in names]
        for one in resources[: len(TABLES)]:
            table = data[one["name"]]
            fields = {field["name"]: field for field in one["schema"]["fields"]}
            beside = fields.pop("mtime_utc", None)
            assert (beside is not None) == (packed.name == "parquet" and one["name"] == "entries")
            assert list(fields) == [*table.keys, *table.columns]
            for name in table.columns:
                column = table.form.columns[name]
                assert fields[name]["description"] == column.description
                assert fields[name].get("unit", "1") == column.unit
    for one in resources:
        data = (packed / one["path"]).read_bytes()
        assert one["bytes"] == len(data)
        assert one["hash"] == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_keys_join_tables_as_row_numbers_do(packed):
    resources = {
        one["name"]: one["schema"] for one in read(packed, "datapackage.json")["resources"]
    }
    assert all(resources[name]["primaryKey"] == ["row"] for name in TABLES)
    keys = {
        (name, key["fields"][0], key["reference"]["resource"])
        for name, schema in resources.items()
        for key in schema.get("foreignKeys", [])
    }
    assert {
        ("entries", "content", "contents"),
        ("entries", "layer", "layers"),
        ("image_layers", "image", "images"),
        ("image_layers", "layer", "layers"),
        ("images", "repository", "repositories"),
        ("images", "config", "configs"),
        ("image_layers", "step", "history"),
        ("history", "image_layer", "image_layers"),
        ("labels", "config", "configs"),
        ("annotations", "image", "images"),
        ("contents", "type", "types"),
    } <= keys
    described = read(packed, "croissant.json")["recordSet"]
    references = {
        (record["name"], field["name"], field["references"]["field"]["@id"].removesuffix("/row"))
        for record in described
        for field in record["field"]
        if "references" in field
    }
    assert references == keys


def test_required_columns_have_no_nulls_and_types_are_those_of_parquet(made, tmp_path):
    directory = package(made, tmp_path, "parquet")
    for one in read(directory, "datapackage.json")["resources"]:
        table = pyarrow.parquet.read_table(directory / one["path"])
        for field in one["schema"]["fields"]:
            column = table[field["name"]]
            if field.get("constraints"):
                assert column.null_count == 0
            kinds = {"integer": "int", "number": "double", "datetime": "timestamp"}
            kind = kinds.get(field["type"])
            assert kind is None or kind in str(column.type)


def test_the_codebook_has_every_column(packed):
    text = (packed / "README.md").read_text()
    assert text.startswith("# Images of \\|tests\\|, 2026\n")
    assert "Creators: hpc\\_remetrics developers" in text
    assert "Licence: CC-BY-4.0" in text
    for name, form in TABLES.items():
        part = text.split(f"### {name}\n")[1].split("\n###")[0]
        for column in form.columns.values():
            if column.type != "offset":
                assert f"\n| `{column.name}` | " in part


def test_chosen_tables_have_keys_to_each_other_alone(made, tmp_path):
    directory = package(made, tmp_path, "csv", ("entries", "contents"))
    entries, contents = read(directory, "datapackage.json")["resources"]
    targets = [key["reference"]["resource"] for key in entries["schema"]["foreignKeys"]]
    assert targets == ["contents"]
    assert "foreignKeys" not in contents["schema"]


def test_nobody_is_named_in_an_anonymous_package(made, tmp_path):
    named = package(made, tmp_path / "named", "csv")
    assert read(named, "datapackage.json")["sources"] == [{"title": "oci:/a"}]
    assert "- oci:/a\n" in (named / "README.md").read_text()
    directory = package(made, tmp_path / "public", "csv", is_anonymous=True)
    assert "sources" not in read(directory, "datapackage.json")
    assert all("oci:/a" not in (directory / name).read_text() for name in PACKAGE_FILES)
    assert sorted(path.name for path in directory.iterdir() if path.is_dir()) == ["metrics"]


def test_files_of_others_are_not_replaced(made, tmp_path):
    directory = package(made, tmp_path, "csv")
    package(made, tmp_path, "csv")
    (directory / "README.md").write_text("mine")
    with pytest.raises(UsageError, match=r"README\.md exists and is no package of this program"):
        package(made, tmp_path, "csv")
    package(made, tmp_path, "csv", force=True)
    assert (directory / "README.md").read_text().startswith("# Images")


def test_columns_of_rows(made):
    with hpc_remetrics.open(made) as data:
        assert row_columns(data.entries) == {"layer": "layers", "content": "contents"}
        assert row_columns(data.layers) == {}


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Path:
    return Made([], []).write(tmp_path_factory.mktemp("empty") / "made")


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["made", "odd", "empty"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_the_validators_say(request, tmp_path, dataset, form):
    directory = package(request.getfixturevalue(dataset), tmp_path, form)
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=directory, check=True)
    for command in (
        [need("frictionless"), "validate", "datapackage.json"],
        [need("mlcroissant"), "validate", "--jsonld", "croissant.json"],
    ):
        result = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "warning" not in (result.stdout + result.stderr).lower()
