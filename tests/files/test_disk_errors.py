"""Errors of the disk as one line: what could not be written, why, and what to do."""

import errno
import os
from pathlib import Path

import pytest

from hpc_remetrics.errors import DatasetError, OutputError
from hpc_remetrics.files.disk_errors import disk_errors, output_error


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "make room or choose another place (-o, --scratch)"),
        (errno.EDQUOT, "the quota is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "check the permissions"),
        (errno.EPERM, "check the permissions"),
        (errno.EIO, ""),
    ],
)
def test_the_reason_is_named_with_what_to_do(number, hint):
    with pytest.raises(OutputError) as caught, disk_errors(Path("a/b"), "the dataset"):
        raise OSError(number, os.strerror(number))
    assert caught.value.args == (f"the dataset a/b can't be written: {os.strerror(number)}",)
    assert caught.value.hint == hint


def test_an_error_without_a_number_is_named_by_its_text(tmp_path):
    assert "odd" in str(output_error(OSError("odd"), tmp_path, "scratch"))


def test_an_error_without_a_number():
    error = output_error(OSError("something else"), Path("x"), "scratch")
    assert (error.args[0], error.hint) == ("scratch x can't be written: something else", "")


def test_other_errors_stay():
    with pytest.raises(KeyError), disk_errors(Path("x"), "scratch"):
        raise KeyError


def test_a_dataset_that_can_not_be_read_is_no_error_of_writing():
    with pytest.raises(DatasetError, match="damaged"), disk_errors(Path("x"), "scratch"):
        raise DatasetError("damaged")
