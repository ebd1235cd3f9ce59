"""Prefetching: in place or by the thread, as far ahead as there is room, twice for a false size."""

import hashlib
import os
from dataclasses import replace

import pytest
from support.blob_source import BlobSource

from hpc_remetrics.analyze.prefetch import Prefetcher
from hpc_remetrics.analyze.room_policy import RoomPolicy
from hpc_remetrics.analyze.work_queue import WorkQueue
from hpc_remetrics.errors import BlobError
from hpc_remetrics.records import Digest, Layer
from hpc_remetrics.registry.registries import Registries

MIB = 1 << 20


@pytest.fixture
def local(tmp_path):
    return BlobSource(tmp_path / "local")


@pytest.fixture
def remote(tmp_path):
    return BlobSource(tmp_path / "remote", remote=True)


@pytest.fixture
def make(scratch):
    """Return a function that makes a prefetcher, whose thread ends with the test."""
    made = []

    def prefetcher(*sources, **options):
        room = RoomPolicy(scratch, **{"unpacks": False, **options})
        made.append(Prefetcher(sources, Registries(), room))
        return made[-1]

    yield prefetcher
    for one in made:
        one.close()


def queue_of(*layers):
    queue = WorkQueue()
    queue.add(layers, is_last=False)
    return queue


def absent(size=10, origin=""):
    return Layer(Digest(hashlib.sha256(b"absent").digest()), size, "oci_tar", origin=origin)


def test_a_layer_on_a_file_system_is_read_in_place(make, local, scratch):
    layer = local.add(b"data")
    prefetcher = make(local)
    assert prefetcher.take(queue_of(layer))
    prefetched = prefetcher.poll()
    assert (prefetched.layer, prefetched.extent.size, prefetched.error) == (layer, 4, None)
    assert prefetched.extent.path.read_bytes() == b"data"
    assert prefetched.grant is None and prefetched.tree is None
    assert prefetcher.poll() is None
    assert not prefetcher.begun


def test_without_work_nothing_moves(make, local):
    assert not make(local).take(queue_of())


def test_three_layers_lie_ahead_and_leave_in_order(make, local):
    layers = [local.add(b"%d" % number) for number in range(5)]
    prefetcher, queue = make(local), queue_of(*layers)
    assert prefetcher.take(queue)
    assert prefetcher.begun == layers[:3]
    assert not prefetcher.take(queue)
    assert prefetcher.poll().layer == layers[0]
    assert prefetcher.take(queue)
    assert prefetcher.begun == layers[1:4]


def test_a_layer_that_no_source_has_is_an_error(make, local, remote):
    prefetcher = make(local, remote)
    prefetcher.take(queue_of(absent()))
    prefetched = prefetcher.poll()
    assert prefetched.extent is None
    assert prefetched.error.cause == "missing"


def test_a_layer_of_no_source_at_all(make):
    prefetcher = make()
    prefetcher.take(queue_of(absent()))
    assert str(prefetcher.poll().error) == f"no source has {absent().digest}"


class Broken(BlobSource):
    def locate(self, digest, size=-1):
        raise BlobError("io_error", "the disk is broken")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_reason_says_more_than_that_a_layer_is_missing(make, local, tmp_path, order):
    sources = (local, Broken(tmp_path / "broken"))
    prefetcher = make(*(sources[number] for number in order))
    prefetcher.take(queue_of(absent()))
    assert prefetcher.poll().error.cause == "io_error"


def test_a_broken_place_does_not_hide_a_later_one(make, local, tmp_path):
    layer = local.add(b"data")
    prefetcher = make(Broken(tmp_path / "broken"), local)
    prefetcher.take(queue_of(layer))
    assert prefetcher.poll().extent is not None


def test_a_layer_at_a_registry_is_fetched_to_scratch(make, remote, scratch, wait):
    layer = remote.add(bytes(1000))
    prefetcher = make(remote)
    assert prefetcher.take(queue_of(layer))
    assert prefetcher.begun == [layer]
    prefetched = wait(prefetcher.poll)
    path = prefetched.extent.path
    assert path.is_relative_to(scratch.path) and path.read_bytes() == bytes(1000)
    assert (prefetched.extent.offset, prefetched.extent.size) == (0, 1000)
    assert prefetched.grant.size == 1000 and prefetched.tree is None
    assert 0 < prefetched.seconds < 30
    assert not prefetcher.begun
    prefetcher.release(prefetched)
    assert not path.exists() and prefetched.grant is None
    prefetcher.release(prefetched)


def test_a_source_that_keeps_layers_needs_no_scratch(make, tmp_path, scratch, wait):
    source = BlobSource(tmp_path / "kept", remote=True, keeps=True)
    layer = source.add(bytes(1000))
    prefetcher = make(source)
    prefetcher.take(queue_of(layer))
    prefetched = wait(prefetcher.poll)
    assert prefetched.grant is None
    assert prefetched.extent.path.parent == tmp_path / "kept"


def test_a_kept_layer_takes_room_to_be_unpacked(make, tmp_path, wait):
    source = BlobSource(tmp_path / "kept", remote=True, keeps=True)
    prefetcher = make(source, unpacks=True)
    prefetcher.take(queue_of(source.add(bytes(1000))))
    prefetched = wait(prefetcher.poll)
    assert prefetched.unpacked_bytes == prefetched.grant.size == MIB + 4000
    assert prefetched.extent.path.parent == tmp_path / "kept"


def test_a_fetched_layer_that_is_unpacked_has_room_for_both(make, remote, wait):
    prefetcher = make(remote, unpacks=True)
    prefetcher.take(queue_of(remote.add(bytes(1000))))
    prefetched = wait(prefetcher.poll)
    assert prefetched.unpacked_bytes == MIB + 4000
    assert prefetched.grant.size == MIB + 5000
    assert prefetched.extent.path == prefetched.grant.path / "blob"
    assert prefetched.tree == prefetched.grant.path / "tree"


def test_a_layer_in_place_that_is_unpacked_takes_scratch(make, local):
    prefetcher = make(local, unpacks=True)
    prefetcher.take(queue_of(local.add(bytes(1000))))
    prefetched = prefetcher.poll()
    assert prefetched.grant.size == prefetched.unpacked_bytes == MIB + 4000
    assert prefetched.tree == prefetched.grant.path / "tree"
    assert prefetched.extent.path.parent.name == "local"


def test_a_layer_waits_for_room_and_keeps_its_turn(make, remote, wait):
    layers = [remote.add(bytes([number]) * 600) for number in range(3)]
    prefetcher, queue = make(remote, ahead=1000), queue_of(*layers)
    assert prefetcher.take(queue)
    assert prefetcher.begun == layers[:2]
    first = wait(prefetcher.poll)
    assert not prefetcher.take(queue)
    assert remote.fetched == [layers[0].digest]
    prefetcher.release(first)
    assert prefetcher.take(queue)
    assert wait(prefetcher.poll).layer == layers[1]
    assert prefetcher.begun == layers[2:]


def test_an_unpacked_layer_in_place_waits_for_room_too(make, local):
    layers = [local.add(b"%d" % number) for number in range(2)]
    prefetcher, queue = make(local, unpacks=True, ahead=MIB + 4), queue_of(*layers)
    assert prefetcher.take(queue)
    assert not prefetcher.take(queue)
    first = prefetcher.poll()
    assert prefetcher.poll() is None
    prefetcher.release(first)
    assert prefetcher.take(queue)
    assert prefetcher.poll().layer == layers[1]


def test_a_registry_that_refuses_a_layer_gives_its_room_back(make, remote, scratch, wait):
    layer = remote.add(bytes(60 * MIB))
    remote.errors[layer.digest] = BlobError("denied", "no")
    prefetcher = make(remote)
    prefetcher.take(queue_of(layer))
    prefetched = wait(prefetcher.poll)
    assert prefetched.error.cause == "denied"
    assert prefetched.grant is None
    assert scratch.grant(60 * MIB) is not None
    assert remote.fetched == [layer.digest]


def test_a_false_size_is_tried_once_with_the_size_of_the_registry(make, remote, wait):
    layer = remote.add(bytes(1000), size=7)
    prefetcher, queue = make(remote), queue_of(layer)
    prefetcher.take(queue)
    wait(lambda: prefetcher.poll() is None and prefetcher.begun == [replace(layer, size=1000)])
    prefetcher.take(queue)
    prefetched = wait(prefetcher.poll)
    assert prefetched.error is None
    assert (prefetched.layer.size, prefetched.extent.size) == (1000, 1000)
    assert remote.fetched == [layer.digest] * 2


def test_bytes_that_fit_neither_size_fail_for_the_first_reason(make, remote, wait):
    layer = remote.add(bytes(1000), size=7)
    prefetcher, queue = make(remote), queue_of(layer)
    prefetcher.take(queue)
    wait(lambda: prefetcher.poll() is None and prefetcher.begun[0].size == 1000)
    remote.errors[layer.digest] = BlobError("digest_mismatch", "other bytes")
    prefetcher.take(queue)
    assert wait(prefetcher.poll).error.cause == "size_mismatch"


def test_another_reason_at_the_second_time_is_told(make, remote, wait):
    layer = remote.add(bytes(1000), size=7)
    prefetcher, queue = make(remote), queue_of(layer)
    prefetcher.take(queue)
    wait(lambda: prefetcher.poll() is None and prefetcher.begun[0].size == 1000)
    remote.errors[layer.digest] = BlobError("denied", "no")
    prefetcher.take(queue)
    assert wait(prefetcher.poll).error.cause == "denied"


def test_a_size_that_scratch_can_never_hold_may_be_false(make, remote, wait):
    layer = remote.add(bytes(1000), size=1 << 40)
    prefetcher, queue = make(remote), queue_of(layer)
    assert prefetcher.take(queue)
    wait(lambda: prefetcher.poll() is None and prefetcher.begun[0].size == 1000)
    assert remote.fetched == []
    prefetcher.take(queue)
    assert wait(prefetcher.poll).extent.size == 1000


def test_a_layer_that_scratch_can_never_hold_is_an_error(make, remote, wait):
    """The registry knows no other size, since it does not have the layer."""
    layer = replace(remote.add(b"x", size=1 << 40), digest=absent().digest)
    prefetcher = make(remote)
    prefetcher.take(queue_of(layer))
    assert wait(prefetcher.poll).error.cause == "no_room"
    assert remote.fetched == []


def test_a_layer_that_scratch_can_not_hold_with_either_size_is_measured_once(make, remote, wait):
    layer = remote.add(b"x", size=1 << 41)
    os.truncate(remote._path(layer.digest), 1 << 40)
    prefetcher, queue = make(remote), queue_of(layer)
    prefetcher.take(queue)
    wait(lambda: prefetcher.poll() is None and prefetcher.begun[0].size == 1 << 40)
    prefetcher.take(queue)
    prefetched = prefetcher.poll()
    assert prefetched.error.cause == "no_room"
    assert not prefetched.only_measure and prefetched.extent is None
    assert remote.fetched == []


class Growing(BlobSource):
    """A registry that says another size each time."""

    said = 100

    def measure(self, layer):
        self.said += 1
        return self.said


def test_a_registry_that_says_another_size_each_time_is_believed_once(make, tmp_path, wait):
    source = Growing(tmp_path / "remote", remote=True)
    layer = source.add(bytes(1000), size=7)
    prefetcher, queue = make(source), queue_of(layer)
    prefetcher.take(queue)
    wait(lambda: prefetcher.poll() is None and prefetcher.begun[0].size == 101)
    prefetcher.take(queue)
    assert wait(prefetcher.poll).error.cause == "size_mismatch"
    assert source.fetched == [layer.digest] * 2 and not prefetcher.begun


def test_a_layer_of_unknown_size_is_fetched(make, remote, wait):
    layer = remote.add(bytes(1000), size=-1)
    prefetcher = make(remote)
    prefetcher.take(queue_of(layer))
    prefetched = wait(prefetcher.poll)
    assert (prefetched.grant.size, prefetched.extent.size) == (0, 1000)


def test_a_layer_in_place_that_can_never_be_unpacked_is_an_error(make, local, scratch):
    """All of scratch is what it is granted; the file behind it is sparse."""
    layer = local.add(b"x")
    os.truncate(local._path(layer.digest), 1 << 40)
    prefetcher = make(local, unpacks=True)
    prefetcher.take(queue_of(layer))
    prefetched = prefetcher.poll()
    assert prefetched.grant.size == 64 * MIB
    prefetcher.retry_with_more_room(prefetched)
    assert prefetcher.poll().error.cause == "no_room"
    assert scratch.grant(64 * MIB) is not None


def test_a_layer_in_place_without_a_directory_to_be_unpacked_is_an_error(make, local, scratch):
    (scratch.path / "grant-1").write_text("in the way")
    layer = local.add(b"data")
    prefetcher = make(local, unpacks=True)
    assert prefetcher.take(queue_of(layer))
    prefetched = prefetcher.poll()
    assert (prefetched.layer, prefetched.error.cause) == (layer, "no_room")


def test_a_layer_is_tried_again_with_more_room(make, local):
    layer, other = local.add(bytes(1000)), local.add(b"other")
    prefetcher, queue = make(local, unpacks=True), queue_of(layer, other)
    prefetcher.take(queue)
    prefetched = prefetcher.poll()
    prefetcher.retry_with_more_room(prefetched)
    assert prefetched.grant is None
    assert layer in prefetcher.begun
    assert prefetcher.take(queue)
    assert prefetcher.poll().layer == other
    assert prefetcher.poll().unpacked_bytes == MIB + 32_000


def test_a_fault_of_the_program_in_the_thread_is_raised(make, remote, wait):
    layer = remote.add(b"data")
    remote.errors[layer.digest] = ZeroDivisionError()
    prefetcher = make(remote)
    prefetcher.take(queue_of(layer))
    with pytest.raises(ZeroDivisionError):
        wait(prefetcher.poll)


def test_close_ends_the_thread_and_tells_registries(remote, scratch, wait):
    registries = Registries()
    prefetcher = Prefetcher([remote], registries, RoomPolicy(scratch, unpacks=False))
    prefetcher.take(queue_of(remote.add(b"data")))
    prefetcher.close()
    assert registries.stopped.is_set()
    wait(lambda: not prefetcher._thread._thread.is_alive())
    assert prefetcher.budget is registries.budget
