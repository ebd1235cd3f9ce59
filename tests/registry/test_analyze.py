"""`analyze docker://…` gives the dataset that `analyze oci:…` gives of the same images, in every
form they have."""

import hashlib
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import h5py
import pytest
from support import faulty_proxy as faults
from support import small_images
from support.faulty_proxy import FaultyProxy
from support.layouts import Layout
from support.registry import PASSWORD, USER, Registry, skopeo
from support.same import assert_same
from support.tools import need

from .conftest import NAMES, renamed

OCI, DOCKER = "application/vnd.oci.image", "application/vnd.docker.distribution.manifest"


def described(registry: Registry, name: str, **more) -> dict:
    """Return the descriptor of an image at the registry, as an index has it."""
    data = skopeo(
        "inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/{name}"
    ).encode()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    return {"mediaType": json.loads(data)["mediaType"], "digest": digest, "size": len(data), **more}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory, layout):
    """A registry with schema 2, OCI, zstd, an index, a list, and what `skopeo sync` puts there; and
    the names."""
    directory = tmp_path_factory.mktemp("corpus")
    registry = Registry(directory / "registry")
    registry.copy(f"oci:{layout}:one:1", "forms:oci", "--preserve-digests")
    registry.copy(f"oci:{layout}:two:1", "forms:arm", "--preserve-digests")
    gzip = Layout(directory / "gzip")
    gzip.image(
        "gzip:1",
        [gzip.layer(small_images.tar_of([part]), "gzip") for part in ("email", "json", "xml")],
    )
    registry.copy(f"oci:{gzip.finish()}:gzip:1", "forms:v2s2", "--format", "v2s2")
    # Straight to the registry skopeo would use the gzip blobs that are there.
    skopeo(
        "copy",
        "-q",
        "--dest-compress-format=zstd",
        "--dest-compress",
        f"oci:{layout}:one:1",
        f"dir:{directory}/zstd",
    )
    registry.copy(f"dir:{directory}/zstd", "forms:zstd")
    platforms = ("amd64", "arm64")
    children = [
        described(registry, f"forms:{tag}", platform={"os": "linux", "architecture": machine})
        for tag, machine in zip(("oci", "arm"), platforms, strict=True)
    ]
    index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": children}
    registry.put_manifest("forms", "index", index)
    child = described(registry, "forms:v2s2", platform={"os": "linux", "architecture": "amd64"})
    registry.put_manifest(
        "forms",
        "list",
        {"schemaVersion": 2, "mediaType": f"{DOCKER}.list.v2+json", "manifests": [child]},
    )
    untrusted = ("--src-tls-verify=false", "--dest-tls-verify=false")
    places = (f"{registry.host}/forms:oci", f"{registry.host}/synced")
    skopeo("sync", "--src=docker", "--dest=docker", *untrusted, *places)
    yield (
        registry,
        [
            *(f"forms:{tag}" for tag in ("oci", "arm", "v2s2", "zstd", "index", "list")),
            "synced/forms:oci",
        ],
    )
    registry.stop()


@pytest.fixture(scope="session")
def twin(tmp_path_factory, corpus):
    """An OCI layout with the same manifests and blobs byte for byte, brought there by skopeo, under
    the same names."""
    registry, names = corpus
    directory = tmp_path_factory.mktemp("twin")
    blobs, entries = directory / "layout" / "blobs" / "sha256", []
    blobs.mkdir(parents=True)
    for number, name in enumerate(names):
        copy = directory / str(number)
        source = f"docker://{registry.host}/{name}"
        skopeo(
            "copy",
            "-q",
            "--all",
            "--preserve-digests",
            "--src-tls-verify=false",
            source,
            f"dir:{copy}",
        )
        for path in copy.iterdir():
            if re.fullmatch(r"[0-9a-f]{64}(\.manifest\.json)?", path.name):
                shutil.copy(path, blobs / path.name[:64])
        data = (copy / "manifest.json").read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        media_type = json.loads(data)["mediaType"]
        annotations = {"org.opencontainers.image.ref.name": f"{registry.host}/{name}"}
        entry = {
            "mediaType": media_type,
            "digest": f"sha256:{digest}",
            "size": len(data),
            "annotations": annotations,
        }
        entries.append(entry)
    (directory / "layout" / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": entries})
    )
    (directory / "layout" / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return directory / "layout"


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 3])
def test_every_form_gives_the_same_dataset_as_from_a_layout(corpus, twin, runs, ranks):
    registry, names = corpus
    runs.run(runs.analyze(f"oci:{twin}", "oci.h5"))
    sources = [f"docker://{registry.host}/{name}" for name in names]
    runs.run(runs.analyze(sources[0], "docker.h5", *sources[1:], ranks=ranks))
    assert_same(runs.directory / "oci.h5", runs.directory / "docker.h5")
    assert list(runs.scratch.iterdir()) == []
    with h5py.File(runs.directory / "docker.h5") as file:
        assert {word.decode() for word in file["images/platform"][:]} == {
            "linux/amd64",
            "linux/arm64",
        }
        assert len(set(file["images/manifest_type"][:])) == 2


def names_at(registry) -> dict[str, str]:
    return {name: f"{registry.host}/{name}" for name in NAMES}


def sources_at(registry) -> list[str]:
    return [f"docker://{name}" for name in names_at(registry).values()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "ranks"),
    [("registry", 0), ("registry", 3), ("locked_registry", 3), ("token_registry", 0)],
)
def test_open_with_a_password_and_with_tokens(kind, ranks, request, layout, runs, monkeypatch):
    registry = request.getfixturevalue(kind)
    runs.run(
        runs.analyze(
            f"oci:{renamed(layout, runs.directory / 'renamed', names_at(registry))}", "oci.h5"
        )
    )
    login = []
    if kind == "locked_registry":
        monkeypatch.setenv("REMETRICS_PASSWORD", PASSWORD)
        login = ["--username", USER, "--login-host", registry.host]
    sources = sources_at(registry)
    result = runs.run(
        runs.analyze(sources[0], "docker.h5", *sources[1:], *login, "-vv", ranks=ranks)
    )
    assert_same(runs.directory / "oci.h5", runs.directory / "docker.h5")
    assert PASSWORD not in result.stdout + result.stderr
    for path in runs.directory.rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes(), path


@pytest.fixture
def listed(registry, runs):
    """A list as the 2017 tool wrote it, with a repository that is gone, and what it says of the
    others."""
    rows = [(7, 3000, "two"), (5, 100, "one"), (1, 10, "gone"), (0, 1, "three")]
    path = runs.directory / "repos.csv"
    path.write_text(
        "".join(f"{stars},{pulls},{registry.host}/{name}\n" for stars, pulls, name in rows)
    )
    return path, rows


def tag_latest(registry, layout):
    for name in ("one:1", "two:1"):
        registry.copy(f"oci:{layout}:{name}", name.replace(":1", ":latest"), "--preserve-digests")


@pytest.mark.slow
def test_a_list_of_the_2017_tool_with_any_number_of_ranks(registry, listed, layout, runs):
    path, rows = listed
    tag_latest(registry, layout)
    for ranks in (0, 2, 4):
        result = runs.run(runs.analyze(f"repos:{path}", f"{ranks}.h5", ranks=ranks), code=3)
        assert "skipped: 1 missing_manifest" in result.stderr
        assert_same(runs.directory / "0.h5", runs.directory / f"{ranks}.h5")
    with h5py.File(runs.directory / "0.h5") as file:
        table = file["repositories"]
        columns = (
            [name.decode() for name in table["name"][:]],
            table["stars"][:],
            table["pulls"][:],
        )
        known = {name: (stars, pulls) for name, stars, pulls in zip(*columns, strict=True)}
        assert known == {
            f"{registry.host}/{name}": (stars, pulls)
            for stars, pulls, name in rows
            if name != "gone"
        }
        assert [name.decode() for name in file["skipped/image"][:]] == [
            f"{registry.host}/gone:latest"
        ]


@pytest.mark.slow
def test_a_list_of_a_crawl_names_registry_and_tag(registry, runs):
    path = runs.directory / "repos.csv"
    path.write_text(
        f"stars,pulls,name,registry,tag\n,12,one,{registry.host},1\n3,,two,{registry.host},1\n"
    )
    runs.run(runs.analyze(f"repos:{path}", "list.h5", "--types", "none"))
    with h5py.File(runs.directory / "list.h5") as file:
        assert file["repositories/stars"][:].tolist() == [-1, 3]
        assert file["repositories/pulls"][:].tolist() == [12, -1]
        assert [name.decode() for name in file["images/name"][:]] == [
            f"{registry.host}/{n}:1" for n in ("one", "two")
        ]


@pytest.mark.slow
def test_what_was_resolved_is_not_asked_for_again(registry, layout, runs):
    """A start that follows knows what tags named, even if they have moved."""
    registry.copy(f"oci:{layout}:one:1", "moving:1", "--preserve-digests")
    registry.copy(f"oci:{layout}:one:1", "staying:1", "--preserve-digests")
    with FaultyProxy(registry.host) as proxy:
        path = runs.directory / "repos.csv"
        path.write_text(
            f"1,1,{proxy.host}/moving\n1,1,{proxy.host}/staying\n".replace("\n", ",1\n")
        )
        path.write_text("stars,pulls,name,tag\n" + path.read_text())
        proxy.on("/staying/manifests/", faults.status(503), times=2)
        once = runs.analyze(f"repos:{path}", "out.h5", "--types", "none", "--patience", "tries=2")
        result = runs.run(once, code=3)
        assert "run the command again to retry" in result.stderr
        first = proxy.asked("/moving/")
        registry.copy(f"oci:{layout}:two:1", "moving:1", "--preserve-digests")
        runs.run(runs.analyze(f"repos:{path}", "out.h5", "--types", "none"))
        assert proxy.asked("/moving/") == first
        with h5py.File(runs.directory / "out.h5") as file:
            assert len(set(map(bytes, file["images/digest"][:]))) == 1
            assert len(file["images/name"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 3])
def test_a_run_over_a_network_that_breaks_gives_the_same(registry, layout, runs, ranks):
    with FaultyProxy(registry.host) as proxy:
        runs.run(
            runs.analyze(
                f"oci:{renamed(layout, runs.directory / 'renamed', names_at(proxy))}", "oci.h5"
            )
        )
        for fault in (
            faults.cut(5000),
            faults.wrong_bytes,
            faults.status(503),
            faults.stall(9000),
            faults.html,
        ):
            proxy.on("/blobs/", fault)
        for fault in (faults.cut(10), faults.status(429, ("Retry-After", "1")), faults.wrong_bytes):
            proxy.on("/manifests/", fault)
        # More tries than faults, whoever meets them.
        sources, patience = sources_at(proxy), ("--patience", "idle=2", "--patience", "tries=20")
        runs.run(runs.analyze(sources[0], "docker.h5", *sources[1:], *patience, ranks=ranks))
        assert_same(runs.directory / "oci.h5", runs.directory / "docker.h5")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "cause", "stage"),
    [
        (faults.wrong_bytes, "digest_mismatch", "fetch"),
        (faults.html, "size_mismatch", "fetch"),
        (faults.status(404), "missing", "open"),
        (faults.stall(1000), "limit_time", "fetch"),
        (faults.status(429), "rate_limited", "fetch"),
    ],
)
def test_a_layer_that_cant_be_had_is_a_failure_row(registry, layout, runs, fault, cause, stage):
    manifest = json.loads(
        skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/one:1")
    )
    victim = manifest["layers"][2]["digest"]
    with FaultyProxy(registry.host) as proxy:
        proxy.on(f"/blobs/{victim}", fault, times=1000)
        command = runs.analyze(
            f"docker://{proxy.host}/one:1",
            "out.h5",
            "--types",
            "none",
            "--patience",
            "idle=1",
            "--patience",
            "tries=2",
        )
        runs.run(command, code=3)
        with h5py.File(runs.directory / "out.h5") as file:
            assert [f"sha256:{bytes(digest).hex()}" for digest in file["failures/digest"][:]] == [
                victim
            ]
            words = {
                number: word
                for word, number in h5py.check_enum_dtype(file["failures/cause"].dtype).items()
            }
            stages = {
                number: word
                for word, number in h5py.check_enum_dtype(file["failures/stage"].dtype).items()
            }
            assert words[file["failures/cause"][0]] == cause
            assert stages[file["failures/stage"][0]] == stage
            assert file["layers/status"][:].tolist().count(2) == 1
        if cause != "digest_mismatch" and cause != "size_mismatch":
            proxy._faults.clear()
            runs.run(command)


@pytest.mark.slow
def test_mistakes_give_one_line(registry, runs):
    for source, code, words in [
        (f"docker://{registry.host}/nothing:1", 2, "there is no image"),
        (f"docker://{registry.host}/one:none", 2, "there is no image"),
        ("docker://127.0.0.1:1/one:1", 2, "Connection refused"),
        (f"docker://{registry.host}/ONE", 2, "not the name of a repository"),
        (f"docker:{registry.host}/one", 2, "write docker://"),
        ("docker://me:canary@somewhere/one", 2, "logins"),
        ("repos:nowhere.csv", 2, "there is no"),
    ]:
        result = runs.run(runs.analyze(source, "x.h5", "--patience", "tries=1"), code=code)
        lines = result.stderr.strip().splitlines()
        assert len(lines) == 1 and words in lines[0], lines
        assert "canary" not in result.stderr
        assert not Path(runs.directory, "x.h5.parts").exists()


def layers_of(proxy, layout: Path) -> list[str]:
    """Return the paths of the layers that were asked for."""
    index = json.loads((layout / "index.json").read_text())
    manifests = [
        json.loads((layout / "blobs/sha256" / one["digest"][7:]).read_text())
        for one in index["manifests"]
    ]
    digests = {layer["digest"] for manifest in manifests for layer in manifest["layers"]}
    return [one.path for one in proxy.asked("/blobs/") if one.path.rpartition("/")[2] in digests]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 3])
def test_what_is_kept_is_a_layout_of_all_that_was_analysed(corpus, runs, ranks):
    registry, names = corpus
    (runs.directory / "list.csv").write_text("".join(f"{registry.host}/{name}\n" for name in names))
    runs.run(runs.analyze("repos:list.csv", "registry.h5", "--keep", "kept", ranks=ranks))
    kept = runs.directory / "kept"
    for path in (kept / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert list((kept / ".remetrics" / "partial").iterdir()) == []
    for tag in ("oci", "v2s2", "zstd"):
        name = f"{registry.host}/forms:{tag}"
        original = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}"))
        found = json.loads(skopeo("inspect", "--raw", f"oci:{kept}:{name}"))
        assert [one["digest"] for one in found["layers"]] == [
            one["digest"] for one in original["layers"]
        ]
    umoci = subprocess.run(
        [need("umoci"), "list", "--layout", kept], capture_output=True, text=True, check=True
    )
    assert set(umoci.stdout.split()) == {f"{registry.host}/{name}" for name in names}
    runs.run(runs.analyze(f"oci:{kept}", "kept.h5"))
    assert_same(runs.directory / "registry.h5", runs.directory / "kept.h5")


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 3])
def test_what_is_kept_is_not_fetched_again(registry, layout, runs, ranks):
    runs.run(runs.analyze(f"oci:{layout}", "local.h5", "--types", "none"))
    with FaultyProxy(registry.host) as proxy:
        (runs.directory / "list.csv").write_text(
            "".join(f"{proxy.host}/{name}\n" for name in NAMES)
        )
        command = runs.analyze(
            "repos:list.csv", "a.h5", "--types", "none", "--keep", "kept", ranks=ranks
        )
        victim = max(layout.glob("blobs/sha256/*"), key=lambda path: path.stat().st_size)
        proxy.on(f"/blobs/sha256:{victim.name}", faults.status(404), times=1000)
        said = runs.run(command, code=3).stderr
        assert "not listed in its index.json" in said
        assert not (runs.directory / "kept" / "blobs" / "sha256" / victim.name).exists()
        proxy._faults.clear()
        runs.run(command)
        asked = layers_of(proxy, runs.directory / "kept")
        assert len(asked) > len(set(asked)) and {
            path for path in asked if asked.count(path) > 1
        } == {path for path in asked if victim.name in path}
        before = len(proxy.exchanges)
        runs.run(runs.analyze("repos:list.csv", "b.h5", "--types", "none", "--keep", "kept"))
        assert not [
            one for one in proxy.exchanges[before:] if "/blobs/" in one.path and one.path in asked
        ]
        runs.run(runs.command("download", "list.csv", "-o", "kept"))
        assert layers_of(proxy, runs.directory / "kept") == asked
        index = json.loads((runs.directory / "kept" / "index.json").read_text())
        names = [
            one["annotations"]["org.opencontainers.image.ref.name"] for one in index["manifests"]
        ]
        assert sorted(names) == sorted(f"{proxy.host}/{name}" for name in NAMES)


@pytest.mark.slow
def test_a_kill_in_the_middle_of_a_kept_blob_costs_the_rest_of_it(registry, layout, runs):
    victim = max(layout.glob("blobs/sha256/*"), key=lambda path: path.stat().st_size).name
    partial = runs.directory / "kept" / ".remetrics" / "partial" / victim
    with FaultyProxy(registry.host) as proxy:
        (runs.directory / "list.csv").write_text(
            "".join(f"{proxy.host}/{name}\n" for name in NAMES)
        )
        command = runs.analyze("repos:list.csv", "a.h5", "--types", "none", "--keep", "kept")
        proxy.on(f"/blobs/sha256:{victim}", faults.stall(1000))
        process = subprocess.Popen(command, cwd=runs.directory, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while (
            not (partial.exists() and partial.stat().st_size >= 1000) and time.monotonic() < until
        ):
            time.sleep(0.05)
        process.kill()
        process.wait()
        runs.run(command)
        ranges = [one.headers.get("Range") for one in proxy.asked(victim)]
        assert ranges == [
            None,
            f"bytes=1000-{(runs.directory / 'kept/blobs/sha256' / victim).stat().st_size - 1}",
        ]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 2])
def test_what_is_kept_takes_no_room_on_scratch(registry, runs, ranks):
    command = runs.analyze(
        f"docker://{registry.host}/one:1", "a.h5", "--types", "none", ranks=ranks
    )
    command[command.index("--scratch") + 1] = f"{runs.directory / 'tier'}=1k"
    assert "6 failed" in runs.run(command, code=3).stderr
    runs.run([*command, "--keep", "kept"])


@pytest.mark.slow
def test_only_what_a_registry_gives_is_kept(registry, layout, runs):
    result = runs.run(runs.analyze(f"oci:{layout}", "a.h5", "--keep", "kept"), code=2)
    assert "--keep stores what is fetched from registries" in result.stderr
    (runs.directory / "other").mkdir()
    (runs.directory / "other" / "file").touch()
    result = runs.run(
        runs.analyze(f"docker://{registry.host}/one:1", "a.h5", "--keep", "other"), code=5
    )
    assert "is not an OCI layout" in result.stderr


@pytest.mark.slow
def test_a_limit_that_is_used_up_asks_for_another_run(registry, runs):
    with FaultyProxy(registry.host) as proxy:
        proxy.on("/manifests/", faults.status(429, ("Retry-After", "999999")), times=2)
        (runs.directory / "list.csv").write_text(f"{proxy.host}/one:1\n")
        for source in (f"docker://{proxy.host}/one:1", "repos:list.csv"):
            result = runs.run(runs.analyze(source, "x.h5"), code=4)
            assert "asks for a pause of" in result.stderr and len(result.stderr.splitlines()) == 1
        runs.run(runs.analyze(f"docker://{proxy.host}/one:1", "x.h5", "--types", "none"))


@pytest.mark.slow
def test_plan_shows_what_a_registry_has(registry, runs):
    result = runs.run(runs.command("plan", *sources_at(registry), "--json"))
    assert json.loads(result.stdout)["images"] == 3
