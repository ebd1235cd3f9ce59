"""The 2017 downloader's directory: the newest manifest of a name, the whole file of a blob."""

import json
import os
import shutil
import subprocess

import pytest

from hpc_remetrics.errors import SourceError
from hpc_remetrics.records import Digest
from hpc_remetrics.sources import open_source
from hpc_remetrics.sources.manifests import resolve

IMAGES = {
    "library-redis-latest-1502943512.62.json": "library/redis:latest",
    "some-na-me-1.2.3-1502943513.json": "some/na-me:1.2.3",
}


@pytest.fixture
def seed(layout, chosen, tmp_path):
    """The directory, made of the chosen image's blobs."""
    directory = tmp_path / "seed"
    for name in ("manifests", "configs", "layers"):
        (directory / name).mkdir(parents=True)
    blobs = layout / "blobs" / "sha256"
    manifest = blobs / chosen.digest.hex
    for name in IMAGES:
        shutil.copy(manifest, directory / "manifests" / name)
    config = json.loads(manifest.read_bytes())["config"]["digest"].removeprefix("sha256:")
    shutil.copy(blobs / config, directory / "configs" / f"sha256-{config}-1502943512.77")
    for layer in chosen.layers:
        shutil.copy(
            blobs / layer.digest.hex,
            directory / "layers" / f"sha256-{layer.digest.hex}-1502943600.5",
        )
    return directory


def layer_file(seed, layer):
    return next((seed / "layers").rglob(f"*{layer.digest.hex}*"))


def check(seed, chosen):
    source = open_source(f"seed2017:{seed}")
    catalog = resolve(source)
    assert {image.name for image in catalog.images} == set(IMAGES.values())
    assert catalog.skipped == []
    for image in catalog.images:
        assert [layer.diff_id for layer in image.layers] == [
            layer.diff_id for layer in chosen.layers
        ]
        for layer in image.layers:
            extent = source.locate(layer.digest, layer.size)
            told = subprocess.run(
                ["sha256sum", extent.path], check=True, capture_output=True, text=True
            ).stdout
            assert told.split()[0] == layer.digest.hex


def test_as_it_was_written(seed, chosen):
    check(seed, chosen)


def test_configs_that_still_lie_among_the_layers(seed, chosen):
    for config in (seed / "configs").iterdir():
        config.rename(seed / "layers" / config.name)
    (seed / "configs").rmdir()
    check(seed, chosen)


def test_layers_in_directories_of_their_own(seed, chosen):
    for number, layer in enumerate(chosen.layers):
        file = layer_file(seed, layer)
        (seed / "layers" / str(number)).mkdir()
        file.rename(
            seed
            / "layers"
            / str(number)
            / file.name.replace("sha256-", "sha256:").rpartition("-")[0]
        )
    check(seed, chosen)


@pytest.mark.parametrize("time", ["1402943600.5", "1602943600.5"])
def test_a_download_that_broke_off_is_passed_over(seed, chosen, time):
    """Whether it came before or after the whole one."""
    for layer in chosen.layers:
        file = layer_file(seed, layer)
        (seed / "layers" / f"sha256-{layer.digest.hex}-{time}").write_bytes(
            file.read_bytes()[:1000]
        )
    check(seed, chosen)


def test_a_config_of_which_one_copy_is_broken(seed, chosen):
    config = next((seed / "configs").iterdir())
    config.with_name(config.name.replace("1502943512.77", "1602943512.77")).write_bytes(
        config.read_bytes()[:-1]
    )
    check(seed, chosen)


def test_the_newest_manifest_counts(seed, chosen):
    old = {"schemaVersion": 2, "layers": [], "config": {"digest": "sha256:" + "0" * 64, "size": 2}}
    (seed / "manifests" / "library-redis-latest-1402943512.62.json").write_text(json.dumps(old))
    check(seed, chosen)


def test_a_missing_layer_is_missing(seed, chosen):
    layer_file(seed, chosen.layers[0]).unlink()
    source = open_source(f"seed2017:{seed}")
    with pytest.raises(Exception, match="is not in") as error:
        source.locate(chosen.layers[0].digest)
    assert error.value.cause == "missing"


def test_what_is_no_manifest_is_counted_apart(seed):
    (seed / "manifests" / "bad-one-latest-1502943512.json").write_text("<html>")
    (seed / "manifests" / ".hidden").write_text("x")
    (seed / "manifests" / "directory").mkdir()
    (seed / "layers" / "README").write_text("x")
    catalog = resolve(open_source(f"seed2017:{seed}"))
    assert [(one.image, one.cause) for one in catalog.skipped] == [
        ("bad/one:latest", "bad_manifest")
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_directory_is_not_an_empty_one(seed):
    (seed / "layers").chmod(0)
    with pytest.raises(SourceError, match="can't list"):
        open_source(f"seed2017:{seed}").prepare()


def test_many_blobs_are_found(tmp_path):
    """Digests next to each other, and more than one time each."""
    directory = tmp_path / "many"
    for name in ("manifests", "layers"):
        (directory / name).mkdir(parents=True)
    digests = [Digest(number.to_bytes(32, "big")) for number in range(200)]
    for number, digest in enumerate(digests[::2]):
        for time in range(number % 3 + 1):
            (directory / "layers" / f"sha256-{digest.hex}-150294351{time}.25").write_bytes(
                b"x" * number
            )
    source = open_source(f"seed2017:{directory}")
    for number, digest in enumerate(digests):
        if number % 2:
            assert source.find(digest) is None
        else:
            extent = source.find(digest)
            assert extent.size == number // 2
            assert extent.path.name.endswith(f"150294351{number // 2 % 3}.25")
