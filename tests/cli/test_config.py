"""Flags win over variables, these over the settings file, and this over the defaults."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hpc_remetrics.commands import COMMANDS, parse
from hpc_remetrics.config import AnalyzeOptions, known_settings, read_options, remarks
from hpc_remetrics.errors import UsageError
from hpc_remetrics.limits import Limits
from hpc_remetrics.registry.access import Access

FILE = """
sources = ["oci:/file"]
output = "file.h5"
scratch = ["/file"]
platforms = ["linux/arm64"]
types = "none"
publish_seconds = 7
[limits]
entries = 1
path_bytes = 2
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, clean_environ):
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name not in clean_environ:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", clean_environ["HOME"])
    return tmp_path


def options(*words: str, command: str = "analyze"):
    """Return the options that a command line gives a command."""
    loaded = COMMANDS.load(command)
    return read_options(loaded.options, parse(command, loaded, words))


def test_defaults():
    assert options() == AnalyzeOptions()


def test_the_file(here):
    Path("remetrics.toml").write_text(FILE)
    assert options() == AnalyzeOptions(
        sources=("oci:/file",),
        output=Path("file.h5"),
        tiers=((Path("/file"), None),),
        platforms=("linux/arm64",),
        types="none",
        publish_seconds=7.0,
        limits=dataclasses.replace(Limits(), entries=1, path_bytes=2),
    )


def test_the_environment_wins_over_the_file(here, monkeypatch):
    Path("remetrics.toml").write_text(FILE)
    monkeypatch.setenv("REMETRICS_SOURCES", "oci:/a dir:/b")
    monkeypatch.setenv("REMETRICS_OUTPUT", "~/env.h5")
    monkeypatch.setenv("REMETRICS_SCRATCH", "/a:/b")
    monkeypatch.setenv("REMETRICS_PLATFORMS", "linux/amd64 linux/s390x")
    monkeypatch.setenv("REMETRICS_TYPES", "plain")
    monkeypatch.setenv("REMETRICS_PUBLISH_SECONDS", "8.5")
    monkeypatch.setenv("REMETRICS_LIMIT_ENTRIES", "11")
    assert options() == AnalyzeOptions(
        sources=("oci:/a", "dir:/b"),
        output=here / "home" / "env.h5",
        tiers=((Path("/a"), None), (Path("/b"), None)),
        platforms=("linux/amd64", "linux/s390x"),
        types="plain",
        publish_seconds=8.5,
        limits=dataclasses.replace(Limits(), entries=11, path_bytes=2),
    )


def test_flags_win_over_all(here, monkeypatch):
    Path("remetrics.toml").write_text(FILE)
    monkeypatch.setenv("REMETRICS_OUTPUT", "env.h5")
    monkeypatch.setenv("REMETRICS_LIMIT_ENTRIES", "11")
    words = ["dir:/flag", "-o", "flag.h5", "--limit", "entries=21", "--types", "plain"]
    found = options(*words)
    assert (found.output, found.sources, found.types) == (Path("flag.h5"), ("dir:/flag",), "plain")
    assert (found.limits.entries, found.limits.path_bytes) == (21, 2)
    assert found.scratch == (Path("/file"),)


def test_where_the_file_is_looked_for(here, monkeypatch):
    def put(path: Path, output: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'output = "{output}"')
        return path

    put(here / "home" / ".config" / "hpc-remetrics" / "remetrics.toml", "home")
    assert options().output == Path("home")
    put(here / "xdg" / "hpc-remetrics" / "remetrics.toml", "xdg")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(here / "xdg"))
    assert options().output == Path("xdg")
    put(here / "remetrics.toml", "here")
    assert options().output == Path("here")
    monkeypatch.setenv("REMETRICS_CONFIG", str(put(here / "named.toml", "named")))
    assert options().output == Path("named")
    assert options("--config", str(put(here / "flag.toml", "flag"))).output == Path("flag")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("outptu = 'x'", ["outptu", "remetrics.toml", "'output'?", "publish_seconds", "limits"]),
        ("sources = 'oci:/x'", ["sources", "remetrics.toml", "list"]),
        ("scratch = [1]", ["scratch", "remetrics.toml", "list"]),
        ("output = 1", ["output", "remetrics.toml", "string"]),
        ("types = 'all'", ["types", "remetrics.toml", "plain, none"]),
        ("publish_seconds = '1'", ["publish_seconds", "remetrics.toml", "number"]),
        ("publish_seconds = true", ["publish_seconds", "remetrics.toml", "number"]),
        ("publish_seconds = 0", ["publish_seconds", "remetrics.toml", "above 0"]),
        ("publish_seconds = inf", ["publish_seconds", "remetrics.toml", "above 0"]),
        ("limits = 1", ["limits", "remetrics.toml", "[limits]"]),
        ("[limits]\nspeed = 1", ["speed", "remetrics.toml", "layer_seconds"]),
        ("[limits]\nentries = 'many'", ["entries", "remetrics.toml", "many"]),
        ("[limits]\nentrys = 1", ["unknown limit 'entrys' in [limits]", "'entries'?"]),
        ("[limits]\nentries = 1.5", ["limits.entries is 1.5", "whole number"]),
        ("[registries]\nspeed = 1", ["unknown registry setting 'speed'", "idle"]),
        ("[registries]\nidle = 'x'", ["registries.idle is 'x'", "number above 0"]),
        ("chunks = 1", ["chunks is 1, not true or false"]),
        ("memory = 0x" + "f" * 5000, ["memory is a number that is too long", "above 0"]),
        ("memory = 1" + "0" * 5000, ["remetrics.toml is not TOML"]),
        (f"types = '{'x' * 500}'", ["types is 'xxx", "…"]),
        ("output = ", ["remetrics.toml", "TOML"]),
    ],
)
def test_what_is_wrong_in_the_file_is_named(here, text, words):
    Path("remetrics.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        options()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REMETRICS_TYPES", "all"),
        ("REMETRICS_PUBLISH_SECONDS", "soon"),
        ("REMETRICS_LIMIT_ENTRIES", "many"),
        ("REMETRICS_LIMIT_SPEED", "1"),
        ("REMETRICS_REGISTRY_SPEED", "1"),
        ("REMETRICS_CHUNKS", "maybe"),
        ("REMETRICS_THREADS", "65"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="REMETRICS_"):
        options()


def test_access_to_registries_comes_from_all_places(here, monkeypatch):
    Path("named.toml").write_text(
        "[registries]\nrate = 1\nidle = 2\nconnect = 3\n"
        'plain_http = ["a"]\nusername = "file"\nlogin_host = "h"'
    )
    monkeypatch.setenv("REMETRICS_CONFIG", "named.toml")
    monkeypatch.setenv("REMETRICS_PASSWORD", "secret")
    monkeypatch.setenv("REMETRICS_REGISTRY_IDLE", "20")
    monkeypatch.setenv("REMETRICS_REGISTRY_CONNECT", "30")
    monkeypatch.setenv("REMETRICS_REGISTRY_PLAIN_HTTP", "b c:5000")
    access = options("--patience", "connect=300", "--username", "flag").access
    patience = access.patience
    assert (access.requests_per_second, patience.idle, patience.connect) == (1.0, 20.0, 300.0)
    assert (access.username, access.password, access.login_host) == ("flag", "secret", "h")
    assert access.plain_http == ("b", "c:5000")
    assert "secret" not in repr(access)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--patience", "speed=1"], "unknown registry setting 'speed'"),
        (["--patience", "idel=1"], "did you mean 'idle'?"),
        (["--patience", "idle"], "--patience 'idle' is not NAME=VALUE"),
        (["--patience", "idle=long"], "--patience idle is 'long', not a number above 0"),
        (["--patience", "tries=0"], "--patience tries is '0', not a whole number above 0"),
        (["--patience", "tries=1.5"], "--patience tries is '1.5'"),
        (["--patience", "least_rate=-1"], "--patience least_rate is '-1', not a number of 0"),
        (["--rate", "-1"], "--rate is '-1', not a number of 0 or more"),
        (["--realm", "a b"], "--realm: "),
        (["--username", "me"], "needs a host and a password"),
        (["--username", "me", "--login-host", "h"], "REMETRICS_PASSWORD"),
        (["--share", "3/2"], "--share is '3/2', not K/N"),
        (["--exec", "du"], "--exec: 'du' has no {dir}"),
        (["--chunk-sample", "0"], "--chunk-sample: 0 keeps no chunk"),
        (["--compress-sample", "2"], "--compress-sample is '2', not a number from 0 to 1"),
        (["--node-layers", "1,2,3"], "--node-layers is '1,2,3', not four numbers above 0"),
        (["--node-layers", "1,1,1,0"], "--node-layers is '1,1,1,0', not four numbers above 0"),
        (["--memory", "x"], "--memory is 'x', not a number above 0"),
        (["--types", "all"], "--types is 'all', not one of exact, plain, none"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_named(here, words, said):
    with pytest.raises(UsageError) as caught:
        options(*words)
    assert said in str(caught.value)


@pytest.mark.parametrize("number", ["1", "64"])
def test_as_many_downloads_at_once_as_there_may_be(here, number):
    assert options("x", "--threads", number, command="download").threads == int(number)
    for wrong in ("0", "65"):
        with pytest.raises(UsageError, match="not a whole number from 1 to 64"):
            options("x", "--threads", wrong, command="download")


@pytest.mark.parametrize(("text", "share"), [("1/1", (1, 1)), ("1000000/1000000", (10**6, 10**6))])
def test_as_many_shares_of_a_job_as_there_may_be(here, text, share):
    assert options("--share", text).share == share
    for wrong in ("0/1", "2/1", "1/1000001", "1/", "/1", "1", "a/1", "1/a"):
        with pytest.raises(UsageError, match="not K/N"):
            options("--share", wrong)


def test_layers_of_each_size_on_a_node(here):
    assert options("--node-layers", "1,2,3,4").node_layers == (1, 2, 3, 4)


def test_what_a_user_should_know_about_the_settings(here):
    """Status reads no settings, so what is wrong with them does not stop it."""
    status = COMMANDS.load("status").options
    environ = {"HOME": "/nowhere", "REMETRICS_SISE": "1"}
    told = list(remarks(AnalyzeOptions, None, environ))
    assert told == [one for one in told if one.startswith("unknown variable REMETRICS_SISE")]
    assert list(remarks(status, None, environ)) == told
    Path("remetrics.toml").write_text("sise = 1")
    taken = "settings are taken from remetrics.toml in the current directory"
    assert list(remarks(AnalyzeOptions, None, environ)) == [*told, taken]
    assert list(remarks(AnalyzeOptions, Path("remetrics.toml"), environ)) == told
    *others, wrong = remarks(status, None, environ)
    assert others == told
    assert "unknown setting 'sise'" in wrong
    assert wrong.endswith("(this command needs no settings, and goes on)")


def test_plans_are_of_ranks_on_nodes(here):
    assert options("demo:", "--ranks", "3", "--nodes", "3", command="plan").calibration is None
    timed = options("demo:", "--time", command="plan")
    assert timed.calibration == Path("remetrics.h5")
    with pytest.raises(UsageError, match="--nodes 4 is more than there are ranks, 3"):
        options("demo:", "--ranks", "3", "--nodes", "4", command="plan")
    with pytest.raises(UsageError, match="no source named"):
        options(command="plan")


def test_what_only_the_command_line_can_say_is_not_read_elsewhere(here, monkeypatch):
    monkeypatch.setenv("REMETRICS_FORCE", "1")
    monkeypatch.setenv("REMETRICS_SHARE", "1/2")
    assert options() == AnalyzeOptions()
    for line in ("force = true", 'share = "1/2"', "quiet = true"):
        Path("remetrics.toml").write_text(line)
        with pytest.raises(UsageError, match="unknown setting"):
            options()


def test_a_command_takes_no_value_that_has_the_name_of_one_of_its_own_flags(here, monkeypatch):
    monkeypatch.setenv("REMETRICS_OUTPUT", "hub.h5")
    assert options("hub", command="crawl").output == Path("repos.csv")
    assert options("x", command="download").output == Path("mirror")
    assert options("a.h5", "-o", "b.h5", command="merge").output == Path("b.h5")


@pytest.mark.parametrize("way", ["file", "variable"])
def test_a_switch_can_be_set_by_a_site_and_unset_by_a_flag(here, monkeypatch, way):
    if way == "file":
        Path("remetrics.toml").write_text("chunks = true\nextract = true\nretry_failed = true")
    else:
        for name in ("CHUNKS", "EXTRACT", "RETRY_FAILED"):
            monkeypatch.setenv(f"REMETRICS_{name}", "yes")
    found = options()
    assert (found.chunks, found.extract, found.retry_failed) == (True, True, True)
    assert not options("--no-chunks").chunks
    assert options("oci:/x", command="plan").extract


def test_sites_set_what_was_a_flag_alone(here, monkeypatch):
    Path("named.toml").write_text(
        'keep = "~/mirror"\nexec = "du {dir}"\nthreads = 9\nempty_pages = 7\n'
        'platforms = ["Linux/x86_64"]'
    )
    monkeypatch.setenv("REMETRICS_CONFIG", "named.toml")
    found = options()
    assert (found.keep, found.exec) == (here / "home" / "mirror", "du {dir}")
    download = options("x", command="download")
    assert (download.threads, download.platforms) == (9, ("linux/amd64",))
    assert options("hub", command="crawl").empty_pages == 7


@pytest.mark.parametrize(
    ("words", "rate", "tags"),
    [
        (["hub"], 5.0, "latest"),
        (["catalog:localhost:5000"], 50.0, "all"),
        (["hub", "--rate", "0", "--tags", "3"], 0.0, 3),
        (["catalog:localhost:5000", "--rate", "7", "--tags", "latest"], 7.0, "latest"),
    ],
)
def test_defaults_of_a_crawl_depend_on_its_target(here, words, rate, tags):
    found = options(*words, command="crawl")
    assert (found.access.requests_per_second, found.tags) == (rate, tags)


def test_a_crawl_asks_another_host_for_docker_hub_alone(here):
    assert options("hub", command="crawl").host == "hub.docker.com"
    assert options("hub", "--api", "localhost:1", command="crawl").host == "localhost:1"
    words = ("catalog:localhost:2", "--api", "localhost:1")
    assert options(*words, command="crawl").host == "localhost:2"


def test_plan_takes_the_usual_dataset_to_calibrate(here, monkeypatch):
    assert options("demo:", command="plan").calibration is None
    assert options("demo:", "--time", command="plan").calibration == Path("remetrics.h5")
    words = ("demo:", "--calibration", "x.h5")
    assert options(*words, command="plan").calibration == Path("x.h5")
    for words in (("demo:", "--nodes", "5"), ("demo:", "--nodes", "0"), ()):
        with pytest.raises(UsageError):
            options(*words, command="plan")
    assert options("demo:", "--nodes", "4", command="plan").nodes == 4


EXAMPLE = (Path(__file__).resolve().parents[2] / "remetrics.example.toml").read_text()


def test_the_example_names_every_setting_and_is_taken_whole(here, monkeypatch):
    text = "\n".join(
        line.removeprefix("# ")
        for line in EXAMPLE.splitlines()
        if re.match(r"# \w+ = ", line) or line.startswith("[")
    )
    Path("named.toml").write_text(text)
    monkeypatch.setenv("REMETRICS_CONFIG", "named.toml")
    monkeypatch.setenv("REMETRICS_PASSWORD", "x")
    found = options()
    assert found.limits == Limits()
    assert found.access.patience == Access().patience
    assert (found.platforms, found.exec) == (("linux/amd64",), "du -s {dir}")
    names = {one.key.rpartition(".")[2] for one in known_settings().options.values() if one.key}
    assert set(re.findall(r"^(\w+) = ", text, re.MULTILINE)) == names


@pytest.mark.slow
def test_the_example_and_the_page_are_made_from_the_definitions():
    script = Path(__file__).resolve().parents[2] / "scripts" / "options-pages"
    result = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, timeout=120
    )
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)
