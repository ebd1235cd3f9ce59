"""The room policy: what layers may take of scratch, together and one by one."""

import hashlib

import pytest

from hpc_remetrics.analyze.room_policy import RoomPolicy
from hpc_remetrics.errors import BlobError
from hpc_remetrics.records import Digest, Layer

MIB = 1 << 20
LAYER = Layer(Digest(hashlib.sha256(b"layer").digest()), 3 * MIB, "oci_tar")


def test_layers_that_are_not_unpacked_take_their_blobs_alone(scratch):
    assert RoomPolicy(scratch, unpacks=False).unpacked_bytes(LAYER, 3 * MIB, 0) == 0


@pytest.mark.parametrize(
    ("size", "blob", "unpacked"),
    [
        (0, 0, MIB),  # the least
        (-1, 0, MIB),  # of unknown size
        (3 * MIB, 3 * MIB, 13 * MIB),  # 4 bytes for each compressed one
        (30 * MIB, 30 * MIB, 34 * MIB),  # what scratch has beside the blob
        (64 * MIB, 64 * MIB, MIB),  # nothing is left, so the grant is refused
    ],
)
def test_room_for_an_unpacked_layer(scratch, size, blob, unpacked):
    assert RoomPolicy(scratch, unpacks=True).unpacked_bytes(LAYER, size, blob) == unpacked


def test_layers_together_hold_no_more_than_may_lie_ahead(scratch):
    room = RoomPolicy(scratch, ahead=10 * MIB, unpacks=False)
    first = room.take(6 * MIB, as_directory=False)
    second = room.take(4 * MIB, as_directory=False)
    assert room.take(1, as_directory=False) is None
    room.give_back(second)
    assert room.take(4 * MIB + 1, as_directory=False) is None
    assert room.take(4 * MIB, as_directory=False) is not None
    room.give_back(first)
    assert room.take(6 * MIB, as_directory=False) is not None


def test_a_single_layer_may_be_longer(scratch):
    room = RoomPolicy(scratch, ahead=MIB, unpacks=False)
    grant = room.take(5 * MIB, as_directory=False)
    assert grant.size == 5 * MIB
    room.give_back(grant)
    assert room.take(5 * MIB, as_directory=False) is not None


def test_scratch_that_others_have_filled_has_no_room_now(scratch):
    taken = scratch.grant(60 * MIB)
    room = RoomPolicy(scratch, unpacks=False)
    assert room.take(5 * MIB, as_directory=False) is None
    taken.release()
    assert room.take(5 * MIB, as_directory=False) is not None


def test_a_layer_that_no_tier_can_hold_is_an_error(scratch):
    with pytest.raises(BlobError, match="has room for 67108865 bytes") as raised:
        RoomPolicy(scratch, unpacks=False).take((64 << 20) + 1, as_directory=False)
    assert raised.value.cause == "no_room"


def test_a_grant_is_made_a_directory_if_it_is_to_be_one(scratch):
    room = RoomPolicy(scratch, unpacks=True)
    assert room.take(MIB, as_directory=True).path.is_dir()
    assert not room.take(MIB, as_directory=False).path.exists()


def test_a_directory_that_can_not_be_made_is_no_room(scratch):
    (scratch.path / "grant-1").write_text("in the way")
    with pytest.raises(BlobError, match="on scratch") as raised:
        RoomPolicy(scratch, unpacks=True).take(MIB, as_directory=True)
    assert raised.value.cause == "no_room"


def test_more_room_is_eight_times_as_much_until_there_is_no_more(scratch):
    room = RoomPolicy(scratch, unpacks=True)
    room.enlarge(LAYER, 13 * MIB)
    assert room.unpacked_bytes(LAYER, MIB, 0) == 33 * MIB
    room.enlarge(LAYER, 33 * MIB)
    assert room.unpacked_bytes(LAYER, MIB, 0) == 64 * MIB
    with pytest.raises(BlobError, match="67108864 bytes were too few") as raised:
        room.enlarge(LAYER, 64 * MIB)
    assert raised.value.cause == "no_room"
