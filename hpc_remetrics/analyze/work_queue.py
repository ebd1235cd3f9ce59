"""A rank's layers in hand: what the coordinator dealt to it, and when to ask for more."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ..records import Layer
from .plan import cost

_LOW = 2
"""Layers in hand below which a rank asks for more, while its child is still busy."""


class Intake:
    """Layers wait here for their turn; the answer to one `ask` is awaited before the next."""

    def __init__(self) -> None:
        self._queue: deque[Layer] = deque()
        self._asked, self._no_more = True, False

    def __bool__(self) -> bool:
        return bool(self._queue)

    def take(self, layers: Sequence[Layer], last: bool) -> None:
        """Take what was dealt; `last` says that nothing is left after it."""
        self._asked, self._no_more = False, last
        self._queue.extend(layers)

    def next(self) -> Layer:
        """Return the layer whose turn it is; `IndexError` if there is none."""
        return self._queue.popleft()

    def ask(self, *begun: Layer | None) -> float | None:
        """Return the estimated seconds in hand, with those of the layers that are begun, if it is
        time to ask."""
        if self._asked or self._no_more or len(self._queue) + max(len(begun) - 1, 0) >= _LOW:
            return None
        self._asked = True
        return sum((cost(layer) for layer in (*self._queue, *begun) if layer), 0.0)

    @property
    def ended(self) -> bool:
        """Whether every layer had its turn and none will come."""
        return self._no_more and not self._queue
