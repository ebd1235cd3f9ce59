"""Outputs: what is replaced without asking, what with --force, and what never."""

import os
from pathlib import Path

import pytest

from hpc_remetrics.errors import OutputError, UsageError
from hpc_remetrics.files.outputs import (
    check_apart,
    check_not_input,
    check_output_directory,
    check_parent,
    check_replaceable,
    check_writable,
    real_name,
)


def own(path):
    return True


def foreign(path):
    return False


def test_the_name_of_the_file_that_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far/missing")
    assert real_name(tmp_path / "link") == tmp_path / "far" / "missing"
    assert real_name(tmp_path / "missing" / ".." / "x") == tmp_path / "x"
    (tmp_path / "file").write_text("")
    assert real_name(tmp_path / "file") == tmp_path / "file"


def test_names_that_are_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for path in (tmp_path / "pipe", tmp_path / "link", Path("/dev/null")):
        with pytest.raises(OutputError, match="is a device or a pipe; name a file"):
            real_name(path)
    with pytest.raises(OutputError, match="is a directory; name a file"):
        real_name(tmp_path)


def test_what_is_replaced_without_asking(tmp_path):
    path = tmp_path / "out"
    check_replaceable(path, "page", foreign)
    path.write_text("")
    check_replaceable(path, "page", foreign)
    path.write_text("x")
    check_replaceable(path, "page", own)


@pytest.mark.parametrize("exists", [False, True])
def test_an_output_in_a_directory_that_can_not_be_written_is_refused(tmp_path, monkeypatch, exists):
    if exists:
        (tmp_path / "out").write_text("x")
    monkeypatch.setattr(os, "access", lambda path, mode, **how: path != tmp_path)
    with pytest.raises(OutputError, match=f"no permission to make files in {tmp_path};"):
        check_replaceable(tmp_path / "out", "page", own)


def test_another_programs_file_is_replaced_with_force_alone(tmp_path):
    path = tmp_path / "out"
    path.write_text("x")
    with pytest.raises(UsageError, match="exists and is no page of this program; name another"):
        check_replaceable(path, "page", foreign)
    check_replaceable(path, "page", foreign, force=True)


def test_a_read_only_file_is_replaced_with_force_alone(tmp_path):
    path = tmp_path / "out"
    path.write_text("x")
    path.chmod(0o444)
    with pytest.raises(OutputError, match=r"is read-only \(mode 0444\); name another file, or"):
        check_replaceable(path, "page", own)
    with pytest.raises(OutputError, match=r"read-only.*; hint"):
        check_writable(path, "hint")
    check_replaceable(path, "page", own, force=True)
    path.chmod(0o020)
    check_writable(path)


def test_a_file_that_this_user_may_not_write(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.write_text("x")
    asked = []
    monkeypatch.setattr(os, "access", lambda *what, **how: asked.append((what, how)))
    with pytest.raises(OutputError, match=r"belongs to \w+ and is not writable for you \(mode 0"):
        check_writable(path)
    assert asked == [((path, os.W_OK), {"effective_ids": True})]
    with pytest.raises(OutputError, match="can't be replaced: No such file"):
        check_writable(tmp_path / "missing")


def test_an_input_is_never_replaced(tmp_path):
    path, link = tmp_path / "in", tmp_path / "link"
    path.write_text("x")
    os.link(path, link)
    for force in (False, True):
        with pytest.raises(UsageError, match="is an input of this command; name another file"):
            check_replaceable(link, "page", own, force, [tmp_path / "missing", path])
    with pytest.raises(UsageError, match="is a file of the input"):
        check_not_input(path, [tmp_path])
    check_not_input(path, [tmp_path / "missing"])
    (tmp_path / "other").write_text("")
    check_not_input(path, [tmp_path / "other"])


def test_the_directory_of_an_output(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    check_parent(tmp_path / "a" / "b" / "out")
    with pytest.raises(OutputError, match=r"can't write .*: .*/file is not a directory; choose"):
        check_parent(tmp_path / "file" / "b" / "out")
    asked = []
    monkeypatch.setattr(os, "access", lambda *what, **how: asked.append(what))
    with pytest.raises(OutputError, match=f"no permission to make files in {tmp_path};"):
        check_parent(tmp_path / "a" / "out")
    assert asked == [(tmp_path, os.W_OK | os.X_OK)]


def test_output_directories(tmp_path):
    check_output_directory(tmp_path)
    check_output_directory(tmp_path / "new")
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("missing")
    for name in ("file", "dangling"):
        with pytest.raises(OutputError, match="is a file, not a directory; name a directory"):
            check_output_directory(tmp_path / name)
    check_apart(tmp_path, [tmp_path / "file", tmp_path / "missing", Path("/")])
    check_apart(tmp_path / "missing", [tmp_path])
    with pytest.raises(UsageError, match="is an input of this command; name another directory"):
        check_apart(tmp_path, [tmp_path / "."])
