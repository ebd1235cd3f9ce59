"""A made-up dataset with everything odd in it, and copies of it to change."""

import shutil
from pathlib import Path

import pytest
from support.made import Entry, Made
from support.made_configs import ODD_CONFIG, ODD_PAIRS
from support.small_chunks import use_small_chunks

from hpc_remetrics.records import Popularity, Skipped

NAMES = [b"=1+1", b"./plain/name", b"\xff\n", b"back\\slash", b"", b"ab/c"]
LAYERS = [
    [Entry("file", name, place) for place, name in enumerate(NAMES)] * 40,
    [Entry("symlink", b"l%d" % place, link=name) for place, name in enumerate(NAMES)],
    [],
    [Entry("file", b"f%d" % place, place) for place in range(90)],
]
MADE = Made(
    LAYERS,
    [[0, 1], [0, 2, 3], [], [3, 3]],
    status={1: "partial", 2: "failed"},
    compressed=frozenset(range(0, 90, 2)),
    skipped=[Skipped("made0000:1", "+1", 5, "@type", "artifact", "-message")],
    repositories={"made0000": Popularity(3, 7, "stratum", 2.5, 4)},
    configs={0: ODD_CONFIG, 1: ODD_CONFIG, 2: {"notes": 1}},
    changed={1: {"annotations": ODD_PAIRS}, 2: {"annotations": ODD_PAIRS[:1]}},
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
