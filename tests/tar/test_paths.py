"""Directories are counted exactly, however many and however deep."""

import random

import pytest

from hpc_remetrics.tar.fault import LayerFault
from hpc_remetrics.tar.paths import Directories, clean, key_of


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
