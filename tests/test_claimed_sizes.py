"""Claims about sizes of layers: the size of most images is taken, and false ones are named."""

import pytest

from hpc_remetrics.claimed_sizes import false_sizes, unique_layers
from hpc_remetrics.records import Catalog, Digest, Image, Layer

A, B = Digest(bytes(32)), Digest(bytes([1] * 32))


def image(name, *layers):
    return Image(
        name, A, "", "oci", tuple(Layer(digest, size, "oci_tar") for digest, size in layers)
    )


@pytest.mark.parametrize(
    ("claims", "size"),
    [
        ([5], 5),
        ([5, 6, 6], 6),
        ([6, 5], 5),
        ([7, 7, 6, 6], 6),
        ([-1, -1, 9], 9),
        ([-1, -1], -1),
        ([4, 4, 3, 3, 3], 3),
        ([0, 0, 9], 0),
        ([0, -1, -1], 0),
    ],
)
def test_the_size_that_most_images_state(claims, size):
    images = [image(str(number), (A, claim), (B, 1)) for number, claim in enumerate(claims)]
    for ordered in (images, images[::-1]):
        layers = unique_layers(Catalog(list(ordered)))
        assert {digest: layer.size for digest, layer in layers.items()} == {A: size, B: 1}


def test_an_image_has_one_vote_however_often_it_names_a_layer():
    images = [image("a", (A, 9), (A, 9), (A, 9)), image("b", (A, 5)), image("c", (A, 5))]
    assert unique_layers(Catalog(images))[A].size == 5


def test_false_sizes_are_named_once_an_image():
    images = [image("a", (A, 5), (A, 5), (B, 1)), image("b", (A, 6)), image("c", (A, -1))]
    wrong = list(false_sizes(Catalog(images), {A.raw: 6}))
    assert [(one.name, layer.digest, layer.size) for one, layer in wrong] == [("a", A, 5)]
    (zero,) = false_sizes(Catalog([image("z", (A, 0))]), {A.raw: 6})
    assert zero[1].size == 0
