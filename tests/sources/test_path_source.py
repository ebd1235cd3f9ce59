"""References with a path: where the path ends, what it has to be, and its absolute form."""

import pytest

from hpc_remetrics.errors import SourceError, UsageError
from hpc_remetrics.sources import open_source
from hpc_remetrics.sources.absolute import absolute, input_paths, whole
from hpc_remetrics.sources.path_source import divide, full_path


def test_the_longest_path_that_exists_wins(tmp_path):
    place = tmp_path / "a:b"
    place.mkdir()
    assert divide(f"{place}") == (str(place), "")
    assert divide(f"{place}:name:1") == (str(place), "name:1")
    assert divide(f"{tmp_path}:b:1") == (str(tmp_path), "b:1")
    assert divide("/no/such:b:1") == ("/no/such", "b:1")


def test_forms_without_a_ref_keep_the_colons_of_the_path(tmp_path):
    (tmp_path / "x").mkdir()
    assert absolute(f"dir:{tmp_path}/x:y") == f"dir:{tmp_path}/x:y"
    assert absolute(f"oci:{tmp_path}/x:y") == f"oci:{tmp_path}/x:y"
    assert whole(f"dir:{tmp_path}/x:y") == f"dir:{tmp_path}/x:y"
    assert whole(f"oci:{tmp_path}/x:y") == f"oci:{tmp_path}/x"
    assert whole("docker://docker.io/library/redis:7") == "docker://docker.io/library/redis:7"


def test_paths_are_absolute_and_the_home_directory_is_expanded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert full_path("a/../b") == str(tmp_path / "b") and full_path("~/x") == "/home/me/x"
    assert absolute("oci:b:1") == f"oci:{tmp_path}/b:1"
    found = input_paths(["oci:b:1", "repos:r.csv", "demo:", "demo:d", "docker://redis", "oci"])
    assert found == [tmp_path / "b", tmp_path / "r.csv", tmp_path / "d"]


@pytest.mark.parametrize(
    ("reference", "kind", "words"),
    [
        ("oci:", UsageError, "names no directory; write oci:DIR"),
        ("oci-archive:", UsageError, "names no file; write oci-archive:FILE"),
        ("dir:nowhere", SourceError, "there is no "),
        ("dir:file", SourceError, "file is not a directory"),
        ("repos:.", SourceError, " is not a file"),
    ],
)
def test_a_path_of_the_wrong_kind_is_named(reference, kind, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(kind) as error:
        open_source(reference)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("files", "prefix"),
    [
        (["oci-layout"], "oci"),
        (["index.json", "blobs/x"], "oci"),
        (["version", "manifest.json"], "dir"),
        (["manifests/x", "layers/x"], "seed2017"),
    ],
)
def test_a_bare_path_is_answered_with_its_prefix(files, prefix, tmp_path):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    with pytest.raises(UsageError, match=f"write {prefix}:{tmp_path}"):
        open_source(str(tmp_path))
