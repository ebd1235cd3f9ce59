"""A layout that is being filled: complete blobs, its index, and directories that are refused."""

import hashlib
import json

import pytest

from hpc_remetrics.errors import BlobError, OutputError, RegistryError
from hpc_remetrics.layout.image_layout import REF_NAME, Layout, name_in
from hpc_remetrics.layout.keep import fetch_into
from hpc_remetrics.records import Digest

DATA = b"content"
DIGEST = Digest(hashlib.sha256(DATA).digest())


def test_a_new_layout_is_empty_and_marked(layout):
    mark = json.loads((layout.directory / "oci-layout").read_text())
    assert mark == {"imageLayoutVersion": "1.0.0"} and layout.read_index() == []
    layout.check()


def test_what_a_killed_run_left_is_removed_and_the_rest_stays(layout):
    layout.write_index([{"digest": "x"}])
    blobs = layout.blob(DIGEST).parent
    temporary = f".x.{'0' * 16}.tmp"
    for directory in (blobs, layout.state, layout.directory):
        (directory / temporary).write_text("")
    layout.partial(DIGEST).write_bytes(b"begun")
    layout.prepare()
    assert not list(layout.directory.rglob(temporary))
    assert layout.partial(DIGEST).exists() and layout.read_index() == [{"digest": "x"}]


def test_a_layout_without_its_mark_is_known_by_its_state(layout):
    (layout.directory / "oci-layout").unlink()
    layout.check()
    layout.prepare()
    assert (layout.directory / "oci-layout").exists()


def test_a_layout_of_another_program_is_taken(tmp_path):
    (tmp_path / "oci-layout").write_text("{}")
    (tmp_path / "index.json").write_text('{"manifests": []}')
    Layout(tmp_path).check()


def test_a_check_creates_nothing(tmp_path):
    Layout(tmp_path / "new").check()
    assert list(tmp_path.iterdir()) == []


def test_other_directories_and_files_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is not a directory"):
        Layout(tmp_path / "file").check()
    with pytest.raises(OutputError, match="is not an OCI layout and not empty"):
        Layout(tmp_path).prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_blob_has_its_name_when_it_is_complete(layout):
    def interrupted(path):
        path.write_bytes(DATA[:3])
        raise RegistryError("io_error", "the response ended early")

    def resumed(path):
        assert path.read_bytes() == DATA[:3]
        path.write_bytes(DATA)

    with pytest.raises(RegistryError):
        fetch_into(layout, DIGEST, interrupted)
    assert not layout.has(DIGEST, -1) and layout.partial(DIGEST).exists()
    fetch_into(layout, DIGEST, resumed)
    assert layout.has(DIGEST, len(DATA)) and layout.has(DIGEST, -1) and not layout.has(DIGEST, 3)
    assert layout.blob(DIGEST).read_bytes() == DATA and not layout.partial(DIGEST).exists()


@pytest.mark.parametrize("cause", ["digest_mismatch", "size_mismatch", "limit_size"])
def test_the_bytes_of_a_wrong_blob_are_removed(layout, cause):
    def wrong(path):
        path.write_bytes(b"other")
        raise RegistryError(cause, "other bytes")

    with pytest.raises(RegistryError):
        fetch_into(layout, DIGEST, wrong)
    assert not layout.partial(DIGEST).exists()


def test_a_disk_that_is_full_is_an_error_of_the_output(layout):
    def full(path):
        raise BlobError("no_room", "No space left on device")

    with pytest.raises(OutputError, match=r"No space left.*free some space"):
        fetch_into(layout, DIGEST, full)


def test_small_blobs_and_the_index(layout):
    layout.keep_bytes(DIGEST, DATA)
    layout.keep_bytes(DIGEST, DATA)
    entries = [{"digest": str(DIGEST), "annotations": {REF_NAME: "a:1"}}, {"digest": "x"}]
    layout.write_index(entries)
    assert layout.blob(DIGEST).read_bytes() == DATA and layout.read_index() == entries
    assert list(map(name_in, [*entries, None, {"annotations": 5}])) == ["a:1", "", "", ""]
    (layout.directory / "index.json").write_text("[]")
    with pytest.raises(OutputError, match="is not an OCI index"):
        layout.read_index()
