"""The matcher finds what an expression matches, wherever that is in a text: texts are made from the
expressions."""

import os
import random
import sys
from importlib import import_module

import pytest
from support.tools import need

from hpc_remetrics.filetype.libmagic.binding import database_path, libmagic_version
from hpc_remetrics.filetype.libmagic.conditions import Condition, condition_of
from hpc_remetrics.filetype.libmagic.database import find_database
from hpc_remetrics.filetype.libmagic.matcher import ENGINES, Matcher, hyperscan_version
from hpc_remetrics.filetype.libmagic.screen import Screen
from hpc_remetrics.filetype.libmagic.tree import RuleNode
from hpc_remetrics.filetype.libmagic.versions import VERSIONS

parser = import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")

FAR = 200  # bytes before a match: more than three of a processor's vectors
TEXTS = 60
FILLINGS = b'ab c\n(){};=<"#1'
REPEATS = (0, 1, 2, 5, 20)


@pytest.fixture(scope="module")
def needs() -> list[Condition]:
    """The rules of the machine's libmagic, and their patterns."""
    need("file")
    if not os.environ.get("CI") and hyperscan_version() not in ENGINES:
        pytest.skip("no matcher that is used")
    if libmagic_version() not in VERSIONS:
        pytest.skip(f"libmagic {libmagic_version()} is asked plainly")
    base = find_database(database_path(), VERSIONS[libmagic_version()])
    return [one for rule in range(base.rules) if (one := condition_of(base, rule)) is not None]


@pytest.fixture(scope="module")
def screen(needs) -> Screen:
    return Screen(needs, True)


def patterns_of(node: RuleNode):
    """Yield all patterns of a rule that may be asked for."""
    if node.pattern is not None:
        yield node.pattern
    for one in node.below:
        if one.matters:
            yield from patterns_of(one)


class Made:
    """One text that an expression matches, piece by piece, and what must stand before and behind
    it."""

    def __init__(self, expression: str, drawn: random.Random) -> None:
        self.drawn, self.match = drawn, bytearray()
        self.begins_line = self.ends_line = self.ends_text = False
        self._add(parser.parse(expression.replace("\\z", "\\Z")))

    def _add(self, parsed) -> None:
        for operator, argument in parsed:
            getattr(self, f"_{operator}".lower())(argument)

    def _literal(self, character) -> None:
        self.match.append(character)

    def _not_literal(self, character) -> None:
        self.match.append(self.drawn.choice([one for one in range(1, 128) if one != character]))

    def _in(self, members) -> None:
        inverted = str(members[0][0]) == "NEGATE"
        some = {member for operator, member in members if str(operator) == "LITERAL"}
        self.match.append(
            self.drawn.choice([one for one in range(1, 128) if (one in some) != inverted])
        )

    def _max_repeat(self, argument) -> None:
        least, most, repeated = argument
        for _ in range(min(int(most), least + self.drawn.choice(REPEATS))):
            self._add(repeated)

    def _subpattern(self, argument) -> None:
        self._add(argument[-1])

    def _branch(self, argument) -> None:
        self._add(self.drawn.choice(argument[1]))

    def _at(self, place) -> None:
        if str(place) == "AT_BEGINNING":
            if self.match and self.match[-1:] != b"\n":
                self.match += b"\n"
            self.begins_line |= not self.match
        else:
            self.ends_line, self.ends_text = str(place) == "AT_END", str(place) == "AT_END_STRING"

    def text(self) -> tuple[bytes, int]:
        """Return a text with the match in it, and where that ends."""
        drawn = self.drawn
        before = bytes(
            drawn.choices(
                drawn.choice((b"x", b" ", bytes(self.match) or b"x", FILLINGS)),
                k=drawn.randrange(FAR),
            )
        )
        if self.begins_line and before:
            before = before[:-1] + b"\n"
        behind = bytes(drawn.choices(FILLINGS, k=drawn.choice((0, 0, 1, 1, 2, 5, 60))))
        if self.ends_line and behind:
            behind = b"\n" + behind
        return before + self.match + (b"" if self.ends_text else behind), len(before) + len(
            self.match
        )


def missed(matcher, key: str, expression: str, drawn: random.Random):
    """Yield texts in which a match isn't found, or only behind where it ends."""
    for _ in range(TEXTS):
        text, end = Made(expression, drawn).text()
        if not 0 <= matcher.find(text).get(key, -1) <= end:
            yield text


@pytest.mark.slow
def test_every_match_is_found_wherever_it_is(screen):
    drawn = random.Random(5)
    sought = 0
    near, far = screen._text_layers.triggers.near, screen._text_layers.triggers.far
    for pattern in screen._by_pattern_in_text.triggers():
        assert not list(missed(near, pattern, pattern.strict, drawn))
        if not pattern.is_near:
            assert not list(missed(far, pattern, pattern.loose, drawn))
        sought += 1
    for pattern in screen._by_pattern_in_bytes.triggers():
        assert not list(missed(screen._bytes_matcher, pattern, pattern.loose, drawn))
    assert sought > 200


@pytest.mark.slow
def test_every_match_of_one_pattern_is_found_wherever_it_is(needs, screen):
    drawn = random.Random(6)
    first = set(screen._by_pattern_in_text.triggers())
    others = {pattern for need in needs for pattern in patterns_of(need.node)} - first
    for pattern in sorted(others, key=lambda one: one.strict):
        matcher = Matcher([pattern], strict=True)
        assert not list(missed(matcher, pattern, pattern.strict, drawn))
    assert len(others) > 200
