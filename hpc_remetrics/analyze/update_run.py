"""The run of the command `updates`: compare images, with a second pass over their layers.

    dataset     pairs of images → the layers that they have, and a sample of changed contents
    layers      read again by the machinery of `analyze`, whose parts hold chunks and contents
    parts       chunks by layer, contents of the sample → estimates for each pair
    dataset     a copy with the new tables, which replaces it

A restart continues from the parts, and from journals of the patches that were made, whatever ended
the run before.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..arrays import distinct
from ..config import AnalyzeOptions, UpdatesOptions
from ..dataset.hdf5 import file_to_change
from ..dataset.metrics import Metrics
from ..dataset.reader import Dataset
from ..dataset.stored_file import library_errors
from ..dataset.table_writer import write_metrics
from ..errors import PartError, UsageError
from ..files.disk_errors import disk_errors
from ..files.outputs import check_writable, real_name
from ..files.publish import temporary_name, write_whole
from ..files.writing import remove
from ..metrics.image_pairs import ImagePairs, consecutive_pairs, read_pairs
from ..metrics.inputs import MetricsInputs
from ..metrics.reduce import check_dataset, copy_dataset, lock_dataset, publish_dataset
from ..metrics.results import Tables
from ..metrics.update_chunks import ChunkPass
from ..metrics.update_deltas import CONTENTS, DeltaPass, digests_of
from ..metrics.update_tables import update_growth, update_table, update_totals
from ..metrics.updates import UpdatePass
from ..mpi.collective import Collective, collectively, on_rank_0
from ..mpi.comm import Comm
from ..mpi.signals import StopRequest
from ..parts.extra_places import ExtraPlaces
from ..parts.parts_directory import scan_parts
from ..profile.chunking import chunker
from ..profile.parent import Child
from ..wording import counted
from .backlog import Backlog
from .profiling import profile
from .run_inputs import Inputs, Work
from .session import Session, run_with_child
from .signature import signature_of


@dataclass(frozen=True)
class Plan:
    """What the second pass reads and keeps; the same on every rank.

    :ivar layers: digests of the layers.
    :ivar wanted: SHA-256 of the file that lists the contents to keep.
    """

    layers: frozenset[bytes]
    wanted: str


def updates_command(options: UpdatesOptions) -> int:
    """Compare images by layer, file, chunk and delta; return the exit code."""

    def run(comm: Comm, stop: StopRequest, child: Child | None) -> int:
        return UpdateRun(comm, options, stop).run(child)

    return run_with_child(options.limits, run)


class UpdateRun:
    """One run on one rank; its steps are collective."""

    def __init__(self, comm: Comm, options: UpdatesOptions, stop: StopRequest) -> None:
        self._comm = comm
        self._options = options
        self._path = options.dataset
        # Check the dataset and its directory before anything is written.
        self._history, _ = collectively(comm, lambda: check_dataset(self._path, comm))
        sources = on_rank_0(comm, self._check)
        self._session = Session(comm, self._analyze_options(sources), stop)
        self._session.leave_on_stop()

    def _check(self) -> tuple[str, ...]:
        """Refuse what is wrong before anything is made; return the sources. Called on rank 0."""
        hint = "allow it with `chmod u+w`, or take a copy"
        check_writable(real_name(self._path), hint)
        chunker()
        with Dataset(self._path) as dataset:
            # Without metrics there is nothing to add to: the error says how to get them.
            _ = dataset.metrics
            sources = self._options.sources or tuple(dataset.sources)
        if not sources:
            raise UsageError(f"{self._path} names no source", "name where its layers are")
        return sources

    def _analyze_options(self, sources: tuple[str, ...]) -> AnalyzeOptions:
        """Return the options of the second pass, as if `analyze` made a dataset of it."""
        options = self._options
        return AnalyzeOptions(
            sources=sources,
            output=self._path.with_name(f"{self._path.name}.updates"),
            tiers=options.tiers,
            memory=options.memory,
            limits=options.limits,
            access=options.access,
            types="none",
            compress_sample=Fraction(0),
            chunks=True,
            chunk_sample=options.sample,
            quiet=options.quiet,
        )

    def run(self, child: Child | None) -> int:
        """Compare the images; return the exit code."""
        comm = self._comm
        session = self._session
        inputs = Inputs(session)
        on_rank_0(comm, inputs.check)
        with ExitStack() as stack, session.output_lock(inputs.check_output):
            on_rank_0(comm, lambda: self._lock(stack))
            pairs = on_rank_0(comm, self._pairs)
            plan = self._plan(pairs)
            work = self._restricted(inputs.resolve(), plan)
            backlog = Backlog(session, work.layers, work.signature)
            while True:
                code = self._read(work, backlog, child)
                if code:
                    return code
                try:
                    tables = self._compare(pairs, plan, backlog.passed_over)
                    break
                except PartError as error:
                    # Read the layers of damaged parts again.
                    backlog.set_parts_aside(error)
            on_rank_0(comm, lambda: self._store(tables))
            return 0

    def _lock(self, stack: ExitStack) -> None:
        """Lock the dataset, which no other command may change meanwhile; called on rank 0."""
        self._session.other_locks.append(lock_dataset(self._path, stack))

    def _pairs(self) -> ImagePairs:
        """Return the pairs to compare; called on rank 0."""
        with Dataset(self._path) as dataset:
            if self._options.pairs is None:
                pairs = consecutive_pairs(dataset)
            else:
                pairs = read_pairs(dataset, self._options.pairs)
        if not len(pairs):
            message = "there are no two images of a repository and platform with a date"
            raise UsageError(message, "name pairs with --pairs FILE.csv")
        self._session.say(f"{counted(len(pairs), 'pair')} of images")
        return pairs

    def _plan(self, pairs: ImagePairs) -> Plan:
        """Find the layers to read and the contents to keep, and list these beside the parts."""
        comm = self._comm
        with self._inputs() as inputs:
            updates = UpdatePass(inputs, pairs)
            deltas = DeltaPass(updates, self._options.sample)

            # Find the layers that this rank's pairs need, and the contents to keep of them.
            layers = [updates.needed(pair).all for pair in updates.share()]
            rows = distinct(np.concatenate([np.empty(0, np.int64), *layers]))
            gathered = comm.gather((rows, deltas.wanted()))

            # Join what all ranks found.
            def write() -> Plan:
                layer_rows = distinct(np.concatenate([rows for rows, _ in gathered]))
                wanted = distinct(np.concatenate([rows for _, rows in gathered]))
                data = digests_of(inputs, wanted).tobytes()
                with disk_errors(self._list, "the list of contents"):
                    write_whole(self._list, [data])
                digests = inputs.dataset.layers["digest"][layer_rows].tolist()
                return Plan(frozenset(digests), hashlib.sha256(data).hexdigest())

            plan: Plan = on_rank_0(comm, write)
            return plan

    @property
    def _list(self) -> Path:
        """The file of the digests of the contents that are kept."""
        return self._session.parts / CONTENTS

    @contextmanager
    def _inputs(self) -> Iterator[MetricsInputs]:
        """Open the dataset for passes over it, with scratch; all ranks call it."""
        comm = self._comm
        memory = int(self._options.memory * 1e6)
        with (
            self._session.new_scratch() as scratch,
            Collective(comm),
            disk_errors(scratch.path, "scratch"),
            Dataset(self._path) as dataset,
        ):
            inputs = MetricsInputs(comm, dataset, scratch.path, memory)
            inputs.map_sizes()
            yield inputs

    def _restricted(self, work: Work, plan: Plan) -> Work:
        """Return the work on the layers of the plan alone, with the probe that keeps contents."""
        session = self._session
        signature = signature_of(session.options) | {"contents": plan.wanted}
        probes = (("contents", str(self._list.absolute())),)
        session.options = replace(session.options, probes=probes)
        layers = {
            digest: layer for digest, layer in work.layers.items() if digest.raw in plan.layers
        }
        if missing := len(plan.layers) - len(layers):
            session.say(
                f"{counted(missing, 'layer')} of the images are not in the sources any more"
            )
        size = sum(max(layer.size, 0) for layer in layers.values())
        session.say(f"{counted(len(layers), 'layer')} to read, {size / 1e9:.2f} GB")
        return replace(work, layers=layers, signature=signature)

    def _read(self, work: Work, backlog: Backlog, child: Child | None) -> int:
        """Read the layers that no part holds; return 0, or 4 after a stop."""
        session = self._session
        try:
            todo = backlog.layers_left()
        except UsageError as error:
            hint = f"use the same --pairs and --sample, or remove {session.parts}"
            other = UsageError(str(error.args[0]), hint)
            # All ranks have raised it alike.
            other.shared = error.shared
            raise other from None
        if todo:
            profile(session, work, todo, child)
            backlog.is_attempted = True
            left = backlog.layers_left()
            if left:
                reason = f" on {session.stop.reason}" if session.stop else ""
                layers = counted(len(left), "layer")
                session.say(f"stopped{reason}: {layers} left; run the command again to continue")
                return 4
        return 0

    def _compare(self, pairs: ImagePairs, plan: Plan, passed_over: frozenset[str]) -> Tables:
        """Compare all pairs; return the tables about updates on rank 0, nothing elsewhere.

        :param passed_over: names of parts that are not read.
        """
        comm = self._comm

        # Find the chunks and pieces that the second pass read.
        scanned = scan_parts(self._session.parts, comm, passed_over)
        kinds = ("chunks", "pieces")
        places = on_rank_0(comm, lambda: [ExtraPlaces(scanned.parts, kind) for kind in kinds])
        sample = self._options.sample
        with self._inputs() as inputs:
            # Compare by layer and file, then by chunk, then by delta.
            updates = UpdatePass(inputs, pairs)
            results = updates.run()
            chunks = ChunkPass(updates, results, places[0], sample).run()
            deltas = DeltaPass(updates, sample).run(places[1], self._session.parts, plan.wanted)
            if comm.rank != comm.root:
                return {}
            measured = {"chunks": chunks, "delta": deltas}
            return {
                "updates": update_table(inputs, results, measured),
                "update_totals": update_totals(results, measured),
                "update_growth": update_growth(results),
            }

    def _store(self, tables: Tables) -> None:
        """Write the tables into a copy of the dataset, and replace it; called on rank 0."""
        path = self._path
        with Dataset(path) as dataset:
            tables = _stored(dataset.metrics) | tables
        temporary = temporary_name(real_name(path))
        try:
            copy_dataset(path, temporary)
            with (
                disk_errors(temporary, "the dataset"),
                library_errors(temporary),
                file_to_change(temporary) as file,
            ):
                write_metrics(file, tables)
                file.attrs["history"] = self._history
            publish_dataset(temporary, path)
        finally:
            remove(temporary)
        # What the parts held is in the dataset now.
        for name in os.listdir(self._session.parts):
            remove(self._session.parts / name)
        self._session.say(f"{path}: its images are compared")


def _stored(metrics: Metrics) -> Tables:
    """Return all tables of the metrics of a dataset, to be written again."""
    return {
        name: {
            column: metrics[name].readable(column)
            if metrics[name].form.columns[column].type == "text"
            else metrics[name].column(column)
            for column in metrics[name].columns
        }
        for name in metrics
    }
