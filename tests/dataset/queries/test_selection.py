"""Selection of an image by row, by name, and by platform where a name occurs twice."""

import pytest

import hpc_remetrics
from hpc_remetrics.dataset.queries import selection


def test_images_by_row_and_name(many_images):
    assert selection.image_row(many_images, "made0005:1") == 5
    assert selection.image_row(many_images, 5) == 5
    for wrong in (-1, 40, 1.5, "made0005", None):
        with pytest.raises(KeyError):
            selection.image_row(many_images, wrong)


class Names:
    """The names and platforms of images, as a dataset has them."""

    def __init__(self, pairs):
        import numpy as np

        self.images = self
        self._columns = {
            "name": np.array([name.encode() for name, _ in pairs]),
            "platform": np.array([platform.encode() for _, platform in pairs]),
        }

    def __len__(self):
        return len(self._columns["name"])

    def __getitem__(self, name):
        return self._columns[name]

    def readable(self, name):
        return self._columns[name].astype(str).astype(object)


PAIRS = [("a:1", "linux/amd64"), ("b:1", ""), ("b:1", "linux/arm64"), ("c", "x/y"), ("c", "x/y")]


def test_labels_are_distinct():
    labels = selection.image_labels(Names(PAIRS))
    assert labels == [
        "a:1",
        "b:1 (no platform, row 1)",
        "b:1 (linux/arm64)",
        "c (x/y, row 3)",
        "c (x/y, row 4)",
    ]


def test_a_name_of_several_images():
    with pytest.raises(KeyError, match=r"choose one of the rows 1 \(\), 2 \(linux/arm64\)"):
        selection.image_row(Names(PAIRS), "b:1")
    assert selection.image_row(Names(PAIRS), "a:1") == 0


def test_frames_say_what_to_install_without_pandas(many_images, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(hpc_remetrics.errors.MissingComponentError) as caught:
        many_images.image_growth()
    assert "pandas" in str(caught.value)
