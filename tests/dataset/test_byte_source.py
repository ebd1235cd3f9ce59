"""Datasets behind file objects and URLs are read as files are, with errors that name them."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

import hpc_remetrics
from hpc_remetrics.errors import MissingComponentError


def values(data):
    """Return all columns of all tables as they are stored."""
    return {
        f"{name}/{column}": repr(table.column(column).tolist())
        for name, table in data.items()
        for column in table.form.columns
    }


@pytest.fixture(scope="module")
def expected(made):
    with hpc_remetrics.open(made) as data:
        return values(data)


class ShortReads(io.RawIOBase):
    """A file object that gives a few bytes at a time, as sockets do."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def seek(self, place, whence=0):
        return self._file.seek(place, whence)

    def tell(self):
        return self._file.tell()

    def read(self, size=-1):
        return self._file.read(min(size, 3000))


def test_a_file_object_is_read_and_stays_open(made, expected):
    with made.open("rb") as file:
        with hpc_remetrics.open(file) as data:
            assert data.place == str(made)
            assert data.path == made
            assert values(data) == expected
        with hpc_remetrics.open(file) as data:
            pass
        with pytest.raises(hpc_remetrics.DatasetError, match="is closed; open it again"):
            data.skipped.column("message")
        assert file.seek(0) == 0


@pytest.mark.parametrize("kind", [io.BytesIO, ShortReads])
def test_an_object_without_a_name_is_called_by_its_type(made, expected, kind):
    with hpc_remetrics.open(kind(made.read_bytes())) as data:
        assert data.place == f"<{kind.__name__}>"
        assert kind.__name__ in repr(data)
        assert values(data) == expected


def test_an_object_that_holds_something_else(made):
    with pytest.raises(hpc_remetrics.DatasetError, match="<BytesIO>: it is not an HDF5 file"):
        hpc_remetrics.open(io.BytesIO(b"something else"))
    with pytest.raises(hpc_remetrics.DatasetError, match="<BytesIO>"):
        hpc_remetrics.open(io.BytesIO(made.read_bytes()[:-100]))


def test_an_object_that_can_not_seek():
    file = io.BytesIO(b"x")
    file.seek = None
    with pytest.raises(hpc_remetrics.DatasetError, match="needs a file that can seek"):
        hpc_remetrics.open(file)


def test_an_error_of_an_object_names_it(made):
    file = io.BytesIO(made.read_bytes())
    with hpc_remetrics.open(file) as data:
        file.read = lambda size: 1 / 0
        with pytest.raises(hpc_remetrics.DatasetError, match="<BytesIO> can't be read: ZeroDiv"):
            data.contents.column("digest")


def test_a_url_of_fsspec(made, expected):
    fsspec = pytest.importorskip("fsspec")
    url = "memory://hub/made.h5"
    with fsspec.open(url, "wb") as file:
        file.write(made.read_bytes())
    with hpc_remetrics.open(url) as data:
        assert (data.place, data.path.name) == (url, "made.h5")
        assert url in repr(data)
        assert values(data) == expected
    with hpc_remetrics.open(url) as data:
        pass
    with pytest.raises(hpc_remetrics.DatasetError, match="is closed"):
        data.skipped.column("message")
    with pytest.raises(hpc_remetrics.DatasetError, match="memory://no can't be read: FileNotFound"):
        hpc_remetrics.open("memory://no")
    with pytest.raises(hpc_remetrics.DatasetError, match="nowhere://no can't be read: ValueError"):
        hpc_remetrics.open("nowhere://no")


def test_without_fsspec_a_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingComponentError, match=r"pip install 'hpc-remetrics\[remote\]'"):
        hpc_remetrics.open("s3://bucket/hub.h5")


def test_a_path_is_never_a_url():
    with pytest.raises(hpc_remetrics.DatasetError, match="is not there"):
        hpc_remetrics.open(Path("memory://made.h5"))
