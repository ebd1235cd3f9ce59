"""Writing parts: what is written comes back, and broken layers are refused."""

from __future__ import annotations

import os
import random
import subprocess
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.synthetic import SIGNATURE, TYPES, SyntheticLayer, digest_of, make_layer

from hpc_remetrics.errors import OutputError
from hpc_remetrics.parts.part_reader import read_part
from hpc_remetrics.parts.part_writer import SpillError, write_part
from hpc_remetrics.parts.spill_format import NO_CONTENT, LayerProfile
from hpc_remetrics.records import Failure

from .synthetic_parts import seven_layers, write


@pytest.fixture
def layers() -> list[SyntheticLayer]:
    return seven_layers()


def test_what_is_written_comes_back(tmp_path: Path, layers: list[SyntheticLayer]) -> None:
    lone = Failure(digest_of("lone"), "fetch", "missing", "it is gone", rank=3, host="n1")
    index = read_part(write(tmp_path, "1-0-0", layers, [lone]))
    assert (
        index.layers["digest"].tobytes() == b"".join(x.digest.raw for x in layers) + lone.digest.raw
    )
    assert index.signature == SIGNATURE
    assert {failure.digest: failure.cause for failure in index.failures} == {
        layers[5].digest: "bad_header",
        layers[6].digest: "bad_header",
        lone.digest: "missing",
    }
    assert index.failures[-1] == lone
    rows = [row for layer in layers for row in layer.rows]
    with h5py.File(index.path) as file:
        assert file["entries/uid"][:].tolist() == [row.uid for row in rows]
        assert file["entries/path"][:].tobytes() == b"".join(row.path for row in rows)
        names = [
            index.types[t] if t < len(index.types) else None
            for t in file["entries/type"][:].tolist()
        ]
        assert names == [
            TYPES.get(r.type, "untyped") if r.size != NO_CONTENT else None for r in rows
        ]
        assert file["entries/digest"][:].tobytes() == b"".join(row.digest for row in rows)
    assert os.listdir(tmp_path / "parts") == ["part-1-0-0.h5"]
    assert not [name for name in os.listdir(tmp_path / "scratch") if "part" in name]
    assert subprocess.run(["h5dump", "-H", index.path], capture_output=True).returncode == 0


@pytest.mark.parametrize("block", [1, 7, 50])
def test_blocks_of_a_layer_follow_one_another(tmp_path: Path, block: int) -> None:
    layer = make_layer(random.Random(3), 1, 50)
    item = layer.digest, layer.profile, layer.spill(tmp_path, block)
    path = write_part(tmp_path, "x", [item], [], TYPES, SIGNATURE, tmp_path)
    with h5py.File(path) as file:
        assert file["entries/uid"][:].tolist() == [row.uid for row in layer.rows]
        assert file["entries/digest"][:].tobytes() == b"".join(row.digest for row in layer.rows)
        assert file["entries/path"][:].tobytes() == b"".join(row.path for row in layer.rows)
        assert file["entries/link"][:].tobytes() == b"".join(row.link for row in layer.rows)


@pytest.mark.parametrize(
    "change",
    [
        {"entries": 10},
        {"entries": 1 << 40},
        {"files": 3},
        {"FLS": 1},
        {"path_bytes": 7},
        {"status": "fine"},
        {"status": "failed"},
        {"diff_id": "00"},
        {"depth": -1},
        {"CLS": "many"},
        {"cause": "boredom"},
    ],
)
def test_a_row_that_lies_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    good, layer = (make_layer(random.Random(3), number, 50) for number in (1, 2))
    layer.profile = replace(layer.profile, **change)
    with pytest.raises(SpillError, match=f"^{layer.digest}: ") as caught:
        write(tmp_path, "x", [good, layer])
    assert caught.value.digest == layer.digest
    assert os.listdir(tmp_path / "parts") == []


@pytest.mark.slow
def test_a_spill_with_any_byte_changed_never_crashes(tmp_path: Path) -> None:
    rng = random.Random(4)
    layer = make_layer(rng, 1, 40)
    path = layer.spill(tmp_path)
    data = path.read_bytes()
    output = tmp_path / "parts"
    output.mkdir()
    refused = 0
    for number in range(150):
        position = rng.randrange(len(data)) if number > 24 else number
        path.write_bytes(
            data[:position]
            + bytes([data[position] ^ (1 << rng.randrange(8))])
            + data[position + 1 :]
        )
        if number % 5 == 0:
            os.truncate(path, position)
        try:
            write_part(
                output, str(number), [(layer.digest, layer.profile, path)], [], TYPES, {}, tmp_path
            )
        except SpillError:
            refused += 1
    assert refused > 40


def test_a_failed_layer_may_have_no_spill_and_a_missing_spill_is_refused(tmp_path: Path) -> None:
    layer = make_layer(random.Random(1), 1, 5)
    with pytest.raises(SpillError):
        write_part(
            tmp_path, "x", [(layer.digest, layer.profile, tmp_path / "no")], [], TYPES, {}, tmp_path
        )
    write_part(tmp_path, "x", [(digest_of(1), LayerProfile(), None)], [], TYPES, {}, tmp_path)


def test_a_part_is_never_overwritten(tmp_path: Path, layers: list[SyntheticLayer]) -> None:
    path = write(tmp_path, "x", layers)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="File exists"):
        write(tmp_path, "x", layers[:1])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path / "parts") == [path.name]


def test_a_name_stays_in_its_directory(tmp_path: Path) -> None:
    for name in ("../x", "", "a/b", ".x", "a\n"):
        with pytest.raises(ValueError, match="not a name"):
            write_part(tmp_path, name, [], [], {}, {}, tmp_path)


def test_a_directory_that_is_not_there(tmp_path: Path, layers: list[SyntheticLayer]) -> None:
    with pytest.raises(OutputError):
        write_part(tmp_path / "no", "x", [], [], {}, {}, tmp_path)
    with pytest.raises(OutputError):
        write_part(tmp_path, "x", [], [], {}, {}, tmp_path / "no")
    assert os.listdir(tmp_path) == []


def test_a_part_of_nothing(tmp_path: Path) -> None:
    index = read_part(write_part(tmp_path, "x", [], [], {}, {}, tmp_path))
    assert len(index.layers) == 0
    assert index.types == []
    assert np.array_equal(index.layers["entries"], [])
