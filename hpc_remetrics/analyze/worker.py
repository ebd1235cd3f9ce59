"""A profiling rank's part of a run: its layers, one by one, to its child; whole ones, together, to
parts.

It never parses what it was sent. Nothing here waits: `step` does what there is to do and returns,
so that a rank that is alone can be coordinator and worker in turns.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..config import AnalyzeOptions
from ..errors import BlobError, RemetricsError
from ..filetype.shared_table import TypeTable
from ..mpi.comm import Comm
from ..node.scratch import Scratch
from ..parts.part_writer import SpillError, write_part
from ..parts.spill_format import LayerProfile
from ..profile.exec_tool import Tool
from ..profile.parent import Child, Job
from ..records import STATUSES, Failure, Layer
from .coordinator import ASK, BYE, DEAL, END, PAUSE, SHARE, STOP, TALLY, Tally, tally_seconds
from .prefetch import Brought, Fetcher
from .work_queue import Intake

log = logging.getLogger(__name__)

_PART_BYTES = 64 << 20
_PART_LAYERS = 10_000


@dataclass
class _Unpublished:
    """Whole layers that no part holds yet."""

    layers: list[tuple[Layer, LayerProfile, Path | None]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    bytes: int = 0
    since: float = 0.0


class Worker:
    """Takes layers from the coordinator at `comm.root` until none is left or it is told to stop.

    :param publish: writes a part of (layers, failures); see `publisher`.
    :param publish_seconds: how long a whole layer may wait for its part.
    :param options: says what is done with unpacked layers.
    """

    def __init__(
        self,
        comm: Comm,
        fetcher: Fetcher,
        child: Child,
        scratch: Scratch,
        publish: Callable[[_Unpublished], None],
        publish_seconds: float,
        options: AnalyzeOptions,
    ) -> None:
        self._comm, self._fetcher, self._child, self._scratch = comm, fetcher, child, scratch
        self._publish, self._publish_seconds, self._options = publish, publish_seconds, options
        self._intake = Intake()
        self._current: Brought | None = None
        self._tool: Tool | None = None
        self._spills = 0
        self._stopping = self._ended = False
        self._unpublished = _Unpublished()
        self._tally, self._tallied = Tally(), time.monotonic()
        self._tally_seconds = tally_seconds(comm.size)
        self.finished = False
        self.total = Tally()
        self.cpu_seconds = 0.0

    @property
    def child_peak_memory(self) -> int:
        return self._child.peak_memory

    def handle(self, source: int, tag: int, message: object) -> None:
        """Take one message of the coordinator."""
        if tag in (SHARE, DEAL):
            layers: Sequence[Layer] = message  # type: ignore[assignment]
            self._intake.take(layers, last=tag == DEAL and not layers)
        elif tag == PAUSE:
            self._fetcher.budget.apply_pauses(message)  # type: ignore[arg-type]
        elif tag == STOP:
            self.stop()
        elif tag == END:
            self.finished = True

    def stop(self) -> None:
        """End with the next step: publish what is whole."""
        self._stopping = True

    def step(self) -> bool:
        """Do what there is to do; return whether anything was."""
        if self._ended:
            return False
        try:
            return self._step()
        except RemetricsError as error:
            self._end(error)
            return True

    def _step(self) -> bool:
        if self._stopping:
            if self._tool is not None:
                self._tool.kill()
            self._child.abandon()
            self._flush()
            self._end(None)
            return True
        moved = self._collect() | self._fetcher.take(self._intake) | self._begin()
        if (in_hand := self._intake.ask(*self._begun())) is not None:
            self._comm.send(in_hand, self._comm.root, ASK)
        if news := self._fetcher.budget.new_pauses():
            self._comm.send(news, self._comm.root, PAUSE)
        self._send_tally(
            self._tally.layers and time.monotonic() - self._tallied > self._tally_seconds
        )
        if self._is_time_to_publish():
            self._flush()
        if self._intake.ended and not self._begun():
            self._flush()
            self._end(None)
            moved = True
        return moved

    def _begun(self) -> list[Layer]:
        """Return the layers that are fetched, wait for the child, or are with it."""
        return [*([self._current.layer] if self._current else []), *self._fetcher.begun]

    def _begin(self) -> bool:
        """Hand the next layer that is at hand to the idle child."""
        if self._current is not None or (brought := self._fetcher.poll()) is None:
            return False
        layer, extent = brought.layer, brought.extent
        if extent is None:
            self._done(layer, _unfetched(brought.error), None)
            return True
        self._spills += 1
        self._spill = self._scratch.path / f"{self._spills}.spill"
        self._current, self._since = brought, time.monotonic()
        place = extent.path, extent.offset, extent.size
        self._child.begin(
            Job(layer.digest, layer.size, *place, self._spill, brought.tree, brought.quota)
        )
        return True

    def _collect(self) -> bool:
        """Take the layer that the child, and then the tool if there is one, is done with."""
        if self._tool is not None:
            return self._collect_from_tool(self._tool)
        profile = self._child.poll()
        if profile is None or self._current is None:
            return False
        self.cpu_seconds += profile.cpu_seconds
        tree, layer = self._current.tree, self._current.layer
        if tree and (profile.stage, profile.cause) == ("unpack", "no_room"):
            self._fetcher.again(self._current)
            self._leave(profile)
        elif tree and self._options.exec and profile.status != "failed":
            self._profile = profile
            self._tool = Tool(
                self._options.exec, tree, layer.digest, self._options.limits.exec_seconds
            )
        else:
            self._finish(profile)
        return True

    def _collect_from_tool(self, tool: Tool) -> bool:
        message = tool.poll()
        if message is None:
            return False
        self._tool, profile = None, self._profile
        if tool.killed:
            profile = LayerProfile(stage="exec", cause="killed", message=message)
        elif message and not profile.cause:
            profile = replace(
                profile, status="partial", stage="exec", cause="exec_failed", message=message
            )
        self._finish(profile)
        return True

    def _finish(self, profile: LayerProfile) -> None:
        brought, spill = self._leave(profile)
        self._fetcher.release(brought)
        self._done(brought.layer, profile, spill)

    def _leave(self, profile: LayerProfile) -> tuple[Brought, Path | None]:
        """Have no layer in hand any more; return the one that was, and its spill if there are
        entries."""
        brought, self._current = self._current, None
        assert brought is not None
        self._tally += Tally(
            busy_seconds=time.monotonic() - self._since, fetch_seconds=brought.seconds
        )
        if profile.entries:
            return brought, self._spill
        self._spill.unlink(missing_ok=True)
        return brought, None

    def _done(self, layer: Layer, profile: LayerProfile, spill: Path | None) -> None:
        waiting = self._unpublished
        if not waiting.layers:
            waiting.since = time.monotonic()
        waiting.layers.append((layer, profile, spill))
        waiting.bytes += spill.stat().st_size if spill else 0
        if profile.cause:
            waiting.failures.append(self._failure(layer, profile))
            log.warning(
                "layer %s %s: %s: %s", layer.digest, profile.status, profile.cause, profile.message
            )
        else:
            log.info(
                "layer %s: %d entries, %.2f s", layer.digest, profile.entries, profile.cpu_seconds
            )
        counts = {status: int(status == profile.status) for status in STATUSES}
        self._tally += Tally(**counts, files=profile.files, bytes=profile.CLS or max(layer.size, 0))

    def _failure(self, layer: Layer, profile: LayerProfile) -> Failure:
        return Failure(
            layer.digest,
            profile.stage,
            profile.cause,
            profile.message,
            profile.offset,
            self._comm.rank,
            self._comm.host,
        )

    def _is_time_to_publish(self) -> bool:
        waiting = self._unpublished
        return bool(waiting.layers) and (
            waiting.bytes >= _PART_BYTES
            or len(waiting.layers) >= _PART_LAYERS
            or time.monotonic() - waiting.since >= self._publish_seconds
        )

    def _flush(self) -> None:
        """Publish the whole layers that wait."""
        if not self._unpublished.layers:
            return
        waiting, self._unpublished = self._unpublished, _Unpublished()
        begun = time.monotonic()
        self._publish(waiting)
        self._tally += Tally(publish_seconds=time.monotonic() - begun)
        for _, _, spill in waiting.layers:
            if spill:
                spill.unlink(missing_ok=True)

    def _send_tally(self, due: object) -> None:
        if due:
            self._comm.send(self._tally, self._comm.root, TALLY)
            self.total += self._tally
            self._tally, self._tallied = Tally(), time.monotonic()

    def _end(self, error: RemetricsError | None) -> None:
        self._child.abandon()
        self._fetcher.close()
        self._send_tally(self._tally != Tally())
        self._comm.send(error, self._comm.root, BYE)
        self._ended = True


def publisher(
    comm: Comm,
    directory: Path,
    job: str,
    table: TypeTable,
    signature: dict[str, str],
    scratch: Path,
) -> Callable[[_Unpublished], None]:
    """Return the function that writes a rank's parts, named by job, rank and number."""
    count = 0

    def publish(waiting: _Unpublished) -> None:
        nonlocal count
        count += 1
        name, types = f"{job}-{comm.rank}-{count}", dict(enumerate(table.descriptions()))
        rows = [(layer.digest, profile, spill) for layer, profile, spill in waiting.layers]
        failures = list(waiting.failures)
        while True:
            try:
                write_part(directory, name, rows, failures, types, signature, scratch)
                return
            except (
                SpillError
            ) as error:  # what a corrupted child left: that layer fails, the others are published
                log.warning("the entries of a layer are damaged on scratch: %s", error)
                rows = [
                    row if row[0] != error.digest else (error.digest, _damaged(error), None)
                    for row in rows
                ]
                failures = [failure for failure in failures if failure.digest != error.digest]

    return publish


def _unfetched(error: BlobError | None) -> LayerProfile:
    assert error is not None
    stage = "open" if error.cause == "missing" else "fetch"
    return LayerProfile(stage=stage, cause=error.cause, message=str(error)[:500])


def _damaged(error: SpillError) -> LayerProfile:
    message = f"its entries on scratch are damaged: {error.reason}"
    return LayerProfile(stage="publish", cause="crashed", message=message[:500])
