"""The directory of parts: whole parts count, damaged ones are named."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from support.synthetic import SyntheticLayer, make_layer

from hpc_remetrics.files import publish
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.parts.parts_directory import (
    ScannedParts,
    best_statuses,
    scan_parts,
    set_aside,
    sweep_temporaries,
)

from .synthetic_parts import seven_layers, write


@pytest.fixture
def layers() -> list[SyntheticLayer]:
    return seven_layers()


def test_the_best_row_of_a_layer(tmp_path: Path) -> None:
    rng = random.Random(2)
    ok, partial, failed = (
        make_layer(rng, 1, 9, status=status) for status in ("ok", "partial", "failed")
    )
    for name, layer in [("a", failed), ("b", partial), ("c", failed)]:
        write(tmp_path, name, [layer])
    found = scan_parts(tmp_path / "parts", SerialComm())
    assert best_statuses(found.parts) == {ok.digest: ("partial", "bad_header")}
    write(tmp_path, "d", [ok])
    assert best_statuses(scan_parts(tmp_path / "parts", SerialComm()).parts) == {
        ok.digest: ("ok", "")
    }


def test_files_of_other_names_are_no_parts(tmp_path: Path, layers: list[SyntheticLayer]) -> None:
    part = write(tmp_path, "x", layers)
    for name in ("other.h5", "part-x.txt", ".part-x.h5.0.tmp", "part-x.h5.damaged"):
        (part.parent / name).write_text("x")
    found = scan_parts(part.parent, SerialComm())
    assert [one.path for one in found.parts] == [part] and found.damaged == []


def test_a_missing_directory_has_no_parts(tmp_path: Path) -> None:
    assert scan_parts(tmp_path / "none", SerialComm()) == ScannedParts([], [])


def test_temporaries_are_swept(tmp_path: Path) -> None:
    left = publish.temporary_name(tmp_path / "part-1.h5")
    left.touch()
    (tmp_path / "part-2.h5").touch()
    assert sweep_temporaries(tmp_path) == 1
    assert os.listdir(tmp_path) == ["part-2.h5"]


def test_a_part_that_is_set_aside_is_renamed_if_it_is_there(tmp_path: Path) -> None:
    part = tmp_path / "part-1.h5"
    part.write_text("x")
    for _ in range(2):
        set_aside(part)
        assert os.listdir(tmp_path) == ["part-1.h5.damaged"]


def test_a_damaged_part_is_named_and_nothing_crashes(
    tmp_path: Path, layers: list[SyntheticLayer]
) -> None:
    rng = random.Random(5)
    path = write(tmp_path, "x", layers)
    data = path.read_bytes()
    named = 0
    for number in range(300):
        position = rng.randrange(len(data))
        flipped = bytearray(data)
        flipped[-1 - position if number < 100 else position] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(flipped) if number % 2 else data[:position])
        scan = scan_parts(tmp_path / "parts", SerialComm())
        named += len(scan.damaged)
        assert len(scan.parts) + len(scan.damaged) == 1
        assert all(str(path) in text and "\n" not in text for text in scan.damaged)
        if number % 2 == 0:
            assert scan.damaged
    assert named > 150
