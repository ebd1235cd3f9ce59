"""The merge on one page: several datasets in, one out, by all ranks."""

from __future__ import annotations

import logging
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from . import __version__
from .cluster.comm import AbortOnError, Comm, connect
from .cluster.lock import OutputLock
from .cluster.scratch import Scratch
from .cluster.together import on_root, together
from .errors import OutputError
from .log import set_rank
from .store.dataset import Dataset
from .store.ledger import Ledger
from .store.merge import merge

log = logging.getLogger(__name__)


def merge_command(paths: Sequence[Path], output: Path, scratch_folders: Sequence[Path]) -> int:
    """Make one dataset of several, each layer once; return the exit code."""
    comm = connect()
    set_rank(comm.rank, comm.host)
    with AbortOnError(comm), ExitStack() as stack:
        datasets = together(comm, lambda: [stack.enter_context(Dataset(path)) for path in paths])
        on_root(comm, lambda: _lock(output, stack))
        job = comm.bcast(uuid.uuid4().hex[:12])
        scratch = together(comm, lambda: Scratch(job, comm.rank, scratch_folders))
        stack.callback(scratch.close)
        ledger = merge(comm, datasets, output, scratch.path, _about(datasets, comm))
        if comm.rank == comm.root:
            _tell(datasets, output, ledger)
    return 0


def _lock(output: Path, stack: ExitStack) -> None:
    """Hold the output until the end."""
    if output.is_dir():
        raise OutputError(f"{output} is a folder", "name a file with -o, such as dataset.h5")
    stack.callback(OutputLock(output).release)


def _about(datasets: Sequence[Dataset], comm: Comm) -> dict[str, Any]:
    """Return what `/run` says of a merged dataset: how it came about, and what the ranks of all runs did."""
    runs = [dataset.run for dataset in datasets]
    ranks = [dataset.ranks for dataset in datasets]
    common = [name for name in ranks[0] if all(name in one for one in ranks)]
    return {
        "version": __version__,
        "command": " ".join(sys.argv),
        "merged": " ".join(str(dataset.path) for dataset in datasets),
        "started": min(float(run.get("started", time.time())) for run in runs),
        "gather_started": time.time(),
        "types": " + ".join(sorted({str(run.get("types", "")) for run in runs})),
        "sources": " ".join(dict.fromkeys(str(run.get("sources", "")) for run in runs)),
        "rank_count": comm.size,
        "ranks": {name: [_plain(value) for one in ranks for value in one[name].tolist()] for name in common},
    }


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _tell(datasets: Sequence[Dataset], output: Path, ledger: Ledger) -> None:
    if len({str(dataset.run.get("types", "")) for dataset in datasets}) > 1:
        log.warning("the datasets were made with different versions of libmagic or options: types may differ by that")
    layers = sum(len(dataset.layers) for dataset in datasets)
    print(f"{output}: {ledger}; {layers - ledger.layers} stood in several", file=sys.stderr)
