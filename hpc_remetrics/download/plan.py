"""What a download still has to do, on rank 0: images to resolve, blobs to bring, and who waits for
which.

Images are resolved just ahead of the blobs, so that a registry's limit on manifests and its bytes
are used side by side, and memory doesn't depend on the length of the list. A blob that several
images need is brought once.
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
    """Hands out tasks for a `TaskPool`.

    :param images: to be resolved, in this order.
    :param counted: whether a registry counts GETs of manifests.
    :param workers: threads of all ranks.
    :ivar failures: why images are not whole.
    """

    def __init__(
        self,
        images: Iterator[Reference],
        state: State,
        counted: Callable[[str], bool],
        workers: int,
    ) -> None:
        self._images, self._state, self._counted = images, state, counted
        self._ahead, self._most = 2 * workers, max(workers // 2, 1)
        self._resolving = self._in_row = 0
        self._blobs: deque[BlobTask] = deque()
        self._later: deque[Reference] = deque()
        self._waiting: dict[Digest, list[Reference]] = {}
        self._open: dict[Reference, _Open] = {}
        self.failures: dict[Reference, Failed] = {}
        self.counts = Counts()

    def next(self) -> ImageTask | BlobTask | None:
        if self.obstacle:
            return None
        is_enough = len(self._blobs) >= self._ahead or self._resolving >= self._most
        image = None if is_enough else self._next_image()
        if image is None:
            return self._next_blob()
        self._resolving += 1
        return ImageTask(image, self._counted(image.host) or image in self._state)

    def _next_blob(self) -> BlobTask | None:
        """Return the next blob for which an image still waits, None if there is none."""
        while self._blobs:
            task = self._blobs.popleft()
            if task.image in self._open:
                return task
            # The image has failed for another reason; others may want the blob.
            if (other := self._hand_on(task.digest)) is not None:
                return other
        return None

    def _hand_on(self, digest: Digest) -> BlobTask | None:
        """Return the task to bring a blob for the next image that waits for it, None if none
        does."""
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
        if value is None:
            return
        cause = value.cause if isinstance(value, Failed) else ""
        self._in_row = self._in_row + 1 if cause in _OUT_OF_ORDER else 0
        self._resolving -= isinstance(task, ImageTask)
        if cause == "rate_limited":
            self._put_off(task)
        elif isinstance(task, ImageTask):
            if isinstance(value, Failed):
                self._fail(task.reference, value)
            elif isinstance(value, Resolved):
                self._begin(task.reference, value)
        elif isinstance(value, Failed):
            self._missed(task, value)
        elif isinstance(value, StoredBlob):
            self._came(task, value)

    def _put_off(self, task: ImageTask | BlobTask) -> None:
        """Ask once more, after what has not been asked for yet: being asked for less is no
        failure."""
        if isinstance(task, ImageTask):
            self._later.append(task.reference)
        else:
            self._blobs.append(task)

    @property
    def obstacle(self) -> str:
        """Why nothing more is asked in this start, "" if nothing is in the way."""
        return (
            f"the last {counted(self._in_row, 'request')} had no answer"
            if self._in_row >= _GIVE_UP
            else ""
        )

    @property
    def backlog(self) -> int:
        """Blobs that wait."""
        return len(self._blobs)

    def _begin(self, image: Reference, resolved: Resolved) -> None:
        """Have an image wait for the blobs that it lacks."""
        lacking = {digest for digest in resolved.lacking if str(digest) not in self._state.layers}
        self.counts.elsewhere += len(resolved.lacking) - len(lacking)
        self.counts.absent += resolved.absent
        self.counts.empty += not resolved.roots
        if resolved.others:
            self.counts.others = platforms.fewer(self.counts.others | resolved.others)
        self._open[image] = _Open(resolved, lacking)
        for digest in resolved.lacking:
            if digest not in lacking:
                continue
            if digest not in self._waiting:
                self._blobs.append(BlobTask(digest, resolved.blobs[digest], image))
            self._waiting.setdefault(digest, []).append(image)
        if not lacking:
            self._finish(image)

    def _came(self, task: BlobTask, brought: StoredBlob) -> None:
        self.counts.bytes += brought.size
        self.counts.blobs += brought.size > 0
        for image in self._waiting.pop(task.digest):
            if image not in self._open:
                continue
            size = self._open[image].resolved.blobs[task.digest]
            if size not in (-1, brought.length):
                # Another image stated the true size. This one is not whole as its manifest has it.
                del self._open[image]
                text = (
                    f"its manifest states {size} bytes for {task.digest}, it has {brought.length}"
                )
                self._fail(image, Failed("size_mismatch", text))
                continue
            self._open[image].lacking.discard(task.digest)
            if not self._open[image].lacking:
                self._finish(image)

    def _missed(self, task: BlobTask, failed: Failed) -> None:
        """Give up the image whose repository doesn't give a blob, and ask that of the next one that
        waits for it."""
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
