"""The 2017 tool's lists, what can't be had, limits on pulls, moved tags, full disks: each with its
exit code."""

import csv
import json
import shutil

import pytest
from support.registry import Registry, skopeo
from support.tools import mount_small, unmount

from .conftest import gzip_images, stored

TRIO = ("forms/one:1", "forms/two:1", "forms/three:latest")


@pytest.fixture
def own(tmp_path):
    """A registry that a test may change, with two images in it."""
    registry = Registry(tmp_path / "own")
    registry.layout = gzip_images(tmp_path / "images")
    for platform in ("amd64", "arm64"):
        registry.copy(f"oci:{registry.layout}:{platform}", f"some/{platform}:1")
    yield registry
    registry.stop()


def failures(mirror):
    with open(mirror.directory / ".remetrics" / "failures.csv", newline="") as file:
        return {row["image"]: row["cause"] for row in csv.DictReader(file)}


def layers_of(mirror, name):
    index = json.loads((mirror.directory / "index.json").read_text())
    entry = next(
        e
        for e in index["manifests"]
        if e["annotations"]["org.opencontainers.image.ref.name"] == name
    )
    manifest = json.loads(mirror.blob(entry["digest"]).read_bytes())
    return [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 2])
def test_the_2017_lists_are_read_and_appended_to(registry, mirror, tmp_path, ranks):
    host = registry.host
    repos, layers, done = tmp_path / "repos.csv", tmp_path / "layers.lst", tmp_path / "repos.lst"
    # As the 2017 tool has it: no head line, and names of an own registry in full.
    repos.write_text(f"5,100,{host}/forms/three\n7,50,{host}/forms/one:1\n1,2,{host}/forms/two:1\n")
    mirror(repos, "-l", layers, "-r", done, ranks=ranks)
    names = [f"{host}/{name}" for name in TRIO]
    assert mirror.names() == set(names)
    assert sorted(done.read_text().split()) == sorted([names[0], names[1], f"{host}/forms/three"])
    every = {digest for name in names for digest in layers_of(mirror, name)}
    assert sorted(layers.read_text().split()) == sorted(every)
    # A layer and a repository that the lists have are left out; a line that a kill tore counts for
    # nothing.
    chosen = layers_of(mirror, names[0])[1]
    only = (
        set(layers_of(mirror, names[2]))
        - set(layers_of(mirror, names[0]))
        - set(layers_of(mirror, names[1]))
    )
    shutil.rmtree(mirror.directory)
    layers.write_text(f"{chosen}\n{next(iter(only))[:40]}")
    done.write_text(f"{host}/forms/three\n")
    said = mirror(repos, "-l", layers, "-r", done, ranks=ranks).stderr
    assert "1 of them finished before" in said and "1 blob was skipped" in said
    assert not mirror.blob(chosen).exists()
    assert not any(mirror.blob(digest).exists() for digest in only)
    lines = layers.read_text().splitlines()
    assert len(lines) == len(set(lines)) and set(lines) >= {chosen, *layers_of(mirror, names[1])}
    assert all(len(line) == 71 for line in lines if line != lines[1])


@pytest.mark.slow
def test_images_with_most_pulls_come_first(start_front, mirror, tmp_path):
    front = start_front()
    pulls = {"forms/one:1": 10, "forms/two:1": 1000, "forms/three:latest": 100}
    rows = "".join(f"1,{number},{front.host}/{name}\n" for name, number in pulls.items())
    (tmp_path / "repos.csv").write_text(rows)
    mirror(tmp_path / "repos.csv", f"{front.host}/forms/big:1", "--threads", 1)
    asked = [
        path.split("/")[3]
        for method, path in front.asked
        if method == "GET" and "/manifests/" in path
    ]
    assert asked == ["two", "three", "one", "big"]


@pytest.mark.slow
def test_a_list_of_names_alone_is_read(registry, mirror, tmp_path):
    names = [f"{registry.host}/{name}" for name in TRIO]
    (tmp_path / "names.lst").write_text("\n".join(names) + "\n\n")
    mirror(tmp_path / "names.lst")
    assert mirror.names() == set(names)


@pytest.mark.slow
def test_a_crawls_list_is_downloaded(registry, mirror, tmp_path):
    runs = mirror.runs
    runs.run(
        runs.command("crawl", f"catalog:{registry.host}", "-o", tmp_path / "repos.csv", "--rate", 0)
    )
    mirror(tmp_path / "repos.csv")
    with open(tmp_path / "repos.csv", newline="") as file:
        listed = {f"{registry.host}/{row['name']}:{row['tag']}" for row in csv.DictReader(file)}
    assert {f"{registry.host}/{name}" for name in TRIO} < listed == mirror.names()
    assert len(listed) >= 12


@pytest.mark.slow
def test_what_cannot_be_had_is_told_and_tried_again(own, mirror):
    names = [f"{own.host}/some/amd64:1", f"{own.host}/some/arm64:1", f"{own.host}/some/later:1"]
    manifest = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{names[1]}")
    path = stored(own, json.loads(manifest)["layers"][1]["digest"].removeprefix("sha256:"))
    right = path.read_bytes()
    path.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    said = mirror(*names, code=3).stderr
    assert mirror.names() == {names[0]}
    mirror.blobs()
    assert failures(mirror) == {names[1]: "digest_mismatch", names[2]: "missing"}
    assert "2 images incomplete" in said
    path.write_bytes(right)
    own.copy(f"oci:{own.layout}:big", "some/later:1")
    mirror(*names, ranks=2)
    assert mirror.names() == set(names)
    assert failures(mirror) == {}


@pytest.mark.slow
def test_tags_that_moved_are_followed_when_asked(own, mirror):
    name = f"{own.host}/some/amd64:1"
    mirror(name)
    before = (mirror.directory / "index.json").read_text()
    own.copy(f"oci:{own.layout}:arm64", "some/amd64:1")
    mirror(name)
    assert (mirror.directory / "index.json").read_text() == before
    mirror(name, "--update")
    there = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))
    assert (
        json.loads(skopeo("inspect", f"oci:{mirror.directory}:{name}"))["Digest"] == there["Digest"]
    )
    assert mirror.names() == {name}


@pytest.mark.slow
def test_a_limit_on_pulls_is_told_kept_and_not_used_up_by_what_is_here(start_front, mirror):
    front = start_front(pulls=4, window=3)
    names = [f"{front.host}/{name}" for name in (*TRIO, "forms/big:1", "forms/index:1")]
    said = mirror(*names, "--estimate").stderr
    assert "it allows 4 pulls in 0:03, 4 are left" in said
    assert {method for method, _ in front.asked} == {"HEAD"}
    mirror(*names, ranks=2)
    assert mirror.names() == set(names)
    pulls = sum(
        count
        for (method, path), count in front.asked.items()
        if method == "GET" and "/manifests/" in path
    )
    # Five images, one of them an index of three; what was refused for coming too early was asked
    # again.
    assert pulls == 8 + front.refused
    front.asked.clear()
    mirror(*names, "--update")
    assert {method for method, _ in front.asked} == {"HEAD"}


@pytest.mark.slow
def test_what_is_refused_for_being_too_much_comes_later(start_front, mirror):
    front = start_front(pulls=2, window=2)
    names = [f"{front.host}/{name}" for name in (*TRIO, "forms/big:1", "forms/index:1")]
    mirror(*names, "--patience", "tries=1", ranks=2)
    assert mirror.names() == set(names)
    assert failures(mirror) == {}


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_exit_code_5(registry, mirror, tmp_path):
    mirror.directory.mkdir()
    mount_small(mirror.directory, 4 << 20)
    try:
        name = f"{registry.host}/forms/big:1"
        for ranks in (0, 2):
            said = mirror(name, code=5, ranks=ranks).stderr
            assert "free some space" in said and "No space left" in said and "Traceback" not in said
            mirror.blobs()
        mount_small(mirror.directory, 64 << 20, again=True)
        mirror(name)
        assert mirror.names() == {name}
    finally:
        unmount(mirror.directory)


@pytest.mark.slow
def test_a_download_from_where_nobody_answers_is_given_up(mirror, tmp_path):
    names = [f"127.0.0.1:9/some/repo-{number}:1" for number in range(200)]
    (tmp_path / "names.lst").write_text("\n".join(names))
    said = mirror(tmp_path / "names.lst", "--patience", "tries=1", code=4).stderr
    assert "requests failed" in said and "run the command again to continue" in said
    assert 50 <= len(failures(mirror)) < 100
    assert set(failures(mirror).values()) == {"io_error"}


@pytest.mark.slow
def test_mistakes_give_one_line(registry, mirror, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "bad.csv").write_text("stars,pulls,name\n1,many,a/b\n")
    cases = [
        (["UPPER/case"], 2),
        (["no.csv"], 2),
        ([tmp_path / "bad.csv"], 2),
        (["user:password@host/name"], 2),
        ([f"{registry.host}/a", "--threads", 0], 2),
        ([f"{registry.host}/a", "--platform", "arm"], 2),
        ([f"{registry.host}/a", "-l", tmp_path / "no" / "list"], 5),
        ([f"{registry.host}/a", "-o", tmp_path / "file"], 5),
        ([f"{registry.host}/a", "-o", tmp_path], 5),
        ([f"{registry.host}/a", "-o", tmp_path / "file" / "x"], 5),
    ]
    for arguments, code in cases:
        result = mirror.runs.run(
            mirror.runs.command("download", "-o", mirror.directory, *arguments), code
        )
        lines = result.stderr.strip().splitlines()
        assert lines[-1].startswith("hpc-remetrics: error: ") and len(lines) == 1, result.stderr
        assert "password" not in result.stderr
