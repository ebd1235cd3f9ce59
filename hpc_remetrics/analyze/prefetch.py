"""Prefetch layers to node-local scratch while the child profiles the previous one.

A layer on a file system is read in place. A layer at a registry is fetched to scratch by one
thread, which speaks HTTP and nothing else: messages between ranks, and everything else, stay with
the rank's main thread, which never waits here. `RoomPolicy` bounds how far fetching runs ahead.

    WorkQueue ──take──▶ next ──▶ in place? ──────────────────────────▶ ready ──poll──▶ child
                         ▲          └─ granted scratch ─▶ thread ──▶ done ──┘
                         └── retry: a false size, or too little room to unpack ◀──┘
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
from ..limits import AHEAD_LAYERS
from ..node.scratch import Grant
from ..records import Digest, Layer
from ..registry.registries import Registries
from ..sources.base import Extent, Source
from .room_policy import RoomPolicy
from .work_queue import WorkQueue


@dataclass
class Prefetched:
    """A layer that can be read now, or the reason why it can't.

    :ivar extent: where its compressed bytes are; None if they can't be read.
    :ivar seconds: that fetching took, 0 if it is read in place.
    :ivar error: why the layer can't be read.
    :ivar grant: what it takes of scratch, given back by `Prefetcher.release`; None: nothing.
    :ivar unpacked_bytes: bytes of the grant for the unpacked layer; 0: it is not unpacked.
    :ivar measured_size: compressed bytes as the registry says, asked for where the size in the
        manifest seems to be false; -1: not asked, or not known.
    :ivar only_measure: fetch nothing, and only ask the registry for the size.
    """

    layer: Layer
    extent: Extent | None = None
    seconds: float = 0.0
    error: BlobError | None = None
    grant: Grant | None = None
    unpacked_bytes: int = 0
    measured_size: int = -1
    only_measure: bool = False

    @property
    def tree(self) -> Path | None:
        """The directory into which the layer is to be unpacked; None: it is not unpacked."""
        return self.grant.path / "tree" if self.grant and self.unpacked_bytes else None

    @property
    def blob_path(self) -> Path:
        """The file to which the layer is fetched, unless its source keeps it elsewhere."""
        if self.grant is None:
            return Path()
        return self.grant.path / "blob" if self.unpacked_bytes else self.grant.path


class Prefetcher:
    """The queue of layers on their way to the child; used by the rank's main thread alone.

    :param sources: where layers may be, the first one first.
    :param room: decides how much scratch a layer may take, and when.
    :ivar budget: the requests that this rank may send to registries.
    """

    def __init__(self, sources: Sequence[Source], registries: Registries, room: RoomPolicy) -> None:
        self.budget = registries.budget
        self._stopped = registries.stopped
        self._sources = sources
        self._room = room
        self._thread = FetchThread()
        self._ready: deque[Prefetched] = deque()
        self._waiting: Layer | None = None
        self._retries: deque[Layer] = deque()
        self._first_errors: dict[Digest, BlobError] = {}

    @property
    def begun(self) -> list[Layer]:
        """The layers that were taken from the work queue and not yet returned by `poll`."""
        waiting = [self._waiting] if self._waiting else []
        ready = [prefetched.layer for prefetched in self._ready]
        return [*self._thread.layers, *ready, *self._retries, *waiting]

    def take(self, work: WorkQueue) -> bool:
        """Begin with as many layers as may lie ahead; return whether there were any."""
        moved = False
        while len(self._thread.layers) + len(self._ready) < AHEAD_LAYERS:
            layer = self._next(work)
            if layer is None:
                break
            if not self._begin(layer):
                # There is no room for it now: it comes first when there is some.
                self._waiting = layer
                break
            moved = True
        return moved

    def _next(self, work: WorkQueue) -> Layer | None:
        """Return the layer whose turn it is: one that waits for room, a retry, a new one."""
        if self._waiting is not None:
            layer, self._waiting = self._waiting, None
            return layer
        if self._retries:
            return self._retries.popleft()
        return work.next() if work else None

    def poll(self) -> Prefetched | None:
        """Return the next layer that can be read, or can't be at all; None if there is none yet.

        The caller gives it to `release` when it is done with it.
        """
        prefetched = self._thread.poll()
        if prefetched is None:
            return self._ready.popleft() if self._ready else None
        if prefetched.error is not None:
            self.release(prefetched)
            if self._retry_with_measured_size(prefetched, prefetched.error):
                return None
            prefetched.error = self._cause(prefetched.layer, prefetched.error)
        return prefetched

    def release(self, prefetched: Prefetched) -> None:
        """Give back what a layer takes of scratch."""
        if prefetched.grant is not None:
            self._room.give_back(prefetched.grant)
            prefetched.grant = None

    def retry_with_more_room(self, prefetched: Prefetched) -> None:
        """Prefetch a layer again with more room to unpack it, or fail it if there is none."""
        assert prefetched.grant is not None
        size = prefetched.grant.size
        self.release(prefetched)
        try:
            self._room.enlarge(prefetched.layer, size)
        except BlobError as error:
            self._ready.append(Prefetched(prefetched.layer, error=error))
            return
        self._retries.append(prefetched.layer)

    def close(self) -> None:
        """Stop fetching; what is under way is removed with the scratch directory."""
        self._stopped.set()
        self._thread.close()

    def _begin(self, layer: Layer) -> bool:
        """Begin with a layer; return False if there is no room for it now."""
        try:
            extent = self._locate(layer)
        except BlobError as error:
            self._ready.append(Prefetched(layer, error=error))
            return True
        if extent is None:
            return self._begin_fetch(layer, self._holder(layer))
        if self._room.unpacks:
            return self._begin_in_place(layer, extent)
        self._ready.append(Prefetched(layer, extent))
        return True

    def _begin_in_place(self, layer: Layer, extent: Extent) -> bool:
        """Take room to unpack a layer that is read in place; return False if there is none now."""
        unpacked = self._room.unpacked_bytes(layer, extent.size, 0)
        prefetched = Prefetched(layer, extent, unpacked_bytes=unpacked)
        try:
            prefetched.grant = self._room.take(unpacked, as_directory=True)
        except BlobError as error:
            self._ready.append(Prefetched(layer, error=error))
            return True
        if prefetched.grant is None:
            return False
        self._ready.append(prefetched)
        return True

    def _begin_fetch(self, layer: Layer, source: Source) -> bool:
        """Take room for a layer and have the thread fetch it; return False if there is none now."""
        blob = 0 if source.keeps else max(layer.size, 0)
        unpacked = self._room.unpacked_bytes(layer, layer.size, blob)
        prefetched = Prefetched(layer, unpacked_bytes=unpacked)
        if source.keeps and not unpacked:
            # It takes no scratch at all.
            self._thread.submit(source, prefetched)
            return True
        try:
            prefetched.grant = self._room.take(blob + unpacked, as_directory=unpacked > 0)
        except BlobError as error:
            self._fail_for_want_of_room(layer, source, error)
            return True
        if prefetched.grant is None:
            return False
        self._thread.submit(source, prefetched)
        return True

    def _fail_for_want_of_room(self, layer: Layer, source: Source, error: BlobError) -> None:
        """Fail a layer that scratch can never hold, unless its stated size may be false."""
        failed = Prefetched(layer, error=error)
        if layer.digest not in self._first_errors:
            failed.only_measure = True
            self._thread.submit(source, failed)
        else:
            self._ready.append(failed)

    def _retry_with_measured_size(self, failed: Prefetched, error: BlobError) -> bool:
        """Try a layer once more if the registry says another size than the manifest does."""
        layer = failed.layer
        if layer.digest in self._first_errors or failed.measured_size in (-1, layer.size):
            return False
        self._first_errors[layer.digest] = error
        self._retries.append(replace(layer, size=failed.measured_size))
        return True

    def _cause(self, layer: Layer, error: BlobError) -> BlobError:
        """Return the error to report for a layer that was perhaps tried with two sizes."""
        first = self._first_errors.get(layer.digest)
        # Bytes that fit neither size: the size that the manifest states is the one to report.
        if first is not None and error.cause in ("digest_mismatch", "size_mismatch"):
            return first
        return error

    def _locate(self, layer: Layer) -> Extent | None:
        """Return where a layer can be read in place, None if it must be fetched.

        :raises BlobError: no source has it.
        """
        error: BlobError | None = None
        for source in self._sources:
            try:
                if extent := source.locate(layer.digest, layer.size):
                    return extent
            except BlobError as raised:
                # Another reason says more than that the layer is missing.
                error = error if error and error.cause != "missing" else raised
        if any(source.is_remote and source.holds(layer) for source in self._sources):
            return None
        raise error or BlobError("missing", f"no source has {layer.digest}")

    def _holder(self, layer: Layer) -> Source:
        """Return the source at a registry from which a layer is fetched."""
        return next(source for source in self._sources if source.is_remote and source.holds(layer))


class FetchThread:
    """A thread that fetches one layer after the other; it starts with the first one.

    :ivar layers: the layers that were submitted and not yet returned by `poll`.
    """

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self._todo: queue.SimpleQueue[tuple[Source, Prefetched] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Prefetched | BaseException] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, source: Source, prefetched: Prefetched) -> None:
        """Have a layer fetched from a source to `prefetched.blob_path`."""
        self.layers.append(prefetched.layer)
        if self._thread is None:
            self._thread = threading.Thread(
                target=_fetch_all, args=(self._todo, self._done), name="fetch", daemon=True
            )
            self._thread.start()
        self._todo.put((source, prefetched))

    def poll(self) -> Prefetched | None:
        """Return the next layer that was fetched or failed, None if there is none; never wait.

        Whatever else than a `BlobError` ended the thread is raised here.
        """
        try:
            done = self._done.get_nowait()
        except queue.Empty:
            return None
        if isinstance(done, BaseException):
            raise done
        self.layers.remove(done.layer)
        return done

    def close(self) -> None:
        """End the thread after the layer that it is fetching."""
        self._todo.put(None)


def _fetch_all(
    todo: queue.SimpleQueue[tuple[Source, Prefetched] | None],
    done: queue.SimpleQueue[Prefetched | BaseException],
) -> None:
    """Fetch layers one by one until None comes; runs in the thread."""
    while (item := todo.get()) is not None:
        source, prefetched = item
        begun = time.monotonic()
        try:
            if not prefetched.only_measure:
                _fetch(source, prefetched)
            if prefetched.error and prefetched.error.cause in ("size_mismatch", "no_room"):
                prefetched.measured_size = _measured(source, prefetched.layer)
        except BaseException as error:
            done.put(error)
            return
        prefetched.seconds = time.monotonic() - begun
        done.put(prefetched)


def _fetch(source: Source, prefetched: Prefetched) -> None:
    """Fetch a layer, and note where it is or why it can't be had."""
    layer, path = prefetched.layer, prefetched.blob_path
    try:
        source.fetch(layer, path)
        # A source that keeps layers has it in a place of its own.
        kept = source.locate(layer.digest, layer.size)
        prefetched.extent = kept or Extent(path, 0, path.stat().st_size)
    except BlobError as error:
        prefetched.error = error


def _measured(source: Source, layer: Layer) -> int:
    """Return the size of a layer in bytes as the registry says, -1 if it doesn't."""
    try:
        return source.measure(layer)
    except BlobError:
        return -1
