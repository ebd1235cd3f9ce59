"""A source of another package: registered by an entry point, opened by its prefix, profiled."""

import sys

import pytest
from support.foreign_package import add_to_path, install

from hpc_remetrics.dataset.reader import Dataset
from hpc_remetrics.errors import MissingComponentError, UsageError
from hpc_remetrics.sources import SOURCES, open_source, source_help, suggestion
from hpc_remetrics.sources.absolute import absolute, input_paths, whole

MODULE = '''
"""One image whose layers are the tar files of a directory."""

import hashlib
import json

from hpc_remetrics.sources.base import Extent, NamedManifest
from hpc_remetrics.sources.local import LocalSource

TAR = "application/vnd.oci.image.layer.v1.tar"


class TarsSource(LocalSource):
    form = "tars:DIR"
    summary = "the tar files of a directory, as one image"

    def __init__(self, reference, directory):
        self.reference = reference
        files = [(path.read_bytes(), path) for path in sorted(directory.glob("*.tar"))]
        self.blobs = {hashlib.sha256(data).digest(): path for data, path in files}
        self.layers = [
            {
                "mediaType": TAR,
                "size": len(data),
                "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
            }
            for data, _ in files
        ]

    @classmethod
    def from_reference(cls, reference, rest, registries):
        path, _ = cls.existing(reference, rest)
        return cls(reference, path)

    @classmethod
    def recognizes(cls, path):
        return any(path.glob("*.tar"))

    def named_manifests(self):
        manifest = {"schemaVersion": 2, "layers": self.layers}
        yield NamedManifest("tars:1", json.dumps(manifest).encode())

    def find(self, digest, size=-1):
        path = self.blobs.get(digest.raw)
        return path and Extent(path, 0, path.stat().st_size)
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Put a package with an entry point on the path of this process and of those it starts."""
    entry_points = "tars = tars_source:TarsSource\nlost = tars_source:Nothing\n"
    install(tmp_path, "tars_source", MODULE, f"[hpc_remetrics.sources]\n{entry_points}")
    add_to_path(tmp_path, monkeypatch)
    yield
    sys.modules.pop("tars_source", None)


@pytest.fixture
def tars(tmp_path):
    """A directory with two layers as tar files."""
    from support.small_images import tar_of

    directory = tmp_path / "tars"
    directory.mkdir()
    for part in ("email", "json"):
        (directory / f"{part}.tar").write_bytes(tar_of([part]))
    return directory


def test_a_source_of_another_package_is_listed_and_opened(package, tars):
    assert SOURCES.names()[-2:] == ["lost", "tars"]
    assert (
        "  tars:DIR                   the tar files of a directory, as one image" in source_help()
    )
    assert suggestion("NO:such").endswith("demo:[DIR], tars:DIR")
    assert suggestion(str(tars)) == f"write tars:{tars}"
    source = open_source(f"tars:{tars}")
    assert [named.name for named in source.named_manifests()] == ["tars:1"]
    assert absolute(f"tars:{tars}/../tars") == whole(f"tars:{tars}") == f"tars:{tars}"
    assert input_paths([f"tars:{tars}", "unknown:x", "docker://redis", "demo:"]) == [tars]


def test_a_source_that_can_not_be_imported_is_named(package):
    with pytest.raises(MissingComponentError, match=r"the source 'lost' of tars-source can't be"):
        open_source("lost:x")
    # A broken package does no harm to the other sources.
    assert "oci:DIR[:REF]" in source_help() and "lost" not in source_help()


def test_without_the_package_its_references_are_no_sources(tmp_path):
    with pytest.raises(UsageError, match="not a source: 'tars:x'"):
        open_source("tars:x")
    assert absolute("tars:x") == whole("tars:x") == "tars:x"


def test_the_help_and_the_hints_name_every_registered_source():
    for name in SOURCES.names():
        source = SOURCES.load(name)
        assert source.form.startswith(f"{name}:") and source.summary
        assert source.form in source_help() and source.form in suggestion("NO:such")


@pytest.mark.slow
def test_analyze_profiles_the_layers_of_a_source_of_another_package(runs, package, tars):
    output = runs.directory / "tars.h5"
    runs.run(runs.analyze(f"tars:{tars}", output))
    with Dataset(output) as dataset:
        names = [name.decode() for name in dataset.images["name"]]
        sizes = sorted(dataset.layers["CLS"].tolist())
        paths = set(dataset.run_table("sources")["source"])
    assert names == ["tars:1"]
    assert sizes == sorted(path.stat().st_size for path in tars.iterdir())
    assert paths == {f"tars:{tars}".encode()}
