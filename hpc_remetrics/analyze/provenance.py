"""What a run says of itself: its ranks, its times, its note for those who look from outside."""

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
from ..dataset.origin import source_names
from ..filetype import typer
from ..mpi.comm import Comm
from ..parts.job_notes import JobNote, job_tables, read_notes
from ..profile.compression_sample import codecs
from ..programs import command_line
from ..records import Layer
from .coordinator import Tally
from .worker import Worker


def new_note(
    job: str,
    share: tuple[int, int] | None,
    started: float,
    whole: tuple[int, int],
    todo: Sequence[Layer],
    ranks: Sequence[tuple[int, str]],
) -> JobNote:
    """Return what is known of a job before it profiles anything; rank 0 calls it.

    :param whole: layers of the dataset, and their bytes.
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
        ranks=[{"rank": rank, "host": host, **asdict(Tally())} for rank, host in ranks],
    )


def about_rank(comm: Comm, worker: Worker | None, seconds: float) -> dict[str, Any]:
    """Return what this rank did and took, for `/run/ranks`; `seconds` of profiling by all."""
    total = worker.total if worker else Tally()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "rank": comm.rank,
        "host": comm.host,
        "layers": total.layers,
        "files": total.files,
        "bytes": total.bytes,
        "fetch_seconds": total.fetch_seconds,
        "busy_seconds": total.busy_seconds,
        "publish_seconds": total.publish_seconds,
        "idle_seconds": max(seconds - total.busy_seconds, 0.0) if worker else 0.0,
        "profile_cpu_seconds": worker.cpu_seconds if worker else 0.0,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_memory": 1024 * usage.ru_maxrss,
        "child_peak_memory": worker.child_peak_memory if worker else 0,
    }


def about_run(
    options: AnalyzeOptions,
    fingerprint: str,
    started: float,
    parts: Path,
    ranks: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return what goes to `/run`: values, and tables of the ranks and of all jobs so far."""
    return {
        "fingerprint": fingerprint,
        "version": __version__,
        "command": command_line(sys.argv),
        "started": started,
        "gather_started": time.time(),
        "python": platform.python_version(),
        "types": typer.signature(options.types),
        "compress_sample": str(options.compress_sample),
        "compress_with": codecs(),
        "chunk_sample": str(options.chunk_sample if options.chunks else 0),
        "platforms": " ".join(options.platforms),
        "sources": {"source": source_names(options.sources or (DEMO,))},
        "rank_count": len(ranks),
        "ranks": {name: [rank[name] for rank in ranks] for name in ranks[0]},
        **job_tables(read_notes(parts)),
    }
