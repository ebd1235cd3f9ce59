"""Many expressions sought in one pass over a text, by Hyperscan, where it is installed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .tree import Pattern


class Matcher:
    """Finds the patterns that match.

    :param strict: in texts of which no more than :data:`tree.NEAR` bytes are shown.
    :raises ImportError: there is no Hyperscan.
    """

    def __init__(self, patterns: Iterable[Pattern], strict: bool) -> None:
        import hyperscan

        distinct = {pattern.key: pattern for pattern in patterns}
        self._keys = list(distinct)
        expressions = [pattern.strict if strict else pattern.loose for pattern in distinct.values()]
        limit = hyperscan.HS_EXT_FLAG_MAX_OFFSET
        self._data_base = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._data_base.compile(
            expressions=[expression.encode() for expression in expressions],
            ids=list(range(len(expressions))),
            elements=len(expressions),
            flags=[hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY] * len(expressions),
            ext=[(limit if one.reach else 0, 0, one.reach or 0, 0, 0, 0) for one in distinct.values()],
        )
        self._scan: Any = self._data_base.scan

    def find(self, text: bytes) -> dict[str, int]:
        """Return the keys of the patterns that match somewhere in a text, and where the first match of each ends."""
        found: dict[int, int] = {}
        self._scan(text, match_event_handler=_note, context=found)
        keys = self._keys
        return {keys[number]: end for number, end in found.items()}


def _note(number: int, start: int, end: int, flags: int, context: dict[int, int]) -> None:
    context[number] = end
