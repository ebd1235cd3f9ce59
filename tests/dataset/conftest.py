"""A made-up dataset with everything odd in it, and copies of it to change."""

import shutil
from pathlib import Path

import pytest
from support.made import Entry, Made
from support.small_chunks import use_small_chunks

from hpc_remetrics.records import Popularity, Skipped, Step

NAMES = [b"=1+1", b"./plain/name", b"\xff\n", b"back\\slash", b"", b"ab/c"]
LAYERS = [
    [Entry("file", name, place) for place, name in enumerate(NAMES)] * 40,
    [Entry("symlink", b"l%d" % place, link=name) for place, name in enumerate(NAMES)],
    [],
    [Entry("file", b"f%d" % place, place) for place in range(90)],
]
GO_ZERO = -62_135_596_800
"""Seconds of the year 1, with which Go's programs write that a time is unknown."""

STEPS = (
    Step(1_700_000_000, 5, "ADD a.tar /", "", "=me", False, 0),
    Step(None, 0, 'CMD ["a\\b"]', "buildkit\n\t", "", True, 1),
    Step(GO_ZERO, 0, "RUN ünï", "-x", "", False, 0),
)
TEXTS = (("", "=1+1"), ("name", "line\nline \U0001f433"), ("NA", ""), ("name", '"\\'))
CONFIG = {
    "created": 1_700_000_000,
    "created_ns": 7,
    "os": "linux",
    "architecture": "arm64",
    "variant": "v8",
    "author": "@me",
    "entrypoint": '["/bin/sh","-c","echo \\"\\""]',
    "labels": TEXTS,
    "environment": TEXTS[1:],
    "history": STEPS,
    "notes": 6,
    "secrets": 1,
}
"""Fields of a config of two layers: with strings that are no plain ones, and values that are."""

MADE = Made(
    LAYERS,
    [[0, 1], [0, 2, 3], [], [3, 3]],
    status={1: "partial", 2: "failed"},
    compressed=frozenset(range(0, 90, 2)),
    skipped=[Skipped("made0000:1", "+1", 5, "@type", "artifact", "-message")],
    repositories={"made0000": Popularity(3, 7, "stratum", 2.5, 4)},
    configs={0: CONFIG, 1: CONFIG, 2: {"notes": 1}},
    changed={1: {"annotations": TEXTS}, 2: {"annotations": TEXTS[:1]}},
    run={"compress_sample": "1/2", "fingerprint": "abc", "sources": {"source": ["oci:/a"]}},
)


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """The dataset, written in chunks of 64 rows, so that its tables have several."""
    with pytest.MonkeyPatch.context() as patch:
        use_small_chunks(patch)
        return MADE.write(tmp_path_factory.mktemp("made") / "made")


@pytest.fixture
def changed(made, tmp_path) -> Path:
    """A copy to change."""
    return shutil.copy(made, tmp_path / "changed.h5")
