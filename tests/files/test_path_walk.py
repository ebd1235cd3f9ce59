"""Walking a path: which links are followed, and what is held at the end."""

import fcntl
import os
import stat
from types import SimpleNamespace

import pytest
from support.open_files import open_files

from hpc_remetrics.errors import OutputError
from hpc_remetrics.files import path_walk
from hpc_remetrics.files.path_walk import (
    hold_directory,
    hold_path,
    is_shared,
    may_follow,
    owner_name,
)

ME = os.geteuid()


def walk(path):
    """Return the real path and whether directory and name lead to the same file."""
    with hold_path(path) as at:
        assert os.path.samestat(os.fstat(at.directory), os.stat(at.path.parent))
        assert at.name == at.path.name or at.name == "."
        status = at.status()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(at.directory)
    assert open_files(at.path.parent) == []
    return at.path, status is not None


def test_a_path_without_links(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    assert walk(tmp_path / "a" / "new") == (tmp_path / "a" / "new", False)
    assert walk(tmp_path / "a") == (tmp_path / "a", True)
    monkeypatch.chdir(tmp_path / "a")
    assert walk(path_walk.Path("x")) == (tmp_path / "a" / "x", False)
    assert walk(path_walk.Path("../a/.././y")) == (tmp_path / "y", False)


@pytest.mark.parametrize("name", ["/etc", "/etc/passwd", "x"])
def test_directories_that_may_only_be_searched_are_walked_too(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with hold_path(path_walk.Path(name)) as at:
        assert fcntl.fcntl(at.directory, fcntl.F_GETFL) & os.O_PATH


def test_links_are_followed_wherever_they_are(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "directory").symlink_to("a/b")
    (tmp_path / "a" / "b" / "up").symlink_to("../file")
    (tmp_path / "absolute").symlink_to(tmp_path / "directory" / "up")
    assert walk(tmp_path / "directory" / "up") == (tmp_path / "a" / "file", False)
    assert walk(tmp_path / "absolute") == (tmp_path / "a" / "file", False)
    assert open_files(tmp_path) == []


def test_as_many_links_as_linux_follows(tmp_path):
    (tmp_path / "0").write_text("")
    for number in range(1, 42):
        (tmp_path / str(number)).symlink_to(str(number - 1))
    assert walk(tmp_path / "40") == (tmp_path / "0", True)
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        walk(tmp_path / "41")


def test_what_is_missing_or_no_directory_on_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileNotFoundError):
        walk(tmp_path / "missing" / "x")
    with pytest.raises(NotADirectoryError):
        walk(tmp_path / "file" / "x")
    with pytest.raises(NotADirectoryError), hold_directory(tmp_path / "file"):
        pass


def test_a_directory_itself_is_held(tmp_path):
    (tmp_path / "link").symlink_to(".")
    with hold_directory(tmp_path / "link") as at:
        assert (at.name, at.path) == (".", tmp_path)
        assert os.path.samestat(os.fstat(at.directory), tmp_path.stat())
        assert stat.S_ISDIR(at.status().st_mode)
    assert open_files(tmp_path) == []


def test_a_strangers_link_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to("target")
    monkeypatch.setattr(path_walk, "may_follow", lambda link, directory: False)
    with pytest.raises(
        OutputError, match=r"link is a symbolic link of .* and is not followed; .*: target"
    ):
        walk(tmp_path / "link" / "x")


def test_a_link_that_is_changed_meanwhile(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "other").symlink_to("target")
    other = os.lstat(tmp_path / "other")
    status = path_walk._status
    monkeypatch.setattr(
        path_walk, "_status", lambda at, name: other if name == "link" else status(at, name)
    )
    with pytest.raises(OSError, match="a link was changed meanwhile"):
        walk(tmp_path / "link")


@pytest.mark.parametrize(
    ("link", "owner", "mode", "result"),
    [
        (ME, 5, 0o1777, True),
        (5, 5, 0o1777, True),
        (6, 5, 0o1777, False),
        (0, 5, 0o1777, ME == 0),
        (0, 5, 0o755, True),
        (5, 5, 0o755, True),
        (6, 5, 0o755, False),
        (6, 5, 0o777, False),
    ],
)
def test_whose_links_are_followed(link, owner, mode, result):
    directory = SimpleNamespace(st_uid=owner, st_mode=stat.S_IFDIR | mode)
    assert may_follow(SimpleNamespace(st_uid=link), directory) is result


def test_roots_links_are_not_followed_in_sticky_directories_by_others(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    for mode, result in ((0o1777, False), (0o777, True)):
        directory = SimpleNamespace(st_uid=5, st_mode=mode)
        assert may_follow(SimpleNamespace(st_uid=0), directory) is result


@pytest.mark.parametrize(
    ("mode", "result"),
    [(0o1777, True), (0o1770, True), (0o1702, True), (0o1755, False), (0o777, False)],
)
def test_directories_where_others_make_files(mode, result):
    assert is_shared(SimpleNamespace(st_mode=mode)) is result


def test_names_of_owners():
    assert owner_name(0) == "root"
    assert owner_name(3_999_999_999) == "user 3999999999"
