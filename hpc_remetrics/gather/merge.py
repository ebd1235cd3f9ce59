"""The command `merge`: several datasets in, one out with its metrics, by all ranks."""

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
from ..config import MergeOptions
from ..dataset.file_history import united, with_this_command
from ..dataset.ledger import Ledger
from ..dataset.reader import Dataset
from ..files.lock import OutputLock
from ..files.publish import sweep
from ..filetype.typed_by import typed_differently
from ..metrics.compute import add_metrics
from ..mpi.collective import collectively, on_rank_0
from ..mpi.comm import Comm
from ..mpi.job import run_job
from ..node.scratch import shared_scratch
from ..programs import command_line
from .dataset_reader import common_compress_sample, min_chunk_sample, open_on_all_ranks
from .datasets_as_parts import merge
from .replacement import check_dataset_output

log = logging.getLogger(__name__)

_TABLES = ("ranks", "jobs", "job_ranks")
"""Tables of `/run` that the merged dataset has too, of all its inputs."""


def merge_command(options: MergeOptions) -> int:
    """Make one dataset of several, with its metrics; return the exit code."""

    def work(comm: Comm) -> int:
        with ExitStack() as stack:
            _merge(comm, options, stack)
        return 0

    return run_job(work)


def _merge(comm: Comm, options: MergeOptions, stack: ExitStack) -> None:
    paths = options.datasets
    output = options.output

    # Open and check the inputs on all ranks, and lock the output on rank 0
    datasets = open_on_all_ranks(comm, paths, stack)
    collectively(comm, lambda: _check_all(comm, datasets))
    on_rank_0(comm, lambda: _lock(output, datasets, options.force, stack))
    if comm.rank == comm.root:
        _warn(datasets)

    # Merge them on scratch that the ranks of a node share
    scratch = stack.enter_context(shared_scratch(comm, options.scratch, options.scratch_rooms))
    history = with_this_command(united([dataset.file_history for dataset in datasets]))
    finish = partial(
        add_metrics,
        comm,
        scratch=scratch.path,
        memory=int(options.memory * 1e6),
        history=history,
    )
    ledger = merge(comm, datasets, output, scratch.path, _run_values(datasets, comm), finish)
    if comm.rank == comm.root and not options.quiet:
        _print_result(datasets, output, ledger)


def _check_all(comm: Comm, datasets: Sequence[Dataset]) -> None:
    for dataset in datasets:
        dataset.check_all(comm.rank, comm.size)


def _warn(datasets: Sequence[Dataset]) -> None:
    """Log what the inputs don't have in common, before the work begins."""
    if warning := typed_differently(str(dataset.run.get("types", "")) for dataset in datasets):
        log.warning(warning)
    if common_compress_sample(datasets) is None:
        log.warning(
            "the datasets compressed different samples of their contents: "
            "the merged dataset has no compressed sizes"
        )


def _lock(output: Path, datasets: Sequence[Dataset], force: bool, stack: ExitStack) -> None:
    """Lock the output until the end; refuse to replace a dataset that the merge would lose."""
    paths = [dataset.path for dataset in datasets]

    def held() -> set[bytes]:
        return {digest for dataset in datasets for digest in dataset.layers["digest"].tolist()}

    check_dataset_output(output, _sources(datasets), held, force, paths)
    stack.enter_context(OutputLock(output))
    sweep(output)


def _sources(datasets: Sequence[Dataset]) -> list[str]:
    """Return the sources of all datasets, each once."""
    return list(dict.fromkeys(source for dataset in datasets for source in dataset.sources))


def _run_values(datasets: Sequence[Dataset], comm: Comm) -> dict[str, Any]:
    """Return `/run` of the merged dataset: how it was made, and what the ranks of all runs did."""
    # Describe the merge: what it was made of, and what its datasets have in common.
    runs = [dataset.run for dataset in datasets]
    types = {one for run in runs for one in str(run.get("types", "")).split(" + ")}
    values = {
        "version": __version__,
        "command": command_line(sys.argv),
        "merged": " ".join(str(dataset.path) for dataset in datasets),
        "started": min(float(run.get("started", time.time())) for run in runs),
        "gather_started": time.time(),
        "types": " + ".join(sorted(types)),
        "compress_sample": str(common_compress_sample(datasets) or 0),
        "chunk_sample": str(min_chunk_sample(datasets)),
        "sources": {"source": _sources(datasets)},
        "rank_count": comm.size,
    }
    if signature := _common_signature(datasets):
        values["signature"] = {"name": list(signature), "value": list(signature.values())}

    # Stack what the ranks of all runs did.
    for name in _TABLES:
        if table := _stacked([dataset.run_table(name) for dataset in datasets]):
            values[name] = table
    return values


def _common_signature(datasets: Sequence[Dataset]) -> dict[str, str]:
    """Return the signature of all datasets, nothing where they differ in it."""
    signatures = [dataset.signature for dataset in datasets]
    same = all(signature == signatures[0] for signature in signatures)
    return signatures[0] if same else {}


def _stacked(tables: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return tables one below the other, with the columns that all of them have.

    :param tables: column -> (n,) array each; tables without rows are ignored.
    """
    tables = [table for table in tables if any(map(len, table.values()))]
    if not tables:
        return {}
    stacked = {}
    for name in tables[0]:
        if all(name in table for table in tables):
            values = [value for table in tables for value in table[name].tolist()]
            stacked[name] = [_decoded(value) for value in values]
    return stacked


def _decoded(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _print_result(datasets: Sequence[Dataset], output: Path, ledger: Ledger) -> None:
    layers = sum(len(dataset.layers) for dataset in datasets)
    repeated = layers - ledger.layers
    print(f"{output}: {ledger}; {repeated} duplicates dropped", file=sys.stderr)
