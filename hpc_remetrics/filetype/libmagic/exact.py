"""libmagic's answers for less: it is asked with the rules alone that can say something about the
file."""

from __future__ import annotations

from functools import cached_property, partial
from locale import CODESET, nl_langinfo
from typing import TYPE_CHECKING

from ..heads import head_of
from . import compound, elf
from .binding import Magic, data_base_path, libmagic_version
from .conditions import Need, need_of, need_to_pass
from .database import Base, find_base
from .ends import Ends
from .matcher import ENGINES, Matches, engine
from .outcomes import NotKnownError, Outcomes
from .plaintext import UNKNOWN, Text, has_rules, text_of, words_of
from .samples import SAMPLES
from .screen import LONG, Screen

if TYPE_CHECKING:
    from ..held_content import Data

LIBRARIES = frozenset((544,))
"""Versions of libmagic whose way through its rules, and whose view of text, is followed."""

_CODES = frozenset(("UTF8", "ASCII", "USASCII", "ANSI_X3.41968", "646"))
_MOST_BYTES = 48 << 20
_MOST_PARTS = 256


class Exact:
    """Describes files as `file` does, with all rules of libmagic, byte for byte.

    Of ELF files it leaves out what libmagic reads beyond the first bytes, where that is no error.

    :param plain: libmagic with all its rules.
    :ivar seeks: Hyperscan seeks patterns; without it, texts are asked plainly, which is faster than
    with all rules that need a pattern.
    :ivar unused: the version of a Hyperscan that is installed and can't be relied on, "" if there
    is none.
    :raises ValueError: it, or its data base, isn't understood.
    """

    def __init__(self, plain: Magic) -> None:
        version = libmagic_version()
        if version not in LIBRARIES:
            raise ValueError(
                f"libmagic {version // 100}.{version % 100:02} isn't one of those understood (5.44)"
            )
        if nl_langinfo(CODESET).upper().replace("-", "") not in _CODES:
            raise ValueError(
                f"the locale's characters, {nl_langinfo(CODESET)}, may have blanks and letters beyond ASCII"
            )
        self._plain, self._most = plain, plain.most
        self._base = find_base(data_base_path())
        rules = range(self._base.rules)
        self._needs = [need for rule in rules if (need := need_of(self._base, rule)) is not None]
        found = engine()
        self.seeks = found in ENGINES
        self.unused = "" if self.seeks else found
        self._screen = Screen(self._needs, self.seeks)
        self._ends = Ends(self._base)
        self._parts = _Parts(self._base)

    def ask(self, data: Data) -> bytes | None:
        """Return libmagic's words for a content, or None if it gives an error."""
        head = data if isinstance(data, bytes) else data.head
        if len(head) > self._most:
            head = head[: self._most]
        if len(head) < 2:
            return self._plain.ask(data)  # the screens look at pairs of bytes
        text = text_of(head)
        if text is UNKNOWN or not (self.seeks or isinstance(text, str)):
            return self._plain.ask(data)
        if isinstance(text, str):
            return self._of_bytes(
                data, head
            )  # libmagic finds no encoding either, and asks no rule for text
        return self._of_text(data, head, text)

    def check(self) -> None:
        """Compare the answers with libmagic's plain ones for a file of each kind.

        :raises ValueError: one differs.
        """
        for data in SAMPLES:
            want, have = self._plain.ask(data), self.ask(data)
            if not agree(want, have):
                raise ValueError(f"this libmagic says {want!r} of a sample, not {have!r}")

    def _of_bytes(self, data: Data, head: bytes) -> bytes | None:
        found = self._screen.of_bytes(head)
        ends = self._ends.of(data, head)
        needs = _needed([*_printing(found, head, False, None), *ends])
        for need in needs:
            if need.returns:
                return self._returning(data, head, needs, found, need.rule)
        return self._asked(data, head, _rules(needs), False)

    def _returning(
        self, data: Data, head: bytes, needs: list[Need], found: list[Need], first: int
    ) -> bytes | None:
        """Ask of a file that libmagic may go on with after a rule printed.

        The next rule that passes then ends its walk, and were it silent. Of one that is, the first
        test will do.

        :param found: all rules that have what they are found by.
        """
        passing = [
            need
            for need in found
            if need.by_top and _is_asked(need, False) and need.passes(head, None)
        ]
        passing += _printing(self._passing.of_bytes(head), head, False, None)
        passing += self._ends.needs
        rules = _rules(needs)
        for need in passing:
            if need.rule > first and need.rule not in rules:
                rules[need.rule] = need.rule in self._base.returning
        return self._asked(data, head, dict(sorted(rules.items())), False)

    @cached_property
    def _passing(self) -> Screen:
        """The rules for bytes that aren't found by what their first test needs, by that."""
        found = {need.rule for need in self._needs if need.by_top}
        needs = (
            need_to_pass(self._base, rule) for rule in range(self._base.rules) if rule not in found
        )
        return Screen([need for need in needs if need is not None and need.binary], self.seeks)

    def _of_text(self, data: Data, head: bytes, text: Text) -> bytes | None:
        if self._ends.of(data, head):
            return self._plain.ask(data)
        found, matches = self._screen.of_text(text.utf8)
        # A rule of both walks that doesn't pass in the file doesn't in the text that is the same.
        needs = sorted(
            (need for need in found if need.text and not (need.binary and text.whole)), key=_rule
        )
        if text.whole:
            binary = _printing(found, head, text.looks, matches)
        else:  # rules for bytes see other bytes than rules for text
            binary = _printing(self._screen.of_bytes(head), head, text.looks, None)
        # Where no rule for bytes can print, and libmagic knows no other way, its words are those of
        # rules for text.
        if matches is not None and not binary and has_rules(head, self._most):
            try:
                printed = Outcomes(text.utf8, matches, text.looks).of(needs)
            except NotKnownError:
                pass
            else:
                return words_of(text, printed.decode(), LONG in matches).encode()
        needs = _needed([*binary, *(need for need in needs if need.prints(text.utf8, matches))])
        if any(need.returns for need in needs):
            return self._plain.ask(
                data
            )  # rules that were left out may end the walk behind this one
        return self._asked(data, head, _rules(needs), True)

    def _asked(
        self, data: Data, head: bytes, rules: dict[int, bool], is_text: bool
    ) -> bytes | None:
        part = self._parts.of(tuple(rules.items()), is_text)
        if part is None:
            return self._plain.ask(data)
        if not self._base.from_end.isdisjoint(rules) or not _is_told_by_head(data, head):
            return part.ask(data)
        words = part.ask_buffer(head)
        # Behind words of another kind, what libmagic adds to an ELF file might belong to the head.
        return part.ask(data) if elf.begins(head) and b", version" not in (words or b"") else words


def agree(want: bytes | None, have: bytes | None) -> bool:
    """Tell whether answers are the same; of ELF files, of which a part may be left out, whether
    their heads are."""
    if want == have or not want or not have or not want.startswith(b"ELF "):
        return want == have
    return head_of(want.decode("latin-1")) == head_of(have.decode("latin-1"))


def _is_told_by_head(data: Data, head: bytes) -> bool:
    """Tell whether libmagic says the same of a file and of its first bytes, but for what follows a
    comma.

    Rules that look at the end are not counted.
    """
    if elf.begins(head):
        if isinstance(data, bytes):
            return elf.cannot_fail(head, len(data), partial(_read, data))
        return elf.cannot_fail(head, data.size, data.read)
    return not compound.begins(head)


def _read(data: bytes, offset: int, size: int) -> bytes | None:
    return data[offset : offset + size] if offset + size <= len(data) else None


def _is_asked(need: Need, looks: bool) -> bool:
    """Tell whether a rule is asked of the bytes of a file that looks like text, or doesn't."""
    return need.binary and need.looks in (None, looks)


def _printing(found: list[Need], data: bytes, looks: bool, matches: Matches | None) -> list[Need]:
    """Return the rules for bytes that may print."""
    return [need for need in found if _is_asked(need, looks) and need.prints(data, matches)]


def _needed(found: list[Need]) -> list[Need]:
    """Return the rules to ask, in libmagic's order: none behind one that ends its walk."""
    needs: dict[int, Need] = {}
    text_ends = False
    for need in sorted(found, key=_rule):
        if need.binary:
            needs[need.rule] = need
            if need.ends:
                break  # text comes after all bytes
        elif not text_ends:
            needs[need.rule] = need
            text_ends = need.ends
    return list(needs.values())


def _rules(needs: list[Need]) -> dict[int, bool]:
    """Return the rules in order, each whole."""
    return {need.rule: True for need in needs}


def _rule(need: Need) -> int:
    return need.rule


_Rules = tuple[tuple[int, bool], ...]
"""Rules, and whether each is wanted whole or without what is below its first test."""


class _Parts:
    """Data bases of a few rules each, as many as there is room for."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._parts: dict[tuple[_Rules, bool], Magic | None] = {}
        self._bytes = 0

    def of(self, rules: _Rules, is_text: bool) -> Magic | None:
        """Return libmagic with these rules alone, or None if that may differ from libmagic with
        all.

        :param is_text: it is for files in which libmagic finds an encoding; it doesn't look for one
            in others.
        """
        try:
            return self._parts[rules, is_text]
        except KeyError:
            return self._made(rules, is_text)

    def _made(self, rules: _Rules, is_text: bool) -> Magic | None:
        base = self._base
        # The answer of an entangled rule may come from rules that are not in the part.
        if any(rule in (base.entangled if whole else base.entangled_tops) for rule, whole in rules):
            self._parts[rules, is_text] = None
            return None
        records = base.part(rules)
        if self._bytes + len(records) > _MOST_BYTES or len(self._parts) >= _MOST_PARTS:
            self._clear()
        self._bytes += len(records)
        made = self._parts[rules, is_text] = Magic([records], is_text)
        return made

    def _clear(self) -> None:
        for part in self._parts.values():
            if part is not None:
                part.close()
        self._parts.clear()
        self._bytes = 0
