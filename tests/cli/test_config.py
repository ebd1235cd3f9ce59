"""Flags win over the environment, this over the file, this over the defaults; what is wrong is named."""

import dataclasses
import os
import sys
from pathlib import Path

import pytest

from hpc_remetrics.config import AnalyzeOptions, analyze_options, parse_limits
from hpc_remetrics.errors import UsageError
from hpc_remetrics.limits import Limits

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
    found = options(output="flag.h5", sources=["dir:/flag"], limits=parse_limits(["entries=21"]), types="plain")
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
        ("output = 1", ["output", "remetrics.toml", "text"]),
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


def test_the_example_names_every_setting_and_is_taken_whole(here):
    example = (Path(__file__).resolve().parents[2] / "remetrics.example.toml").read_text()
    assert options().limits == Limits()
    lines = [line.removeprefix("# ").partition("   #")[0] for line in example.splitlines()]
    text = "\n".join(line for line in lines if " = " in line or line.startswith("["))
    values = tomllib.loads(text)
    Path("remetrics.toml").write_text(text)
    found = options()
    assert set(values["limits"]) == {field.name for field in dataclasses.fields(Limits)}
    assert found.limits == Limits()
    assert found.platforms == ("linux/amd64",)
    assert set(values) == {"sources", "output", "scratch", "platforms", "types", "publish_seconds", "memory", "limits"}
