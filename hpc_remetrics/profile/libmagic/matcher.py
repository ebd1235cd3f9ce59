"""Many expressions sought in one pass over a text, by Hyperscan, where it is installed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from functools import cached_property
from importlib import import_module
from typing import Any

from .tree import NEAR, Pattern

# The module has moved in Python 3.11.
_parser = import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")

_LEAST = 3
"""Bytes of the shortest match that Hyperscan is asked for: it misses some of two bytes, by where they are in a text."""


class Matcher:
    """Finds the patterns that match.

    :param strict: in texts of which no more than :data:`tree.NEAR` bytes are shown.
    :raises ImportError: there is no Hyperscan.
    """

    def __init__(self, patterns: Iterable[Pattern], strict: bool) -> None:
        distinct = {pattern.key: pattern.strict if strict else pattern.loose for pattern in patterns}
        short = {key: one for key, expression in distinct.items() if (one := _short(expression)) is not None}
        self._short = list(short.items())
        self._keys = [key for key in distinct if key not in short]
        self._scan: Any = _nothing
        if self._keys:
            self._scan = _compiled([distinct[key] for key in self._keys])

    def find(self, text: bytes) -> dict[str, int]:
        """Return the keys of the patterns that match somewhere in a text, and where the first match of each ends."""
        found: dict[int, int] = {}
        self._scan(text, match_event_handler=_note, context=found)
        keys = self._keys
        ends = {keys[number]: end for number, end in found.items()}
        for key, expression in self._short:
            match = expression.search(text)
            if match is not None:
                ends[key] = match.end()
        return ends


def _short(expression: str) -> re.Pattern[bytes] | None:
    """Return an expression that can match fewer than :data:`_LEAST` bytes, compiled; None for others."""
    translated = expression.replace("\\z", "\\Z")
    least = int(_parser.parse(translated).getwidth()[0])
    return re.compile(translated.encode()) if least < _LEAST else None


def _compiled(expressions: list[str]) -> Any:
    """Return Hyperscan's function that scans a text; it numbers the patterns as they stand."""
    import hyperscan

    data_base = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    data_base.compile(
        expressions=[expression.encode() for expression in expressions],
        ids=list(range(len(expressions))),
        elements=len(expressions),
        flags=[hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY] * len(expressions),
    )
    return data_base.scan


def _nothing(text: bytes, **options: object) -> None:
    """Stand for a scan where there is nothing to seek."""


def _note(number: int, start: int, end: int, flags: int, context: dict[int, int]) -> None:
    context[number] = end


class _Pair:
    """The same patterns, strict for the beginning of a text, and loose for the whole of one that is longer."""

    def __init__(self, patterns: list[Pattern]) -> None:
        self._patterns = patterns
        self._near = Matcher(patterns, strict=True)

    @cached_property
    def _far(self) -> Matcher:
        return Matcher([pattern for pattern in self._patterns if not pattern.is_near], strict=False)

    def find(self, text: bytes) -> dict[str, int]:
        """Return the patterns that match in a text, and where the first match of each ends, its size if unknown."""
        found = self._near.find(text[:NEAR])
        if len(text) > NEAR:
            for key in self._far.find(text):
                found.setdefault(key, len(text))
        return found


class Matches(dict[str, int]):
    """The patterns that match in a text: key -> where the first match ends, -1 for those that don't.

    Those that no rule is found by are sought when they are asked for.
    """

    def __init__(self, layered: Layered, text: bytes) -> None:
        super().__init__(layered.triggers.find(text))
        self._layered, self._text = layered, text

    def __missing__(self, key: str) -> int:
        other = self._layered.other(key)
        end = -1 if other is None else other.find(self._text).get(key, -1)
        self[key] = end
        return end


class Layered:
    """Two layers of patterns: those that rules are found by, all at once, and others, one by one."""

    def __init__(self, triggers: list[Pattern], others: Iterable[Pattern]) -> None:
        self._triggers = {pattern.key: pattern for pattern in triggers}
        self._others = {pattern.key: pattern for pattern in others}
        self._compiled: dict[str, _Pair] = {}

    @cached_property
    def triggers(self) -> _Pair:
        return _Pair(list(self._triggers.values()))

    def other(self, key: str) -> _Pair | None:
        """Return a matcher of one pattern; few are ever asked for. None for one of the first layer."""
        if key in self._triggers:
            return None
        if key not in self._compiled:
            self._compiled[key] = _Pair([self._others[key]])
        return self._compiled[key]

    def find(self, text: bytes) -> Matches:
        return Matches(self, text)
