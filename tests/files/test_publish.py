"""Publishing: a name means a whole file, and nothing else is left or touched."""

import fcntl
import os
import re

import pytest
from support.open_files import open_files

from hpc_remetrics.errors import OutputError
from hpc_remetrics.files import publish
from hpc_remetrics.files.publish import (
    copy_new,
    publish_copy,
    publish_whole,
    remove_temporaries,
    replacing,
    sweep,
    sweep_directory,
    temporary_name,
    write_whole,
)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_copy_is_published_whole_and_only_where_nothing_is(tmp_path, monkeypatch):
    source, target = tmp_path / "source", tmp_path / "target"
    monkeypatch.setattr(publish, "_COPY_BYTES", 7)
    source.write_bytes(bytes(range(100)))
    publish_copy(source, target)
    assert target.read_bytes() == source.read_bytes()
    source.write_text("other")
    with pytest.raises(FileExistsError):
        publish_copy(source, target)
    assert len(target.read_bytes()) == 100
    assert names(tmp_path) == ["source", "target"]


def test_short_writes_are_continued(tmp_path, monkeypatch):
    (tmp_path / "source").write_bytes(bytes(range(100)))
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:3]))
    copy_new(tmp_path / "source", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == bytes(range(100))
    with pytest.raises(FileExistsError):
        copy_new(tmp_path / "source", tmp_path / "copy")


def test_a_file_is_replaced_when_the_new_one_is_whole(tmp_path):
    target = tmp_path / "target"
    target.write_text("old")
    with replacing(target) as file:
        file.write(b"new")
        file.flush()
        assert target.read_text() == "old"
        (temporary,) = (name for name in names(tmp_path) if name != "target")
        assert re.fullmatch(r"\.target\.[0-9a-f]{16}\.tmp", temporary)
    assert target.read_text() == "new"
    with pytest.raises(ZeroDivisionError), replacing(target):
        raise ZeroDivisionError
    assert target.read_text() == "new"
    assert names(tmp_path) == ["target"]


def test_strings_and_bytes_are_written(tmp_path):
    write_whole(tmp_path / "file", iter(["é\udc80\n", b"\xff"]))
    assert (tmp_path / "file").read_bytes() == "é".encode() + b"\\udc80\n\xff"


def test_a_file_is_synced_before_it_has_its_name(tmp_path, monkeypatch):
    names_at_sync = []
    monkeypatch.setattr(os, "fsync", lambda file: names_at_sync.append(names(tmp_path)))
    (tmp_path / "whole").write_text("x")
    publish_whole(tmp_path / "whole", tmp_path / "target")
    publish_copy(tmp_path / "target", tmp_path / "copy")
    (copying,) = set(names_at_sync[2]) - {"target"}
    assert names_at_sync == [["whole"], ["target"], [copying, "target"], ["copy", "target"]]


def test_no_file_stays_open(tmp_path):
    (tmp_path / "whole").write_text("x")
    publish_whole(tmp_path / "whole", tmp_path / "target")
    publish_copy(tmp_path / "target", tmp_path / "copy")
    copy_new(tmp_path / "target", tmp_path / "other")
    write_whole(tmp_path / "file", ["x"])
    assert open_files(tmp_path) == []


@pytest.mark.parametrize("sync", [True, False])
def test_what_must_survive_a_crash_is_synced_with_its_directory(tmp_path, monkeypatch, sync):
    synced = []
    monkeypatch.setattr(
        os, "fsync", lambda file: synced.append(os.readlink(f"/proc/self/fd/{file}"))
    )
    write_whole(tmp_path / "file", ["x"], sync=sync)
    if not sync:
        assert synced == []
        return
    temporary, directory = synced
    assert temporary.startswith(f"{tmp_path}/.file.") and directory == str(tmp_path)


def test_a_file_system_without_sync_of_directories_is_no_error(tmp_path, monkeypatch):
    def fsync(file, error):
        if os.path.isdir(f"/proc/self/fd/{file}"):
            raise OSError(error, "")

    monkeypatch.setattr(os, "fsync", lambda file: fsync(file, 22))
    write_whole(tmp_path / "file", ["x"])
    monkeypatch.setattr(os, "fsync", lambda file: fsync(file, 5))
    with pytest.raises(OSError, match="5"):
        write_whole(tmp_path / "file", ["x"])


def test_a_link_keeps_leading_to_the_file_that_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far/file")
    write_whole(tmp_path / "link", ["new"])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "far" / "file").read_text() == "new"


def test_a_finished_file_gets_its_name(tmp_path):
    temporary, target = temporary_name(tmp_path / "target"), tmp_path / "target"
    target.write_text("old")
    temporary.write_text("new")
    publish_whole(temporary, target)
    assert target.read_text() == "new" and names(tmp_path) == ["target"]
    (tmp_path / "directory").mkdir()
    with pytest.raises(OutputError, match="is a directory"):
        publish_whole(target, tmp_path / "directory")


def test_a_finished_file_is_synced_itself_and_not_what_a_link_leads_to(tmp_path, monkeypatch):
    flags = []

    def sync(descriptor):
        flags.append(fcntl.fcntl(descriptor, fcntl.F_GETFL))

    monkeypatch.setattr(os, "fsync", sync)
    (tmp_path / "whole").write_text("x")
    publish_whole(tmp_path / "whole", tmp_path / "target")
    assert flags[0] & os.O_NOFOLLOW and len(flags) == 2


def test_temporary_names(tmp_path):
    first, second = temporary_name(tmp_path / "a"), temporary_name(tmp_path / "a")
    assert first != second and first.parent == tmp_path
    long = temporary_name(tmp_path / ("é" * 127))
    assert len(os.fsencode(long.name)) == 200 + 2 + 16 + 4
    first.write_text("")
    (tmp_path / "a").write_text("")
    remove_temporaries()
    assert names(tmp_path) == ["a"]


def test_what_killed_runs_left_is_swept_and_nothing_else(tmp_path):
    left = [temporary_name(tmp_path / "a.h5") for _ in range(2)]
    other = temporary_name(tmp_path / "axh5")
    kept = ["a.h5", ".a.h5.0123.tmp", ".a.h5.0123456789abcdeg.tmp", "x.a.h5.0123456789abcdef.tmp"]
    for path in (*left, other, *(tmp_path / name for name in kept)):
        path.write_text("")
    (tmp_path / ".a.h5.0123456789abcdef.tmp").mkdir()
    assert sweep(tmp_path / "a.h5") == 2
    assert names(tmp_path) == sorted([*kept, other.name, ".a.h5.0123456789abcdef.tmp"])
    assert sweep_directory(tmp_path) == 1
    assert not other.exists()
    assert sweep_directory(tmp_path / "missing") == 0
