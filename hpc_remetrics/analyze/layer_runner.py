"""The layer that this rank profiles now: its way through the child and the tool of `--exec`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..parts.spill_format import LayerProfile
from ..profile.exec_tool import Tool
from ..profile.parent import Child, Job
from ..records import Digest
from .prefetch import Prefetched


@dataclass(frozen=True)
class FinishedLayer:
    """A layer that the child, and the tool if there is one, are done with.

    :ivar spill: the file of its entries on scratch, None if it has no entries.
    :ivar seconds: from its begin to its end.
    """

    prefetched: Prefetched
    profile: LayerProfile
    spill: Path | None
    seconds: float

    @property
    def lacked_room(self) -> bool:
        """Whether the room that was granted was too little to unpack the layer."""
        return _lacked_room(self.prefetched, self.profile)


def _lacked_room(prefetched: Prefetched, profile: LayerProfile) -> bool:
    cause = (profile.stage, profile.cause)
    return prefetched.tree is not None and cause == ("unpack", "no_room")


class LayerRunner:
    """Runs one layer at a time through the child and then through the tool; nothing here waits.

    :param directory: on scratch, for the spills of entries.
    :param start_tool: starts the tool on an unpacked layer; None: there is no tool.
    :ivar cpu_seconds: of the child, for all layers so far.
    """

    def __init__(
        self,
        child: Child,
        directory: Path,
        start_tool: Callable[[Path, Digest], Tool] | None = None,
    ) -> None:
        self.child = child
        self.cpu_seconds = 0.0
        self._directory = directory
        self._start_tool = start_tool
        self._spills = 0
        self._current: Prefetched | None = None
        self._profile: LayerProfile | None = None
        self._tool: Tool | None = None

    @property
    def current(self) -> Prefetched | None:
        """The layer that is being profiled, None if the child is idle."""
        return self._current

    def begin(self, prefetched: Prefetched) -> None:
        """Hand a layer that can be read to the idle child."""
        layer, extent = prefetched.layer, prefetched.extent
        assert self._current is None and extent is not None
        self._spills += 1
        self._spill = self._directory / f"{self._spills}.spill"
        self._begun = time.monotonic()
        self._current = prefetched
        self.child.begin(
            Job(
                layer.digest,
                layer.size,
                extent.path,
                extent.offset,
                extent.size,
                self._spill,
                prefetched.tree,
                prefetched.unpacked_bytes,
            )
        )

    def advance(self) -> bool:
        """Take what the child or the tool has finished; return whether one of them had.

        When both are done with the layer, `take` returns it.
        """
        if self._tool is not None:
            return self._take_from_tool(self._tool)
        # An idle child is looked at too, so that one that died is replaced.
        profile = self.child.poll()
        if profile is None or self._current is None:
            return False
        self.cpu_seconds += profile.cpu_seconds
        self._profile = profile
        # Start the tool on what was unpacked, unless the layer failed or is to be unpacked again.
        tree = self._current.tree
        is_unpacked = profile.status != "failed" and not _lacked_room(self._current, profile)
        if self._start_tool and tree and is_unpacked:
            self._tool = self._start_tool(tree, self._current.layer.digest)
        return True

    def _take_from_tool(self, tool: Tool) -> bool:
        """Note in the layer's profile how the tool ended, if it did."""
        message = tool.poll()
        if message is None:
            return False
        assert self._profile is not None
        self._tool = None
        self._profile = _with_tool(self._profile, message, killed=tool.killed)
        return True

    def take(self) -> FinishedLayer | None:
        """Return the layer that is finished, None if none is; then the child is idle."""
        if self._profile is None or self._tool is not None:
            return None
        assert self._current is not None
        spill: Path | None = self._spill
        if not self._profile.entries:
            self._spill.unlink(missing_ok=True)
            spill = None
        seconds = time.monotonic() - self._begun
        finished = FinishedLayer(self._current, self._profile, spill, seconds)
        self._current = self._profile = None
        return finished

    def abandon(self) -> None:
        """End the tool and drop the layer in hand; no layer can be begun after it."""
        if self._tool is not None:
            self._tool.kill()
        self._current = self._profile = self._tool = None
        self.child.abandon()


def _with_tool(profile: LayerProfile, message: str, *, killed: bool) -> LayerProfile:
    """Return the profile of a layer with what became of the tool; `message` is "" if all went well.

    A tool that was killed fails the layer, so that a restart tries it again; one that failed by
    itself makes the layer partial, unless it is already.
    """
    if killed:
        return LayerProfile(stage="exec", cause="killed", message=message)
    if message and not profile.cause:
        return replace(
            profile, status="partial", stage="exec", cause="exec_failed", message=message
        )
    return profile
