"""Many paths at once are cleaned and cut as one path is in plain Python."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from support.examples import share_of

from hpc_remetrics.dataset.path_names import Paths
from hpc_remetrics.hashing import PADDING, hash_slices
from hpc_remetrics.tar.paths import clean

PIECES = [b"a", b"/", b".", b"..", b"usr/lib", b"\xff", b"x.tar.gz"]
PATHS = st.lists(st.lists(st.sampled_from(PIECES), max_size=7).map(b"".join), max_size=12)

ODD = [
    *[b"/", b"./", b".", b"..", b"", b"a/./b", b"a//", b"./.hidden", b".hidden/.x"],
    *[b"a", b"a/b", b"./a/b", b"//a", b"./", b"a/../b", b"a/..", b"a/.", b"a/..b", b"a/.b/c"],
    *[b"../a", b".a", b"..a/b", b"a/b/c/d/e/f.txt", b"a.b/c", b"a.tar.gz", b"a.", b"a/.b.c", b".."],
]


def paths_of(texts: list[bytes]) -> Paths:
    lengths = np.array([len(text) for text in texts], np.int64)
    stop = np.cumsum(lengths)
    return Paths(np.frombuffer(b"".join(texts), np.uint8), stop - lengths, stop)


def check(texts: list[bytes]) -> None:
    """Compare cleaned paths, directories of 1 to 4 parts and extensions with Python's."""
    paths = paths_of(texts)
    cleaned = [clean(text) for text in texts]
    assert [paths[row] for row in range(len(paths))] == cleaned
    assert paths.parts.tolist() == [path.count(b"/") for path in cleaned]
    begin, length = paths.extensions()
    for row, path in enumerate(cleaned):
        directory, _, name = path.rpartition(b"/")
        start = int(paths.start[row])
        assert paths.data[start : start + paths.directory()[row]].tobytes() == directory
        for parts in range(1, 5):
            cut = paths.data[start : start + paths.directory(parts)[row]].tobytes()
            assert cut == b"/".join(directory.split(b"/")[:parts])
        extension = paths.data[begin[row] : begin[row] + length[row]].tobytes()
        assert extension == (name.rpartition(b".")[2] if b"." in name[1:] else b"")


@pytest.mark.parametrize("texts", [[], ODD, ODD[::-1], *([one] for one in ODD)])
def test_odd_paths(texts):
    check(texts)


@settings(max_examples=share_of(40))
@given(PATHS)
def test_random_paths(texts):
    check(texts)


@pytest.mark.slow
@settings(max_examples=share_of(500))
@given(PATHS)
def test_many_random_paths(texts):
    check(texts)


def test_what_is_clean_is_not_copied():
    """Only other bounds are needed, however a path begins and ends."""
    texts = [b"./usr/lib/a.so", b"/usr/lib", b"usr/", b"a/.b", b"a/..b", b"..a"]
    assert len(paths_of(texts).data) == len(b"".join(texts)) + PADDING
    assert (
        len(paths_of([*texts, b"a//b"]).data) == len(b"".join(texts) + b"a//b" + b"a/b") + PADDING
    )


def test_hashes_are_those_of_the_cleaned_paths():
    one, two = paths_of([b"./a//b", b"c"]).hashes()
    data = np.frombuffer(b"a/bc" + bytes(PADDING), np.uint8)
    want = hash_slices(data, np.array([0, 3]), np.array([3, 1]))
    assert [one.tolist(), two.tolist()] == [lane.tolist() for lane in want]


def test_directories_of_some_rows():
    paths = paths_of([b"a/b/c", b"d", b"ee/f"])
    assert paths.directory(rows=np.array([2, 0])).tolist() == [2, 3]
    assert paths.directory(1, np.array([2, 0])).tolist() == [2, 1]
