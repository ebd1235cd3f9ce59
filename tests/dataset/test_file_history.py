"""The history of a dataset: a line a command, bounded, and without names where it is published."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import hpc_remetrics
from hpc_remetrics.dataset.file_history import anonymous, extended, united, with_this_command

AT = "1970-01-01T00:00:00Z"


def test_a_line_is_appended():
    assert extended("", 0, "a b") == f"{AT} a b"
    assert extended(f"{AT} x", 0, "a\nb") == f"{AT} x\n{AT} a b"
    assert extended("", 0, "caf\udce9") == f"{AT} caf\\udce9"


def test_the_command_that_runs_is_appended(monkeypatch):
    monkeypatch.setattr("sys.argv", ["hpc-remetrics", "reduce", "--exec", "secret"])
    first, second = with_this_command("x").splitlines()
    assert first == "x"
    assert second.partition(" ")[2].startswith("hpc-remetrics reduce --exec sha256:")


def test_the_oldest_lines_go():
    history = ""
    for number in range(3000):
        history = extended(history, 0, f"{number:04}")
    lines = history.splitlines()
    assert 31_000 < len(history) <= 32_000
    assert lines[-1] == f"{AT} 2999"
    assert {len(line) for line in lines} == {len(lines[-1])}
    assert len(extended("x" * 100_000, 0, "ü" * 100_000).encode()) <= 16_001


def test_histories_are_united_by_time():
    assert united(["2\n4", "1\n4", ""]) == "1\n2\n4"


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("/usr/bin/hpc-remetrics analyze oci:/home/jane -o x.h5", "hpc-remetrics analyze"),
        ("/x/hpc_remetrics/__main__.py merge /home/jane/a.h5", "hpc-remetrics merge"),
        ("hpc-remetrics plan /home/jane", "hpc-remetrics"),
        ("ncks /home/jane/a.h5", None),
    ],
)
def test_an_anonymous_line_has_a_time_and_a_command(line, kept):
    assert anonymous(f"{AT} {line}\nno time: hpc-remetrics") == (f"{AT} {kept}" if kept else "")


def test_attributes_of_other_programs_are_read_as_text(changed):
    values = {"history": np.arange(3), "date_created": "yesterday"}
    for name, value in values.items():
        with h5py.File(changed, "r+") as file:
            file.attrs[name] = value
    with hpc_remetrics.open(changed) as data:
        assert (data.file_history, data.date_created) == ("[0 1 2]", "")
    with h5py.File(changed, "r+") as file:
        file.attrs["history"] = np.bytes_(b"caf\xe9")
        del file.attrs["date_created"]
    with hpc_remetrics.open(changed) as data:
        assert (data.file_history, data.date_created) == ("caf\ufffd", "")
