"""A small dataset by hand that has something for every figure and table."""

from support.made import Entry, Made

from hpc_remetrics.parts.job_notes import JobNote, job_tables
from hpc_remetrics.records import Popularity, Skipped, Step

LONG = b"a-directory/whose-name/has-more/than-thirty-characters/in-four-of-its-parts"

BASE = [
    Entry("directory", b"etc/"),
    Entry("file", b"etc/motd", 1),
    Entry("file", b"etc/copy.txt", 1),
    Entry("file", LONG + b"/file.so", 2),
    Entry("file", b"usr/lib/x/y/z.so", 2),
    Entry("file", b"top", 3),
    Entry("hardlink", b"etc/hard", link=b"etc/motd"),
    Entry("symlink", b"etc/soft", link=b"motd"),
]
UPPER = [
    Entry("file", b"etc/motd", 5),
    Entry("file", b"etc/copy.txt", 5),
    Entry("whiteout", b".wh.top"),
    Entry("opaque", b"usr/lib/.wh..wh..opq"),
    Entry("file", b"usr/lib/new.txt", 1),
]
OTHER = [
    Entry("file", b"usr/share/%d.txt" % place, content)
    for place, content in enumerate([1, 2, 2, *range(20, 80)])
]
FAILED = 3


def _rank(rank: int, busy: float, layers: int) -> dict[str, object]:
    """Return what the note of a job says of a rank."""
    return {
        "rank": rank,
        "host": "node7",
        "ok": layers,
        "partial": 0,
        "failed": 0,
        "files": 10 * layers,
        "bytes": 1000 * layers,
        "busy_seconds": busy,
        "fetch_seconds": 0.5,
        "publish_seconds": 0.25,
        "idle_seconds": 4 - busy,
    }


_JOB = JobNote(
    job="one",
    share="",
    host="node7",
    process=7,
    started=1_500_000_000.0,
    seconds=4.0,
    layers=4,
    bytes=1000,
    todo_layers=4,
    todo_bytes=1000,
    ranks=[_rank(1, 2.0, 3), _rank(2, 4.0, 1)],
)

STEPS = (
    Step(created_by="ADD rootfs.tar / # buildkit"),
    Step(created_by="ENV A=b", is_empty=True),
    Step(created_by="RUN /bin/sh -c apt-get update # buildkit"),
    Step(created_by="COPY . /app # buildkit"),
)

MADE = Made(
    [BASE, UPPER, OTHER, []],
    [[0, 1], [0, 1, 2], [0, 2, FAILED]],
    repositories={
        f"made{place:04}": Popularity(stars, pulls)
        for place, (stars, pulls) in enumerate([(3, 1000), (5, 10**6), (-1, -1)])
    },
    tags={0: "a-tag-of-more-than-thirty-characters"},
    status={1: "partial", FAILED: "failed"},
    compressed=frozenset(range(21, 80)),
    configs={0: {"history": STEPS[:3]}, 1: {"history": STEPS}},
    skipped=[Skipped("made0000:1", "", 7, "application/x", "artifact")],
    run={
        "started": 1_500_000_000,
        "version": "9.9",
        "sources": {"source": ["oci:first", "oci:second"]},
        **job_tables([_JOB]),
    },
)
"""The second layer hides files of the first; the last one could not be read.

Two of the images say by which steps their layers were made.
"""
