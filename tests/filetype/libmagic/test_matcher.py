"""The matcher finds all that Python's `re` finds, wherever that is in a text, and is used only then."""

import random
import re
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.examples import share_of
from support.tools import need

from hpc_remetrics.errors import MissingComponentError
from hpc_remetrics.filetype.libmagic import matcher as matcher_module
from hpc_remetrics.filetype.libmagic.binding import database_path, libmagic_version
from hpc_remetrics.filetype.libmagic.conditions import Condition, condition_of
from hpc_remetrics.filetype.libmagic.database import find_database
from hpc_remetrics.filetype.libmagic.matcher import (
    Matcher,
    PatternLayers,
    installed_version,
    require_engine,
)
from hpc_remetrics.filetype.libmagic.screen import Screen
from hpc_remetrics.filetype.libmagic.tree import (
    NEAR,
    Pattern,
    RuleNode,
    pattern_of_other_than,
)
from hpc_remetrics.filetype.libmagic.versions import VERSIONS

parser = import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")

FAR = 200  # bytes before a match: more than three of a processor's vectors
TEXTS = 60
FILLINGS = b'ab c\n(){};=<"#1'
REPEATS = (0, 1, 2, 5, 20)


def a_pattern(strict: str, loose: str = "", reach: int | None = None) -> Pattern:
    return Pattern(strict, loose or strict, reach, False)


# What is installed


def installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


@pytest.fixture(
    scope="module",
    params=[key for key in matcher_module._COMPILERS if installed(key[0])],
    ids="-".join,
)
def compile_by(request):
    """Each engine that is installed."""
    return matcher_module._COMPILERS[request.param]


@pytest.fixture
def no_engine_yet():
    matcher_module._engine.cache_clear()
    yield
    matcher_module._engine.cache_clear()


def with_packages(monkeypatch, compilers, versions):
    monkeypatch.setattr(matcher_module, "_COMPILERS", compilers)
    monkeypatch.setattr(
        matcher_module, "installed_version", lambda package: versions.get(package, "")
    )


def finds_all(expressions):
    """Compile expressions by `re`; the end of the first match is as good as the first end here."""

    def find(text):
        found = {key: re.search(expression, text) for key, expression in expressions.items()}
        return {key: match.end() for key, match in found.items() if match}

    return find


def misses_at(place, behind):
    """Return an engine that misses a match at one place, if so many bytes are behind it."""

    def compile_by(expressions):
        find = finds_all(expressions)

        def find_most(text):
            is_missed = re.match(b"x{%d}[^x].*?x{%d}\\Z" % (place, behind), text, re.DOTALL)
            return {} if is_missed else find(text)

        return find_most

    return compile_by


def does_not_load(expressions):
    raise ImportError("no such library")


def test_this_machine_has_an_engine(no_engine_yet):
    require_engine()


def test_no_installed_engine_misses_a_match(compile_by):
    assert not matcher_module._misses_matches(compile_by)


@pytest.mark.parametrize("place", [0, 15, 63, 127, 199])
@pytest.mark.parametrize("behind", [0, 70])
def test_an_engine_that_misses_a_match_at_one_place_is_known_by_that(place, behind):
    assert not matcher_module._misses_matches(finds_all)
    assert matcher_module._misses_matches(misses_at(place, behind))


def test_an_engine_that_reports_a_later_end_is_known_by_that():
    def compile_by(expressions):
        find = finds_all(expressions)
        return lambda text: {key: end + 1 for key, end in find(text).items()}

    assert matcher_module._misses_matches(compile_by)


def test_the_version_of_a_package_is_read_from_its_directory(monkeypatch, tmp_path):
    (tmp_path / "seeker").mkdir()
    (tmp_path / "seeker" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert installed_version("not_a_seeker") == ""
    assert installed_version("seeker") == "of unknown version"
    (tmp_path / "seeker-1.2.3.dist-info").mkdir()
    assert installed_version("seeker") == "1.2.3"
    # Of two, that of the metadata counts.
    (tmp_path / "seeker-1.2.4.dist-info").mkdir()
    for version_ in ("1.2.3", "1.2.4"):
        metadata = tmp_path / f"seeker-{version_}.dist-info" / "METADATA"
        metadata.write_text(f"Metadata-Version: 2.1\nName: seeker\nVersion: {version_}\n")
    assert installed_version("seeker") in ("1.2.3", "1.2.4")


def test_the_first_engine_that_works_is_taken(monkeypatch, no_engine_yet):
    compilers = {
        ("absent", "1"): does_not_load,
        ("older", "2"): does_not_load,
        ("broken", "3"): does_not_load,
        ("good", "4"): finds_all,
        ("later", "5"): does_not_load,
    }
    versions = {"older": "1.9", "broken": "3", "good": "4", "later": "5"}
    with_packages(monkeypatch, compilers, versions)
    require_engine()
    pattern = a_pattern("b")
    assert Matcher([pattern], "strict").find(b"abab") == {pattern: 2}


@pytest.mark.parametrize(
    ("compilers", "versions", "words"),
    [
        ({("one", "1"): finds_all}, {}, ["pyperscan", "is not installed"]),
        ({("one", "1"): finds_all}, {"one": "1.1"}, ["one 1.1 may miss matches; 1 is known"]),
        ({("one", "1"): misses_at(3, 0)}, {"one": "1"}, ["one 1 may miss matches"]),
        (
            {("one", "1"): does_not_load},
            {"one": "1"},
            ["one 1 does not work here: no such library"],
        ),
        (
            {("one", "1"): does_not_load, ("two", "2"): finds_all},
            {"one": "1", "two": "3"},
            ["one 1 does not work here", "two 3 may miss matches"],
        ),
    ],
)
def test_why_there_is_no_engine_is_said(monkeypatch, no_engine_yet, compilers, versions, words):
    with_packages(monkeypatch, compilers, versions)
    with pytest.raises(MissingComponentError) as raised:
        require_engine()
    assert all(word in str(raised.value) for word in words)
    assert raised.value.hint == "pip install 'hpc-remetrics[types]'"


# Against Python's re

EXPRESSIONS = (
    "\\x61",
    "\\x61\\x62",
    "\\x61\\x62\\x61\\x62\\x63",
    "\\x62\\x61\\x62",
    "[\\x41\\x61][\\x42\\x62]",
    "(?i:\\x61\\x42\\x63)",
    "(?m:^)\\x61",
    "(?m:^)[\\x0a\\x20]*\\x62\\x63",
    "\\x63(?:(?m:$)|[^\\n]\\z)",
    "\\x61[^\\n]*\\x63",
    "\\x61[\\x0a\\x20]+\\x62|\\x62{1,}\\x63",
    "(?:\\x61|\\x62\\x20)+\\x63",
    "[^\\n]{5}",
    "\\x00\\x61",
    "\\xff+",
    "\\x29[\\x0a\\x20]*\\x7b",
)
PIECES = (b"a", b"b", b"c", b"A", b"B", b" ", b"\n", b"\0", b"\xff", b"abab", b"){", b"x" * 15)
TEXTS_OF_PIECES = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)


def has_match(expression: bytes, text: bytes, least_behind: int) -> bool:
    """Tell whether a match has at least so many bytes of the text behind it."""
    behind = b"(?=[\\s\\S]{%d,}\\Z)" % least_behind
    return re.search(b"(?:%s)%s" % (expression.replace(b"\\z", b"\\Z"), behind), text) is not None


def check_ends(expressions: dict[Pattern, bytes], found: dict[Pattern, int], text: bytes) -> None:
    """Check that those patterns are found that match, each with the end of the match that ends first."""
    for pattern, expression in expressions.items():
        if pattern in found:
            behind = len(text) - found[pattern]
            assert has_match(expression, text, behind), (expression, text)
            assert not has_match(expression, text, behind + 1), (expression, text)
        else:
            assert not has_match(expression, text, 0), (expression, text)


@pytest.fixture(scope="module")
def sought(compile_by):
    """Some expressions of all kinds that rules have, and the function that finds them."""
    expressions = {a_pattern(one): one.encode() for one in EXPRESSIONS}
    return expressions, compile_by(expressions)


@settings(max_examples=share_of(60))
@given(text=TEXTS_OF_PIECES)
@example(text=b"")
@example(text=b"x" * 63 + b"){")
def test_what_re_finds_is_found(sought, text):
    expressions, find = sought
    check_ends(expressions, find(text), text)


@pytest.mark.parametrize("end", [b"", b"\n", b"abab", b"\nbc", b"c", b"){"])
@pytest.mark.parametrize("filling", [b"x", b"\0", b"\n", b" ", b"ab\xff", b"A\n"])
def test_what_re_finds_is_found_in_large_texts(sought, filling, end):
    expressions, find = sought
    text = filling * ((1 << 16) // len(filling)) + end
    # What `re` would seek for hours in such a text is told by its first and last bytes.
    short = filling * 200 + end
    assert find(text).keys() == find(short).keys()
    check_ends(expressions, find(short), short)


def test_a_text_does_not_leave_its_matches_to_the_next(sought):
    _, find = sought
    first = find(b"ab")
    kept = dict(first)
    assert find(b"x") == {}
    assert first == kept != {}


# Patterns near and far, and in two layers


NEAR_A = a_pattern("\\x61\\x61", "\\x61", reach=NEAR)
FAR_B = a_pattern("\\x62\\x62", "\\x62", reach=NEAR + 1)
ANYWHERE_C = a_pattern("\\x63\\x63", "\\x63")


def found_in(text: bytes, *triggers: Pattern) -> dict[Pattern, int]:
    return dict(PatternLayers(triggers).find(text))


def test_no_patterns_are_found_nowhere():
    assert Matcher([], "strict").find(b"a") == {}
    assert found_in(b"a" * (NEAR + 1)) == {}


def test_a_text_of_few_bytes_is_searched_for_the_strict_form():
    for size in (9, NEAR):
        text = b"a b c aa bb cc".ljust(size)
        assert found_in(text, NEAR_A, FAR_B, ANYWHERE_C) == {NEAR_A: 8, FAR_B: 11, ANYWHERE_C: 14}
        assert found_in(b"a b c".ljust(size), NEAR_A, FAR_B, ANYWHERE_C) == {}


def test_a_longer_text_is_searched_for_the_loose_form_too():
    text = b"a b c".ljust(NEAR + 1)
    # Where a match of the loose form ends isn't told, as libmagic's may end elsewhere.
    assert found_in(text, NEAR_A, FAR_B, ANYWHERE_C) == {FAR_B: NEAR + 1, ANYWHERE_C: NEAR + 1}


def test_the_strict_form_is_sought_in_the_first_bytes_of_a_longer_text():
    text = b"aa bb".ljust(NEAR + 1)
    assert found_in(text, NEAR_A, FAR_B) == {NEAR_A: 2, FAR_B: 5}
    assert found_in(b"x" * (NEAR - 2) + b"xabb", NEAR_A, FAR_B) == {FAR_B: NEAR + 2}
    assert found_in(b"x" * (NEAR - 2) + b"aabb", NEAR_A) == {NEAR_A: NEAR}


def test_a_match_behind_what_libmagic_searches_is_none():
    # FAR_B has to end in the first NEAR + 1 bytes, of which its loose form needs one.
    assert found_in(b"x" * NEAR + b"bx", FAR_B, ANYWHERE_C) == {FAR_B: NEAR + 2}
    assert found_in(b"x" * NEAR + b"xb", FAR_B, ANYWHERE_C) == {}
    assert found_in(b"x" * NEAR + b"bb", FAR_B) == {FAR_B: NEAR + 2}
    # Whichever end the engine tells of two.
    layers = PatternLayers([FAR_B])
    layers.triggers.far.find = lambda text: {FAR_B: len(text)}
    assert layers.find(b"x" * NEAR + b"bb") == {FAR_B: NEAR + 2}
    assert layers.find(b"x" * NEAR + b"xb") == {}


@pytest.mark.parametrize(
    ("loose", "word"),
    [
        (r"\x61\x62\x63\x64", r"\x61\x62\x63\x64"),
        (r"\x61\x62\x63\x64\x65?[\x30]", r"\x61\x62\x63\x64"),
        (r"[\x61\x62\x63\x64]*\x61\x62\x63\x64\x65{2}", r"\x61\x62\x63\x64"),
        (r"\x61\x62\x63\x64+\x65", r"\x61\x62\x63\x64"),
        (r"[\x78]\x61\x62\x63\x64[\x65\x66]\x65", r"\x61\x62\x63\x64"),
        (r"\x61\x62[\x63]\x64\x63", r"\x61\x62[\x63]\x64\x63"),
        (r"\x61\x62\x63\x64*\x65", r"\x61\x62\x63\x64*\x65"),
        (r"\x61\x62\x63[\x61\x62\x63\x64]\x63", r"\x61\x62\x63[\x61\x62\x63\x64]\x63"),
        (r"\x61\x62\x63\x64|\x65", r"\x61\x62\x63\x64|\x65"),
        (r"(?i:\x61\x62\x63\x64)", r"(?i:\x61\x62\x63\x64)"),
    ],
)
def test_the_word_that_each_match_has(loose, word):
    assert a_pattern("", loose).word == word
    assert Matcher([a_pattern("", loose)], "word").find(b"xabcdee0 abcdc") != {}


def test_a_pattern_of_no_rule_is_sought_when_it_is_asked_for():
    layers = PatternLayers([NEAR_A])
    matches = layers.find(b"aa bb")
    assert matches == {NEAR_A: 2}
    assert matches[FAR_B] == 5
    assert matches[ANYWHERE_C] == -1
    assert matches == {NEAR_A: 2, FAR_B: 5, ANYWHERE_C: -1}  # it isn't sought again
    assert layers.find(b"x bb")[FAR_B] == 4


def test_a_pattern_of_a_rule_that_was_not_found_is_not_sought_again():
    layers = PatternLayers([NEAR_A])
    assert layers.find(b"bb")[NEAR_A] == -1
    assert layers.matcher_of(NEAR_A) is None
    assert layers.matcher_of(FAR_B) is layers.matcher_of(FAR_B)


# The rules of the machine's libmagic


@pytest.fixture(scope="module")
def needs() -> list[Condition]:
    """The rules of the machine's libmagic, and their patterns."""
    need("file")
    if libmagic_version() not in VERSIONS:
        pytest.skip(f"libmagic {libmagic_version()} is asked plainly")
    base = find_database(database_path(), VERSIONS[libmagic_version()])
    return [one for rule in range(base.rules) if (one := condition_of(base, rule)) is not None]


@pytest.fixture(scope="module")
def screen(needs) -> Screen:
    return Screen(needs)


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


def test_each_odd_byte_is_found_wherever_it_is():
    quiet = b"\t\n" + bytes(range(0x20, 0x7F))
    odd = pattern_of_other_than(quiet)
    find = Matcher([odd], "strict").find
    assert find(b"") == find(quiet * 9) == {}
    for byte in set(range(256)) - set(quiet):
        # At each place of a vector of 64 bytes, or at one of them.
        for place in range(0, FAR, 1 if byte in (0, 0x1B, 0x7F, 0x80, 0xFF) else 67):
            for behind in (0, 1, 70):
                text = b"x" * place + bytes([byte]) + b"x" * behind
                assert find(text) == {odd: place + 1}


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
        matcher = Matcher([pattern], "strict")
        assert not list(missed(matcher, pattern, pattern.strict, drawn))
    assert len(others) > 200
