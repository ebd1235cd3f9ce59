"""The run on one page: open sources, plan, scatter, profile, publish, gather.

Every rank runs this code. What one of them finds wrong in a person's input is raised on all alike;
an exception that nobody caught ends every rank at once.
"""

from __future__ import annotations

import contextlib
import logging
import platform
import resource
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from . import __version__
from .cluster.comm import AbortOnError, Backoff, Comm, connect, launched_rank, launched_size
from .cluster.coordinator import ASK, BYE, PAUSE, TALLY, Coordinator, Tally
from .cluster.lock import OutputLock
from .cluster.scratch import Scratch
from .cluster.signals import StopRequest
from .cluster.together import on_root, together
from .config import AnalyzeOptions
from .errors import DatasetError, OutputError, RemetricsError, UsageError
from .fetch import Fetcher
from .log import set_rank
from .plan import Plan, make_plan, unique_layers
from .profile import filetype
from .profile.process import Child
from .profile.typetable import TypeTable
from .progress import Progress
from .records import TRANSIENT_CAUSES, Catalog, Digest, Layer
from .registry.pool import Registries
from .resolving import Resolver
from .sources import open_source
from .sources.base import Source
from .worker import Worker, publisher

log = logging.getLogger(__name__)

DEMO = "demo:"


def analyze(options: AnalyzeOptions) -> int:
    """Profile the layers of all images of the sources into one dataset; return the exit code.

    Run again with the same output it resumes, whatever ended the run before.
    """
    child = Child(options.limits) if launched_size() == 1 or launched_rank() != 0 else None
    comm: Comm | None = None
    try:
        comm = connect()
        set_rank(comm.rank, comm.host)
        if child is None and comm.size == 1:
            child = Child(options.limits)
        with AbortOnError(comm):
            return _Run(comm, options, child).run()
    except RemetricsError as error:
        if comm is not None and comm.rank != comm.root and error.shared:
            return error.exit_code
        raise
    finally:
        if child is not None:
            child.close()


def parts_folder(output: Path) -> Path:
    """Return the folder beside a dataset that holds its parts."""
    return output.parent / f"{output.name}.parts"


class _Run:
    """One run of this process: what it was asked for, and what it holds."""

    def __init__(self, comm: Comm, options: AnalyzeOptions, child: Child | None) -> None:
        self.comm, self.options, self.child = comm, options, child
        self.parts = parts_folder(options.output)
        self.stop = StopRequest()
        self.lock: OutputLock | None = None
        self.catalog: Catalog | None = None
        self.worker: Worker | None = None
        self.started = time.time()

    @property
    def is_root(self) -> bool:
        return self.comm.rank == self.comm.root

    def run(self) -> int:
        self.stop.install()
        on_root(self.comm, self._lock_output)
        try:
            return self._run()
        finally:
            if self.lock:
                with contextlib.suppress(OSError):
                    self.parts.rmdir()  # a run that came to nothing leaves nothing
                self.lock.release()

    def _run(self) -> int:
        sources, registries = on_root(self.comm, self._open_sources)
        self.catalog = self._resolver().resolve(self.comm, sources, registries)
        layers, signature = on_root(self.comm, lambda: (self._planned(), self._signature()))
        todo = self._left(layers, signature)
        if not todo and (code := on_root(self.comm, self._all_done)) is not None:
            return int(code)
        if todo:
            self._profile(sources, registries, todo, signature)
            left = self._left(layers, signature)
            if left:
                return self._stopped(len(layers), len(left))
        return self._gather(layers)

    def _lock_output(self) -> None:
        if self.options.output.is_dir():
            raise OutputError(f"{self.options.output} is a folder", "name a file with -o, such as dataset.h5")
        self.lock = OutputLock(self.options.output)
        from .store.parts import sweep_temporaries

        try:
            self.parts.mkdir(exist_ok=True)
            sweep_temporaries(self.parts)
        except OSError as error:
            raise OutputError(f"can't make {self.parts}: {error.strerror}", "choose another output with -o") from None

    def _open_sources(self) -> tuple[list[Source], Registries]:
        """Open the sources and list what they must have listed, for every rank."""
        references = list(self.options.sources)
        if not references:
            self._say(f"no source named: taking {DEMO}, images assembled from this Python installation")
            references = [DEMO]
        registries = Registries(replace(self.options.access, ranks=self.comm.size))
        sources = [open_source(reference, registries) for reference in references]
        for source in sources:
            source.prepare()
            self._beat()
        return sources, registries

    def _resolver(self) -> Resolver:
        options = self.options
        return Resolver(options.platforms, options.limits, self.parts, self.stop, self._beat, options.quiet)

    def _planned(self) -> dict[Digest, Layer]:
        assert self.catalog is not None
        layers = unique_layers(self.catalog)
        size = sum(max(layer.size, 0) for layer in layers.values())
        self._say(
            f"{len(self.catalog.images)} images, {len(layers)} layers, {size / 1e9:.2f} GB compressed"
            + (f"; {len(self.catalog.skipped)} things counted apart" if self.catalog.skipped else "")
        )
        return layers

    def _signature(self) -> dict[str, str]:
        """Return what a part's rows depend on besides the layers."""
        types = filetype.signature(self.options.types)
        limits = {
            name: str(value)
            for name, value in asdict(self.options.limits).items()
            if name not in ("layer_seconds", "layer_bytes_per_second", "type_seconds", "child_bytes")
        }
        return {"types": types, **limits}

    def _left(self, layers: Mapping[Digest, Layer], signature: Mapping[str, str]) -> list[Layer]:
        """Return, on every rank, the layers that no part holds."""
        from .store.parts import finished, scan

        found = scan(self.parts, self.comm)

        def left() -> list[Layer]:
            for message in found.damaged:
                log.warning("a part is passed over, its layers are profiled anew: %s", message)
            _check_signatures(found.parts, signature, self.parts)
            done = finished(found.parts)
            return [layer for digest, layer in layers.items() if self._is_open(done.get(digest))]

        return list(on_root(self.comm, left))

    def _is_open(self, done: tuple[str, str] | None) -> bool:
        """Say whether a layer with this (status, cause) in the parts is still to be profiled."""
        if done is None:
            return True
        status, cause = done
        if status != "failed" or self.worker_ran:
            return False
        return self.options.retry_failed or cause in TRANSIENT_CAUSES

    worker_ran = False
    """After this run's own attempt a failed layer is done."""

    def _all_done(self) -> int | None:
        """Return the exit code if the dataset holds all there is already, else None."""
        from .store.dataset import Dataset

        output = self.options.output
        if not output.exists():
            return None
        try:
            with Dataset(output) as dataset:
                if dataset.fingerprint != self._fingerprint():
                    return None
                ledger = dataset.ledger
        except DatasetError as error:
            raise OutputError(f"{output} is in the way: {error}", "move it, or choose another output with -o") from None
        self._say(f"all is done: {output} holds {ledger}")
        return int(ledger.exit_code)

    def _fingerprint(self) -> str:
        """Return a digest of all that the dataset's rows depend on."""
        import hashlib

        assert self.catalog is not None
        rows = sorted(map(repr, [*self.catalog.images, *self.catalog.skipped]))
        return hashlib.sha256(repr((sorted(self._signature().items()), rows)).encode()).hexdigest()

    def _profile(
        self, sources: list[Source], registries: Registries, todo: list[Layer], signature: dict[str, str]
    ) -> None:
        """Profile what is left and publish it."""
        comm = self.comm
        self.job = comm.bcast(uuid.uuid4().hex[:12])
        scratch = together(comm, lambda: Scratch(self.job, comm.rank, self.options.scratch))
        try:
            if self.child is not None:
                fetcher = Fetcher(sources, registries, scratch)
                self.worker = self._new_worker(fetcher, scratch, self.child, signature)
            plan = make_plan(todo, max(comm.size - 1, 1)) if self.is_root else None
            errors = comm.bcast(self._exchange(plan))
        finally:
            scratch.close()
        self.worker_ran = True
        if errors:
            error = errors[min(errors)]
            error.shared = True
            raise error

    def _new_worker(self, fetcher: Fetcher, scratch: Scratch, child: Child, signature: dict[str, str]) -> Worker:
        comm, options = self.comm, self.options
        types = scratch.shared(signature["types"])
        child.set_up(options.types, types, scratch.path / "watch")
        table = TypeTable(types)
        if options.warm_types:
            _warm(table, options.warm_types)
        seconds = options.publish_seconds or min(max(30.0, 0.25 * comm.size), 1200.0)
        publish = publisher(comm, self.parts, self.job, table, signature, scratch.path)
        return Worker(comm, fetcher, child, scratch, publish, seconds)

    def _exchange(self, plan: Plan | None) -> dict[int, RemetricsError]:
        """Exchange messages until every rank has said goodbye; return, on the root, their errors."""
        comm, worker, backoff = self.comm, self.worker, Backoff()
        coordinator = progress = None
        if plan is not None:
            workers = range(1, comm.size) if comm.size > 1 else [0]
            coordinator = Coordinator(comm, plan, workers)
            every = [layer for share in (*plan.shares, plan.tail) for layer in share]
            progress = Progress(len(every), sum(max(layer.size, 0) for layer in every), quiet=self.options.quiet)
        while not (coordinator.finished if coordinator else worker is None or worker.finished):
            moved = worker.step() if worker else False
            while (received := comm.poll()) is not None:
                source, tag, message = received
                moved = True
                if coordinator and tag in (ASK, TALLY, BYE, PAUSE):
                    coordinator.handle(source, tag, message)
                elif worker is not None:
                    worker.handle(source, tag, message)
            if self.stop:
                self._order_stop(coordinator)
            if coordinator and progress:
                self._beat()
                _show(progress, coordinator.tally)
            if moved:
                backoff.reset()
            else:
                backoff.sleep()
        if progress:
            progress.finish()
        comm.flush()
        return coordinator.errors if coordinator else {}

    def _order_stop(self, coordinator: Coordinator | None) -> None:
        if coordinator:
            coordinator.stop()
        if self.worker:
            self.worker.stop()

    def _beat(self) -> None:
        if self.lock:
            self.lock.beat()

    def _stopped(self, planned: int, left: int) -> int:
        reason = f" on {self.stop.reason}" if self.stop else ""
        self._say(f"stopped{reason}: {planned - left} of {planned} layers are done; start again to go on")
        return 4

    def _gather(self, layers: Mapping[Digest, Layer]) -> int:
        """Make one dataset of the parts; return the exit code of its ledger."""
        from .store.gather import gather

        comm, options = self.comm, self.options
        self._say(f"gathering into {options.output}")
        ranks = comm.allgather(self._about_rank())
        job = comm.bcast(uuid.uuid4().hex[:12])
        scratch = together(comm, lambda: Scratch(job, comm.rank, options.scratch))
        try:
            run = self._about_run(ranks) if self.is_root else None
            catalog = self.catalog if self.is_root else None
            ledger = gather(comm, self.parts, catalog, options.output, scratch.path, run)
        finally:
            scratch.close()
        self._say(f"{options.output}: {ledger}")
        return int(ledger.exit_code)

    def _about_rank(self) -> dict[str, Any]:
        total = self.worker.total if self.worker else Tally()
        usage, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "rank": self.comm.rank,
            "host": self.comm.host,
            "layers": total.layers,
            "files": total.files,
            "bytes": total.bytes,
            "busy_seconds": self.worker.busy_seconds if self.worker else 0.0,
            "profile_cpu_seconds": self.worker.cpu_seconds if self.worker else 0.0,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "peak_memory": 1024 * usage.ru_maxrss,
            "child_peak_memory": 1024 * children.ru_maxrss,
        }

    def _about_run(self, ranks: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "fingerprint": self._fingerprint(),
            "version": __version__,
            "command": " ".join(sys.argv),
            "started": self.started,
            "gather_started": time.time(),
            "python": platform.python_version(),
            "types": filetype.signature(self.options.types),
            "sources": " ".join(self.options.sources or (DEMO,)),
            "rank_count": self.comm.size,
            "ranks": {name: [rank[name] for rank in ranks] for name in ranks[0]},
        }

    def _say(self, text: str) -> None:
        """Tell the person, once."""
        if self.is_root and not self.options.quiet:
            print(text, file=sys.stderr, flush=True)


def _check_signatures(indexes: Any, signature: Mapping[str, str], folder: Path) -> None:
    """Refuse to mix parts whose rows were made under other options."""
    for index in indexes:
        for name, value in signature.items():
            if index.signature.get(name) != value:
                raise UsageError(
                    f"{folder} holds parts made with {name}={index.signature.get(name)}, this run has {name}={value}",
                    "use the same options, or another output with -o",
                )


def _show(progress: Progress, tally: Tally) -> None:
    progress.update(tally.layers, tally.files, tally.bytes, tally.failed + tally.partial)


def _warm(table: TypeTable, dataset: Path) -> None:
    """Fill the node's table from a dataset, so that libmagic is not asked again what it answered then."""
    from .store.dataset import Dataset

    with Dataset(dataset) as known:
        for digests, descriptions in known.typed_contents():
            filetype.warm(table, digests, descriptions)
