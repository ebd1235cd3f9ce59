"""Resolving images and fetching blobs, from a registry in this process."""

import logging

import pytest
from support.tiny_registry import TinyRegistry

from hpc_remetrics.download import tasks as tasks_module
from hpc_remetrics.download.tasks import BlobTask, Failed, ImageTask, StoredBlob, Tasks
from hpc_remetrics.errors import OutputError
from hpc_remetrics.limits import Limits
from hpc_remetrics.records import Digest
from hpc_remetrics.registry.access import Access, Patience
from hpc_remetrics.registry.reference import Reference
from hpc_remetrics.registry.registries import Registries
from hpc_remetrics.sources.manifests import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST

ABSENT = {"mediaType": OCI_MANIFEST, "digest": f"sha256:{'7' * 64}", "size": 7}


@pytest.fixture
def registry():
    with TinyRegistry() as registry:
        yield registry


def tasks_of(layout, *platforms, **limits) -> Tasks:
    patience = Patience(connect=20, idle=20, deadline=60, blob_deadline=60, tries=1)
    return Tasks(Registries(Access(patience=patience)), layout, platforms, Limits(**limits))


def reference(registry, name="a:1") -> Reference:
    return Reference.parse(f"{registry.host}/{name}")


def digest(descriptor) -> Digest:
    return Digest.parse(descriptor["digest"])


def entry_of(descriptor, **more) -> dict:
    return {"mediaType": descriptor["mediaType"], "digest": descriptor["digest"],
            "size": descriptor["size"], **more}  # fmt: skip


def test_an_image_is_resolved_to_its_blobs(registry, layout):
    image = registry.image("a:1", b"one", b"three")
    config = registry.blob("a", b'{"name": "a:1"}', OCI_CONFIG)
    layers = [registry.blob("a", data) for data in (b"one", b"three")]
    layout.keep_bytes(digest(layers[0]), b"one")
    resolved = tasks_of(layout)(ImageTask(reference(registry)))
    assert resolved.entries == (entry_of(image),)
    assert resolved.blobs == {digest(one): one["size"] for one in (config, *layers)}
    assert resolved.lacking == (digest(config), digest(layers[1]))
    assert (resolved.absent, resolved.others) == (0, frozenset())
    assert layout.has(digest(image), image["size"])


def test_a_manifest_that_is_here_costs_a_head_alone(registry, layout):
    registry.image("a:1", b"one")
    tasks = tasks_of(layout)
    path = "/v2/a/manifests/1"
    tasks(ImageTask(reference(registry), head=True))
    assert registry.asked() == [("HEAD", path), ("GET", path)]
    first = tasks(ImageTask(reference(registry), head=True))
    assert registry.asked() == [("HEAD", path)]
    assert first == tasks(ImageTask(reference(registry)))
    assert registry.asked() == [("GET", path)]


def test_a_damaged_manifest_is_fetched_again(registry, layout):
    image = registry.image("a:1", b"one")
    layout.blob(digest(image)).write_bytes(b"damaged")
    resolved = tasks_of(layout)(ImageTask(reference(registry), head=True))
    assert resolved.entries == (entry_of(image),)
    assert [method for method, _ in registry.asked()] == ["HEAD", "GET"]


def test_an_index_is_taken_whole(registry, layout, caplog):
    children = {name: registry.image(f"a:{name}", name.encode()) for name in ("amd64", "arm64")}
    index = registry.index("a:1", **children, s390x=ABSENT, again=children["amd64"])
    with caplog.at_level(logging.WARNING):
        resolved = tasks_of(layout)(ImageTask(reference(registry)))
    assert resolved.entries == (entry_of(index),)
    assert len(resolved.blobs) == 4 and resolved.absent == 1 and resolved.others == frozenset()
    (message,) = caplog.messages
    assert message.startswith(f"{registry.host}/a:1 names 1 manifest that is missing: ")
    paths = [path for _, path in registry.asked()]
    assert len(paths) == len(set(paths)) == 4


def test_of_an_index_the_manifests_for_the_platforms_are_taken(registry, layout):
    children = {name: registry.image(f"a:{name}", name.encode()) for name in ("amd64", "arm64")}
    registry.index("a:1", **children)
    resolved = tasks_of(layout, "linux/arm64")(ImageTask(reference(registry)))
    platform = {"os": "linux", "architecture": "arm64"}
    assert resolved.entries == (entry_of(children["arm64"], platform=platform),)
    assert len(resolved.blobs) == 2 and resolved.others == frozenset()
    nothing = tasks_of(layout, "windows/amd64")(ImageTask(reference(registry)))
    assert (nothing.entries, nothing.blobs) == ((), {})
    assert nothing.others == {"linux/amd64", "linux/arm64"}
    # An image without an index is taken, whatever it is for.
    single = tasks_of(layout, "windows/amd64")(ImageTask(reference(registry, "a:amd64")))
    assert single.entries == (entry_of(children["amd64"]),)


def nested(registry, depth: int) -> None:
    child = registry.image("a:inner", b"one")
    for level in range(depth):
        child = registry.index(f"a:{level if level < depth - 1 else 1}", amd64=child)


def test_indexes_within_indexes_have_a_limit(registry, layout):
    nested(registry, 2)
    resolved = tasks_of(layout, index_depth=2)(ImageTask(reference(registry)))
    assert len(resolved.blobs) == 2
    failed = tasks_of(layout, index_depth=1)(ImageTask(reference(registry)))
    assert failed == Failed("bad_manifest", "more than 1 index within each other")
    inner = tasks_of(layout, "linux/amd64", index_depth=2)(ImageTask(reference(registry)))
    assert [entry["mediaType"] for entry in inner.entries] == [OCI_MANIFEST]


def test_manifests_and_blobs_under_a_name_have_limits(registry, layout):
    registry.index("a:2", x=ABSENT, y={**ABSENT, "digest": f"sha256:{'8' * 64}"})
    two = ImageTask(reference(registry, "a:2"))
    assert tasks_of(layout, index_manifests=2)(two).absent == 2
    failed = tasks_of(layout, index_manifests=1)(two)
    assert failed.message == "more than 1 manifest under this name (--limit index_manifests=N)"
    registry.image("a:3", b"1", b"2", b"3")
    three = ImageTask(reference(registry, "a:3"))
    # The config is no layer.
    assert len(tasks_of(layout, image_layers=3)(three).blobs) == 4
    failed = tasks_of(layout, image_layers=2)(three)
    assert failed == Failed("bad_manifest", "4 blobs, more than 2 (--limit image_layers=N)")


def test_manifests_that_disagree_about_a_size_cost_the_image(registry, layout):
    layer = registry.blob("a", b"one")
    unknown = {name: value for name, value in layer.items() if name != "size"}
    images = {
        name: registry.image(f"a:{name}", layers=[one])
        for name, one in (("x", unknown), ("y", layer), ("z", unknown))
    }
    registry.index("a:1", **images)
    resolved = tasks_of(layout)(ImageTask(reference(registry)))
    assert resolved.blobs[digest(layer)] == 3
    registry.index("a:1", **images, w=registry.image("a:w", layers=[{**layer, "size": 4}]))
    failed = tasks_of(layout)(ImageTask(reference(registry)))
    assert failed.cause == "size_mismatch" and "state 3 and 4 bytes for sha256:" in failed.message


def test_a_config_has_the_limit_of_a_manifest(registry, layout):
    config = registry.blob("a", b"{}" * 2000, OCI_CONFIG)
    registry.image("a:1", config=config)
    task = ImageTask(reference(registry))
    assert tasks_of(layout, manifest_bytes=4000)(task).blobs == {digest(config): 4000}
    failed = tasks_of(layout, manifest_bytes=3999)(task)
    assert failed.cause == "limit_size"
    assert "has 4000 bytes by its descriptor, more than the 3999 allowed" in failed.message


def test_a_config_of_unknown_size_is_fetched_at_once(registry, layout):
    config = registry.blob("a", b"{}", OCI_CONFIG)
    registry.image("a:1", config={name: config[name] for name in ("mediaType", "digest")})
    resolved = tasks_of(layout)(ImageTask(reference(registry)))
    assert layout.has(digest(config), 2) and resolved.lacking == ()


def test_an_image_that_is_not_there(registry, layout):
    failed = tasks_of(layout)(ImageTask(reference(registry)))
    assert failed.cause == "missing" and "404" in failed.message
    child = registry.image("a:2", b"1")
    registry.index("a:1", x=child)
    registry.failing[f"/v2/a/manifests/{child['digest']}"] = 500
    assert tasks_of(layout)(ImageTask(reference(registry))).cause == "io_error"


def blob_task(registry, descriptor, size=None) -> BlobTask:
    stated = descriptor["size"] if size is None else size
    return BlobTask(digest(descriptor), stated, reference(registry))


@pytest.mark.parametrize("size", [3, -1])
def test_a_blob_is_fetched_once(registry, layout, size):
    task = blob_task(registry, registry.blob("a", b"one"), size)
    tasks = tasks_of(layout)
    assert tasks(task) == StoredBlob(3, 3)
    assert layout.blob(task.digest).read_bytes() == b"one"
    assert tasks(task) == StoredBlob(0, 3) and len(registry.asked()) == 1


def test_a_blob_has_a_limit(registry, layout):
    task = blob_task(registry, registry.blob("a", b"one"))
    failed = tasks_of(layout, layer_bytes=2)(task)
    assert failed.cause == "limit_size" and registry.asked() == []
    assert tasks_of(layout, layer_bytes=3)(task) == StoredBlob(3, 3)


def test_a_blob_for_which_there_is_no_room_is_not_begun(registry, layout, monkeypatch):
    monkeypatch.setattr(tasks_module, "missing_room", lambda path, size: 9)
    monkeypatch.setattr(tasks_module, "_LONG", 3)
    task = blob_task(registry, registry.blob("a", b"four"))
    layout.partial(task.digest).write_bytes(b"f")
    failed = tasks_of(layout)(task)
    assert (
        failed.cause == "no_room" and "has 4 bytes by its descriptor, 9 more than" in failed.message
    )
    assert registry.asked() == [] and not layout.partial(task.digest).exists()
    # A shorter one is simply tried.
    short = blob_task(registry, registry.blob("a", b"one"))
    assert tasks_of(layout)(short) == StoredBlob(3, 3)


def test_a_stopped_job_has_no_result(registry, layout):
    tasks = tasks_of(layout)
    tasks._registries.stopped.set()
    assert tasks(ImageTask(reference(registry))) is None
    assert registry.asked() == []


def test_what_a_task_may_raise(registry, layout, monkeypatch, caplog):
    registry.image("a:1", b"one")
    task = ImageTask(reference(registry))
    layout.blob(Digest(bytes(32))).parent.rename(layout.directory / "moved")
    with pytest.raises(OutputError, match="can't write"):
        tasks_of(layout)(task)
    monkeypatch.setattr(tasks_module, "references", lambda *_: 1 // 0)
    failed = tasks_of(layout)(task)
    assert failed == Failed("internal", "ZeroDivisionError: integer division or modulo by zero")
    assert "this is a bug of the program" in caplog.text


def test_a_body_that_is_no_manifest(registry, layout):
    registry.document("a:1", {"schemaVersion": 2, "layers": 5}, OCI_MANIFEST)
    assert tasks_of(layout)(ImageTask(reference(registry))).cause == "bad_manifest"
    index = {"mediaType": OCI_INDEX, "manifests": [{"digest": "md5:1", "mediaType": OCI_LAYER}]}
    registry.document("a:1", index, OCI_INDEX)
    assert tasks_of(layout)(ImageTask(reference(registry))).cause == "bad_manifest"
