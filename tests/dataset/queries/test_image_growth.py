"""Growth by image, against sets in plain Python; the last row has the totals."""

import pytest

from .conftest import IMAGES, LAYERS


def added(order: list[int]) -> list[tuple[int, int, int]]:
    """Return new layers, new contents and their bytes of each image."""
    layers: set[int] = set()
    contents: dict[bytes, int] = {}
    rows = []
    for image in order:
        new_layers = set(IMAGES[image]) - layers
        files = [e for layer in new_layers for e in LAYERS[layer] if e.kind == "file"]
        new = {e.digest: e.size for e in files if e.digest not in contents}
        layers |= new_layers
        contents |= new
        rows.append((len(new_layers), len(new), sum(new.values())))
    return rows


NEW = ["new_layers", "new_contents", "new_content_bytes"]


@pytest.mark.parametrize("order", [None, [7, 3, 3, 0, 12]])
def test_what_each_image_adds(many_images, order):
    frame = many_images.image_growth(order)
    rows = list(range(len(IMAGES))) if order is None else order
    assert frame.index.tolist() == rows
    assert frame["name"].tolist() == [f"made{row:04}:1" for row in rows]
    assert [tuple(row) for row in frame[NEW].to_numpy().tolist()] == added(rows)
    for name in ("layers", "CLS", "TLS", "FLS", "contents", "content_bytes"):
        assert frame[name].tolist() == frame[f"new_{name}"].cumsum().tolist()


def test_the_totals_are_those_of_the_dataset(many_images):
    last = many_images.image_growth().iloc[-1]
    used = sorted({layer for image in IMAGES for layer in image})
    totals = many_images.metrics.totals
    assert last["layers"] == len(used) == totals["layers"]
    for name in ("CLS", "TLS", "FLS", "contents", "content_bytes"):
        assert last[name] == totals[name]


def test_no_images(many_images):
    assert len(many_images.image_growth([])) == 0
