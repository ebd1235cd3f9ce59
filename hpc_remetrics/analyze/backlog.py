"""The backlog of a run: the layers that neither a part nor an earlier dataset holds yet."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..dataset.ledger import Ledger
from ..errors import PartError
from ..mpi.collective import on_rank_0
from ..parts.parts_directory import ScannedParts, best_statuses, scan_parts, set_aside
from ..records import STATUSES, TRANSIENT_CAUSES, Digest, Layer
from .session import Session
from .signature import check_signatures

if TYPE_CHECKING:
    from ..gather.dataset_reader import Reused

log = logging.getLogger(__name__)


class Backlog:
    """Which layers of a run are left to be profiled, as the parts beside the output say.

    Parts are read anew each time: they are the only state that a restart needs.

    :param layers: of the run.
    :param signature: what parts must have been made with.
    :ivar reused: earlier datasets, and what is taken of them; None: there are none.
    :ivar reused_amount: on rank 0, how many layers they hold that no part holds, and the compressed
        bytes of these.
    :ivar is_attempted: whether this run has profiled its layers; then a layer that failed is done.
    :ivar ledger: on rank 0, how the layers ended that parts hold.
    :ivar passed_over: names of parts that are damaged, and not read any more.
    """

    def __init__(
        self,
        session: Session,
        layers: Mapping[Digest, Layer],
        signature: Mapping[str, str],
        reused: Reused | None = None,
    ) -> None:
        self.is_attempted = False
        self.reused = reused
        self.reused_amount = 0, 0
        self.ledger = Ledger.of([])
        self.passed_over: frozenset[str] = frozenset()
        self._session = session
        self._layers = layers
        self._signature = signature
        self._warned: set[str] = set()

    def layers_left(self) -> list[Layer]:
        """Return the layers that are left; all ranks call it, and get the same.

        :raises UsageError: parts were made with other options.
        """
        session = self._session
        read = scan_parts(session.parts, session.comm, self.passed_over)

        def left() -> list[Layer]:
            self._warn_of_parts(read)
            check_signatures(read.parts, self._signature, session.parts)
            done = best_statuses(read.parts)
            self._add_reused(done)
            # Count only layers of this run: parts may hold those of an earlier list of images.
            self.ledger = Ledger.of(done[digest][0] for digest in self._layers if digest in done)
            return [
                layer for digest, layer in self._layers.items() if self._is_left(done.get(digest))
            ]

        return list(on_rank_0(session.comm, left))

    def _add_reused(self, done: dict[Digest, tuple[str, str]]) -> None:
        """Add the layers that earlier datasets hold to what parts hold better or not at all.

        :param done: status and cause of each layer in parts; changed.
        """
        indexes = self.reused.indexes if self.reused else []
        sizes: dict[Digest, int] = {}
        for index in indexes:
            sizes |= zip(index.digests(), index.layers["CLS"].tolist(), strict=True)
        added = sizes.keys() - done.keys()
        self.reused_amount = len(added), sum(sizes[digest] for digest in added)
        for digest, (status, cause) in best_statuses(indexes).items():
            if digest not in done or STATUSES[status] < STATUSES[done[digest][0]]:
                done[digest] = status, cause

    def set_parts_aside(self, error: PartError) -> None:
        """Pass over parts and earlier datasets whose entries are damaged; all ranks call it.

        Each call passes over more than the one before, so a run that gathers again ends.
        """
        paths = [Path(path) for path in error.parts]
        if self.reused is not None:
            datasets = {one.path for one in self.reused.datasets}.intersection(paths)
            self.reused.leave_out(datasets)
            paths = [path for path in paths if path not in datasets]
            if datasets and self._session.is_rank_0:
                log.warning("no layers are reused of damaged datasets: %s", error)
        if paths and self._session.is_rank_0:
            log.warning("damaged parts are renamed, their layers are profiled again: %s", error)
            for path in paths:
                set_aside(path)
        self.passed_over |= {path.name for path in paths}

    def _is_left(self, done: tuple[str, str] | None) -> bool:
        """Return whether a layer is left that has this status and cause in the parts."""
        if done is None:
            return True
        status, cause = done
        if status != "failed" or self.is_attempted:
            return False
        return self._session.options.retry_failed or cause in TRANSIENT_CAUSES

    def _warn_of_parts(self, read: ScannedParts) -> None:
        """Warn, once in a run, of parts that are not read and of parts of other users."""
        for message in read.damaged:
            self._warn_once(f"a part is not read, its layers are profiled again: {message}")
        if read.others:
            users = ", ".join(read.others)
            message = f"{self._session.parts} holds parts made by {users}; their rows are trusted"
            self._warn_once(message)

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            log.warning("%s", message)
