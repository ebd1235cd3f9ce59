"""Count layers by how they ended: all layers = ok + partial + failed + pending."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from ..wording import counted


@dataclass(frozen=True)
class Ledger:
    """Number of layers by how they ended; ledgers can be added.

    >>> print(Ledger(ok=78, failed=1) + Ledger(partial=1))
    80 layers: 78 ok, 1 partial, 1 failed, 0 pending
    """

    ok: int = 0
    partial: int = 0
    failed: int = 0
    pending: int = 0

    def __add__(self, other: Ledger) -> Ledger:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Ledger(*(mine + theirs for mine, theirs in pairs))

    def __str__(self) -> str:
        words = (
            f"{self.ok} ok, {self.partial} partial, {self.failed} failed, {self.pending} pending"
        )
        return f"{counted(self.layers, 'layer')}: {words}"

    @classmethod
    def of(cls, statuses: Iterable[str]) -> Ledger:
        """Count layers by their status words."""
        return cls(**Counter(statuses))

    @property
    def layers(self) -> int:
        """Number of all layers."""
        return sum(astuple(self))

    @property
    def exit_code(self) -> int:
        """Return 4 if layers are pending, else 3 if some are partial or failed, else 0."""
        if self.pending:
            return 4
        return 3 if self.partial or self.failed else 0
