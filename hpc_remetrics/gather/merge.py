"""The merge on one page: several datasets in, one out, by all ranks."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from .. import __version__
from ..config import ReduceOptions
from ..dataset.ledger import Ledger
from ..dataset.origin import check_dataset_output, layer_digests, sources_of
from ..dataset.reader import Dataset
from ..files.lock import OutputLock
from ..files.publish import sweep
from ..filetype.typer import typed_differently
from ..metrics.write import add_metrics
from ..mpi.collective import collectively, on_rank_0
from ..mpi.comm import Comm
from ..mpi.job import run_job
from ..node.scratch import shared_scratch
from ..programs import command_line
from .datasets_as_parts import common_sample, least_chunks, merge

log = logging.getLogger(__name__)

_TABLES = ("ranks", "jobs", "job_ranks")
"""Tables of `/run` that are taken over."""


def merge_command(paths: Sequence[Path], options: ReduceOptions) -> int:
    """Make one dataset, `options.dataset`, of several, each layer once, with its metrics; return
    the exit code."""

    def work(comm: Comm) -> int:
        with ExitStack() as stack:
            _merge(comm, paths, options, stack)
        return 0

    return run_job(work)


def _merge(comm: Comm, paths: Sequence[Path], options: ReduceOptions, stack: ExitStack) -> None:
    output = options.dataset
    datasets = collectively(comm, lambda: [stack.enter_context(Dataset(path)) for path in paths])
    collectively(comm, lambda: [dataset.check_all(comm.rank, comm.size) for dataset in datasets])
    on_rank_0(comm, lambda: _lock(output, datasets, options.force, stack))
    if comm.rank == comm.root:
        _warn(datasets)
    scratch = stack.enter_context(shared_scratch(comm, options.scratch, options.scratch_rooms))
    finish = partial(add_metrics, comm, scratch=scratch.path, memory=int(options.memory * 1e6))
    ledger = merge(comm, datasets, output, scratch.path, _about(datasets, comm), finish)
    if comm.rank == comm.root and not options.quiet:
        _tell(datasets, output, ledger)


def _warn(datasets: Sequence[Dataset]) -> None:
    """Say what the inputs don't have in common, before the work begins."""
    if warning := typed_differently(str(dataset.run.get("types", "")) for dataset in datasets):
        log.warning(warning)
    if common_sample(datasets) is None:
        log.warning(
            "the datasets have samples of different shares of their contents: their merge has none"
        )


def _lock(output: Path, datasets: Sequence[Dataset], force: bool, stack: ExitStack) -> None:
    """Hold the output until the end, unless a dataset is there that the merge would lose."""
    paths = [dataset.path for dataset in datasets]

    def held() -> set[bytes]:
        return set().union(*map(layer_digests, paths))

    check_dataset_output(output, _sources(datasets), held, force, paths)
    stack.enter_context(OutputLock(output))
    sweep(output)


def _sources(datasets: Sequence[Dataset]) -> list[str]:
    """Return the sources of all datasets, each once."""
    return list(dict.fromkeys(source for dataset in datasets for source in sources_of(dataset)))


def _about(datasets: Sequence[Dataset], comm: Comm) -> dict[str, Any]:
    """Return what `/run` says of a merged dataset: how it came about, and what the ranks of all
    runs did."""
    runs = [dataset.run for dataset in datasets]
    tables = {name: _stacked([dataset.run_table(name) for dataset in datasets]) for name in _TABLES}
    return {
        "version": __version__,
        "command": command_line(sys.argv),
        "merged": " ".join(str(dataset.path) for dataset in datasets),
        "started": min(float(run.get("started", time.time())) for run in runs),
        "gather_started": time.time(),
        "types": " + ".join(
            sorted({one for run in runs for one in str(run.get("types", "")).split(" + ")})
        ),
        "compress_sample": str(common_sample(datasets) or 0),
        "chunk_sample": str(least_chunks(datasets)),
        "sources": {"source": _sources(datasets)},
        "rank_count": comm.size,
        **{name: table for name, table in tables.items() if table},
    }


def _stacked(tables: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return those tables that have a row one below the other, with the columns that all of them
    have."""
    tables = [table for table in tables if any(map(len, table.values()))]
    common = [
        name for name in (tables[0] if tables else {}) if all(name in table for table in tables)
    ]
    return {
        name: [_plain(value) for table in tables for value in table[name].tolist()]
        for name in common
    }


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _tell(datasets: Sequence[Dataset], output: Path, ledger: Ledger) -> None:
    layers = sum(len(dataset.layers) for dataset in datasets)
    print(f"{output}: {ledger}; {layers - ledger.layers} stood in several", file=sys.stderr)
