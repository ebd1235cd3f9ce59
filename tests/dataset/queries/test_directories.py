"""Directories cut after some parts, against cleaned paths one by one and the metrics."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_remetrics.dataset.queries.directories import cut_directories
from hpc_remetrics.tar.paths import clean


@given(
    st.lists(st.lists(st.sampled_from(list("/.a")), max_size=9).map("".join), max_size=6),
    st.integers(1, 3),
)
def test_any_paths_as_if_cleaned_one_by_one(paths, depth):
    stored = [path.encode() for path in paths]
    bounds = np.append(0, np.cumsum([len(path) for path in stored])).astype(np.int64)
    blob, ends = cut_directories(b"".join(stored), bounds, depth)
    found = [blob[low:high] for low, high in pairwise(ends.tolist())]
    assert found == [b"/".join(clean(path).split(b"/")[:-1][:depth]) for path in stored]


def test_files_and_bytes_are_those_of_the_metrics(many_images):
    table = many_images.metrics["directories"].frame()
    frame = many_images.entries.frame(["kind", "content"])
    sized = frame.join(many_images.contents.frame(["size"]), on="content")
    for depth in (1, 2):
        sized["directory"] = many_images.directories(depth)
        files = sized[sized["kind"] == "file"].groupby("directory", observed=True)["size"]
        wanted = table[(table["depth"] == depth) & (table["is_other"] == 0)]
        wanted = wanted.set_index("directory")
        assert files.count().to_dict() == wanted["files"].to_dict()
        assert files.sum().to_dict() == wanted["bytes"].to_dict()


def test_some_rows_and_a_depth_of_none(many_images):
    whole = many_images.directories(1)
    assert list(many_images.directories(1, 3, 9)) == list(whole[3:9])
    assert len(many_images.directories(1, 5, 5)) == 0
    with pytest.raises(ValueError, match="not after 0"):
        many_images.directories(0)
