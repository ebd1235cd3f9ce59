"""A probe of another installed package: an entry point, and `--probe NAME=SETTING`."""

import hashlib
import sys

import pytest
from support.foreign_package import add_to_path, install
from support.layouts import Layout
from support.small_images import tar_of

import hpc_remetrics
from hpc_remetrics.errors import UsageError
from hpc_remetrics.profile.probe import PROBE_CLASSES, load_probes

MODULE = '''
"""Count the pages of contents that are kept whole, as if pages were chunks."""

from hpc_remetrics.parts.spill_format import EXTRA_STRUCTS
from hpc_remetrics.profile.probe import ALL


class PageProbe:
    bound = ALL

    def __init__(self, setting):
        self.page_bytes = int(setting)

    def begin_layer(self):
        pass

    def content(self, digest, data, add):
        add("cuts", EXTRA_STRUCTS["cuts"].pack(digest, -(-len(data) // self.page_bytes)))

    def long_content(self, size):
        return None
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package with a probe for this process and those that it starts."""
    place = tmp_path / "site"
    place.mkdir()
    install(place, "page_probe", MODULE, "[hpc_remetrics.probes]\npages = page_probe:PageProbe\n")
    add_to_path(place, monkeypatch)
    yield
    sys.modules.pop("page_probe", None)


def test_it_is_found_and_made_with_its_setting(package):
    assert PROBE_CLASSES.names() == ["compression", "chunks", "contents", "pages"]
    (probe,) = load_probes({"pages": "4096"})
    records = []
    probe.content(bytes(32), bytes(4097), lambda kind, record: records.append((kind, record)))
    assert records == [("cuts", bytes(32) + b"\2" + bytes(7))]


def test_a_setting_that_it_refuses_is_an_error_of_one_line(package):
    with pytest.raises(UsageError, match="the probe 'pages' refuses its setting 'much': invalid"):
        load_probes({"pages": "much"})


@pytest.mark.slow
def test_analyze_runs_it_and_keeps_its_parts_apart(runs, package):
    layout = Layout(runs.directory / "layout")
    layout.image("one:1", [layout.layer(tar_of(["json"]), "gzip")])
    source = f"oci:{layout.finish()}"

    output = runs.directory / "pages.h5"
    runs.run(runs.analyze(source, output, "--probe", "pages=4096", ranks=2))
    with hpc_remetrics.open(output) as dataset:
        sizes = dataset.contents["size"]
        assert len(sizes) > 3
        assert dataset.contents["cdc_chunks"].tolist() == (-(-sizes // 4096)).tolist()
        assert dataset.run["probes"] == "pages=4096"
        signature = hashlib.sha256(output.read_bytes()).digest()

    # Parts with and without its records are not mixed; mistakes are told at once.
    result = runs.run(runs.analyze(source, output, "--probe", "pages=512"), code=2)
    assert "parts made with --probe pages='4096', this run has --probe pages='512'" in result.stderr
    result = runs.run(runs.analyze(source, output, "--probe", "pages=few"), code=2)
    assert "the probe 'pages' refuses its setting 'few'" in result.stderr
    assert hashlib.sha256(output.read_bytes()).digest() == signature
    result = runs.run(runs.analyze(source, runs.directory / "x.h5", "--probe", "leaves=1"), code=2)
    assert "unknown probe 'leaves'; known: compression, chunks, contents, pages" in result.stderr
    assert not (runs.directory / "x.h5").exists()
