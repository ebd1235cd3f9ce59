"""The help texts name every option, its default, and worked examples that the parser takes."""

import argparse
import re
import shlex

import pytest

from hpc_remetrics import __version__
from hpc_remetrics.commands import COMMANDS, parse, parser_of

NAMES = (
    *("crawl", "download", "fetch", "plan", "analyze", "status", "reduce"),
    *("updates", "report", "plot", "export", "compare", "merge", "doctor"),
)


def parser(name: str) -> argparse.ArgumentParser:
    return parser_of(name, COMMANDS.load(name))


def test_there_are_no_other_commands():
    assert tuple(COMMANDS.names()) == NAMES


@pytest.mark.slow
def test_the_help_lists_every_command(shell):
    text = shell("--help").stdout
    assert re.findall(r"^    (\w+) ", text, re.MULTILINE) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_help_names_every_option_with_its_meaning(name):
    text = parser(name).format_help()
    for action in parser(name)._actions:
        assert action.help, action
        for option in action.option_strings:
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", text), option


@pytest.mark.parametrize("name", NAMES)
def test_options_with_a_value_tell_their_default(name):
    for action in parser(name)._actions:
        if action.option_strings and action.nargs is None:
            assert re.search("default|required", action.help), (action.option_strings, action.help)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", *NAMES])
def test_examples_are_commands_that_work(shell, name):
    text = parser(name).format_help() if name else shell("--help").stdout
    examples = re.findall(
        r"^  .*?(?:hpc-remetrics|-m hpc_remetrics) (\S.*?)(?:   .*)?$",
        text.partition("examples:")[2],
        re.M,
    )
    assert examples
    for example in examples:
        words = shlex.split(example.partition(" | ")[0])
        if words[-1] != "--help":
            parse(words[0], COMMANDS.load(words[0]), words[1:])


@pytest.mark.slow
def test_version(shell):
    assert shell("--version").stdout.strip() == f"hpc-remetrics {__version__}"
