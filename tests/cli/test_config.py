"""Flags win over the environment, this over the file, this over the defaults; what is wrong is
named."""

import dataclasses
import os
import sys
from pathlib import Path

import pytest

from hpc_remetrics.config import AnalyzeOptions, analyze_options
from hpc_remetrics.errors import UsageError
from hpc_remetrics.limits import Limits
from hpc_remetrics.registry.access import Access, Patience
from hpc_remetrics.settings import access_settings, parse_limits

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

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


def options(config=None, **flags) -> AnalyzeOptions:
    return analyze_options(flags, config)


def test_defaults():
    assert options() == AnalyzeOptions()
    assert options(sources=[], platforms=None, scratch=None, limits={}) == AnalyzeOptions()


def test_the_file(here):
    Path("remetrics.toml").write_text(FILE)
    assert options() == AnalyzeOptions(
        sources=("oci:/file",),
        output=Path("file.h5"),
        scratch=(Path("/file"),),
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
        scratch=(Path("/a"), Path("/b")),
        platforms=("linux/amd64", "linux/s390x"),
        types="plain",
        publish_seconds=8.5,
        limits=dataclasses.replace(Limits(), entries=11, path_bytes=2),
    )


def test_flags_win_over_all(here, monkeypatch):
    Path("remetrics.toml").write_text(FILE)
    monkeypatch.setenv("REMETRICS_OUTPUT", "env.h5")
    monkeypatch.setenv("REMETRICS_LIMIT_ENTRIES", "11")
    found = options(
        output="flag.h5", sources=["dir:/flag"], limits=parse_limits(["entries=21"]), types="plain"
    )
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
    assert options(put(here / "flag.toml", "flag")).output == Path("flag")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("outptu = 'x'", ["outptu", "remetrics.toml", "output", "publish_seconds", "limits"]),
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
    ],
)
def test_what_is_wrong_in_the_environment_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="REMETRICS_"):
        options()


def test_how_registries_are_asked(here, monkeypatch):
    text = '[registries]\nrate = 1\nidle = 2\nconnect = 3\nplain_http = ["a"]\nusername = "file"\nlogin_host = "h"'
    Path("named.toml").write_text(text)
    monkeypatch.setenv("REMETRICS_CONFIG", "named.toml")
    monkeypatch.setenv("REMETRICS_PASSWORD", "secret")
    monkeypatch.setenv("REMETRICS_REGISTRY_IDLE", "20")
    monkeypatch.setenv("REMETRICS_REGISTRY_CONNECT", "30")
    monkeypatch.setenv("REMETRICS_REGISTRY_PLAIN_HTTP", "b c:5000")
    found = access_settings(
        {"connect": "300", "username": "flag", "rate": None}, Access(), environ=os.environ
    )
    patience = found.patience
    assert (found.requests_per_second, patience.idle, patience.connect) == (1.0, 20.0, 300.0)
    assert (found.username, found.password, found.login_host) == ("flag", "secret", "h")
    assert found.plain_http == ("b", "c:5000")
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"speed": 1}, "speed"),
        ({"idle": "long"}, "idle is 'long'"),
        ({"tries": 0}, "tries is 0"),
        ({"tries": 1.5}, "tries is 1.5"),
        ({"plain_http": [1]}, "list of hosts"),
        ({"realms": ["a b"]}, "host of a registry"),
        ({"username": "me"}, "needs a host and a password"),
        ({"username": "me", "login_host": "h"}, "REMETRICS_PASSWORD"),
    ],
)
def test_what_is_wrong_about_registries_is_named(here, options, words):
    with pytest.raises(UsageError) as caught:
        access_settings(options, Access())
    assert words in str(caught.value)


def test_the_example_names_every_setting_and_is_taken_whole(here, monkeypatch):
    example = (Path(__file__).resolve().parents[2] / "remetrics.example.toml").read_text()
    assert options().limits == Limits()
    lines = [line.removeprefix("# ").partition("   #")[0] for line in example.splitlines()]
    text = "\n".join(line for line in lines if " = " in line or line.startswith("["))
    values = tomllib.loads(text)
    Path("named.toml").write_text(text)
    monkeypatch.setenv("REMETRICS_CONFIG", "named.toml")
    found = options()
    assert set(values["limits"]) == {field.name for field in dataclasses.fields(Limits)}
    assert found.limits == Limits()
    assert found.platforms == ("linux/amd64",)
    assert set(values) == {
        *(
            "sources",
            "output",
            "scratch",
            "platforms",
            "types",
            "publish_seconds",
            "memory",
            "node_layers",
            "start_seconds",
        ),
        *("limits", "registries", "compress_sample", "chunk_sample"),
    }
    base = Access(patience=Patience(deadline=86_400.0, blob_deadline=86_400.0))
    monkeypatch.setenv("REMETRICS_PASSWORD", "x")
    assert access_settings({}, base).patience == base.patience
    assert set(values["registries"]) >= {field.name for field in dataclasses.fields(Patience)}
