"""Directories are counted exactly, however many and however deep."""

import posixpath
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import share_of

from hpc_remetrics.tar import paths
from hpc_remetrics.tar.fault import LayerFault
from hpc_remetrics.tar.paths import Directories, clean, key_of

LONG = b"n" * 120
PARTS = st.sampled_from([b"a", b"ab", b"b", LONG, LONG[:100], b"x" * 255])
SHORT_PATHS = st.lists(PARTS, min_size=1, max_size=9).map(b"/".join)
DEEP_PATHS = st.tuples(st.integers(120, 140), st.lists(PARTS, max_size=4)).map(
    lambda pair: b"d/" * pair[0] + b"/".join([*pair[1], b"end"])
)


def test_a_parent_of_a_deep_path_that_is_kept_as_it_is_counts_once(tmp_path):
    directories = Directories(tmp_path / "overflow")
    directories.add_parents(b"d/" * 128 + b"end")
    directories.add_parents(b"d/" * 129 + b"end")
    assert directories.count() == 129


@settings(max_examples=share_of(60))
@given(
    st.lists(st.tuples(SHORT_PATHS | DEEP_PATHS, st.booleans()), max_size=8),
    st.sampled_from([1, 3, 100_000]),
)
def test_few_directories_against_a_plain_set(tmp_path_factory, paths, room):
    place = tmp_path_factory.mktemp("directories")
    directories = Directories(place / "overflow", room)
    truth = set()
    for path, is_directory in paths:
        directories.add_parents(path)
        if is_directory:
            directories.add(path)
            truth.add(path)
        while path := path.rpartition(b"/")[0]:
            truth.add(path)
    assert directories.count() == len(truth)
    assert list(place.iterdir()) == []


def test_a_file_is_made_beyond_the_room_and_not_before(tmp_path):
    for long in (b"", LONG * 3 + b"/"):
        directories = Directories(tmp_path / "overflow", room=4)
        for number in range(3):
            directories.add_parents(long + b"%d/file" % number)
        assert list(tmp_path.iterdir()) == []
        directories.add(long + b"3")
        directories.add(long + b"4")
        assert (tmp_path / "overflow").stat().st_size % 16 == 0
        # The same ones again, after they have left memory, are counted once
        for number in range(5):
            directories.add_parents(long + b"%d/file" % number)
        assert directories.count() == 5 + bool(long)
        assert list(tmp_path.iterdir()) == []


DEEP = b"d/" * 129


@pytest.mark.parametrize(
    "names",
    [
        [b"ab", b"a"],
        [b"a", b"ab"],
        [b"a/b", b"a"],
        [b"a", b"a/b"],
        [b"a/b", b"a/c", b"a/b"],
        [b"a/b", b"b/b", b"a"],
    ],
)
def test_deep_directories_after_one_that_begins_alike(tmp_path, names):
    directories = Directories(tmp_path / "overflow")
    truth = set()
    for name in names:
        directories.add_parents(DEEP + name)
        directories.add(DEEP + name)
        parts = (DEEP + name).split(b"/")
        truth |= {b"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
    assert directories.count() == len(truth)


@pytest.mark.parametrize("block", [3, 4, 100])
def test_the_hash_of_a_deep_directory_is_a_sum_over_its_bytes(tmp_path, monkeypatch, block):
    """Of a factor of each byte times one of its place; the same ones for all paths."""
    monkeypatch.setattr(paths, "_HASHED_BYTES", block)
    deep = paths.DeepDirectories(tmp_path / "overflow", 10, 10)
    long = np.frombuffer(b"some/path/of/bytes", np.uint8)
    found = []
    for data in (long[:9], long):
        ends = np.array([1, 3, 4, 6, 8, 9, len(data)])
        found += zip(ends.tolist(), deep._sums(data, ends).tolist(), strict=True)
    _, of_byte, of_place = deep._factors
    terms = [int(of_byte[byte]) * int(of_place[n]) for n, byte in enumerate(long.tolist())]
    assert found == [(end, sum(terms[:end]) % (1 << 64)) for end, _ in found]


def test_deep_directories_have_a_limit(tmp_path):
    directories = Directories(tmp_path / "overflow", room=4, limit=20)

    def add(names: range) -> None:
        for number in names:
            directories.add(b"d/" * 128 + b"%d" % number)

    for _ in range(5):
        add(range(20))
    # They are counted when the file has twice as many rows as it may have
    with pytest.raises(LayerFault, match="more than 20 directories") as raised:
        add(range(60))
    assert (raised.value.stage, raised.value.cause) == ("tar", "limit_entries")


@settings(max_examples=share_of(200))
@given(st.lists(st.sampled_from([b"", b".", b"..", b"...", b".a", b"a", b"b."]), max_size=7))
def test_clean_against_posixpath(parts):
    path = b"/".join(parts)
    assert clean(path) == posixpath.normpath(b"/" + path).lstrip(b"/")


@pytest.mark.slow
@pytest.mark.parametrize("room", [3, 50, 100_000])
def test_directories_against_a_plain_set(tmp_path, room):
    rng = random.Random(room)
    parts = [b"a", b"ab", *(b"b" * length for length in (50, 253, 254, 255, 256, 300))]
    for _ in range(300):
        directories, truth = Directories(tmp_path / "overflow", room), set()
        for _ in range(rng.randrange(12)):
            path = b"/".join(rng.choice(parts) for _ in range(rng.randrange(1, 40)))
            if rng.random() < 0.3:
                directories.add(path)
                truth.add(path)
            directories.add_parents(path)
            while path := path.rpartition(b"/")[0]:
                truth.add(path)
        assert directories.count() == len(truth)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("room", [3, 50, 100_000])
def test_deep_directories_against_a_plain_set(tmp_path, room):
    rng = random.Random(room)
    for _ in range(60):
        directories, truth = Directories(tmp_path / "overflow", room), set()
        trunks = [
            b"/".join(
                rng.choice([b"a", b"bb", b"c" * 40]) for _ in range(rng.choice([5, 126, 140, 400]))
            )
            for _ in range(3)
        ]
        for _ in range(rng.randrange(12)):
            names = [
                rng.choice(trunks),
                *(rng.choice([b"a", b"b", b"aa"]) for _ in range(rng.randrange(6))),
            ]
            path = b"/".join(names[: rng.choice([1, 2, 9])])
            path = path[: rng.choice([-1, -2, -3, 9999])].strip(b"/")
            if rng.random() < 0.4:
                directories.add(path)
                truth.add(path)
            directories.add_parents(path)
            while path := path.rpartition(b"/")[0]:
                truth.add(path)
        assert directories.count() == len(truth)
        assert list(tmp_path.iterdir()) == []


def test_too_many_deep_directories_are_a_fault(tmp_path):
    directories = Directories(tmp_path / "overflow", room=100, limit=10_000)
    # The same ones again are no more.
    for _ in range(5):
        for name in (b"x", b"y"):
            directories.add_parents(name + b"/a" * 4_000 + b"/file")
    directories.add_parents(b"v" + b"/a" * 4_000 + b"/file")
    others = b"".join(b"w/a%d/" % number for number in range(9_000))
    with pytest.raises(LayerFault, match="more than 10000 directories"):
        directories.add_parents(others)


def test_many_directories_at_the_root_leave_memory(tmp_path):
    directories = Directories(tmp_path / "overflow", room=100)
    for number in range(10_000):
        directories.add(b"%d" % number)
        directories.add_parents(b"%d" % number)
    assert (tmp_path / "overflow").stat().st_size >= 16 * 9_800
    assert directories.count() == 10_000


def test_keys_are_short_and_differ():
    paths = [b"a/" * length for length in range(2000)]
    keys = [key_of(path) for path in paths]
    assert len(set(keys)) == len(paths)
    assert max(map(len, keys)) <= 255


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [
        (b"a", b"a"),
        (b"./a", b"a"),
        (b"././a", b"a"),
        (b"/a//b/", b"a/b"),
        (b"a/../../b", b"b"),
        (b"..", b""),
        (b"a/.", b"a"),
        (b".a/..b", b".a/..b"),
        (b"", b""),
        (b"/", b""),
        (b".//a", b"a"),
        (b"a//", b"a"),
    ],
)
def test_clean(path, cleaned):
    assert clean(path) == cleaned


@pytest.mark.parametrize(("rows", "passes"), [(10, 1), (11, 2), (25, 3)])
def test_distinct_hashes_are_counted_in_as_few_passes_as_memory_has_room_for(
    tmp_path, monkeypatch, rows, passes
):
    monkeypatch.setattr(paths, "_SORTED_ROWS", 10)
    opened = []

    def counting(*arguments):
        opened.append(arguments)
        return open(*arguments)

    monkeypatch.setattr(paths, "open", counting, raising=False)
    hashes = [
        (number * 0xFFFF // (rows - 1)).to_bytes(2, "big").ljust(16) for number in range(rows)
    ]
    (tmp_path / "hashes").write_bytes(b"".join(hashes + hashes[::3]))
    assert paths._distinct(tmp_path / "hashes", rows) == rows
    assert len(opened) == passes
