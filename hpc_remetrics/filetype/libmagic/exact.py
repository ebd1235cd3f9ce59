"""Describe a file by asking libmagic with only those of its rules that can print something of it.

The steps for one content, with what each leaves of libmagic's 3,548 rules for a Python script::

    content ── PlainText.read: not text, or text in which encoding?
       │
       ├─ Screen.of_bytes / of_text: rules that have the bytes or patterns they need      ~10 rules
       ├─ EndRules.of: rules whose word stands at the end of the file                       0 rules
       ├─ Condition.may_print: is the rule's first test met, and one that prints?           2 rules
       │
       ├─ text, and Outcomes knows what these print ──> PlainText.describe, libmagic isn't asked
       └─ else _Subsets: libmagic with a database of these rules alone ──> its description

Wherever a step isn't sure, libmagic is asked with all its rules (`plain`).
"""

from __future__ import annotations

from functools import cached_property
from locale import CODESET, nl_langinfo
from operator import attrgetter

from .beyond_head import is_elf, is_head_enough
from .binding import Magic, database_path, libmagic_version
from .conditions import Condition, condition_of, condition_to_pass
from .content import ContentBytes, head_of_content
from .database import Database, find_database
from .end_rules import EndRules
from .matcher import Matches, require_engine
from .outcomes import NotKnownError, Outcomes
from .plaintext import NOT_TEXT, PlainText, Text
from .screen import LONG_LINE_PATTERN, Screen
from .versions import VERSIONS, Version

_CODESETS = frozenset(("UTF8", "ASCII", "USASCII", "ANSI_X3.41968", "646"))
"""Character sets of locales in which only ASCII has blanks and letters of one byte."""

_MAX_SUBSET_BYTES = 48 << 20
_MAX_SUBSETS = 256

_Rules = dict[int, bool]
"""Rules in libmagic's order -> whether the rule is wanted whole, or its first test alone."""

_by_rule = attrgetter("rule")


class ExactMagic:
    """Describes contents as libmagic with all its rules does, byte for byte.

    Of ELF files it leaves out what libmagic reads beyond the first bytes, where that is no error.

    :param plain: libmagic with all its rules.
    :raises MissingComponentError: there is no engine that seeks patterns.
    :raises ValueError: libmagic, its database or the locale isn't supported.
    """

    def __init__(self, plain: Magic) -> None:
        self._version = _checked_version()
        require_engine()
        self._plain = plain
        self._max_head = plain.max_head
        self._texts = PlainText(self._version, self._max_head)
        self._database = find_database(database_path(), self._version)
        conditions = [condition_of(self._database, rule) for rule in range(self._database.rules)]
        self._conditions = [one for one in conditions if one is not None]
        self._screen = Screen(self._conditions)
        self._end_rules = EndRules(self._database)
        self._subsets = _Subsets(self._database)

    def describe(self, content: ContentBytes) -> bytes | None:
        """Return libmagic's description of a file with this content, None if it gives an error."""
        head = head_of_content(content, self._max_head)
        if len(head) < 2:
            return self._plain.describe(content)  # the screens look at pairs of bytes
        text = self._texts.read(head)
        if text is NOT_TEXT:
            # libmagic finds no encoding either, and asks no rule for text.
            return self._describe_bytes(content, head)
        if not isinstance(text, Text):
            return self._plain.describe(content)
        return self._describe_text(content, head, text)

    def _describe_bytes(self, content: ContentBytes, head: bytes) -> bytes | None:
        """Describe a content that is not text."""
        found = self._screen.of_bytes(head)
        at_end = self._end_rules.of(content, head)
        conditions = _up_to_end_of_walk([*_may_print(found, head, False, None), *at_end])
        for condition in conditions:
            if len(head) < condition.continues_below:
                return self._describe_continued(content, head, conditions, found, condition.rule)
        return self._ask(content, head, _whole(conditions), is_text=False)

    def _describe_continued(
        self,
        content: ContentBytes,
        head: bytes,
        conditions: list[Condition],
        found: list[Condition],
        first: int,
    ) -> bytes | None:
        """Describe a file with which libmagic may go on after a rule has printed.

        The next rule that passes then ends the walk, even one that prints nothing: of such a rule
        the first test is asked.

        :param found: all rules that have what they are found by.
        :param first: the first rule after which libmagic may go on.
        """
        passing = [
            one
            for one in found
            if one.of_first_test and _is_asked(one, False) and one.may_pass(head, None)
        ]
        passing += _may_print(self._passing.of_bytes(head), head, False, None)
        passing += self._end_rules.conditions
        rules = _whole(conditions)
        for one in passing:
            if one.rule > first and one.rule not in rules:
                rules[one.rule] = one.rule in self._database.continuing
        return self._ask(content, head, dict(sorted(rules.items())), is_text=False)

    @cached_property
    def _passing(self) -> Screen:
        """The rules for bytes that aren't found by what their first test needs, indexed by that."""
        found = {one.rule for one in self._conditions if one.of_first_test}
        others = (
            condition_to_pass(self._database, rule)
            for rule in range(self._database.rules)
            if rule not in found
        )
        wanted = [one for one in others if one is not None and one.binary]
        return Screen(wanted)

    def _describe_text(self, content: ContentBytes, head: bytes, text: Text) -> bytes | None:
        """Describe a content that libmagic takes for text."""
        if self._end_rules.of(content, head):
            return self._plain.describe(content)
        found, matches = self._screen.of_text(text.utf8)

        # Find the rules for bytes that may print. They see the file, rules for text see UTF-8.
        if text.is_whole:
            binary = _may_print(found, head, text.looks, matches)
        else:
            binary = _may_print(self._screen.of_bytes(head), head, text.looks, None)

        binary.sort(key=_by_rule)

        # A rule of both walks that doesn't pass in the file doesn't in the text that is the same.
        textual = [one for one in found if one.text and not (one.binary and text.is_whole)]
        textual.sort(key=_by_rule)

        # Word the description without libmagic, where only rules that see this text may print.
        if (text.is_whole or not binary) and self._texts.is_left_to_rules(head):
            try:
                return self._worded(text, matches, binary, textual)
            except NotKnownError:
                pass

        textual = [one for one in textual if one.may_print(text.utf8, matches)]
        conditions = _up_to_end_of_walk([*binary, *textual])
        if any(len(head) < one.continues_below for one in conditions):
            # Rules that were left out may end the walk behind this one.
            return self._plain.describe(content)
        return self._ask(content, head, _whole(conditions), is_text=True)

    def _worded(
        self, text: Text, matches: Matches, binary: list[Condition], textual: list[Condition]
    ) -> bytes:
        """Return the description of a text, put together without libmagic.

        :raises NotKnownError: what the rules print can't be told.
        """
        outcomes = Outcomes(text.utf8, matches, text.looks)
        # What a rule for bytes prints is the whole description.
        printed = outcomes.of(binary)
        if printed:
            return printed
        printed = outcomes.of(textual)
        may_be_long = LONG_LINE_PATTERN in matches
        return self._texts.describe(text, printed.decode(), may_be_long).encode()

    def _ask(
        self, content: ContentBytes, head: bytes, rules: _Rules, *, is_text: bool
    ) -> bytes | None:
        """Ask libmagic with some rules, and show it a file only where the head isn't enough."""
        magic = self._subsets.of(tuple(rules.items()), is_text)
        if magic is None:
            return self._plain.describe(content)
        reads_end = not self._database.reading_end.isdisjoint(rules)
        is_enough = self._version.buffer_is_enough and not reads_end
        if not is_enough or not is_head_enough(content, head):
            return magic.describe(content)
        description = magic.describe_buffer(head)
        if is_elf(head) and b", version" not in (description or b""):
            # What libmagic adds for an ELF file might belong to the head of this description.
            return magic.describe(content)
        return description


def _checked_version() -> Version:
    """Return the version of libmagic, after a check of the characters of the locale.

    :raises ValueError: one isn't supported.
    """
    number = libmagic_version()
    if number not in VERSIONS:
        raise ValueError(
            f"libmagic {_dotted(number)} is not a supported version "
            f"({_dotted(min(VERSIONS))} to {_dotted(max(VERSIONS))})"
        )
    codeset = nl_langinfo(CODESET)
    if codeset.upper().replace("-", "") not in _CODESETS:
        raise ValueError(
            f"the character set of the locale, {codeset}, may have blanks and letters beyond ASCII"
        )
    return VERSIONS[number]


def _dotted(number: int) -> str:
    """Return the version as libmagic writes it: 5.44 for 544."""
    return f"{number // 100}.{number % 100:02}"


def _is_asked(condition: Condition, looks: bool) -> bool:
    """Tell whether libmagic asks a rule of the bytes of a file that looks like text, or doesn't."""
    return condition.binary and condition.looks_like_text in (None, looks)


def _may_print(
    found: list[Condition], head: bytes, looks: bool, matches: Matches | None
) -> list[Condition]:
    """Return the rules for bytes that may print."""
    return [one for one in found if _is_asked(one, looks) and one.may_print(head, matches)]


def _up_to_end_of_walk(found: list[Condition]) -> list[Condition]:
    """Return the rules to ask, in libmagic's order: none behind one that surely ends its walk.

    libmagic walks twice, first through the rules for bytes, then through those for text.
    """
    conditions: dict[int, Condition] = {}
    text_walk_ended = False
    for one in sorted(found, key=_by_rule):
        if one.binary:
            conditions[one.rule] = one
            if one.ends_walk:
                break
        elif not text_walk_ended:
            conditions[one.rule] = one
            text_walk_ended = one.ends_walk
    return list(conditions.values())


def _whole(conditions: list[Condition]) -> _Rules:
    """Return rules in order, each wanted whole."""
    return {one.rule: True for one in conditions}


class _Subsets:
    """libmagic with databases of a few rules each: a cache, which starts anew when it is full."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._opened: dict[tuple[tuple[tuple[int, bool], ...], bool], Magic | None] = {}
        self._bytes = 0

    def of(self, rules: tuple[tuple[int, bool], ...], is_text: bool) -> Magic | None:
        """Return libmagic with these rules alone, None if it may differ from libmagic with all.

        :param rules: the items of a `_Rules`.
        :param is_text: files are shown in which libmagic finds an encoding; for others it need not
            look for one.
        """
        try:
            return self._opened[rules, is_text]
        except KeyError:
            return self._open(rules, is_text)

    def _open(self, rules: tuple[tuple[int, bool], ...], is_text: bool) -> Magic | None:
        database = self._database
        # What an entangled rule prints may depend on rules that are not in the subset.
        for rule, whole in rules:
            if rule in (database.entangled if whole else database.entangled_tops):
                self._opened[rules, is_text] = None
                return None
        records = database.subset(rules)
        if self._bytes + len(records) > _MAX_SUBSET_BYTES or len(self._opened) >= _MAX_SUBSETS:
            self._clear()
        self._bytes += len(records)
        magic = Magic(records, finds_encoding=is_text)
        self._opened[rules, is_text] = magic
        return magic

    def _clear(self) -> None:
        for magic in self._opened.values():
            if magic is not None:
                magic.close()
        self._opened.clear()
        self._bytes = 0
