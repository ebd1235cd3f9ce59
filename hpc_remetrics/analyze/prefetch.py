"""Layers brought to where they can be read, ahead of who profiles them.

What lies on a file system is read in place. What a registry holds is fetched to node-local scratch
by one thread, which speaks HTTP alone: messages between ranks, and everything else, stay with the
rank's own thread, which never waits here. How far fetching runs ahead is bounded in layers and
bytes.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import BlobError
from ..limits import AHEAD_BYTES, AHEAD_LAYERS, UNPACKED
from ..node.scratch import Grant, Scratch
from ..records import Digest, Layer
from ..registry.pool import Registries
from ..sources.base import Extent, Source
from .work_queue import Intake

_MORE, _LEAST = 8, 1 << 20
"""Room for an unpacked layer: times more when that was too little, and a least, bytes."""


@dataclass
class Brought:
    """A layer whose bytes are at hand, or the reason why they aren't.

    :ivar seconds: that fetching took.
    :ivar grant: what the layer takes of scratch, given back when it is done; None if it is read in
    place.
    :ivar quota: bytes of the grant that are for the unpacked layer; 0: it is not unpacked.
    :ivar measured: its size as the place says that has it, where manifests say another; -1: not
    asked.
    :ivar is_question: it is not to be fetched, only to be measured.
    """

    layer: Layer
    extent: Extent | None = None
    seconds: float = 0.0
    error: BlobError | None = None
    grant: Grant | None = None
    quota: int = 0
    measured: int = -1
    is_question: bool = False

    @property
    def tree(self) -> Path | None:
        """The folder into which it is to be unpacked."""
        return self.grant.path / "tree" if self.grant and self.quota else None

    @property
    def blob(self) -> Path:
        """The file to which it is fetched, unless its source keeps it."""
        if self.grant is None:
            return Path()
        return self.grant.path / "blob" if self.quota else self.grant.path


class Fetcher:
    """Brings layers in the background; one rank's, asked by its one thread.

    :param unpack: grant room for the unpacked layers too.
    :ivar budget: what this rank may ask of registries.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        registries: Registries,
        scratch: Scratch,
        ahead: int = AHEAD_BYTES,
        unpack: bool = False,
    ) -> None:
        self.budget, self._stopped = registries.budget, registries.stopped
        self._sources, self._scratch, self._ahead = sources, scratch, ahead
        self._ready: deque[Brought] = deque()
        self._todo: queue.SimpleQueue[tuple[Source, Brought] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Brought, BaseException | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._next: Layer | None = None
        self._unpack, self._factors, self._again = unpack, dict[Digest, int](), deque[Layer]()
        self._doubted: dict[Digest, BlobError] = {}
        self._under_way: list[Layer] = []
        self._bytes = self._held = 0

    @property
    def begun(self) -> list[Layer]:
        """The layers that were taken and not yet given back by `poll`."""
        waiting = [*self._again, *([self._next] if self._next else [])]
        return [*self._under_way, *(brought.layer for brought in self._ready), *waiting]

    def take(self, intake: Intake) -> bool:
        """Begin with the next layers, as many as may lie ahead; return whether there were any."""
        moved = False
        while len(self._under_way) + len(self._ready) < AHEAD_LAYERS and (
            self._next or self._again or intake
        ):
            self._next = self._next or (self._again.popleft() if self._again else intake.next())
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
            brought.error = self._settle(brought)
            if brought.error is None:
                return None
        return brought

    def _settle(self, brought: Brought) -> BlobError | None:
        """Return why a layer can't be had, None if it is tried once more with another size.

        The size that a manifest states may be false. What failed for its sake is tried with the
        size that the place states which has the layer.
        """
        layer, error = brought.layer, brought.error
        first = self._doubted.get(layer.digest)
        if first is None and error and brought.measured not in (-1, layer.size):
            self._doubted[layer.digest] = error
            self._again.append(replace(layer, size=brought.measured))
            return None
        # Bytes of another size than any that was stated have the cause that they had at first.
        is_wrong = error and error.cause in ("digest_mismatch", "size_mismatch")
        return first if first and is_wrong else error

    def release(self, brought: Brought) -> None:
        """Give back what a layer took of scratch."""
        if brought.grant:
            self._bytes -= brought.grant.size
            brought.grant.release()
            brought.grant = None
            self._held -= 1

    def again(self, brought: Brought) -> None:
        """Bring a layer once more, with more room to be unpacked in; it fails where it had all that
        there is."""
        size, layer = brought.grant.size if brought.grant else 0, brought.layer
        self.release(brought)
        if size >= self._scratch.most:
            error = BlobError(
                "no_room",
                f"no tier of scratch holds {layer.digest} unpacked, {size} bytes were too few",
            )
            self._ready.append(Brought(layer, error=error))
            return
        self._factors[layer.digest] = self._factors.get(layer.digest, UNPACKED) * _MORE
        self._again.append(layer)

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
        if extent and not self._unpack:
            self._ready.append(Brought(layer, extent))
            return True
        return self._begin(layer, extent)

    def _locate(self, layer: Layer) -> Extent | None:
        """Return where a layer can be read in place, None if it must be fetched; `BlobError` if no
        source has it."""
        error: BlobError | None = None
        for source in self._sources:
            try:
                if extent := source.locate(layer.digest, layer.size):
                    return extent
            except BlobError as raised:
                error = error if error and error.cause != "missing" else raised
        if any(source.is_remote and source.holds(layer) for source in self._sources):
            return None
        raise error or BlobError("missing", f"no source holds {layer.digest}")

    def _begin(self, layer: Layer, extent: Extent | None) -> bool:
        """Take room for a layer, and have it fetched unless it lies in place; False if there is no
        room now."""
        source = None if extent else self._holder(layer)
        blob = 0 if source is None or source.keeps else max(layer.size, 0)
        quota = self._quota(layer, extent.size if extent else layer.size, blob)
        if source and source.keeps and not quota:
            self._fetch(source, Brought(layer))
            return True
        size = blob + quota
        if self._held and self._bytes + size > self._ahead:
            return False
        brought = Brought(layer, extent, quota=quota)
        try:
            brought.grant = self._scratch.grant(size)
            if brought.grant is None:
                return False
            if quota:
                brought.grant.path.mkdir()
        except (BlobError, OSError) as error:
            cause = (
                error
                if isinstance(error, BlobError)
                else BlobError("no_room", f"on scratch: {error}")
            )
            if source and layer.size >= 0 and layer.digest not in self._doubted:
                self._fetch(source, Brought(layer, error=cause, is_question=True))
            else:
                self._ready.append(Brought(layer, error=cause))
            return True
        self._bytes, self._held = self._bytes + size, self._held + 1
        if source:
            self._fetch(source, brought)
        else:
            self._ready.append(brought)
        return True

    def _quota(self, layer: Layer, size: int, blob: int) -> int:
        """Return the bytes that a layer may take unpacked, beside those of its blob; 0 if it is not
        unpacked.

        :param size: of the layer, compressed bytes.
        """
        if not self._unpack:
            return 0
        wanted = max(size, 0) * self._factors.get(layer.digest, UNPACKED) + _LEAST
        return min(wanted, max(self._scratch.most - blob, _LEAST))

    def _holder(self, layer: Layer) -> Source:
        """Return the source at a registry that a layer is fetched from."""
        return next(source for source in self._sources if source.is_remote and source.holds(layer))

    def _fetch(self, source: Source, brought: Brought) -> None:
        self._under_way.append(brought.layer)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="fetch", daemon=True)
            self._thread.start()
        self._todo.put((source, brought))

    def _run(self) -> None:
        """Fetch one layer after the other, in the thread."""
        while (item := self._todo.get()) is not None:
            source, brought = item
            path = brought.blob
            begun = time.monotonic()
            try:
                if not brought.is_question:
                    self._bring_now(source, brought, path)
                if brought.error and brought.error.cause in ("size_mismatch", "no_room"):
                    brought.measured = _measured(source, brought.layer)
            except BaseException as error:
                self._done.put((brought, error))
                return
            brought.seconds = time.monotonic() - begun
            self._done.put((brought, None))

    @staticmethod
    def _bring_now(source: Source, brought: Brought, path: Path) -> None:
        """Fetch a layer, and note where it lies or why it doesn't come."""
        try:
            source.fetch(brought.layer, path)
            kept = source.locate(brought.layer.digest, brought.layer.size)
            brought.extent = kept or Extent(path, 0, path.stat().st_size)
        except BlobError as error:
            brought.error = error


def _measured(source: Source, layer: Layer) -> int:
    """Return the size of a layer as the place says that has it, -1 if it doesn't."""
    try:
        return source.measure(layer)
    except BlobError:
        return -1
