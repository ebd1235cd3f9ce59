"""The tasks of a download on rank 0: which images wait for which blobs, and what failures cost."""

import pytest

from hpc_remetrics.download.plan import Mirror
from hpc_remetrics.download.state import State, list_name
from hpc_remetrics.download.tasks import BlobTask, Failed, ImageTask, Resolved, StoredBlob
from hpc_remetrics.layout.image_layout import Layout
from hpc_remetrics.records import Digest
from hpc_remetrics.registry.reference import Reference

A, B, C = (Reference.parse(f"host.example/{name}") for name in "abc")
ONE, TWO = Digest(b"1" * 32), Digest(b"2" * 32)


@pytest.fixture
def state(tmp_path):
    layout = Layout(tmp_path / "mirror")
    layout.prepare()
    state = State(layout, [], tmp_path / "layers", tmp_path / "repositories", {})
    yield state
    state.close()


def mirror(state, *images, counted=False, workers=4):
    return Mirror(iter(images), state, lambda host: counted, workers)


def resolved(*lacking, size=5, **more):
    entry = {"mediaType": "x", "digest": "sha256:0", "size": 1}
    return Resolved((entry,), dict.fromkeys(lacking, size), lacking, **more)


def test_an_image_without_missing_blobs_is_finished(state):
    plan = mirror(state, A, counted=True)
    task = plan.next()
    assert task == ImageTask(A, head=True) and plan.next() is None
    plan.take(task, resolved())
    assert A in state and plan.counts.images == 1 and plan.failures == {}
    assert not mirror(state, B).next().head and mirror(state, A).next().head


def test_a_blob_of_two_images_is_fetched_once(state):
    plan = mirror(state, A, B)
    first, second = plan.next(), plan.next()
    plan.take(first, resolved(ONE, TWO))
    plan.take(second, resolved(ONE))
    assert plan.backlog == 2
    one, two = plan.next(), plan.next()
    assert (one, two) == (BlobTask(ONE, 5, A), BlobTask(TWO, 5, A)) and plan.next() is None
    plan.take(one, StoredBlob(5, 5))
    assert B in state and A not in state
    plan.take(two, StoredBlob(0, 5))
    assert A in state and (plan.counts.bytes, plan.counts.blobs) == (5, 1)
    assert str(ONE) in state.layers and list_name(A) in state.repositories


def test_a_blob_is_fetched_from_the_next_image_if_the_first_lacks_it(state):
    plan = mirror(state, A, B)
    for task in (plan.next(), plan.next()):
        plan.take(task, resolved(ONE))
    plan.take(plan.next(), Failed("missing", "404"))
    assert plan.failures == {A: Failed("missing", "404")}
    other = plan.next()
    assert other == BlobTask(ONE, 5, B)
    plan.take(other, StoredBlob(5, 5))
    assert B in state and A not in state and plan.next() is None


def test_a_false_size_costs_the_image_that_states_it(state):
    plan = mirror(state, A, B)
    first, second = plan.next(), plan.next()
    plan.take(first, resolved(ONE, size=6))
    plan.take(second, resolved(ONE, size=-1))
    plan.take(plan.next(), StoredBlob(5, 5))
    assert B in state and plan.failures[A].cause == "size_mismatch"
    assert "states 6 bytes" in plan.failures[A].message and "has 5" in plan.failures[A].message


def test_a_rate_limit_postpones_and_failures_in_a_row_end_the_run(state):
    plan = mirror(state, A, B)
    first = plan.next()
    plan.take(first, Failed("rate_limited", "429"))
    assert plan.failures == {}
    second, third = plan.next(), plan.next()
    assert (second.reference, third.reference) == (B, A)
    images = [Reference.parse(f"host.example/{number}") for number in range(60)]
    plan = mirror(state, *images)
    for _ in range(49):
        plan.take(plan.next(), Failed("io_error", "500"))
    assert plan.obstacle == ""
    plan.take(plan.next(), Failed("limit_time", "slow"))
    assert plan.obstacle == "the last 50 requests failed" and plan.next() is None
    plan.take(ImageTask(images[0]), Failed("missing", "404"))
    assert plan.obstacle == ""


def test_a_blob_behind_a_rate_limit_is_tried_again_after_the_others(state):
    plan = mirror(state, A)
    plan.take(plan.next(), resolved(ONE, TWO))
    first = plan.next()
    plan.take(first, Failed("rate_limited", "429"))
    second, third = plan.next(), plan.next()
    assert (second.digest, third) == (TWO, first) and plan.failures == {}


def test_blobs_in_the_list_of_the_2017_tool_are_skipped(state):
    state.layers.add(str(ONE))
    plan = mirror(state, A)
    plan.take(plan.next(), resolved(ONE, absent=2))
    assert A in state and (plan.counts.elsewhere, plan.counts.absent) == (1, 2)


def test_resolving_stays_a_little_ahead_of_the_blobs(state):
    plan = mirror(state, A, B, C, workers=4)
    # Half as many images as threads are resolved at once.
    assert isinstance(plan.next(), ImageTask) and isinstance(plan.next(), ImageTask)
    assert plan.next() is None
    blobs = [Digest(bytes([number]) * 32) for number in range(8)]
    plan.take(ImageTask(A), resolved(*blobs))
    # With twice as many blobs as threads waiting, blobs come first.
    assert isinstance(plan.next(), BlobTask)
    assert isinstance(plan.next(), ImageTask)


def test_images_without_anything_for_the_platforms(state):
    plan = mirror(state, A)
    plan.take(plan.next(), Resolved((), {}, (), others=frozenset({"linux/arm64"})))
    assert (plan.counts.empty, plan.counts.others) == (1, {"linux/arm64"}) and state.is_empty(A)
