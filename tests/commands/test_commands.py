"""Commands in this process: from their words to what they do with the options that they read."""

import json
from pathlib import Path

import pytest
from support.made import Entry, Made

from hpc_remetrics.commands import COMMANDS, on_every_rank, parse, parser_of
from hpc_remetrics.errors import MissingComponentError, UsageError
from hpc_remetrics.export import FORMATS
from hpc_remetrics.profile import chunking
from hpc_remetrics.report import plot
from hpc_remetrics.report.figures.style import Look


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    layers = [[Entry("file", b"a", 1), Entry("file", b"b", 1)]]
    return Made(layers, [[0]]).write(tmp_path_factory.mktemp("made") / "made")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, no_login_of_this_machine):
    """An empty current directory, and no settings of this machine."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(name, *words):
    """Run a command as the command line does."""
    command = COMMANDS.load(name)
    return command.run(command.read(command.options, parse(name, command, [*map(str, words)])))


def test_report(made, capsys):
    assert run("report", made) == 0
    assert capsys.readouterr().out.startswith(f"{made}\n\n  images ")
    run("report", made, "--json")
    assert json.loads(capsys.readouterr().out)["files"] == 2
    with pytest.raises(UsageError, match="--html and --json exclude each other"):
        run("report", made, "--json", "--html", "x.html")


def test_compare(made, capsys):
    run("compare", made, made)
    assert capsys.readouterr().out.startswith(f"{made} → {made}\n")
    run("compare", made, made, "--json")
    assert json.loads(capsys.readouterr().out)["retyped"] == 0


def test_status(made, capsys):
    run("status", made)
    assert capsys.readouterr().out.startswith(f"{made}: done\n")
    run("status", made, "--json")
    assert json.loads(capsys.readouterr().out)["state"] == "done"


@pytest.mark.parametrize("form", FORMATS)
def test_export_names_the_directory_by_dataset_and_format(made, here, form):
    run("export", made, "--format", form)
    (directory,) = here.iterdir()
    assert directory.name == f"made-{form}"


def test_export_of_chosen_tables(made, here):
    words = ("export", made, "--format", "json", "--table", "layers", "-o", "out")
    run(*words, "--table", "metrics/totals")
    names = {str(path.relative_to(here)) for path in here.rglob("*.jsonl")}
    assert names == {"out/layers.jsonl", "out/metrics/totals.jsonl"}
    with pytest.raises(UsageError, match=r"--table: unknown table 'layer'.*layers"):
        run(*words, "--table", "layer", "--table", "other")


def test_plot_gives_its_options_to_the_figures(made, monkeypatch):
    calls = []
    monkeypatch.setattr(
        plot, "plot_command", lambda *words, **options: calls.append((words, options))
    )
    run("plot", made)
    words = ["--figure", 2, "--figure", 20, "--format", "svg", "-o", "out", "--width", 3.4]
    words += ["--dpi", 300, "--style", "x.mplstyle", "--no-title", "--no-references", "--letters"]
    run("plot", made, *words, "--data", "--force")
    look = Look(3.4, 300, False, False, True, Path("x.mplstyle"))
    assert calls == [
        (
            (made, Path("made-figures"), (), ("png", "svg", "pdf")),
            {"look": Look(), "has_data": False, "force": False},
        ),
        (
            (made, Path("out"), (2, 20), ("svg",)),
            {"look": look, "has_data": True, "force": True},
        ),
    ]
    with pytest.raises(UsageError, match="there is no figure 98; there are 1 to 24"):
        run("plot", made, "--figure", 1, "--figure", 98, "--figure", 99)


def test_analyze_says_what_cutting_contents_lacks_before_anything_starts(monkeypatch):
    def lacks():
        raise MissingComponentError("pyfastcdc is not there", "install it")

    monkeypatch.setattr(chunking, "chunker", lacks)
    with pytest.raises(MissingComponentError) as error:
        run("analyze", "oci:nowhere", "--chunks")
    assert error.value.shared


def test_an_error_of_the_command_line_is_one_of_every_rank():
    with pytest.raises(UsageError) as error, on_every_rank():
        run("report")
    assert error.value.shared and "see `hpc-remetrics report --help`" in str(error.value)


@pytest.mark.parametrize("name", ["analyze", "plan"])
def test_the_help_lists_the_sources_that_there_are(name):
    text = parser_of(name, COMMANDS.load(name)).format_help()
    assert "oci:" in text and "docker-archive:" in text and "{registered" not in text


def test_every_command_can_print_the_traceback_of_an_error():
    for name in COMMANDS.names():
        parser = parser_of(name, COMMANDS.load(name))
        assert "--debug" in parser.format_usage()
        assert parser.description.endswith(".") and parser.description[0].isupper()
