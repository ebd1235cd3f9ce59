r"""Seek hundreds of patterns in one pass over a text, by Hyperscan, where it is installed.

    Matcher(["\x64\x65\x66", ...]).find(b"a def b")     {pattern: 5}: where its first match ends

The patterns that rules are found by are sought all at once; the others one by one, when a rule that
was found asks for one of them (:class:`PatternLayers`, :class:`Matches`).
"""

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


def hyperscan_version() -> str:
    """Return the version of Hyperscan that is installed, "" if there is none that can be used."""
    try:
        import hyperscan
    except (ImportError, OSError):
        return ""
    try:
        info = _compile(["a"]).info().decode()
    except hyperscan.error:  # this processor lacks what it needs
        return ""
    return str(info.removeprefix("Version: ").partition(" ")[0])


class Matcher:
    """Finds the patterns that match.

    :param strict: seek their strict form, in texts of no more than `tree.NEAR` bytes.
    :raises ImportError: there is no Hyperscan.
    """

    def __init__(self, patterns: Iterable[Pattern], *, strict: bool) -> None:
        numbered = list(patterns)
        self._scan: Any = _scan_nothing
        if numbered:
            self._scan = _compile([one.strict if strict else one.loose for one in numbered]).scan

        def note(number: int, start: int, end: int, flags: int, ends: dict[Pattern, int]) -> None:
            ends[numbered[number]] = end

        self._note = note

    def find(self, text: bytes) -> dict[Pattern, int]:
        """Return the patterns that match somewhere in a text -> where the first match ends."""
        ends: dict[Pattern, int] = {}
        self._scan(text, match_event_handler=self._note, context=ends)
        return ends


def _compile(expressions: list[str]) -> Any:
    """Return Hyperscan's database of expressions, which it numbers as they stand."""
    import hyperscan

    flags = hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[expression.encode() for expression in expressions],
        ids=list(range(len(expressions))),
        elements=len(expressions),
        flags=[flags] * len(expressions),
    )
    return database


def _scan_nothing(text: bytes, **options: object) -> None:
    """Stand for a scan where there is no pattern."""


class _TextMatcher:
    """Seeks patterns in texts of any size.

    They are strict in the first `tree.NEAR` bytes, and loose in all of a longer text.
    """

    def __init__(self, patterns: list[Pattern]) -> None:
        self._patterns = patterns
        self.near = Matcher(patterns, strict=True)

    @cached_property
    def far(self) -> Matcher:
        """The patterns that may match beyond the first bytes, in their loose form."""
        patterns = [pattern for pattern in self._patterns if not pattern.is_near]
        return Matcher(patterns, strict=False)

    def find(self, text: bytes) -> dict[Pattern, int]:
        """Return the patterns that match -> where the first match ends, the text's size if unknown."""
        if len(text) <= NEAR:
            return self.near.find(text)
        ends = self.near.find(text[:NEAR])
        for pattern in self.far.find(text):
            ends.setdefault(pattern, len(text))
        return ends


class Matches(dict[Pattern, int]):
    """Pattern -> where its first match in one text ends, -1 if it doesn't match.

    A pattern that no rule is found by is sought when it is asked for.
    """

    def __init__(self, layers: PatternLayers, text: bytes) -> None:
        super().__init__(layers.triggers.find(text))
        self._layers = layers
        self._text = text

    def __missing__(self, pattern: Pattern) -> int:
        matcher = self._layers.matcher_of(pattern)
        end = -1 if matcher is None else matcher.find(self._text).get(pattern, -1)
        self[pattern] = end
        return end


class PatternLayers:
    """Patterns in two layers: those that rules are found by, sought at once, and others, one by one.

    :param triggers: the patterns of the first layer.
    """

    def __init__(self, triggers: Iterable[Pattern]) -> None:
        self._triggers = frozenset(triggers)
        self._others: dict[Pattern, _TextMatcher] = {}

    @cached_property
    def triggers(self) -> _TextMatcher:
        """A matcher of the first layer."""
        return _TextMatcher(list(self._triggers))

    def matcher_of(self, pattern: Pattern) -> _TextMatcher | None:
        """Return a matcher of one other pattern, None for one of the first layer."""
        if pattern in self._triggers:
            return None
        if pattern not in self._others:
            self._others[pattern] = _TextMatcher([pattern])
        return self._others[pattern]

    def find(self, text: bytes) -> Matches:
        """Return the patterns that match in a text."""
        return Matches(self, text)
