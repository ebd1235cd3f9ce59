"""A rank's layers in hand: what the coordinator dealt to it, and when to ask for more."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ..plan import cost
from ..records import Layer

_LOW = 2
"""Layers in hand below which a rank asks for more, while its child is still busy."""


class Intake:
    """Layers wait here for their turn; the answer to one `ask` is awaited before the next.

    :ivar queue: those that wait, in order; who brings them takes them from the left.
    """

    def __init__(self) -> None:
        self.queue: deque[Layer] = deque()
        self._asked, self._no_more = True, False

    def take(self, layers: Sequence[Layer], last: bool) -> None:
        """Take what was dealt; `last` says that nothing is left after it."""
        self._asked, self._no_more = False, last
        self.queue.extend(layers)

    def ask(self, ahead: Sequence[Layer]) -> float | None:
        """Return the estimated seconds in hand if it is time to ask.

        :param ahead: layers that were taken from the queue and aren't done.
        """
        if self._asked or self._no_more or len(self.queue) + max(len(ahead) - 1, 0) >= _LOW:
            return None
        self._asked = True
        return float(sum(map(cost, [*self.queue, *ahead])))

    @property
    def ended(self) -> bool:
        """Whether every layer had its turn and none will come."""
        return self._no_more and not self.queue
