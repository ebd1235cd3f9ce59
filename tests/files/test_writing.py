"""Opening for writing: nothing that was planted is written to, and files are as the umask wants."""

import contextlib
import fcntl
import os
import stat
from types import SimpleNamespace

import pytest

from hpc_remetrics.errors import OutputError
from hpc_remetrics.files import writing
from hpc_remetrics.files.writing import (
    create,
    make_directories,
    open_in_place,
    private_descriptor,
    private_file,
    remove,
    remove_if_empty,
    rename,
    reopened,
    shared_file,
)


@pytest.fixture(autouse=True)
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def close(descriptor):
    os.close(descriptor)


def test_a_new_file_is_created_once_with_the_umask(tmp_path):
    descriptor = create(tmp_path / "file")
    os.write(descriptor, b"abc")
    assert os.pread(descriptor, 3, 0) == b"abc"
    assert not os.get_inheritable(descriptor)
    close(descriptor)
    assert mode_of(tmp_path / "file") == 0o640
    close(create(tmp_path / "other", 0o622))
    assert mode_of(tmp_path / "other") == 0o600
    with pytest.raises(FileExistsError):
        create(tmp_path / "file")


def test_a_file_is_changed_in_place(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError):
        open_in_place(path, missing_ok=False)
    close(open_in_place(path))
    assert mode_of(path) == 0o640
    path.write_text("abc")
    descriptor = open_in_place(path, os.O_APPEND)
    os.write(descriptor, b"d")
    close(descriptor)
    assert path.read_text() == "abcd"
    descriptor = open_in_place(path, missing_ok=False)
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    assert flags & os.O_NOFOLLOW and flags & os.O_NONBLOCK
    os.write(descriptor, b"X")
    close(descriptor)
    assert path.read_text() == "Xbcd"


def test_another_process_may_create_it_first(tmp_path, monkeypatch):
    path = tmp_path / "file"
    open_ = os.open

    def racing(name, flags, *more, **others):
        if flags & os.O_EXCL:
            path.write_text("theirs")
        return open_(name, flags, *more, **others)

    monkeypatch.setattr(os, "open", racing)
    descriptor = open_in_place(path)
    assert os.read(descriptor, 10) == b"theirs"
    close(descriptor)


def test_what_is_not_this_users_alone_to_change(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="pipe is not a regular file; move it"):
        open_in_place(tmp_path / "pipe")
    (tmp_path / "file").write_text("")
    os.link(tmp_path / "file", tmp_path / "second")
    with pytest.raises(OutputError, match=r"is one of 2 hard links .*; remove this one \(`rm "):
        open_in_place(tmp_path / "file")


@pytest.mark.parametrize(
    ("owner", "above", "mode", "refused"),
    [
        (5, 6, 0o1777, True),
        (6, 6, 0o1777, False),
        (os.geteuid(), 6, 0o1777, False),
        (5, 6, 0o755, False),
    ],
)
def test_a_strangers_file_in_a_sticky_directory(tmp_path, monkeypatch, owner, above, mode, refused):
    path = tmp_path / "file"
    path.write_text("")
    file = SimpleNamespace(st_mode=stat.S_IFREG, st_nlink=1, st_uid=owner)
    directory = SimpleNamespace(st_mode=mode, st_uid=above)
    monkeypatch.setattr(writing.os, "fstat", lambda number: file if number == 1 else directory)
    expected = pytest.raises(OutputError, match=r"file belongs to .*, in a directory where every")
    with expected if refused else contextlib.nullcontext():
        writing._check_in_place(1, writing.HeldPath(2, "file", path))
    # pytest itself needs it.
    monkeypatch.undo()


def test_private_files(tmp_path):
    path = tmp_path / "file"
    with private_file(path, "xb") as file:
        file.write(b"abc")
    with pytest.raises(FileExistsError):
        private_file(path, "xb")
    with private_file(path, "ab") as file:
        file.write(b"d")
    assert path.read_bytes() == b"abcd"
    with shared_file(path) as file:
        file.write(b"X")
    assert path.read_bytes() == b"Xbcd"
    with private_file(path, "w+b") as file:
        file.write(b"new")
        file.seek(0)
        assert file.read() == b"new"
    with private_file(path, "wb"):
        pass
    assert path.read_bytes() == b""
    assert mode_of(path) == 0o600
    (tmp_path / "link").symlink_to("file")
    for opened in (lambda p: private_file(p, "wb"), private_descriptor, shared_file):
        with pytest.raises(OSError, match="symbolic links"):
            opened(tmp_path / "link")
    with pytest.raises(FileNotFoundError):
        shared_file(tmp_path / "missing")


def test_a_descriptor_is_read_from_the_beginning_without_its_name(tmp_path):
    descriptor = create(tmp_path / "file")
    os.write(descriptor, b"abc")
    (tmp_path / "file").unlink()
    with reopened(descriptor) as file:
        assert file.read() == b"abc"
    close(descriptor)


def test_directories_are_made_with_those_above(tmp_path):
    made = make_directories(tmp_path / "a" / "b" / "c")
    assert made == [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"]
    assert make_directories(tmp_path / "a" / "b") == []
    assert mode_of(tmp_path / "a") == 0o750
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        make_directories(tmp_path / "file")
    with pytest.raises(OSError, match="Not a directory"):
        make_directories(tmp_path / "file" / "below")


def test_another_process_may_make_the_directory_first(tmp_path, monkeypatch):
    mkdir = os.mkdir

    def racing(name, **how):
        mkdir(tmp_path / name)
        mkdir(name, **how)

    monkeypatch.setattr(os, "mkdir", racing)
    assert make_directories(tmp_path / "a") == []


def test_only_empty_directories_are_removed(tmp_path):
    for name in ("empty", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "file").write_text("")
    for name in ("empty", "full", "missing"):
        remove_if_empty(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_rename_replaces_a_file_or_not(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    with pytest.raises(FileExistsError):
        rename(tmp_path / "a", tmp_path / "b", replace=False)
    rename(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "a"
    rename(tmp_path / "b", tmp_path / "c", replace=False)
    assert (tmp_path / "c").read_text() == "a"


def test_of_a_link_the_link_is_removed(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    remove(tmp_path / "link")
    remove(tmp_path / "missing")
    remove(tmp_path / "missing" / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
