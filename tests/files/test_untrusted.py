"""Opening for reading what others may have made: regular files alone, and never a wait."""

import errno
import os
import socket
import stat
from types import SimpleNamespace

import pytest

from hpc_remetrics.files import untrusted
from hpc_remetrics.files.untrusted import (
    check_trusted_directory,
    check_trusted_owner,
    open_regular,
    read_whole,
)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to("file")
    return tmp_path / "file"


def test_a_regular_file_is_opened_for_reading(file):
    for path in (file, str(file), file.parent / "link"):
        descriptor = open_regular(path, largest=10)
        assert os.read(descriptor, 20) == b"0123456789"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(descriptor, b"x")
        os.close(descriptor)
    assert read_whole(file, largest=10) == b"0123456789"


@pytest.mark.parametrize("reading", [open_regular, read_whole])
def test_bounds_and_links(file, reading):
    with pytest.raises(OSError, match="it has 10 bytes, at most 9 are read") as caught:
        reading(file, largest=9)
    assert caught.value.errno == errno.EFBIG
    with pytest.raises(OSError, match="it is a symbolic link, not a regular file"):
        reading(file.parent / "link", follow=False, largest=10)


def test_a_file_that_grows_is_read_no_further_than_the_bound(file, monkeypatch):
    monkeypatch.setattr(untrusted, "_READ_BYTES", 4)
    assert read_whole(file, largest=10) == b"0123456789"
    asked = []
    read = os.read

    def growing(descriptor, count):
        asked.append(count)
        with open(file, "ab") as more:
            more.write(b"more")
        return read(descriptor, count)

    monkeypatch.setattr(os, "read", growing)
    with pytest.raises(OSError, match="it has more than 10 bytes"):
        read_whole(file, largest=10)
    assert asked == [4, 4, 3, 0]


def test_other_kinds_of_files_are_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
    kinds = {
        "a FIFO": tmp_path / "pipe",
        "a socket": tmp_path / "socket",
        "a directory": tmp_path,
        "a device": "/dev/null",
    }
    for kind, path in kinds.items():
        with pytest.raises(OSError, match=f"it is {kind}, not a regular file"):
            open_regular(path)


def test_what_takes_the_name_between_look_and_open_is_refused(file, monkeypatch):
    before = len(os.listdir("/proc/self/fd"))
    directory = os.stat(file.parent)
    monkeypatch.setattr(os, "fstat", lambda descriptor: directory)
    with pytest.raises(OSError, match="it is a directory, not a regular file"):
        open_regular(file)
    assert len(os.listdir("/proc/self/fd")) == before


def status(mode, uid):
    return SimpleNamespace(st_mode=mode, st_uid=uid)


STICKY, PLAIN = stat.S_IFDIR | 0o1777, stat.S_IFDIR | 0o755


@pytest.mark.parametrize(
    ("parent", "owner", "refused"),
    [
        (status(STICKY, 6), 5, True),
        (status(STICKY, 6), 6, False),
        (status(STICKY, 6), os.geteuid(), False),
        (status(PLAIN, 6), 5, False),
    ],
)
def test_whose_directories_and_files_are_trusted(tmp_path, monkeypatch, parent, owner, refused):
    monkeypatch.setattr(untrusted.os, "lstat", lambda path: status(PLAIN, owner))
    monkeypatch.setattr(untrusted.os, "stat", lambda path: parent)
    if refused:
        with pytest.raises(OSError, match=r"it belongs to .*") as caught:
            check_trusted_directory(tmp_path)
        assert caught.value.errno == errno.EPERM
        with pytest.raises(OSError, match=r"it belongs to .*, in a directory that all users share"):
            check_trusted_owner(owner, parent)
    else:
        assert check_trusted_directory(tmp_path).st_uid == owner
        check_trusted_owner(owner, parent)


def test_links_to_trusted_directories(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(".")
    assert os.path.samestat(check_trusted_directory(tmp_path / "link"), tmp_path.stat())
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="it is not a directory"):
        check_trusted_directory(tmp_path / "file")
    monkeypatch.setattr(untrusted, "may_follow", lambda link, parent: False)
    with pytest.raises(OSError, match="it is a symbolic link of"):
        check_trusted_directory(tmp_path / "link")
