"""The work queue of a rank: layers that the coordinator dealt to it, in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ..records import Layer
from .plan import cost

_FEW = 2
"""A rank with fewer waiting layers requests more, while its child is still busy."""


class WorkQueue:
    """Layers in the order in which they were dealt, and when to request more.

    There is one open request at most: the layers that the plan assigns to the rank count as the
    reply to a first one.
    """

    def __init__(self) -> None:
        self._layers: deque[Layer] = deque()
        self._is_requested = True
        self._is_last = False

    def __bool__(self) -> bool:
        return bool(self._layers)

    def add(self, layers: Sequence[Layer], *, is_last: bool) -> None:
        """Take layers that were dealt; `is_last` says that no more will come."""
        self._is_requested = False
        self._is_last = is_last
        self._layers.extend(layers)

    def next(self) -> Layer:
        """Remove and return the next layer; `IndexError` if there is none."""
        return self._layers.popleft()

    def request(self, begun: Sequence[Layer]) -> float | None:
        """Return the estimated seconds of work in hand if it is time to request more, else None.

        :param begun: layers that have left the queue and are not done; the first is being profiled.
        """
        waiting = len(self._layers) + max(len(begun) - 1, 0)
        if self._is_requested or self._is_last or waiting >= _FEW:
            return None
        self._is_requested = True
        return sum((cost(layer) for layer in (*self._layers, *begun)), 0.0)

    @property
    def is_exhausted(self) -> bool:
        """Whether every layer had its turn and no more will come."""
        return self._is_last and not self._layers
