"""The demo images: where they are written, who may share the place, and what they hold."""

import hashlib
import io
import json
import os
import platform
import stat
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path

import pytest
from isal import igzip

from hpc_remetrics.errors import SourceError
from hpc_remetrics.sources import demo, open_source
from hpc_remetrics.sources.demo import DemoSource
from hpc_remetrics.sources.manifests import resolve


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A standard library and distributions of a few small files."""
    library = tmp_path / "library"
    for name in ("json/a.py", "json/test/t.py", "json/__pycache__/a.py", "asyncio/b.py", "os.py"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text(name)
    (library / "json" / "c.pyc").write_text("compiled")
    (library / "json" / "link.py").symlink_to("a.py")
    (library / "tkinter").mkdir()
    (library / "tkinter" / "d.py").write_text("d")
    (library / "json" / "a.py").chmod(0o600)
    os.utime(library / "json" / "a.py", (0, 1234567890.9))

    class Distribution:
        version = "1"

        def __init__(self, name, size):
            self.metadata = {"Name": name}
            directory = tmp_path / "site" / name
            directory.mkdir(parents=True)
            with open(directory / "data", "wb") as data:
                data.truncate(size)
            (directory / "x.pyc").write_bytes(b"x")
            (directory / "link").symlink_to("data")
            self.directory = directory

        @property
        def files(self):
            found = [self.directory / "data", self.directory / "x.pyc", self.directory / "link"]
            paths = [
                *found,
                self.directory / "gone",
                tmp_path / ".." / tmp_path.name / "library" / "os.py",
            ]

            class File(type(Path())):
                def locate(self):
                    return self

            return [File(path) for path in paths]

        def locate_file(self, _):
            return tmp_path / "site"

    sizes = [
        50_001,
        50_000,
        30 << 20,
        60_000,
        70_000,
        60_001,
        60_002,
        60_003,
        60_004,
        60_005,
        60_006,
    ]
    made = [Distribution(f"d{number}", size) for number, size in enumerate(sizes)]
    monkeypatch.setattr(demo.sysconfig, "get_path", lambda name: str(library))
    monkeypatch.setattr(demo.metadata, "distributions", lambda: made)
    return tmp_path


def files_of(source, layer):
    """Return the members of a layer by their names."""
    data = source.read(layer.digest, 1 << 30)
    if layer.media_type.endswith("gzip"):
        data = igzip.decompress(data)
    elif layer.media_type.endswith("zstd"):
        try:
            from compression import zstd
        except ImportError:
            from backports import zstd
        data = zstd.decompress(data)
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == str(layer.diff_id)
    tar = tarfile.open(fileobj=io.BytesIO(data))  # noqa: SIM115
    return tar, {entry.name: entry for entry in tar}


def test_the_images_of_the_demo(small):
    source = open_source(f"demo:{small / 'demo'}")
    source.prepare()
    catalog = resolve(source)
    images = {f"{image.name} {image.platform}": image for image in catalog.images}
    here = "linux/" + {"x86_64": "amd64", "aarch64": "arm64"}.get(
        platform.machine(), platform.machine()
    )
    packages = [f"demo/package{number}:1 {here}" for number in range(8)]
    assert list(images) == [
        *[f"demo/python:{tag} {here}" for tag in ("core", "latest", "full")],
        *packages,
        *[f"demo/{name} {here}" for name in ("all:1", "app:1", "app:2")],
        "demo/multi:1 linux/amd64",
        "demo/multi:1 linux/arm64",
    ]
    counts = [len(image.layers) for image in images.values()]
    assert counts == [1, 2, 3, *[3] * 8, 10, 5, 6, 2, 2]
    assert [images[name].manifest_type for name in packages] == ["docker_schema2", "oci"] * 4
    full = images[f"demo/python:full {here}"].layers
    assert [layer.media_type for layer in full] == ["oci_tar_gzip", "oci_tar_zstd", "oci_tar"]
    docker = images[packages[0]].layers
    assert [layer.media_type for layer in docker] == [
        "docker_tar_gzip",
        "oci_tar_zstd",
        "docker_tar_gzip",
    ]
    assert [one.cause for one in catalog.skipped] == ["attestation", "artifact"]
    assert catalog.skipped[1].message == "holds application/vnd.example.note"

    # The layout is the same every time.
    assert source.read(full[0].digest, 1 << 30)[4:8] == bytes(4)

    # The files of the standard library, and of the eight largest distributions in order of name.
    tar, files = files_of(source, full[0])
    top = f"usr/lib/python{'.'.join(platform.python_version_tuple()[:2])}"
    assert list(files) == ["usr", "usr/lib", top, f"{top}/json/a.py", f"{top}/os.py"]
    assert tar.extractfile(f"{top}/json/a.py").read() == b"json/a.py"
    assert (files[f"{top}/json/a.py"].mode, files[f"{top}/json/a.py"].mtime) == (0o600, 1234567890)
    assert (files["usr"].type, files["usr"].mode, files["usr"].mtime) == (
        tarfile.DIRTYPE,
        0o755,
        1_700_000_000,
    )
    assert f"{top}/asyncio/b.py" in files_of(source, full[1])[1]
    assert f"{top}/tkinter/d.py" in files_of(source, full[2])[1]
    held = [files_of(source, images[name].layers[2])[1] for name in packages]
    top = "usr/local/lib/site-packages"
    chosen = ["d10", "d3", "d4", "d5", "d6", "d7", "d8", "d9"]
    assert [list(files)[-1] for files in held] == [f"{top}/{name}/data" for name in chosen]
    assert [len(files) for files in held] == [5] * 8

    # Links, whiteouts and copies.
    for number, layer in enumerate(images[f"demo/app:2 {here}"].layers[4:], 1):
        tar, files = files_of(source, layer)
        assert tar.extractfile("app/VERSION").read() == b"%d\n" % number
        assert files["app/main.py"].mode == 0o755 and files["app/VERSION"].mode == 0o644
        assert files["app/empty"].size == 0 and files["app/data/zeros.bin"].size == 10**5 * number
        links = {name: (one.type, one.linkname) for name, one in files.items() if one.linkname}
        assert links == {
            "app/hard.py": (tarfile.LNKTYPE, "app/main.py"),
            "app/run": (tarfile.SYMTYPE, "main.py"),
            "app/dangling": (tarfile.SYMTYPE, "/nowhere"),
        }
        assert {(files[name].mode, files[name].mtime) for name in links} == {(0o777, 1_700_000_000)}
        assert [name for name in files if ".wh." in name] == [
            ["usr/lib/.wh.gone", "app/.wh.empty"][number - 1],
            f"app/data{number}/.wh..wh..opq",
        ]
        text = b"the same text, many times\n" * number
        copies = [tar.extractfile(f"app/data/copy{one}.txt").read() for one in range(20)]
        assert copies == [text] * 20 and "app/data/copy20.txt" not in files


def test_a_demo_is_made_once(small):
    source = open_source(f"demo:{small / 'a' / 'demo'}")
    source.prepare()
    directory = small / "a" / "demo"
    assert directory.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in (small / "a").iterdir()] == ["demo"]
    assert json.loads((directory / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (directory / "index.json").write_text("changed")
    source.prepare()
    assert (directory / "index.json").read_text() == "changed"
    # Only the parent of the usual directory is closed to others.
    (small / "a").chmod(0o775)
    source.prepare()
    assert (small / "a").stat().st_mode & 0o777 == 0o775
    # An empty directory is taken, one with something in it is not.
    (small / "empty").mkdir()
    open_source(f"demo:{small / 'empty'}").prepare()
    assert (small / "empty" / "oci-layout").is_file()
    (small / "full").mkdir()
    (small / "full" / "x").write_text("x")
    with pytest.raises(
        SourceError, match=r"can't be written to .*full: .*; name another directory"
    ):
        open_source(f"demo:{small / 'full'}").prepare()
    assert [path.name for path in small.glob(".demo-*")] == []
    assert not DemoSource.recognizes(directory)


def test_of_two_processes_that_make_a_demo_one_wins(small, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for one in (first, second):
        one.mkdir()
        (one / "oci-layout").write_text(one.name)
    demo._move(first, tmp_path / "demo")
    demo._move(second, tmp_path / "demo")
    assert (tmp_path / "demo" / "oci-layout").read_text() == "first"


def test_the_directory_changes_with_the_installation(small, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(small / "cache"))
    before = DemoSource("demo:")._directory
    assert before.parent == small / "cache" / "hpc-remetrics"
    assert before.name == f"demo-{demo._fingerprint()}" and len(before.name) == 21
    demo.metadata.distributions()[0].version = "2"
    assert DemoSource("demo:")._directory != before
    monkeypatch.setattr(demo, "_VERSION", demo._VERSION + 1)
    demo.metadata.distributions()[0].version = "1"
    assert DemoSource("demo:")._directory != before


def test_the_cache_is_in_the_home_directory_or_in_the_one_for_temporary_files(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert demo._cache() == tmp_path / "home" / ".cache" / "hpc-remetrics"
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    in_shared = shared / f"hpc-remetrics-{os.geteuid()}"
    monkeypatch.delenv("HOME")
    assert demo._cache() == in_shared
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (tmp_path, os.W_OK))
    assert demo._cache() == in_shared


def test_a_name_that_somebody_else_took_is_passed_over(tmp_path):
    names = [f"hpc-remetrics-{os.geteuid()}"]
    names += [f"{names[0]}-{number}" for number in range(1, 16)]
    assert demo._of_user_in(tmp_path) == tmp_path / names[0]
    (tmp_path / names[0]).mkdir(mode=0o755)
    assert demo._of_user_in(tmp_path) == tmp_path / names[0]
    for taken, following in zip(names, [*names[1:], names[0]], strict=True):
        (tmp_path / taken).unlink(missing_ok=True) if taken != names[0] else None
        if taken == names[0]:
            (tmp_path / taken).chmod(0o777)
        else:
            (tmp_path / taken).write_text("")
        assert demo._of_user_in(tmp_path) == tmp_path / following


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_directory_that_others_may_write_to_is_closed_to_them(tmp_path, mode):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(mode)
    demo._make_private(tmp_path / "cache")
    assert (tmp_path / "cache").stat().st_mode & 0o777 == mode & 0o755


def test_the_directory_of_the_demo_is_made_for_its_user(tmp_path, monkeypatch):
    demo._make_private(tmp_path / "a" / "cache")
    assert (tmp_path / "a" / "cache").stat().st_mode & 0o777 == 0o700
    # A user may keep it elsewhere, but nobody else's directory is taken.
    (tmp_path / "link").symlink_to(tmp_path / "a" / "cache")
    demo._make_private(tmp_path / "link")
    about = list(os.lstat(tmp_path / "link"))
    about[stat.ST_UID] += 1
    with monkeypatch.context() as patch:
        patch.setattr(os, "lstat", lambda path: os.stat_result(about))
        with pytest.raises(OSError, match="others own that directory"):
            demo._make_private(tmp_path / "link")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    for other in ("a/cache", "link", "file"):
        with pytest.raises(OSError, match="others own that directory or can write to it"):
            demo._make_private(tmp_path / other)


def test_the_real_distributions_have_files_of_their_own():
    """No file that is compiled, missing, a link, or beside its distribution."""
    one = metadata.distribution("pytest")
    paths = demo._distributed(one)
    assert paths == sorted(paths) and len(paths) > 5
    assert all(path.is_file() and path.suffix != ".pyc" for path in paths)
    assert not any(".." in path.parts for path in paths)


def test_what_the_images_of_the_demo_say_of_themselves(small):
    source = open_source(f"demo:{small / 'demo'}")
    source.prepare()
    catalog = resolve(source)
    configs = {config.digest: config for config in catalog.configs}
    images = {image.name: image for image in catalog.images if image.platform != "linux/arm64"}
    said = {name: configs[image.config] for name, image in images.items()}
    assert not any(config.notes or config.secrets for config in configs.values())

    # A step for each layer, in their order, and two that make none
    for name, config in said.items():
        steps = [step for step in config.history if not step.is_empty]
        assert len(steps) == len(images[name].layers) == len(config.history) - 2
        assert config.created == max(step.created for step in steps)
    steps = [step.created_by.split()[0] for step in said["demo/app:2"].history]
    assert steps == ["ADD", "ENV", "RUN", "RUN", "RUN", "COPY", "RUN", "CMD"]

    # Images follow one another in time, and claim a base that is there
    order = ["python:core", "python:latest", "python:full", "package0:1", "app:1", "app:2"]
    dates = [said[f"demo/{name}"].created for name in order]
    assert dates == sorted(set(dates))
    claims = dict(images["demo/app:1"].annotations)
    assert claims["org.opencontainers.image.base.name"] == "demo/python:latest"
    base = images["demo/python:latest"]
    assert claims["org.opencontainers.image.base.digest"] == str(base.digest)
    assert dict(said["demo/package1:1"].labels) == {
        "org.opencontainers.image.title": "demo/package1:1",
        "org.opencontainers.image.base.name": "demo/python:latest",
    }
