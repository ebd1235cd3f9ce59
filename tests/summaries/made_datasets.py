"""Two made-up datasets that share some of their layers, contents and images."""

import random
from typing import Any

from support.made import Entry, Made

from hpc_remetrics.parts.job_notes import JobNote
from hpc_remetrics.records import Skipped

KINDS = ["file"] * 8 + ["directory", "symlink", "fifo", "whiteout"]


def layer_of(seed: int) -> list[Entry]:
    """Return some random entries; low numbers of contents come often, so that layers share them."""
    rng = random.Random(seed)
    kinds = rng.choices(KINDS, k=rng.randrange(1, 20))
    return [
        Entry(kind, b"d/%d" % place, int(12 * rng.random() ** 2))
        for place, kind in enumerate(kinds)
    ]


LAYERS = [layer_of(seed) for seed in range(6)]
LAYERS[4] = []  # failed

FIRST = Made(
    LAYERS,
    [[0, 1], [0, 2], [3, 3, 4], []],
    status={1: "partial", 4: "failed"},
    skipped=[
        Skipped("made:0000", "", -1, "application/x", cause)
        for cause in ("artifact", "artifact", "attestation")
    ],
    run={"types": "magic-546-plain-1"},
)
SECOND = Made(
    LAYERS, [[0, 1], [0, 5], [3, 3, 4]], status=FIRST.status, run={"types": "magic-539-plain-1"}
)


def layers_of(made: Made) -> list[int]:
    """Return the places of the layers that images have."""
    return sorted({layer for image in made.images for layer in image})


def files_of(made: Made) -> list[Entry]:
    """Return all files of the dataset, each layer once."""
    return [
        entry for layer in layers_of(made) for entry in made.layers[layer] if entry.kind == "file"
    ]


def compressed(made: Made, layer: int) -> int:
    """Return the CLS of a layer, as `Made` writes it."""
    return 10 * len(made.layers[layer])


def rank_row(rank: int, busy: float = 1.0, host: str = "a", **numbers: int) -> dict[str, Any]:
    """Return what a job's note says of a rank; numbers that are not given are 0."""
    counts = {name: numbers.get(name, 0) for name in ("ok", "partial", "failed", "files", "bytes")}
    times = {"busy_seconds": busy, "fetch_seconds": 0.5, "publish_seconds": 0.25}
    return {"rank": rank, "host": host, **counts, **times, "idle_seconds": 4 - busy}


def note(job: str, *ranks: dict[str, Any], **fields: Any) -> JobNote:
    """Return the note of a job of 4 seconds on a dataset of 5 layers and 1000 compressed bytes."""
    about = {"share": "", "host": "a", "process": 7, "started": 1e9, "seconds": 4.0} | fields
    return JobNote(
        job=job,
        **{"layers": 5, "bytes": 1000, "todo_layers": 5, "todo_bytes": 1000} | about,
        ranks=list(ranks),
    )
