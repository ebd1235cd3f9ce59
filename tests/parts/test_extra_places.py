"""The extra records of a layer are found in whichever part has most of it."""

from __future__ import annotations

import os

import numpy as np
import pytest
from support.synthetic import TYPES, Row, SyntheticLayer, digest_of

from hpc_remetrics.errors import PartError
from hpc_remetrics.parts.extra_places import ExtraPlaces
from hpc_remetrics.parts.part_reader import read_part
from hpc_remetrics.parts.part_writer import write_part
from hpc_remetrics.parts.spill_format import EXTRA_STRUCTS, LayerProfile
from hpc_remetrics.records import Failure

CHUNK = EXTRA_STRUCTS["chunks"]


def records(*numbers: int) -> bytes:
    return b"".join(CHUNK.pack(bytes([n]) * 16, n, 1) for n in numbers)


@pytest.fixture
def published(tmp_path):
    """Return a function that publishes layers, name -> numbers of their chunks, in a part."""
    (tmp_path / "scratch").mkdir()
    count = 0

    def publish(layers, status="ok"):
        nonlocal count
        count += 1
        items = []
        for name, numbers in layers.items():
            profile = LayerProfile(status=status, compression="none", entries=1, symlinks=1)
            profile.path_bytes = 1
            profile.link_bytes = 1
            layer = SyntheticLayer(
                digest_of(name),
                profile,
                [Row("symlink", b"a", b"b")],
                {"chunks": records(*numbers)},
            )
            items.append((layer.digest, layer.profile, layer.spill(tmp_path / "scratch")))
        failures = [Failure(digest_of("failed"), "open", "missing", "gone")]
        path = write_part(
            tmp_path, f"j-0-{count}", items, failures, TYPES, {}, tmp_path / "scratch"
        )
        return read_part(path)

    return publish


def numbers(places: ExtraPlaces, name: str) -> list[int]:
    return places.read(digest_of(name).raw)["size"].tolist()


def test_each_layer_has_its_own_records(published):
    parts = [published({"a": [1, 2], "b": []}), published({"c": [3], "d": [4, 5]})]
    places = ExtraPlaces(parts, "chunks")
    assert [numbers(places, name) for name in "abcd"] == [[1, 2], [], [3], [4, 5]]
    assert numbers(places, "elsewhere") == []
    # A failed layer has no place.
    assert len(places.places) == 4
    assert digest_of("failed").raw not in places.places
    assert sorted(place.records for place in places) == [0, 1, 2, 2]


def test_of_two_parts_the_one_with_the_whole_layer_counts(published):
    partial = published({"a": [1]}, status="partial")
    whole = published({"a": [1, 2]})
    again = published({"a": [1, 3]})
    for parts in ([partial, whole, again], [whole, partial, again]):
        assert numbers(ExtraPlaces(parts, "chunks"), "a") == [1, 2]


def test_damage_is_an_error_that_names_the_part(published):
    part = published({"a": [1, 2]})
    places = ExtraPlaces([part], "chunks")
    # An unknown method in the second record
    with open(part.path, "r+b") as file:
        file.seek(part.offsets["chunks"] + 2 * CHUNK.size - 1)
        file.write(b"\7")
    with pytest.raises(PartError, match="chunks have values out of range") as caught:
        places.read(digest_of("a").raw)
    assert caught.value.parts == [str(part.path)]
    os.truncate(part.path, part.offsets["chunks"] + CHUNK.size)
    with pytest.raises(PartError, match="is cut"):
        places.read(digest_of("a").raw)
    part.path.unlink()
    with pytest.raises(PartError, match="can't be read"):
        places.read(digest_of("a").raw)


def test_pieces_of_a_layer_can_be_read(published):
    part = published({"a": [1, 2, 3]})
    places = ExtraPlaces([part], "chunks")
    (place,) = places
    found = places.records(place.part, place.offset + CHUNK.size, 2)
    np.testing.assert_array_equal(found["size"], [2, 3])
