"""The help texts name every option, its default, and worked examples that the parser takes."""

import argparse
import re
import shlex

import pytest

from hpc_remetrics import __version__, cli

VERBS = (
    *("crawl", "download", "fetch", "plan", "analyze", "status", "reduce"),
    *("report", "plot", "export", "compare", "merge", "doctor"),
)


def parsers() -> dict[str, argparse.ArgumentParser]:
    parser = cli._parser()
    (verbs,) = (
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    )
    return dict(verbs.choices)


def test_there_are_no_other_commands():
    assert set(parsers()) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_names_every_option_with_its_meaning(shell, verb):
    result = shell(verb, "--help")
    assert result.returncode == 0
    for action in parsers()[verb]._actions:
        assert action.help or action.dest == "dataset", action
        for option in action.option_strings:
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", result.stdout), option


@pytest.mark.parametrize("verb", VERBS)
def test_options_with_a_value_tell_their_default(verb):
    for action in parsers()[verb]._actions:
        if action.option_strings and action.nargs is None:
            assert "default" in action.help, (action.option_strings, action.help)


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_examples_are_commands_that_work(shell, verb):
    text = shell(*([verb] if verb else []), "--help").stdout
    examples = re.findall(
        r"^  .*?(?:hpc-remetrics|-m hpc_remetrics) (\S.*?)(?:   .*)?$",
        text.partition("examples:")[2],
        re.M,
    )
    assert examples
    for example in examples:
        words = shlex.split(example.partition(" | ")[0])
        if words[-1] != "--help":
            cli._parser().parse_args(words)


def test_version(shell):
    assert shell("--version").stdout.strip() == f"hpc-remetrics {__version__}"
