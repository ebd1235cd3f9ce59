"""The part publisher: when parts are due, what is in them, and damaged spills."""

import random
import time
from types import SimpleNamespace

import pytest
from support.synthetic import make_layer

from hpc_remetrics.analyze import part_publisher
from hpc_remetrics.analyze.part_publisher import PartPublisher, PartTarget
from hpc_remetrics.errors import OutputError
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.parts.part_reader import read_part
from hpc_remetrics.parts.part_writer import SpillError
from hpc_remetrics.records import Digest

TYPES = ("ELF 64-bit", "ASCII text", "data", "a", "b", "c")
"""Descriptions that get the numbers from 4 on, which the synthetic layers use."""


@pytest.fixture
def parts(tmp_path):
    directory = tmp_path / "parts"
    directory.mkdir()
    return directory


@pytest.fixture
def make(parts, table, tmp_path):
    """Return a function that makes a publisher."""
    for description in TYPES:
        table.number(description)

    def publisher(seconds=1000.0, directory=parts):
        target = PartTarget(directory, "job", {"types": "x"}, tmp_path)
        return PartPublisher(SerialComm(), target, table, seconds)

    return publisher


@pytest.fixture
def layers(tmp_path):
    """Three layers with their spills: whole, partial, failed."""
    rng = random.Random(1)
    made = [make_layer(rng, status, 50, status=status) for status in ("ok", "partial", "failed")]
    return [
        (one.digest, one.profile, one.spill(tmp_path) if one.profile.entries else None)
        for one in made
    ]


def test_layers_are_published_with_their_failures(make, parts, layers, table):
    publisher = make()
    for layer in layers:
        publisher.add(*layer)
    begun = time.monotonic()
    assert 0 < publisher.publish() <= time.monotonic() - begun
    [path] = parts.iterdir()
    assert path.name == "part-job-0-1.h5"
    part = read_part(path)
    assert part.digests() == [digest for digest, _, _ in layers]
    assert part.layers["status"].tolist() == [0, 1, 2]
    assert part.signature == {"types": "x"}
    assert set(part.types) <= set(table.descriptions())
    failures = {failure.digest: failure for failure in part.failures}
    assert failures.keys() == {layers[1][0], layers[2][0]}
    failure, profile = failures[layers[1][0]], layers[1][1]
    assert (failure.stage, failure.cause, failure.offset) == ("tar", "bad_header", profile.offset)
    assert (failure.message, failure.rank) == (profile.message, 0)
    assert failure.host == SerialComm().host


def test_spills_are_removed_when_they_are_published(make, layers):
    publisher = make()
    spills = [spill for _, _, spill in layers if spill]
    for layer in layers:
        publisher.add(*layer)
    assert all(spill.exists() for spill in spills)
    publisher.publish()
    assert not any(spill.exists() for spill in spills)


def test_each_part_has_its_own_layers_and_number(make, parts, layers):
    publisher = make()
    for layer in layers[:2]:
        publisher.add(*layer)
        publisher.publish()
    names = sorted(path.name for path in parts.iterdir())
    assert names == ["part-job-0-1.h5", "part-job-0-2.h5"]
    second = read_part(parts / names[1])
    assert second.digests() == [layers[1][0]]
    assert len(second.failures) == 1


def test_without_layers_there_is_no_part(make, parts):
    publisher = make(seconds=0.0)
    assert not publisher.is_due
    assert publisher.publish() == 0.0
    assert list(parts.iterdir()) == []


def test_a_part_is_due_when_its_first_layer_has_waited(make, layers, monkeypatch):
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(part_publisher, "time", clock)
    publisher = make(seconds=4.0)

    def due_at(*moments):
        due = []
        for clock.now in moments:
            due.append(publisher.is_due)
        return due

    publisher.add(*layers[0])
    assert due_at(100.0, 102.0) == [False, False]
    publisher.add(*layers[1])
    assert due_at(103.9, 104.0) == [False, True]
    publisher.publish()
    assert not publisher.is_due
    clock.now = 105.0
    publisher.add(*layers[2])
    assert due_at(108.9, 109.0) == [False, True]


def test_a_part_is_due_when_it_has_enough_layers(make, layers, monkeypatch):
    monkeypatch.setattr(part_publisher, "_PART_LAYERS", 2)
    publisher = make()
    publisher.add(*layers[0])
    assert not publisher.is_due
    publisher.add(*layers[2])
    assert publisher.is_due


def test_a_part_is_due_when_its_spills_have_enough_bytes(make, layers, monkeypatch):
    sizes = [spill.stat().st_size for _, _, spill in layers[:2]]
    monkeypatch.setattr(part_publisher, "_PART_BYTES", sum(sizes))
    publisher = make()
    publisher.add(*layers[0])
    assert not publisher.is_due
    publisher.add(*layers[1])
    assert publisher.is_due
    publisher.publish()
    publisher.add(*layers[2])
    assert not publisher.is_due


def test_defaults_are_64_mib_and_10000_layers():
    assert (part_publisher._PART_BYTES, part_publisher._PART_LAYERS) == (67_108_864, 10_000)


@pytest.mark.parametrize("number", [0, 1])
def test_a_layer_whose_spill_is_damaged_fails_and_the_others_do_not(
    make, parts, layers, number, caplog
):
    digest, _, spill = layers[number]
    data = bytearray(spill.read_bytes())
    data[: len(data) // 2] = bytes(len(data) // 2)
    spill.write_bytes(data)
    publisher = make()
    for layer in layers:
        publisher.add(*layer)
    publisher.publish()
    [path] = parts.iterdir()
    part = read_part(path)
    statuses = dict(zip(part.digests(), part.layers["status"].tolist(), strict=True))
    assert statuses == {layers[n][0]: 2 if n == number else n for n in range(3)}
    [failure] = [failure for failure in part.failures if failure.digest == digest]
    assert (failure.stage, failure.cause) == ("publish", "crashed")
    assert failure.message.startswith("its entries on scratch are damaged: ")
    assert "damaged on scratch" in caplog.text
    assert not spill.exists()


def test_a_long_reason_of_a_damaged_spill_is_cut():
    error = SpillError(Digest(bytes(32)), "x" * 1000)
    assert len(part_publisher._damaged(error).message) == 500


def test_an_output_that_can_not_be_written_is_an_error(make, tmp_path, layers):
    publisher = make(directory=tmp_path / "missing")
    publisher.add(*layers[0])
    with pytest.raises(OutputError):
        publisher.publish()
