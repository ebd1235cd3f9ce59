"""Paths and images of contents, against a walk over the entries in plain Python."""

import pytest
from support.made import clean

from .conftest import IMAGES, LAYERS


def digest_row(data, content: int) -> int:
    digest = next(e.digest for layer in LAYERS for e in layer if e.content == content)
    return data.contents["digest"].tolist().index(digest)


def test_places_are_all_files_of_a_content(many_images):
    row = digest_row(many_images, 7)
    wanted = sorted(
        clean(entry.path).decode()
        for layer in LAYERS
        for entry in layer
        if entry.kind == "file" and entry.content == 7
    )
    frame = many_images.places(row)
    assert sorted(frame["path"]) == wanted
    assert set(frame["content"]) == {row}
    assert set(frame["kind"]) == {"file"}
    for entry, place in frame.iterrows():
        assert many_images.entries["content"][entry] == row
        entries = many_images.entries_of(place["layer"])
        assert entries.start <= entry < entries.stop


def test_several_contents_by_row_and_digest(many_images):
    rows = [digest_row(many_images, 3), digest_row(many_images, 4)]
    digest = many_images.contents.frame(["digest"])["digest"][rows[0]]
    both = many_images.places([digest, rows[1]])
    assert both.equals(many_images.places(rows))
    assert both.equals(many_images.places([digest.removeprefix("sha256:"), rows[1]]))
    assert len(both) == sum(len(many_images.places(row)) for row in rows)
    assert both.index.is_monotonic_increasing


def test_images_of_a_content_are_those_with_a_layer_that_has_it(many_images):
    rows = sorted([digest_row(many_images, 3), digest_row(many_images, 4)])
    for row in rows:
        digest = many_images.contents.column("digest", row, row + 1).tobytes()
        layers = {
            number
            for number, layer in enumerate(LAYERS)
            if any(e.kind == "file" and e.digest == digest for e in layer)
        }
        wanted = [image for image, used in enumerate(IMAGES) if layers & set(used)]
        frame = many_images.images_of(row)
        assert frame["image"].tolist() == wanted
        assert frame["name"].tolist() == [f"made{image:04}:1" for image in wanted]
        assert len(wanted) == many_images.contents["images"][row]
    both = many_images.images_of(rows)
    assert len(both) == sum(len(many_images.images_of(row)) for row in rows)
    assert both["content"].is_monotonic_increasing


def test_no_contents_have_no_places(many_images):
    assert len(many_images.places([])) == 0
    assert len(many_images.images_of([])) == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (-1, "no content -1: rows go from 0 to"),
        (10**6, "no content 1000000"),
        (0.5, "no content 0.5"),
        (None, "None is no content"),
        ("sha256:" + "0" * 64, "no content has the digest sha256:000"),
        ("sha256:" + "f" * 64, "no content has the digest sha256:fff"),
    ],
)
def test_unknown_contents(many_images, content, said):
    with pytest.raises(KeyError, match=said):
        many_images.places(content)


def test_text_that_is_no_digest(many_images):
    with pytest.raises(ValueError, match="digest"):
        many_images.places("usr/bin")
