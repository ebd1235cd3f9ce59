"""The definition of an option: what is read, what is shown, what is built."""

import argparse
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from hpc_remetrics.errors import OutputError, UsageError
from hpc_remetrics.options import (
    COUNT,
    INTEGER,
    NOT_NEGATIVE,
    PATH,
    POSITIVE,
    SHARE,
    STRING,
    STRINGS,
    SWITCH,
    Options,
    ValueType,
    add_flags,
    argument,
    build,
    choice_of,
    flag_values,
    in_toml,
    in_words,
    list_of,
    option,
    options_of,
    path_of,
    shown,
    suggestion,
    table,
    tables_of,
)

RIGHT = [
    (POSITIVE, "1e3", 1000.0),
    (POSITIVE, 0.5, 0.5),
    (NOT_NEGATIVE, "0", 0.0),
    (NOT_NEGATIVE, 2, 2.0),
    (INTEGER, "-5", -5),
    (INTEGER, "1_000", 1000),
    (COUNT, "1e6", 1_000_000),
    (COUNT, " 7 ", 7),
    (COUNT, 3.0, 3),
    (COUNT, (1 << 63) - 1, (1 << 63) - 1),
    (SHARE, "1/256", Fraction(1, 256)),
    (SHARE, ".5", Fraction(1, 2)),
    (SHARE, "1e-5", Fraction(1, 100_000)),
    (SHARE, 1, Fraction(1)),
    (SHARE, 0.0, Fraction(0)),
    (SWITCH, "Yes", True),
    (SWITCH, "0", False),
    (SWITCH, False, False),
    (STRINGS, ["a", "b"], ("a", "b")),
    (choice_of("a", "b"), "b", "b"),
    (list_of(COUNT), ["1", "2"], (1, 2)),
]

WRONG = [
    (POSITIVE, ["0", "-1", "inf", "nan", "x", "", 10**400]),
    (NOT_NEGATIVE, ["-1", "inf", "nan", "x"]),
    (INTEGER, ["1.5", "x", "inf", "nan", 1.5, 1 << 63, -(1 << 63), "9" * 5000]),
    (COUNT, ["0", "-1", 0, 0.5]),
    (SHARE, ["2", "3/2", "1/0", "-1", "1e-999999999", "1" * 40, "x", "1/256 "]),
    (SWITCH, ["maybe", "", "2"]),
    (choice_of("a", "b"), ["c", ""]),
    (list_of(COUNT), [["1", "x"]]),
]


@pytest.mark.parametrize(("value", "written", "meant"), RIGHT)
def test_right_values(value, written, meant):
    read = value.read("x", written)
    assert read == meant
    assert type(read) is type(meant)


@pytest.mark.parametrize(
    ("value", "written"), [(value, written) for value, many in WRONG for written in many]
)
def test_wrong_values_are_one_line_that_says_where(value, written):
    with pytest.raises(UsageError) as caught:
        value.read("--x", written)
    assert str(caught.value).startswith("--x")
    assert len(str(caught.value)) < 200


TOML = [
    (POSITIVE, 1, 1.0),
    (STRING, "x", "x"),
    (SWITCH, True, True),
    (STRINGS, ["x"], ("x",)),
    (SHARE, "1/2", Fraction(1, 2)),
]


@pytest.mark.parametrize(("value", "written", "meant"), TOML)
def test_a_value_of_toml_has_the_right_type(value, written, meant):
    assert value.read_toml("x", written) == meant


@pytest.mark.parametrize(
    ("value", "written"),
    [
        *((POSITIVE, wrong) for wrong in ("1", True, [1], {})),
        *((STRING, wrong) for wrong in (1, True, ["x"])),
        *((SWITCH, wrong) for wrong in (1, "true")),
        *((STRINGS, wrong) for wrong in ("x", [1], ["x", True])),
    ],
)
def test_a_value_of_toml_with_another_type_is_told(value, written):
    with pytest.raises(UsageError, match=r"^x is .*, not "):
        value.read_toml("x", written)


def test_a_list_in_a_variable_has_a_separator():
    assert STRINGS.read_variable("X", " a  b ") == ("a", "b")
    assert list_of(STRING, separator=":").read_variable("X", ":a b::c") == ("a b", "c")
    assert STRING.read_variable("X", "a b") == "a b"


def test_errors_keep_their_hints_and_kinds():
    def refuse(text):
        raise OutputError("no") if text == "output" else UsageError("no", "do that")

    value = ValueType("x", (str,), refuse)
    with pytest.raises(UsageError, match=r"^--x: no; do that$"):
        value.read("--x", "")
    with pytest.raises(OutputError, match=r"^no$"):
        value.read("--x", "output")
    hinted = ValueType("a b", (str,), int, hint="for example 1")
    with pytest.raises(UsageError, match=r"^--x is 'y', not a b; for example 1$"):
        hinted.read("--x", "y")


def test_values_are_shown_short():
    assert shown("x" * 78) == repr("x" * 78)
    assert shown("x" * 79) == "'" + "x" * 79 + "…"
    assert shown(1 << 20_000) == "a number that is too long"


def test_home_is_where_the_user_says(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert path_of("~/x") == Path("/somewhere/x")
    assert path_of("x~") == Path("x~")


def test_defaults_in_words_and_in_toml():
    assert [in_words(value) for value in (None, "", (), 0.5, True)] == [
        *("none", "none", "none", "0.5", "True")
    ]
    assert in_toml(Fraction(1, 256)) == '"1/256"'
    assert in_toml(Fraction(1)) == "1"
    assert in_toml(20_000_000) == "20_000_000"


def test_the_nearest_name_is_suggested():
    assert suggestion("zzz", ["memory", "output"]) == "known: memory, output"


@dataclass(frozen=True)
class Inner:
    size: int = option(value=COUNT, default=4, help="size of it")
    speed: float = option("--speed", value=POSITIVE, default=1.5, metavar="N", help="speed of it")


@dataclass(frozen=True, kw_only=True)
class Base(Options):
    TITLE = "base things"

    loud: bool = option("--loud", value=SWITCH, default=False, help="make noise")


@dataclass(frozen=True, kw_only=True)
class Everything(Base):
    things: tuple[str, ...] = argument("THING", value=STRINGS, help="a thing", is_required=False)
    place: Path = option("-p", "--place", value=PATH, key="where", default=Path("x"), help="place")
    again: int = option(
        "-a", value=COUNT, default=0, is_counted=True, key=False, help="do it again"
    )
    colors: tuple[str, ...] = option(
        "--color", value=list_of(choice_of("red", "blue")), default=(), help="a color"
    )
    needed: str = option("--needed", value=STRING, is_required=True, key=False, help="a word")
    inner: Inner = table(Inner, key="inner", prefix="REMETRICS_IN_", flag="--in", help="change it")


def values(*words):
    parser = argparse.ArgumentParser()
    add_flags(parser, Everything)
    return flag_values(Everything, parser.parse_args(["--needed", "x", *words]))


def test_names_keys_and_variables():
    found = {one.name: (one.key, one.variable) for one in options_of(Everything)}
    assert found == {
        "loud": ("loud", "REMETRICS_LOUD"),
        "things": ("", ""),
        "where": ("where", "REMETRICS_WHERE"),
        "again": ("", ""),
        "colors": ("colors", "REMETRICS_COLORS"),
        "needed": ("", ""),
        "inner.size": ("inner.size", "REMETRICS_IN_SIZE"),
        "inner.speed": ("inner.speed", "REMETRICS_IN_SPEED"),
    }
    assert [one.name for one in options_of(Everything, deep=False)] == list(found)[:-2]
    (inner,) = tables_of(Everything)
    assert (inner.key, inner.prefix, inner.flag) == ("inner", "REMETRICS_IN_", "--in")


def test_flags_are_read_and_built():
    assert values() == {"needed": "x"}
    words = ["a", "b", "-p", "y", "-aa", "--color", "red", "--color", "blue", "--loud"]
    read = values(*words, "--in", "size=9", "--speed", "2")
    assert read == {
        "loud": True,
        "things": ("a", "b"),
        "where": Path("y"),
        "again": 2,
        "colors": ("red", "blue"),
        "needed": "x",
        "inner.size": 9,
        "inner.speed": 2.0,
    }
    built = build(Everything, {**read, "unknown": 1})
    assert (built.place, built.inner, built.loud) == (Path("y"), Inner(9, 2.0), True)
    assert values("--no-loud")["loud"] is False
    assert build(Everything, {}).inner == Inner()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--in", "size"], "--in 'size' is not NAME=VALUE; for example --in size=1"),
        (["--in", "sise=1"], "--in: unknown setting 'sise'; did you mean 'size'?"),
        (["--in", "size=0"], "--in size is '0', not a whole number above 0"),
        (["--color", "green"], "--color: 'green' is not one of red, blue"),
    ],
)
def test_wrong_flags(words, said):
    with pytest.raises(UsageError) as caught:
        values(*words)
    assert str(caught.value).startswith(said)


def test_the_help_has_groups_and_defaults(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    parser = argparse.ArgumentParser()
    add_flags(parser, Everything)
    text = parser.format_help()
    assert "base things:\n  --loud, --no-loud" in text
    assert "place (default: x)" in text
    assert "--color {red,blue}" in text and "a color (repeat; default: none)" in text
    assert "a word (required)" in text
    assert "--speed N" in text and "speed of it (default: 1.5)" in text
    assert "change it (repeat; default: size=4, speed=1.5)" in text
    assert "do it again\n" in text
