"""The remaining work of a download, on rank 0: images to resolve, and blobs to fetch.

Images are resolved just ahead of their blobs, so that a registry's limit on manifests and its
bandwidth are used side by side, and memory doesn't depend on the length of the list. A blob that
several images need is fetched once.

    image -> ImageTask -> ResolvedImage -> missing blobs -> BlobTask -> StoredBlob
                                                            (last one)  -> image is finished
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ..records import Digest
from ..registry.reference import Reference
from ..sources import platforms
from ..wording import counted
from .state import State
from .tasks import BlobTask, Failed, ImageTask, Resolved, StoredBlob

log = logging.getLogger(__name__)

_OUT_OF_ORDER = frozenset({"io_error", "limit_time", "rate_limited"})
_GIVE_UP = 50
"""Failures of these causes in a row, after which registries or the network are taken to be out of
order."""


@dataclass
class Counts:
    """What was done so far; `bytes` came over the network, `elsewhere` are blobs that the list of
    layers has, `empty` images that have nothing for the platforms wanted, `others` platforms that
    these have."""

    images: int = 0
    blobs: int = 0
    bytes: int = 0
    absent: int = 0
    elsewhere: int = 0
    empty: int = 0
    others: set[str] = field(default_factory=set)


@dataclass
class _Open:
    """An image that waits for blobs."""

    resolved: Resolved
    lacking: set[Digest] = field(default_factory=set)


class Mirror:
    """The tasks of a download, for a `TaskPool`.

    :param images: images to resolve, in this order.
    :param counted: tells whether a registry counts GETs of manifests.
    :param workers: threads of all ranks.
    :ivar failures: image -> why it is incomplete.
    """

    def __init__(
        self,
        images: Iterator[Reference],
        state: State,
        counted: Callable[[str], bool],
        workers: int,
    ) -> None:
        self._images = images
        self._state = state
        self._counted = counted
        # Stop resolving while so many blobs wait, or so many images are being resolved.
        self._ahead = 2 * workers
        self._most = max(workers // 2, 1)
        self._resolving = 0
        self._in_row = 0
        self._blobs: deque[BlobTask] = deque()
        self._later: deque[Reference] = deque()
        self._waiting: dict[Digest, list[Reference]] = {}
        self._open: dict[Reference, _Open] = {}
        self.failures: dict[Reference, Failed] = {}
        self.counts = Counts()

    def next(self) -> ImageTask | BlobTask | None:
        """Return the next task, None if there is none (yet)."""
        if self.obstacle:
            return None
        is_enough = len(self._blobs) >= self._ahead or self._resolving >= self._most
        image = None if is_enough else self._next_image()
        if image is None:
            return self._next_blob()
        self._resolving += 1
        return ImageTask(image, self._counted(image.host) or image in self._state)

    def _next_blob(self) -> BlobTask | None:
        """Return the next blob that an image still waits for, None if there is none."""
        while self._blobs:
            task = self._blobs.popleft()
            if task.image in self._open:
                return task
            # The image has failed for another reason; other images may need the blob.
            if (other := self._hand_on(task.digest)) is not None:
                return other
        return None

    def _hand_on(self, digest: Digest) -> BlobTask | None:
        """Return the task to fetch a blob for the next image that waits for it, None if none."""
        waiting = [image for image in self._waiting.pop(digest) if image in self._open]
        if not waiting:
            return None
        self._waiting[digest] = waiting
        size = self._open[waiting[0]].resolved.blobs[digest]
        return BlobTask(digest, size, waiting[0])

    def _next_image(self) -> Reference | None:
        image = next(self._images, None)
        return self._later.popleft() if image is None and self._later else image

    def take(
        self, task: ImageTask | BlobTask, value: Resolved | StoredBlob | Failed | None
    ) -> None:
        """Take the result of a task; None: the job was stopped before."""
        if value is None:
            return

        # Count failures that say that the registry, or the disk, is out of order.
        cause = value.cause if isinstance(value, Failed) else ""
        self._in_row = self._in_row + 1 if cause in _OUT_OF_ORDER else 0
        self._resolving -= isinstance(task, ImageTask)

        # Ask again later, or go on with what came.
        if cause == "rate_limited":
            self._postpone(task)
        elif isinstance(task, ImageTask):
            if isinstance(value, Failed):
                self._fail(task.reference, value)
            elif isinstance(value, Resolved):
                self._begin(task.reference, value)
        elif isinstance(value, Failed):
            self._missed(task, value)
        elif isinstance(value, StoredBlob):
            self._came(task, value)

    def _postpone(self, task: ImageTask | BlobTask) -> None:
        """Try a task again after all others: a rate limit is not a failure."""
        if isinstance(task, ImageTask):
            self._later.append(task.reference)
        else:
            self._blobs.append(task)

    @property
    def obstacle(self) -> str:
        """Why this run sends no more requests, "" if it does."""
        if self._in_row < _GIVE_UP:
            return ""
        return f"the last {counted(self._in_row, 'request')} failed"

    @property
    def backlog(self) -> int:
        """Number of blobs that are still to be fetched."""
        return len(self._blobs)

    def _begin(self, image: Reference, resolved: Resolved) -> None:
        """Let an image wait for its missing blobs."""
        # Leave out the layers that the list of known ones has.
        lacking = {digest for digest in resolved.lacking if str(digest) not in self._state.layers}
        self.counts.elsewhere += len(resolved.lacking) - len(lacking)
        self.counts.absent += resolved.absent
        self.counts.empty += not resolved.entries
        if resolved.others:
            self.counts.others = platforms.fewer(self.counts.others | resolved.others)

        # Ask for each blob once, however many images wait for it.
        self._open[image] = _Open(resolved, lacking)
        for digest in resolved.lacking:
            if digest not in lacking:
                continue
            if digest not in self._waiting:
                self._blobs.append(BlobTask(digest, resolved.blobs[digest], image))
            self._waiting.setdefault(digest, []).append(image)
        if not lacking:
            self._finish(image)

    def _came(self, task: BlobTask, stored: StoredBlob) -> None:
        self.counts.bytes += stored.size
        self.counts.blobs += stored.size > 0
        for image in self._waiting.pop(task.digest):
            if image not in self._open:
                continue
            size = self._open[image].resolved.blobs[task.digest]
            if size not in (-1, stored.length):
                # Another image states the true size. This one can't be complete.
                del self._open[image]
                text = f"its manifest states {size} bytes for {task.digest}, it has {stored.length}"
                self._fail(image, Failed("size_mismatch", text))
                continue
            self._open[image].lacking.discard(task.digest)
            if not self._open[image].lacking:
                self._finish(image)

    def _missed(self, task: BlobTask, failed: Failed) -> None:
        """Give up an image whose repository lacks a blob, and try the next image that waits."""
        if self._open.pop(task.image, None):
            self._fail(task.image, failed)
        if (other := self._hand_on(task.digest)) is not None:
            self._blobs.appendleft(other)

    def _fail(self, image: Reference, failed: Failed) -> None:
        log.warning("%s: %s", image, failed.message)
        self.failures[image] = failed

    def _finish(self, image: Reference) -> None:
        self._state.finish(image, self._open.pop(image).resolved)
        self.counts.images += 1
