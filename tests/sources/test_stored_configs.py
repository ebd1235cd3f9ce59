"""The configs of a run on disk: the same as in memory, each once, in order, and not in memory."""

import random
import tracemalloc

import pytest
from support.made_configs import make_config

from hpc_remetrics.errors import OutputError
from hpc_remetrics.files.sorted_lines import SortedLines
from hpc_remetrics.records import Configs, Digest, Image, ImageConfig, Layer, Step
from hpc_remetrics.sources import stored_configs
from hpc_remetrics.sources.stored_configs import StoredConfigs, StoredPairs


@pytest.mark.parametrize("run_bytes", [1, 5_000, 10**9])
def test_stored_configs_are_as_those_in_memory(tmp_path, monkeypatch, run_bytes):
    monkeypatch.setattr(
        stored_configs, "SortedLines", lambda place: SortedLines(place, run_bytes=run_bytes)
    )
    rng = random.Random(5)
    made = [make_config(rng, word, 3) for word in range(40)]
    stored, held = StoredConfigs(tmp_path), Configs()
    for configs in (stored, held):
        for config in [*made, *made[:10], made[0]]:
            configs.add(config)
    assert len(stored) == len(held) == 40
    assert list(stored) == list(stored) == list(held)
    assert stored == held
    digests = [config.digest for config in stored]
    assert digests == sorted(digests)
    assert [type(step) for config in stored for step in config.history][:1] == [Step]
    # The first of two with the same digest stays.
    stored.add(ImageConfig(made[0].digest, 1, os="other"))
    assert stored == held
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_can_not_be_written_is_one_line_for_the_user(tmp_path, monkeypatch):
    monkeypatch.setattr(
        stored_configs, "SortedLines", lambda place: SortedLines(place, run_bytes=1)
    )
    configs = StoredConfigs(tmp_path / "missing")
    words = r"can't write the configs of images to .*missing: No such file"
    with pytest.raises(OutputError, match=words):
        configs.add(ImageConfig(Digest(bytes(32)), 1))
    assert len(configs) == 0


def test_annotations_on_disk_are_as_those_in_memory(tmp_path):
    pairs = (("org.example.a", "1"), ("b\u00e4", "x\ty"), ("b\u00e4", ""))
    digest = Digest(bytes(32))
    images = [Image(f"a:{n}", digest, "", "oci", annotations=pairs * n) for n in range(3)]
    configs = StoredConfigs(tmp_path)
    stored = [configs.adopted(image) for image in images]
    assert stored == images
    assert list(map(repr, stored)) == list(map(repr, images))
    assert [type(image.annotations) for image in stored] == [tuple, StoredPairs, StoredPairs]
    assert [len(image.annotations) for image in stored] == [0, 3, 6]
    assert stored[2].annotations[4] == pairs[1]
    assert hash(stored[1].annotations) == hash(pairs)
    assert stored[1].annotations != pairs[:2]
    # What is stored is not stored again, and what is added later is read as well.
    assert configs.adopted(stored[1]).annotations is stored[1].annotations
    assert configs.adopted(images[1]).annotations == pairs
    assert list(tmp_path.iterdir()) == []


def test_annotations_that_can_not_be_written_are_one_line_for_the_user(tmp_path):
    configs = StoredConfigs(tmp_path / "missing")
    image = Image("a:1", Digest(bytes(32)), "", "oci", annotations=(("a", "b"),))
    with pytest.raises(OutputError, match=r"can't write the annotations of images to .*missing"):
        configs.adopted(image)


def test_images_share_the_layers_that_are_equal():
    """Each manifest is parsed by itself, and ten tags have the same base."""

    def layer(number, size=5, origin="here/a"):
        return Layer(Digest(bytes([number]) * 32), size, "oci_tar", None, origin)

    def image(*layers):
        return Image("a:1", Digest(bytes(32)), "", "oci", layers)

    configs = Configs()
    given = [
        image(layer(1), layer(2)),
        image(layer(1), layer(3), layer(1)),
        image(layer(1, size=6), layer(1, origin="here/b")),
        image(layer(1, origin="here/b"), layer(2, origin="here/b")),
        image(),
    ]
    kept = [configs.adopted(one) for one in given]
    assert kept == given
    origins = [[one.origin for one in image.layers] for image in kept]
    assert origins == [[one.origin for one in image.layers] for image in given]
    first = kept[0].layers[0]
    assert kept[1].layers[0] is kept[1].layers[2] is first
    assert kept[2].layers[0] is not first
    assert kept[3].layers[0] is kept[2].layers[1] is not first
    assert kept[3].layers[0].digest is first.digest
    configs.no_more_images()
    assert configs.adopted(image(layer(1))).layers[0] is not first


@pytest.mark.slow
def test_memory_does_not_grow_with_the_configs_but_for_their_digests(tmp_path, monkeypatch):
    monkeypatch.setattr(
        stored_configs, "SortedLines", lambda place: SortedLines(place, run_bytes=200_000)
    )
    steps = tuple(Step(n, 0, f"RUN make target-{n} && make install") for n in range(20))

    def most_bytes(count):
        configs = StoredConfigs(tmp_path)
        tracemalloc.start()
        try:
            for number in range(count):
                configs.add(ImageConfig(Digest(number.to_bytes(32, "big")), 5_000, history=steps))
            assert sum(len(config.history) for config in configs) == 20 * count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # A config has 1.5 kB as a line; digests and the buffers of the runs take a quarter of that.
    few, many = most_bytes(300), most_bytes(1300)
    assert (many - few) / 1000 < 800
