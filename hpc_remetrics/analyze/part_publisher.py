"""Publish the whole layers of a rank in parts.

A part is published when its layers have enough entries, are enough, or one has waited long enough.
Until then their entries lie in spills on scratch, and a kill costs these layers.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..filetype.shared_table import TypeTable
from ..mpi.comm import Comm
from ..parts.spill_format import LayerProfile
from ..records import Digest, Failure

if TYPE_CHECKING:
    from ..parts.part_writer import SpillError

log = logging.getLogger(__name__)

_PART_BYTES = 64 << 20
_PART_LAYERS = 10_000


@dataclass(frozen=True)
class PartTarget:
    """Where the parts of a rank go, and what stands in each of them.

    :ivar directory: of all parts of the dataset.
    :ivar job: the name of the job, which begins the names of its parts.
    :ivar signature: what the rows depend on besides the layers.
    :ivar scratch: node-local directory in which a part is written before it is copied.
    """

    directory: Path
    job: str
    signature: dict[str, str]
    scratch: Path


class PartPublisher:
    """Whole layers that no part holds yet, and the writing of parts; one rank's.

    :param table: the node's table of types, for the descriptions behind the numbers in spills.
    :param max_seconds: how long a whole layer may wait for its part.
    """

    def __init__(
        self, comm: Comm, target: PartTarget, table: TypeTable, max_seconds: float
    ) -> None:
        self._comm = comm
        self._target = target
        self._table = table
        self._max_seconds = max_seconds
        self._parts = 0
        self._start_anew()

    def _start_anew(self) -> None:
        self._layers: list[tuple[Digest, LayerProfile, Path | None]] = []
        self._failures: list[Failure] = []
        self._bytes = 0
        self._since = 0.0

    def add(self, digest: Digest, profile: LayerProfile, spill: Path | None) -> None:
        """Take a layer that is done, however it ended.

        :param spill: the file of its entries, None if it has none; removed when it is published.
        """
        if not self._layers:
            self._since = time.monotonic()
        self._layers.append((digest, profile, spill))
        if spill is not None:
            self._bytes += spill.stat().st_size
        if profile.cause:
            self._failures.append(self._failure(digest, profile))

    def _failure(self, digest: Digest, profile: LayerProfile) -> Failure:
        return Failure(
            digest,
            profile.stage,
            profile.cause,
            profile.message,
            profile.offset,
            self._comm.rank,
            self._comm.host,
        )

    @property
    def is_due(self) -> bool:
        """Whether the layers that wait are to be published now."""
        if not self._layers:
            return False
        return (
            self._bytes >= _PART_BYTES
            or len(self._layers) >= _PART_LAYERS
            or time.monotonic() - self._since >= self._max_seconds
        )

    def publish(self) -> float:
        """Publish the layers that wait in one part, and return the seconds that it took.

        :raises OutputError: scratch or the directory of parts can't be written.
        """
        if not self._layers:
            return 0.0
        layers, failures = self._layers, self._failures
        self._start_anew()
        begun = time.monotonic()
        self._parts += 1
        self._write(layers, failures)
        seconds = time.monotonic() - begun
        for _, _, spill in layers:
            if spill is not None:
                spill.unlink(missing_ok=True)
        return seconds

    def _write(
        self, layers: list[tuple[Digest, LayerProfile, Path | None]], failures: list[Failure]
    ) -> None:
        """Write one part; a layer whose entries are damaged on scratch fails, the others don't."""
        # Only here is h5py needed: thousands of ranks that begin at once need not all load it.
        from ..parts.part_writer import SpillError, write_part

        target = self._target
        name = f"{target.job}-{self._comm.rank}-{self._parts}"
        types = dict(enumerate(self._table.descriptions()))
        rows = list(layers)
        while True:
            try:
                write_part(
                    target.directory, name, rows, failures, types, target.signature, target.scratch
                )
                return
            except SpillError as error:
                # A child that was corrupted by its input left this.
                log.warning("the entries of a layer are damaged on scratch: %s", error)
                damaged = (error.digest, _damaged(error), None)
                rows = [damaged if row[0] == error.digest else row for row in rows]
                failures = [failure for failure in failures if failure.digest != error.digest]


def _damaged(error: SpillError) -> LayerProfile:
    message = f"its entries on scratch are damaged: {error.reason}"
    return LayerProfile(stage="publish", cause="crashed", message=message[:500])
