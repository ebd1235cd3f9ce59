"""Quantiles of sizes, against sorted lists."""

import math
from collections import defaultdict

import pytest

LEVELS = (0, 0.25, 0.5, 0.9, 1)


def lists(data, by: str, each_copy: bool) -> dict[str, list[int]]:
    """Return all sizes of each type, ascending."""
    names = data.types.readable(by)
    columns = (data.contents[name].tolist() for name in ("type", "size", "copies"))
    sizes = defaultdict(list)
    for type_, size, copies in zip(*columns, strict=True):
        sizes[names[type_]] += [size] * (copies if each_copy else 1)
    return {name: sorted(values) for name, values in sizes.items() if values}


@pytest.mark.parametrize("by", ["description", "mime", "group", "class"])
@pytest.mark.parametrize("each_copy", [False, True])
def test_quantiles(many_images, by, each_copy):
    wanted = lists(many_images, by, each_copy)
    frame = many_images.size_quantiles(LEVELS, by=by, each_copy=each_copy)
    assert frame.index.name == by
    assert set(frame.index) == set(wanted)
    assert frame["bytes"].is_monotonic_decreasing
    for name, sizes in wanted.items():
        assert frame.loc[name, "count"] == len(sizes)
        assert frame.loc[name, "bytes"] == sum(sizes)
        for level in LEVELS:
            place = max(math.ceil(level * len(sizes)), 1) - 1
            assert frame.loc[name, f"q{level:g}"] == sizes[place]


def test_what_can_not_be_asked(many_images):
    with pytest.raises(KeyError, match="grouped by description, mime, group, class"):
        many_images.size_quantiles(by="size")
    with pytest.raises(ValueError, match="from 0 to 1"):
        many_images.size_quantiles([50])
