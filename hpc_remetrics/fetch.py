"""Layers brought to where they can be read, ahead of who profiles them.

What lies on a file system is read in place. What a registry holds is fetched to node-local scratch by one
thread, which speaks HTTP alone: messages between ranks, and everything else, stay with the rank's own thread,
which never waits here. How far fetching runs ahead is bounded in layers and bytes.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from .cluster.intake import Intake
from .cluster.scratch import Grant, Scratch
from .errors import BlobError
from .records import Layer
from .registry.pool import Registries
from .sources.base import Extent, Source

_AHEAD_LAYERS = 3
"""Layers that may be under way or lie ready at once."""

AHEAD_BYTES = 1 << 30
"""Bytes of fetched layers that may lie ready or be under way; a single layer may be longer."""


@dataclass
class Brought:
    """A layer whose bytes are at hand, or the reason why they aren't.

    :ivar seconds: that fetching took.
    :ivar grant: what the layer takes of scratch, given back when it is done; None if it is read in place.
    """

    layer: Layer
    extent: Extent | None = None
    seconds: float = 0.0
    error: BlobError | None = None
    grant: Grant | None = None


class Fetcher:
    """Brings layers in the background; one rank's, asked by its one thread.

    :ivar budget: what this rank may ask of registries.
    """

    def __init__(
        self, sources: Sequence[Source], registries: Registries, scratch: Scratch, ahead: int = AHEAD_BYTES
    ) -> None:
        self.budget, self._stopped = registries.budget, registries.stopped
        self._sources, self._scratch, self._ahead = sources, scratch, ahead
        self._ready: deque[Brought] = deque()
        self._todo: queue.SimpleQueue[tuple[Source, Brought] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Brought, BaseException | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._next: Layer | None = None
        self._under_way: list[Layer] = []
        self._bytes = self._held = 0

    @property
    def begun(self) -> list[Layer]:
        """The layers that were taken and not yet given back by `poll`."""
        return [*self._under_way, *(brought.layer for brought in self._ready), *([self._next] if self._next else [])]

    def take(self, intake: Intake) -> bool:
        """Begin with the next layers, as many as may lie ahead; return whether there were any."""
        moved = False
        while len(self._under_way) + len(self._ready) < _AHEAD_LAYERS and (self._next or intake):
            self._next = self._next or intake.next()
            if not self._bring(self._next):
                break
            self._next, moved = None, True
        return moved

    def poll(self) -> Brought | None:
        """Return the next layer that is at hand, or None; `release` it when it is done."""
        try:
            brought, fault = self._done.get_nowait()
        except queue.Empty:
            return self._ready.popleft() if self._ready else None
        self._under_way.remove(brought.layer)
        if fault is not None:
            raise fault
        if brought.error:
            self.release(brought)
        return brought

    def release(self, brought: Brought) -> None:
        """Give back what a layer took of scratch."""
        if brought.grant:
            brought.grant.release()
            brought.grant = None
            self._bytes -= max(brought.layer.size, 0)
            self._held -= 1

    def close(self) -> None:
        """Bring no more; what is under way goes with the scratch folder."""
        self._stopped.set()
        self._todo.put(None)

    def _bring(self, layer: Layer) -> bool:
        """Bring one layer, or begin to; False if there is no room for it now."""
        try:
            extent = self._locate(layer)
        except BlobError as error:
            self._ready.append(Brought(layer, error=error))
            return True
        if extent:
            self._ready.append(Brought(layer, extent))
            return True
        return self._begin(layer)

    def _locate(self, layer: Layer) -> Extent | None:
        """Return where a layer can be read in place, None if it must be fetched; `BlobError` if no source has it."""
        error: BlobError | None = None
        for source in self._sources:
            if source.is_remote:
                continue
            try:
                if extent := source.locate(layer.digest, layer.size):
                    return extent
            except BlobError as raised:
                error = error if error and error.cause != "missing" else raised
        if any(source.is_remote and source.holds(layer) for source in self._sources):
            return None
        raise error or BlobError("missing", f"no source holds {layer.digest}")

    def _begin(self, layer: Layer) -> bool:
        """Have the thread fetch a layer, if its bytes have room."""
        size = max(layer.size, 0)
        if self._held and self._bytes + size > self._ahead:
            return False
        try:
            grant = self._scratch.grant(size)
        except BlobError as error:
            self._ready.append(Brought(layer, error=error))
            return True
        if grant is None:
            return False
        source = next(source for source in self._sources if source.is_remote and source.holds(layer))
        self._bytes, self._held = self._bytes + size, self._held + 1
        self._under_way.append(layer)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="fetch", daemon=True)
            self._thread.start()
        self._todo.put((source, Brought(layer, grant=grant)))
        return True

    def _run(self) -> None:
        """Fetch one layer after the other, in the thread."""
        while (item := self._todo.get()) is not None:
            source, brought = item
            assert brought.grant is not None
            path = brought.grant.path
            begun = time.monotonic()
            try:
                source.fetch(brought.layer, path)
                brought.extent = Extent(path, 0, path.stat().st_size)
            except BlobError as error:
                brought.error = error
            except BaseException as error:
                self._done.put((brought, error))
                return
            brought.seconds = time.monotonic() - begun
            self._done.put((brought, None))
