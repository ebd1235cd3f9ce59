"""Pairs of images: neighbours in the history of a repository, or those that a file names.
names."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hpc_remetrics.errors import UsageError
from hpc_remetrics.metrics.image_pairs import FIRST_DATE, consecutive_pairs, read_pairs

NAT = -(2**63)


class Images:
    """The table /images as far as pairs need it."""

    def __init__(self, rows: list[tuple[str, int, str, int, int]]) -> None:
        """Take (name, repository, platform, created, digest) of each image."""
        names, repositories, platforms, created, digests = zip(*rows, strict=True)
        self._values = {
            "name": np.array([name.encode() for name in names]),
            "repository": np.array(repositories, np.int32),
            "platform": np.array([platform.encode() for platform in platforms]),
            "created": np.array(created, np.int64),
            "digest": np.array([bytes([one]) * 32 for one in digests], "V32"),
        }

    def __len__(self) -> int:
        return len(self._values["name"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self._values[name]

    column = __getitem__

    def readable(self, name: str) -> np.ndarray:
        return np.array([value.decode() for value in self._values[name].tolist()], object)


def dataset(*rows) -> SimpleNamespace:
    return SimpleNamespace(images=Images(list(rows)))


DAY = FIRST_DATE + 10**8


def test_neighbours_in_order_of_their_dates_are_pairs():
    data = dataset(
        ("a:1", 0, "linux/amd64", DAY + 3, 1),
        ("a:2", 0, "linux/amd64", DAY + 1, 2),
        ("a:3", 0, "linux/amd64", DAY + 2, 3),
        ("a:3", 0, "linux/arm64", DAY + 9, 4),
        ("b:1", 1, "linux/amd64", DAY + 4, 5),
        ("b:2", 1, "linux/amd64", DAY + 4, 6),
    )
    pairs = consecutive_pairs(data)
    # By a:2, a:3, a:1; images of one date by name.
    assert list(zip(pairs.old, pairs.new, pairs.update, strict=True)) == [
        (1, 2, 1),
        (2, 0, 2),
        (4, 5, 1),
    ]
    assert len(pairs) == 3
    assert pairs.undated == 0


def test_images_without_a_date_are_left_out_and_counted():
    data = dataset(
        ("a:1", 0, "", NAT, 1),
        ("a:2", 0, "", FIRST_DATE - 1, 2),
        ("a:3", 0, "", FIRST_DATE, 3),
        ("a:4", 0, "", 0, 4),
        ("a:5", 0, "", FIRST_DATE + 1, 5),
    )
    pairs = consecutive_pairs(data)
    assert (pairs.old.tolist(), pairs.new.tolist(), pairs.undated) == ([2], [4], 3)


def test_names_of_one_manifest_are_one_image():
    data = dataset(
        ("a:1", 0, "", DAY, 1),
        ("a:1.0", 0, "", DAY, 1),
        ("a:2", 0, "", DAY, 2),
        ("a:latest", 0, "", DAY, 1),
        ("b:1", 1, "", DAY, 1),
        ("b:2", 1, "", DAY, 2),
    )
    pairs = consecutive_pairs(data)
    assert list(zip(pairs.old, pairs.new, strict=True)) == [(0, 2), (4, 5)]


def test_no_image_makes_no_pair():
    data = dataset(("a:1", 0, "", NAT, 1))
    assert len(consecutive_pairs(data)) == 0
    assert consecutive_pairs(data).undated == 1


NAMED = (
    ("a:1", 0, "linux/amd64", NAT, 1),
    ("a:2", 0, "linux/amd64", NAT, 2),
    ("a:2", 0, "linux/arm64", NAT, 3),
    ("b:1", 1, "linux/amd64", NAT, 4),
)


def test_a_file_names_images_or_digests(tmp_path):
    path = tmp_path / "pairs.csv"
    lines = ["why,old,new", "x,a:1,b:1", f"x,a:1,sha256:{'03' * 32}", "y,a:1,b:1", "z,b:1,a:1"]
    path.write_text("\n".join(lines))
    pairs = read_pairs(dataset(*NAMED), path)
    assert list(zip(pairs.old, pairs.new, pairs.update, strict=True)) == [
        (0, 3, 1),
        (0, 2, 1),
        (3, 0, 1),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("old,newer\na:1,b:1\n", "no columns old and new"),
        ("", "no columns old and new"),
        ("old,new\na:1,b:1\na:1,c\n", r"line 3: the dataset has no image 'c'"),
        ("old,new\na:2,b:1\n", r"several images are called 'a:2' \(linux/amd64, linux/arm64\)"),
        ("old,new\na:1\n", "line 2: the dataset has no image ''"),
        (b"old,new\n\xff\xff,b\n", "is no CSV file"),
    ],
)
def test_a_file_that_names_something_else_says_where(tmp_path, text, message):
    path = tmp_path / "pairs.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=message):
        read_pairs(dataset(*NAMED), path)


def test_a_file_that_is_missing_or_too_long_says_so(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"can't read .*pairs\.csv"):
        read_pairs(dataset(*NAMED), tmp_path / "pairs.csv")
    monkeypatch.setattr("hpc_remetrics.metrics.image_pairs.MOST_PAIRS", 1)
    (tmp_path / "pairs.csv").write_text("old,new\na:1,b:1\nb:1,a:1\n")
    with pytest.raises(UsageError, match="more than 1 pair"):
        read_pairs(dataset(*NAMED), tmp_path / "pairs.csv")
