"""Many expressions sought in one pass over a text, by Hyperscan, where it is installed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from .tree import NEAR, Pattern

ENGINES = frozenset(("5.4.2", "5.4.11"))
"""Versions of Hyperscan (Intel's, and Vectorscan's) that find all matches.

Vectorscan 5.4.12, in the wheels 0.7.23 to 0.9.1, misses matches by where they are in a text: those
that it finds by two bytes of which the first is the last that it compares at once.
"""


def engine() -> str:
    """Return the version of Hyperscan that is installed, "" if there is none that can be used."""
    try:
        import hyperscan
    except (ImportError, OSError):
        return ""
    try:
        said = _data_base(["a"]).info().decode()
    except hyperscan.error:  # this processor lacks what it needs
        return ""
    return str(said.removeprefix("Version: ").partition(" ")[0])


class Matcher:
    """Finds the patterns that match.

    :param strict: in texts of which no more than :data:`tree.NEAR` bytes are shown.
    :raises ImportError: there is no Hyperscan.
    """

    def __init__(self, patterns: Iterable[Pattern], strict: bool) -> None:
        numbered = list(patterns)
        self._scan: Any = _nothing
        if numbered:
            self._scan = _data_base([one.strict if strict else one.loose for one in numbered]).scan

        def note(number: int, start: int, end: int, flags: int, found: dict[Pattern, int]) -> None:
            found[numbered[number]] = end

        self._note = note

    def find(self, text: bytes) -> dict[Pattern, int]:
        """Return the patterns that match somewhere in a text, and where the first match of each
        ends."""
        found: dict[Pattern, int] = {}
        self._scan(text, match_event_handler=self._note, context=found)
        return found


def _data_base(expressions: list[str]) -> Any:
    """Return Hyperscan's data base of expressions, which it numbers as they stand."""
    import hyperscan

    data_base = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    data_base.compile(
        expressions=[expression.encode() for expression in expressions],
        ids=list(range(len(expressions))),
        elements=len(expressions),
        flags=[hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY] * len(expressions),
    )
    return data_base


def _nothing(text: bytes, **options: object) -> None:
    """Stand for a scan where there is nothing to seek."""


class _Pair:
    """The same patterns, strict for the beginning of a text, and loose for the whole of one that is
    longer."""

    def __init__(self, patterns: list[Pattern]) -> None:
        self._patterns = patterns
        self._near = Matcher(patterns, strict=True)

    @cached_property
    def _far(self) -> Matcher:
        return Matcher([pattern for pattern in self._patterns if not pattern.is_near], strict=False)

    def find(self, text: bytes) -> dict[Pattern, int]:
        """Return the patterns that match in a text, and where the first match of each ends, its
        size if unknown."""
        if len(text) <= NEAR:
            return self._near.find(text)
        found = self._near.find(text[:NEAR])
        for pattern in self._far.find(text):
            found.setdefault(pattern, len(text))
        return found


class Matches(dict[Pattern, int]):
    """The patterns that match in a text -> where the first match ends, -1 for those that don't.

    Those that no rule is found by are sought when they are asked for.
    """

    def __init__(self, layered: Layered, text: bytes) -> None:
        super().__init__(layered.triggers.find(text))
        self._layered, self._text = layered, text

    def __missing__(self, pattern: Pattern) -> int:
        other = self._layered.other(pattern)
        end = -1 if other is None else other.find(self._text).get(pattern, -1)
        self[pattern] = end
        return end


class Layered:
    """Two layers of patterns: those that rules are found by, all at once, and others, one by
    one."""

    def __init__(self, triggers: Iterable[Pattern]) -> None:
        self._triggers = frozenset(triggers)
        self._others: dict[Pattern, _Pair] = {}

    @cached_property
    def triggers(self) -> _Pair:
        return _Pair(list(self._triggers))

    def other(self, pattern: Pattern) -> _Pair | None:
        """Return a matcher of one pattern; few are ever asked for. None for one of the first
        layer."""
        if pattern in self._triggers:
            return None
        if pattern not in self._others:
            self._others[pattern] = _Pair([pattern])
        return self._others[pattern]

    def find(self, text: bytes) -> Matches:
        return Matches(self, text)
