"""Provenance of a dataset: what `/run` and the note of a job say about ranks, times and options."""

from __future__ import annotations

import os
import platform
import resource
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import __version__
from ..buckets import total_size
from ..config import DEMO, AnalyzeOptions
from ..gather.replacement import source_names
from ..mpi.comm import Comm
from ..parts.job_notes import JobNote, job_tables, read_notes
from ..programs import command_line
from ..records import Layer
from .coordinator import WorkDone
from .signature import chunk_share, recorded_signature
from .worker import Worker


def new_note(
    job: str,
    *,
    share: tuple[int, int] | None,
    started: float,
    whole: tuple[int, int],
    todo: Sequence[Layer],
    ranks: Sequence[tuple[int, str]],
    reused: tuple[int, int] = (0, 0),
) -> JobNote:
    """Return the note of a job that has not profiled anything yet; called on rank 0.

    :param started: Unix time at which this process began.
    :param whole: layers of the dataset, and their compressed bytes.
    :param todo: layers that are left for this job.
    :param reused: layers that are taken from earlier datasets, and their compressed bytes.
    :param ranks: number and host of each profiling rank.
    """
    return JobNote(
        job,
        f"{share[0]}/{share[1]}" if share else "",
        socket.gethostname(),
        os.getpid(),
        started,
        *whole,
        len(todo),
        total_size(todo),
        *reused,
        ranks=[{"rank": rank, "host": host, **asdict(WorkDone())} for rank, host in ranks],
    )


def about_rank(comm: Comm, worker: Worker | None, seconds: float) -> dict[str, Any]:
    """Return this rank's row of `/run/ranks`: what it did, and what it took.

    :param worker: None on a rank that profiled nothing.
    :param seconds: how long the profiling of all ranks lasted.
    """
    done = worker.report.total if worker else WorkDone()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "rank": comm.rank,
        "host": comm.host,
        "layers": done.layers,
        "files": done.files,
        "bytes": done.bytes,
        "fetch_seconds": done.fetch_seconds,
        "busy_seconds": done.busy_seconds,
        "publish_seconds": done.publish_seconds,
        "idle_seconds": max(seconds - done.busy_seconds, 0.0) if worker else 0.0,
        "profile_cpu_seconds": worker.runner.cpu_seconds if worker else 0.0,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_memory": 1024 * usage.ru_maxrss,
        "child_peak_memory": worker.runner.child.peak_memory if worker else 0,
    }


def about_run(
    options: AnalyzeOptions,
    *,
    fingerprint: str,
    started: float,
    parts: Path,
    ranks: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Return what goes to `/run`: single values, and tables of the ranks and of all jobs so far.

    :param started: Unix time at which this process began.
    :param parts: the directory of parts, which has the notes of all jobs.
    :param ranks: `about_rank` of every rank.
    """
    from ..profile.compression_sample import codecs

    signature = recorded_signature(options)
    return {
        "fingerprint": fingerprint,
        "version": __version__,
        "command": command_line(sys.argv),
        "started": started,
        "gather_started": time.time(),
        "python": platform.python_version(),
        "types": signature["types"],
        "compress_sample": str(options.compress_sample),
        "compress_with": codecs(),
        "chunk_sample": str(chunk_share(options)),
        "probes": " ".join(f"{name}={setting}" for name, setting in options.probes),
        "platforms": " ".join(options.platforms),
        "sources": {"source": source_names(options.sources or (DEMO,))},
        "signature": {"name": list(signature), "value": list(signature.values())},
        "rank_count": len(ranks),
        "ranks": {name: [rank[name] for rank in ranks] for name in ranks[0]},
        **job_tables(read_notes(parts)),
    }
