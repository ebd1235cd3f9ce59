"""Random images over few paths, so that layers hide one another's files in every way."""

import random

import pytest
from support.made import Entry, Made

import hpc_remetrics
from hpc_remetrics.records import Popularity

DIRECTORIES = ["", "a/", "a/b/", "c/", "a/b/d/"]
NAMES = ["x", "y", "b", "d"]
KINDS = ["file"] * 6 + ["directory", "symlink", "whiteout", "whiteout", "opaque", "other"]


def random_layer(draw: random.Random) -> list[Entry]:
    """Return entries of which each path occurs once, some of them written as `./a//x`."""
    entries = {}
    for _ in range(draw.randrange(12)):
        kind = draw.choice(KINDS)
        directory, name = draw.choice(DIRECTORIES), draw.choice(NAMES)
        if kind == "whiteout":
            name = f".wh.{name}"
        elif kind == "opaque":
            name = ".wh..wh..opq"
        content = draw.randrange(1, 30) if kind == "file" else 0
        path = directory + name
        entries[path] = Entry(kind, draw.choice(["", "./", "/"]).encode() + path.encode(), content)
    return list(entries.values())


DRAW = random.Random(5)
LAYERS = [random_layer(DRAW) for _ in range(30)]
IMAGES = [DRAW.choices(range(30), k=DRAW.randrange(6)) for _ in range(40)]
MADE = Made(
    LAYERS,
    IMAGES,
    repositories={f"made{number:04}": Popularity(1, 1) for number in range(40)},
)


@pytest.fixture(scope="session")
def many_images(tmp_path_factory):
    """The open dataset of `MADE`."""
    path = MADE.write(tmp_path_factory.mktemp("queries") / "made")
    with hpc_remetrics.open(path) as data:
        yield data
