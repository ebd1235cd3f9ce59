"""The file system of an image, judged by applying its layers one after another."""

import numpy as np
import pytest
from support.made import Entry, Made, clean

import hpc_remetrics
from hpc_remetrics.dataset.queries.file_system import UpperLayers, visible_entries
from hpc_remetrics.records import KINDS

from .conftest import IMAGES, LAYERS


def is_below(path: bytes, directory: bytes) -> bool:
    return directory == b"" or path.startswith(directory + b"/")


def hides(upper: Entry, path: bytes) -> bool:
    """Return whether an entry of an upper layer hides a path of a lower one."""
    mine = clean(upper.path)
    directory, _, name = mine.rpartition(b"/")
    if upper.kind == "opaque":
        return is_below(path, directory)
    if upper.kind == "whiteout":
        gone = clean(directory + b"/" + name.removeprefix(b".wh."))
        return path == gone or is_below(path, gone)
    return path == mine or (upper.kind != "directory" and is_below(path, mine))


def shown(layers: list[list[Entry]]) -> dict[bytes, Entry]:
    """Return the entries that are left, by path."""
    seen: dict[bytes, Entry] = {}
    for layer in layers:
        seen = {
            path: entry
            for path, entry in seen.items()
            if not any(hides(upper, path) for upper in layer)
        }
        marks = ("whiteout", "opaque")
        seen |= {clean(entry.path): entry for entry in layer if entry.kind not in marks}
    return {path: entry for path, entry in seen.items() if entry.kind != "other"}


def test_random_stacks_of_layers(many_images):
    hidden = 0
    for image, layers in enumerate(IMAGES):
        wanted = shown([LAYERS[layer] for layer in layers])
        frame = many_images.file_system(image)
        assert frame["path"].tolist() == [path.decode() for path in sorted(wanted)]
        entries = [wanted[path] for path in sorted(wanted)]
        assert frame["kind"].tolist() == [entry.kind for entry in entries]
        sizes = [entry.size if entry.kind == "file" else -1 for entry in entries]
        assert frame["size"].fillna(-1).tolist() == sizes
        hidden += sum(len(LAYERS[layer]) for layer in layers) - len(wanted)
    assert hidden > 150


def test_the_bytes_that_are_left_are_those_of_the_metrics(many_images):
    table = many_images.metrics["images"]
    for image in range(len(IMAGES)):
        frame = many_images.file_system(image)
        left = frame.loc[frame["kind"] == "file", "size"].sum()
        assert left == table["FLS"][image] - table["hidden_bytes"][image]


def test_rows_lead_to_the_entries_and_contents(many_images):
    image = max(range(len(IMAGES)), key=lambda row: len(many_images.file_system(row)))
    frame = many_images.file_system(f"made{image:04}:1")
    for row, found in frame.iterrows():
        assert clean(many_images.paths(row, row + 1)[0]).decode() == found["path"]
        assert row in range(*many_images.entries_of(found["layer"]).indices(1 << 60))
    files = frame[frame["kind"] == "file"]
    contents = files["content"].to_numpy(int)
    assert files["size"].tolist() == many_images.contents["size"][contents].tolist()
    types = many_images.types.readable("description")[many_images.contents["type"][contents]]
    assert files["type"].tolist() == types.tolist()
    assert frame.loc[frame["kind"] != "file", ["size", "content", "type"]].isna().all(axis=None)


def test_the_last_of_equal_paths_in_a_layer_and_hard_links(tmp_path):
    layer = [
        Entry("file", b"./a", 1),
        Entry("file", b"a", 2),
        Entry("hardlink", b"b", link=b"a"),
        Entry("symlink", b"\xff", link=b"to\n"),
    ]
    made = Made([layer], [[0]])
    with hpc_remetrics.open(made.write(tmp_path / "made", metrics=False)) as data:
        frame = data.file_system("made:0000")
        assert frame.index.tolist() == [1, 2, 3]
        assert frame["path"].tolist() == ["a", "b", "\\xff"]
        assert frame["link"].tolist() == ["", "a", "to\\x0a"]
        assert frame["size"].tolist()[:2] == [layer[1].size] * 2


def test_an_image_without_layers_is_empty(many_images):
    empty = IMAGES.index([])
    frame = many_images.file_system(empty)
    assert len(frame) == 0
    assert list(frame.columns)[:4] == ["path", "kind", "size", "type"]
    assert visible_entries(many_images, empty).rows.dtype == np.int64


def test_deep_directories_are_taken_for_the_root():
    upper = UpperLayers()
    deep = b"/".join([b"d"] * 3000)
    upper.add([b"d"], [KINDS["file"]])
    assert upper.hide(b"d/x")
    assert not upper.hide(deep)
    upper.add([b".wh..wh..opq"], [KINDS["opaque"]])
    assert upper.hide(deep)


@pytest.mark.parametrize("name", [b".wh.", b".wh..", b".wh..."])
def test_whiteouts_of_nothing_hide_nothing(name):
    upper = UpperLayers()
    upper.add([b"a/" + name], [KINDS["whiteout"]])
    assert not upper.hide(b"a/x")
    assert not upper.hide(b"a")
