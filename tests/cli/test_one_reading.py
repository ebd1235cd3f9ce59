"""A setting means the same to every command, from wherever it comes; what can't be meant is
told."""

import json
import os
import shutil
from pathlib import Path

import pytest

from hpc_remetrics.commands import COMMANDS, parse
from hpc_remetrics.config import parse_tier
from hpc_remetrics.errors import UsageError

SIZES = {
    "8G": 8_000_000_000,
    "8g": 8_000_000_000,
    "8GB": 8_000_000_000,
    "8GiB": 8 << 30,
    "1.5Gi": 3 << 29,
    "500": 500,
    "0": 0,
    "2T": 2_000_000_000_000,
}


@pytest.fixture
def here(tmp_path, monkeypatch, clean_environ):
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(clean_environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", clean_environ["HOME"])
    return tmp_path


@pytest.mark.parametrize("text", SIZES)
def test_sizes(here, text):
    assert parse_tier(f"{here}={text}") == (here, SIZES[text])


@pytest.mark.parametrize(
    "text", ["/dev/shm=abc", "/dev/shm=", "/dev/shm=8X", "/dev/shm=-1", "", "=8G", "/dev/shm=8G=x"]
)
def test_what_is_no_size_is_said(text):
    with pytest.raises(UsageError):
        parse_tier(text)


def test_a_directory_may_have_a_sign_of_equality_in_its_name(here):
    Path("job=user").mkdir()
    assert parse_tier("job=user") == (Path("job=user"), None)
    assert parse_tier("job=user=8G") == (Path("job=user"), 8_000_000_000)


@pytest.mark.parametrize("way", ["flag", "variable", "file"])
@pytest.mark.parametrize(
    "words", [["analyze"], ["reduce", "x.h5"], ["merge", "x.h5", "-o", "y.h5"], ["doctor"]]
)
def test_a_size_is_a_size_to_all_commands(here, monkeypatch, way, words):
    scratch, flags = [f"{here}/a=8G", f"{here}/b"], []
    if way == "flag":
        flags = ["--scratch", scratch[0], "--scratch", scratch[1]]
    elif way == "variable":
        monkeypatch.setenv("REMETRICS_SCRATCH", "::" + ":".join(scratch))
    else:
        Path("remetrics.toml").write_text(f"scratch = {json.dumps(scratch)}")
    command = COMMANDS.load(words[0])
    options = command.read(command.options, parse(words[0], command, [*words[1:], *flags]))
    assert options.scratch == (here / "a", here / "b")
    assert options.scratch_rooms == {here / "a": 8_000_000_000}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, truth):
    return truth


@pytest.mark.slow
@pytest.mark.parametrize("command", ["analyze", "reduce", "merge", "doctor"])
def test_no_command_makes_a_directory_of_a_size(shell, dataset, command):
    shutil.copy(dataset, shell.directory / "x.h5")
    (shell.directory / "tier").mkdir()
    (shell.directory / "remetrics.toml").write_text('scratch = ["tier=8M"]')
    words = {
        "analyze": ["analyze", "demo:images", "--types", "none", "-o", "new.h5"],
        "reduce": ["reduce", "x.h5"],
        "merge": ["merge", "x.h5", "-o", "new.h5"],
        "doctor": ["doctor"],
    }
    result = shell(*words[command])
    assert result.returncode in ((0, 3) if command == "analyze" else (0,)), result.stderr
    assert not (shell.directory / "tier=8M").exists()
    if command == "doctor":
        assert sum("scratch" in line for line in result.stdout.splitlines()) == 1
        assert "tier (" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [["analyze", "demo:"], ["reduce", "x.h5"], ["merge", "x.h5", "-o", "y.h5"], ["doctor"]],
)
def test_a_size_that_is_none_is_a_mistake_for_all(shell, command):
    result = shell(*command, "--scratch", "/dev/shm=abc")
    assert result.returncode == 2
    assert "'abc' is not a size" in result.stderr
    assert result.stdout == ""


@pytest.mark.slow
def test_doctor_takes_what_a_run_takes(shell):
    for name in ("one", "two"):
        (shell.directory / name).mkdir()
    told = json.loads(
        shell(
            "doctor", "--json", REMETRICS_SCRATCH="one:two", REMETRICS_OUTPUT="/dev/null/x.h5"
        ).stdout
    )
    scratch = [check["text"] for check in told["checks"] if check["name"] == "scratch"]
    assert [text.split()[0] for text in scratch] == ["one", "two"]
    assert [check["state"] for check in told["checks"] if check["name"] == "output"] == ["fail"]


@pytest.mark.slow
def test_doctor_says_that_settings_are_broken_and_goes_on(shell):
    (shell.directory / "remetrics.toml").write_text("outptu = 'x'")
    result = shell("doctor")
    (line,) = (line for line in result.stdout.splitlines() if line[6:].startswith("settings"))
    assert line.startswith("fail") and "outptu" in line
    assert len(result.stdout.splitlines()) > 10
    assert result.returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("REMETRICS_SCRACH", "REMETRICS_SCRATCH"),
        ("REMETRIC_OUTPUT", "REMETRICS_OUTPUT"),
        ("REMETRICS_PLATFORM", "REMETRICS_PLATFORMS"),
        ("REMETRICS_PASSWD", "REMETRICS_PASSWORD"),
        ("remetrics_memory", "REMETRICS_MEMORY"),
        ("REMETRICS_EXEC_QUIET", ""),
    ],
)
@pytest.mark.parametrize("command", [["plan", "demo:images"], ["status", "x.h5"]])
def test_a_misspelt_variable_is_told(shell, command, name, meant):
    result = shell(*command, **{name: "1"})
    (line,) = (line for line in result.stderr.splitlines() if name in line)
    assert meant in line
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_variables_that_are_no_settings_are_known(shell):
    result = shell("plan", "demo:images", REMETRICS_LAUNCH="srun", REMETRICS_PASSWORD="x")
    assert result.returncode == 0
    assert "unknown variable" not in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "report"])
@pytest.mark.parametrize(
    "text", ["outptu = 'x'", "memory = 0", "[", 'scratch = ["/dev/shm=abc"]', "[limits]\nspeed = 1"]
)
def test_a_command_without_settings_tells_that_they_are_broken(shell, dataset, command, text):
    (shell.directory / "remetrics.toml").write_text(text)
    result = shell(command, str(dataset))
    assert result.returncode == 0
    (line,) = result.stderr.splitlines()
    assert "remetrics.toml" in line and "goes on" in line


@pytest.mark.slow
def test_a_wrong_variable_is_told_by_commands_without_settings(shell, dataset):
    result = shell("report", str(dataset), REMETRICS_NODE_LAYERS="1,2")
    assert result.returncode == 0
    assert "REMETRICS_NODE_LAYERS" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("way", ["file", "variable"])
def test_a_password_has_one_place(shell, way):
    (shell.directory / "x.toml").write_text('[registries]\npassword = "x"' if way == "file" else "")
    environ = {} if way == "file" else {"REMETRICS_REGISTRY_PASSWORD": "x"}
    result = shell("plan", "demo:images", "--config", "x.toml", **environ)
    assert result.returncode == 2
    assert "REMETRICS_PASSWORD" in result.stderr
