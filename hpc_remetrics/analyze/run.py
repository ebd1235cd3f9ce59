"""The run on one page: open sources, plan, scatter, profile, publish, gather.

Every rank runs this code. What one of them finds wrong in a person's input is raised on all alike;
an exception that nobody caught ends every rank at once.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ..buckets import total_size
from ..claimed_sizes import unique_layers
from ..config import DEMO, AnalyzeOptions
from ..dataset.ledger import Ledger
from ..dataset.origin import check_dataset_output, source_names
from ..errors import DatasetError, OutputError, PartError, RemetricsError, UsageError
from ..files.disk_errors import output_error
from ..files.lock import OutputLock
from ..files.outputs import check_apart
from ..files.publish import sweep
from ..files.writing import make_directories, remove_if_empty
from ..filetype import typer
from ..filetype.shared_table import TypeTable
from ..layout.image_layout import Layout
from ..layout.keep import Keeping, KeepingSource
from ..mpi.collective import collectively, on_rank_0
from ..mpi.comm import Comm
from ..mpi.job import run_job
from ..mpi.launch import launched_rank, launched_size
from ..mpi.signals import ALONE_SECONDS, LEAVE_SECONDS, StopRequest
from ..node.scratch import Scratch, node_bases
from ..parts.job_notes import Notebook
from ..parts.parts_directory import (
    ScannedParts,
    best_statuses,
    parts_directory,
    published_digests,
    scan_parts,
    set_aside,
    sweep_temporaries,
)
from ..profile.parent import Child
from ..records import LOST_CAUSES, TRANSIENT_CAUSES, Catalog, Digest, Layer
from ..registry.pool import Registries
from ..sources import open_source
from ..sources.absolute import input_paths
from ..sources.base import Source
from ..sources.resolver import Resolver
from ..wording import counted
from .message_loop import Root, exchange
from .plan import make_plan, share_of
from .prefetch import Fetcher
from .provenance import about_rank, about_run, new_note
from .signature import check_signatures, fingerprint_of, probe_settings, signature_of
from .worker import Worker, publisher

if TYPE_CHECKING:
    from ..dataset.reader import Dataset

log = logging.getLogger(__name__)

_MOST_SAID = 5


def analyze(options: AnalyzeOptions) -> int:
    """Profile the layers of all images of the sources into one dataset; return the exit code.

    Run again with the same output it resumes, whatever ended the run before.
    """
    stop = StopRequest()
    stop.install()
    # Before MPI is: not all of its libraries bear a new process.
    child = Child(options.limits) if launched_size() == 1 or launched_rank() != 0 else None

    def work(comm: Comm) -> int:
        nonlocal child
        if child is None and comm.size == 1:
            child = Child(options.limits)
        return _Run(comm, options, child, stop).run()

    try:
        return run_job(work, stop)
    finally:
        if child is not None:
            child.close()


class _Run:
    """One run of this process: what it was asked for, and what it holds."""

    def __init__(
        self, comm: Comm, options: AnalyzeOptions, child: Child | None, stop: StopRequest
    ) -> None:
        self.comm, self.options, self.child, self.stop = comm, options, child, stop
        self.parts = parts_directory(options.output)
        self.scratch: Scratch | None = None
        self.lock: OutputLock | None = None
        self.keeping: Keeping | None = None
        self.catalog: Catalog | None = None
        self.worker: Worker | None = None
        self.started = time.time()
        self.exchange_seconds = 0.0
        self.lost = self.claims = 0
        self.passed_over: frozenset[str] = frozenset()
        self.warned: set[str] = set()

    @property
    def is_root(self) -> bool:
        return self.comm.rank == self.comm.root

    def run(self) -> int:
        self.stop.at_once = self._leave
        if self.stop:
            self._leave()
        # What can be found wrong at once is found before anything is made.
        on_rank_0(self.comm, self._check)
        with contextlib.ExitStack() as stack:
            on_rank_0(self.comm, lambda: self._lock_output(stack))
            code = self._run(stack)
            on_rank_0(self.comm, lambda: self._index_kept(code))
            return code

    def _run(self, stack: contextlib.ExitStack) -> int:
        sources, registries = on_rank_0(self.comm, lambda: self._prepare_sources(stack))
        if any(source.is_remote for source in sources):
            self.stop.at_once = None  # who asks registries looks at the request
        self.catalog = self._resolver().resolve(self.comm, sources, registries)
        self.stop.at_once = self._leave
        if self.stop:
            self._leave()
        layers, signature, self.lost = on_rank_0(
            self.comm, lambda: (self._planned(), signature_of(self.options), self._count_lost())
        )
        todo = self._left(layers, signature)
        if (
            not todo
            and not self.options.share
            and (code := on_rank_0(self.comm, self._all_done)) is not None
        ):
            return int(code)
        while True:
            if todo:
                self._profile(sources, registries, todo, signature)
                left = self._left(layers, signature)
                if left:
                    return self._stopped(len(layers), left)
            if self.options.share:
                return self._share_is_done()
            try:
                return self._gather(layers)
            except PartError as error:
                todo = self._without(error, layers, signature)

    def _without(
        self, error: PartError, layers: Mapping[Digest, Layer], signature: Mapping[str, str]
    ) -> list[Layer]:
        """Pass over parts whose entries can't be; return, on every rank, the layers that none is
        left of.

        Every round passes over more parts than the one before, so this ends.
        """
        paths = [Path(path) for path in error.parts]
        if self.is_root:
            log.warning("parts are set aside, their layers are profiled anew: %s", error)
            for path in paths:
                set_aside(path)
        self.passed_over |= {path.name for path in paths}
        return self._left(layers, signature)

    def _count_lost(self) -> int:
        """Return how many things that should be in the dataset can't be; say why of the first
        ones."""
        assert self.catalog is not None
        lost = [skipped for skipped in self.catalog.skipped if skipped.cause in LOST_CAUSES]
        for skipped in lost[:_MOST_SAID]:
            log.warning(
                "%s isn't in the dataset: %s: %s", skipped.image, skipped.cause, skipped.message
            )
        if len(lost) > _MOST_SAID:
            log.warning(
                "and %d more; the dataset's table /skipped has all of them", len(lost) - _MOST_SAID
            )
        causes = Counter(skipped.cause for skipped in self.catalog.skipped)
        if absent := causes["not_in_archive"]:
            manifests = counted(absent, "manifest")
            self._say(f"not in the archives, as docker saves them: {manifests} that indexes name")
        if self.catalog.passing:
            log.warning(
                "a registry may have some of that another time: start again to ask once more"
            )
        return len(lost)

    def _exit_code(self, ledger: Ledger) -> int:
        return ledger.exit_code or (3 if self.lost or self.claims else 0)

    def _check(self) -> None:
        """Look whether the output may be made and the sources are there; nothing is made or
        changed."""
        self._check_output()
        references = list(self.options.sources)
        if not references:
            self._say(
                f"no source named: taking {DEMO}, images assembled from this Python installation"
            )
            references = [DEMO]
        self._registries = Registries(replace(self.options.access, ranks=self.comm.size))
        self._sources = [open_source(reference, self._registries) for reference in references]
        if (directory := self.options.keep) is not None:
            if not any(source.is_remote for source in self._sources):
                raise UsageError(
                    "--keep keeps what is fetched from registries, and no source is at one"
                )
            check_apart(directory, input_paths(references))
            Layout(directory).check()

    def _check_output(self) -> None:
        options = self.options
        sources = options.sources or (DEMO,)
        inputs = [*input_paths(sources), *filter(None, [options.warm_types])]
        check_dataset_output(
            options.output,
            source_names(sources),
            lambda: published_digests(self.parts),
            options.force,
            inputs,
        )

    def _lock_output(self, stack: contextlib.ExitStack) -> None:
        """Take the lock and make the directory of parts; a run that comes to nothing leaves
        neither."""
        options = self.options
        self.lock = stack.enter_context(
            OutputLock(options.output, options.share[0] if options.share else 0)
        )
        # Another job may have ended since the first look.
        self._check_output()
        stack.callback(remove_if_empty, self.parts)
        try:
            make_directories(self.parts)
            # What another job of the array is copying now looks the same.
            if not options.share:
                sweep_temporaries(self.parts)
                sweep(options.output)
        except OSError as error:
            raise OutputError(
                f"can't make {self.parts}: {error.strerror}", "choose another output with -o"
            ) from None

    def _prepare_sources(self, stack: contextlib.ExitStack) -> tuple[list[Source], Registries]:
        """List what the sources must have listed, for every rank."""
        for source in self._sources:
            source.prepare()
            self._beat()
        return self._kept(self._sources, stack), self._registries

    def _kept(self, sources: list[Source], stack: contextlib.ExitStack) -> list[Source]:
        """Have what sources at registries give be kept, if that is wanted."""
        if self.options.keep is None:
            return sources
        self.keeping = stack.enter_context(Keeping(self.options.keep))
        layout = self.keeping.layout
        return [KeepingSource(source, layout) if source.is_remote else source for source in sources]

    def _index_kept(self, code: int) -> None:
        """Name the images that were kept whole."""
        if self.keeping and self.catalog and (lacking := self.keeping.write_index(self.catalog)):
            folder = self.options.keep
            hint = "" if code == 4 else f"; download -o {folder} brings it"
            self._say(
                f"{folder} lacks something of {counted(lacking, 'image')}, which it doesn't name{hint}"
            )

    def _resolver(self) -> Resolver:
        options = self.options
        return Resolver(
            options.platforms,
            options.limits,
            self.parts,
            self.stop,
            self._beat,
            options.quiet,
            options.keep,
        )

    def _planned(self) -> dict[Digest, Layer]:
        assert self.catalog is not None
        layers = unique_layers(self.catalog)
        size = total_size(layers.values())
        apart = Counter(skipped.cause for skipped in self.catalog.skipped)
        causes = ", ".join(f"{count} {cause}" for cause, count in sorted(apart.items()))
        images = counted(len(self.catalog.images), "image")
        self._say(
            f"{images}, {counted(len(layers), 'layer')}, {size / 1e9:.2f} GB compressed"
            + (f"; counted apart: {causes}" if apart else "")
        )
        self.whole = len(layers), size
        if self.options.share:
            number, count = self.options.share
            layers = {layer.digest: layer for layer in share_of(layers.values(), number, count)}
            self._say(f"share {number} of {count}: {counted(len(layers), 'layer')}")
        return layers

    def _left(self, layers: Mapping[Digest, Layer], signature: Mapping[str, str]) -> list[Layer]:
        """Return, on every rank, the layers that no part holds."""
        found = scan_parts(self.parts, self.comm, self.passed_over)

        def left() -> list[Layer]:
            self._tell_of_parts(found)
            check_signatures(found.parts, signature, self.parts)
            done = best_statuses(found.parts)
            self.ledger = Ledger.of(done[digest][0] for digest in layers if digest in done)
            return [layer for digest, layer in layers.items() if self._is_open(done.get(digest))]

        return list(on_rank_0(self.comm, left))

    def _tell_of_parts(self, found: ScannedParts) -> None:
        """Say which parts are passed over, and who made those that are taken, each once in a
        run."""
        for message in found.damaged:
            self._warn_once(f"a part is passed over, its layers are profiled anew: {message}")
        if others := found.others:
            self._warn_once(
                f"{self.parts} holds parts made by {', '.join(others)}; their rows are taken as they are"
            )

    def _warn_once(self, text: str) -> None:
        if text not in self.warned:
            self.warned.add(text)
            log.warning("%s", text)

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

    def _share_is_done(self) -> int:
        """Say what is next; return the exit code of the share's ledger on every rank."""
        code = int(on_rank_0(self.comm, lambda: self.ledger.exit_code))
        if self.is_root:
            self._say(
                f"this share is done ({self.ledger}); when all are, start without --share to gather"
            )
        return code

    def _all_done(self) -> int | None:
        """Return the exit code if the dataset holds all there is already, else None."""
        from ..dataset.reader import Dataset, reading

        output = self.options.output
        if not output.exists():
            return None
        try:
            with Dataset(output) as dataset, reading(dataset):
                if dataset.fingerprint != self._fingerprint() or not dataset.has_metrics:
                    return None
                ledger = dataset.ledger
                self.claims = _count_claims(dataset)
        except DatasetError:
            # It is to be replaced: the check of the output has let it pass.
            return None
        self._say(f"all is done: {output} holds {ledger}")
        return self._exit_code(ledger)

    def _fingerprint(self) -> str:
        assert self.catalog is not None
        return fingerprint_of(self.options, self.catalog)

    def _profile(
        self,
        sources: list[Source],
        registries: Registries,
        todo: list[Layer],
        signature: dict[str, str],
    ) -> None:
        """Profile what is left and publish it."""
        comm = self.comm
        self.job = comm.bcast(uuid.uuid4().hex[:12])
        scratch = self._enter_scratch(self.job)
        try:
            self.worker = collectively(
                comm, lambda: self._new_worker(sources, registries, scratch, signature)
            )
            hosts = comm.gather(comm.host)
            root = self._root(todo, hosts) if self.is_root else None
            self.stop.at_once = None
            begun = time.monotonic()
            errors = exchange(comm, self.stop, self._beat, root, self.worker, self.child)
            self.exchange_seconds = time.monotonic() - begun
            errors = comm.bcast(errors)
        finally:
            self.stop.at_once = self._leave
            self._close_scratch()
        self.worker_ran = True
        if errors:
            error = errors[min(errors)]
            error.shared = True
            raise error

    def _root(self, todo: list[Layer], hosts: list[str]) -> Root:
        """Plan who profiles what is left, and open the job's notes."""
        plan, workers = make_plan(todo, max(self.comm.size - 1, 1)), self._workers()
        ranks = [(rank, hosts[rank]) for rank in workers]
        note = new_note(self.job, self.options.share, self.started, self.whole, todo, ranks)
        return Root(self.comm, plan, workers, Notebook(self.parts, note), self.options.quiet)

    def _workers(self) -> range:
        """Return the profiling ranks: rank 0 is none if there are others."""
        return range(1, self.comm.size) if self.comm.size > 1 else range(1)

    def _new_worker(
        self,
        sources: list[Source],
        registries: Registries,
        scratch: Scratch,
        signature: dict[str, str],
    ) -> Worker | None:
        """Return this rank's worker, None where there is no child; `OutputError` if scratch is full
        already."""
        comm, options, child = self.comm, self.options, self.child
        if child is None:
            return None
        fetcher = Fetcher(
            sources, registries, scratch, unpack=options.extract or bool(options.exec)
        )
        try:
            types = scratch.shared(signature["types"])
            child.set_up(
                options.types,
                types,
                scratch.path / "watch",
                probe_settings(options),
            )
        except OSError as error:
            raise output_error(error, scratch.path, "scratch") from error
        table = TypeTable(types)
        if options.warm_types:
            _warm(table, options.warm_types)
        seconds = options.publish_seconds or min(max(30.0, 0.25 * comm.size), 1200.0)
        publish = publisher(comm, self.parts, self.job, table, signature, scratch.path)
        return Worker(comm, fetcher, child, scratch, publish, seconds, options)

    def _leave(self) -> NoReturn:
        """End the job where no rank could wait for the others; a start goes on from the parts."""
        self._close_scratch()
        # The root's word, and its end of the job, come first, unless it was not asked to stop, or
        # is very busy.
        if self.comm.size > 1:
            time.sleep(LEAVE_SECONDS if self.is_root else ALONE_SECONDS)
        self._tell(f"stopped on {self.stop.reason} between profiling layers; start again to go on")
        self.comm.abort(4)

    def _enter_scratch(self, job: str) -> Scratch:
        rank, options = self.comm.rank, self.options
        bases = node_bases(self.comm, options.scratch)
        arguments = (job, rank, options.scratch, options.scratch_rooms, options.node_layers, bases)

        def enter() -> Scratch:
            self.scratch = Scratch(*arguments)
            return self.scratch

        try:
            return collectively(self.comm, enter)
        except RemetricsError:
            self._close_scratch()
            raise

    def _close_scratch(self) -> None:
        if self.scratch is not None:
            scratch, self.scratch = self.scratch, None
            scratch.close()

    def _beat(self) -> None:
        if self.lock:
            self.lock.heartbeat()
        if self.keeping:
            self.keeping.heartbeat()

    def _stopped(self, planned: int, left: list[Layer]) -> int:
        reason = f" on {self.stop.reason}" if self.stop else ""
        size = total_size(left)
        self._say(
            f"stopped{reason}: {planned - len(left)} of {counted(planned, 'layer')} done, "
            f"{len(left)} with {size / 1e9:.2f} GB are left; start again to go on"
        )
        return 4

    def _gather(self, layers: Mapping[Digest, Layer]) -> int:
        """Make one dataset of the parts; return the exit code of its ledger."""
        from ..gather.gather import gather
        from ..metrics.write import add_metrics

        comm, options = self.comm, self.options
        self._say(f"gathering into {options.output}")
        ranks = comm.allgather(about_rank(comm, self.worker, self.exchange_seconds))
        job = comm.bcast(uuid.uuid4().hex[:12])
        scratch = self._enter_scratch(job)
        try:
            run = (
                about_run(options, self._fingerprint(), self.started, self.parts, ranks)
                if self.is_root
                else None
            )
            catalog = self.catalog if self.is_root else None
            finish = partial(
                add_metrics, comm, scratch=scratch.path, memory=int(options.memory * 1e6)
            )
            ledger = gather(
                comm,
                self.parts,
                catalog,
                options.output,
                scratch.path,
                run,
                finish,
                self.passed_over,
                check_sizes=True,
            )
        finally:
            self._close_scratch()
        self.claims = on_rank_0(comm, self._read_claims)
        self._say(f"{options.output}: {ledger}")
        return self._exit_code(ledger)

    def _read_claims(self) -> int:
        from ..dataset.reader import Dataset

        with Dataset(self.options.output) as dataset:
            return _count_claims(dataset)

    def _say(self, text: str) -> None:
        """Tell the person, once."""
        if self.is_root:
            self._tell(text)

    def _tell(self, text: str) -> None:
        if not self.options.quiet:
            print(text, file=sys.stderr, flush=True)


def _count_claims(dataset: Dataset) -> int:
    """Count what images state wrongly about layers that are there, and say the first ones."""
    failures = dataset.failures
    columns = (failures.readable(name).tolist() for name in ("stage", "cause", "message"))
    rows = zip(failures.readable("digest").tolist(), *columns, strict=True)
    claims = [row for row in rows if row[1] == "manifest"]
    for digest, _, cause, message in claims[:_MOST_SAID]:
        log.warning("layer %s is in the dataset, but %s: %s", digest, cause, message)
    if len(claims) > _MOST_SAID:
        log.warning(
            "and %d more; the dataset's table /failures has all of them", len(claims) - _MOST_SAID
        )
    return len(claims)


def _warm(table: TypeTable, dataset: Path) -> None:
    """Fill the node's table from a dataset, so that libmagic is not asked again what it answered
    then."""
    from ..dataset.reader import Dataset, reading

    with Dataset(dataset) as known, reading(known):
        for digests, descriptions in known.typed_contents():
            typer.warm(table, digests, descriptions)
