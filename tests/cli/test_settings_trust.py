"""A file of settings in the current directory may be anybody's: whose is read, what of it, and that
it is said."""

import os
from pathlib import Path

import pytest

OTHER = 12345
"""A user who is neither root nor runs the tests."""

as_root = pytest.mark.skipif(os.getuid() != 0, reason="gives files to another user")


def plan(shell, *options, **environ):
    return shell("plan", "demo:images", *options, **environ)


def put(shell, text="types = 'none'", mode=0o644, owner=None) -> Path:
    path = shell.directory / "remetrics.toml"
    path.write_text(text)
    path.chmod(mode)
    if owner is not None:
        os.chown(path, owner, owner)
    return path


def refused(result, *words):
    assert result.returncode == 2, result.stderr
    (line,) = result.stderr.splitlines()
    assert "--config ./remetrics.toml" in line
    for word in words:
        assert word in line


@pytest.mark.slow
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_one_of_the_user_is_read_and_that_is_said(shell, mode):
    put(shell, mode=mode)
    result = plan(shell)
    assert result.returncode == 0
    assert (
        result.stderr.count("settings are taken from remetrics.toml in the current directory") == 1
    )


@pytest.mark.slow
def test_what_the_user_chose_is_not_said(shell):
    put(shell)
    assert "settings are taken" not in plan(shell, "--config", "./remetrics.toml").stderr
    assert "settings are taken" not in plan(shell, REMETRICS_CONFIG="remetrics.toml").stderr


@pytest.mark.slow
@pytest.mark.parametrize("mode", [0o646, 0o666, 0o777, 0o602])
def test_one_that_everybody_can_write_is_refused(shell, mode):
    put(shell, mode=mode)
    refused(plan(shell), "everybody can write it")
    assert plan(shell, "--config", "./remetrics.toml").returncode == 0


@pytest.mark.slow
@as_root
def test_one_of_somebody_else_is_refused(shell):
    put(shell, owner=OTHER)
    refused(plan(shell), f"belongs to user {OTHER}")


@pytest.mark.slow
@as_root
def test_a_link_of_somebody_else_is_refused(shell):
    (shell.directory / "mine.toml").write_text("types = 'none'")
    link = shell.directory / "remetrics.toml"
    link.symlink_to("mine.toml")
    assert plan(shell).returncode == 0
    os.lchown(link, OTHER, OTHER)
    refused(plan(shell), f"belongs to user {OTHER}")


@pytest.mark.slow
@as_root
def test_a_link_to_a_file_of_somebody_else_is_refused(shell):
    put(shell, owner=OTHER).rename(shell.directory / "theirs.toml")
    (shell.directory / "remetrics.toml").symlink_to("theirs.toml")
    refused(plan(shell), f"belongs to user {OTHER}")


@pytest.mark.slow
def test_a_pipe_doesnt_hold_the_command(shell):
    os.mkfifo(shell.directory / "remetrics.toml")
    refused(plan(shell), "not a regular file")
    result = shell("status", "x.h5")
    assert "not a regular file" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("what", ["directory", "dangling link", "device"])
def test_what_is_no_file_is_told(shell, what):
    path = shell.directory / "remetrics.toml"
    if what == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if what == "device" else "nowhere")
    result = plan(shell)
    assert result.returncode == 2
    assert "remetrics.toml" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        'auth_file = "x"',
        'username = "x"',
        'login_host = "x"',
        'plain_http = ["evil.example"]',
        'realms = ["evil.example"]',
    ],
)
def test_where_credentials_go_is_not_taken_from_there(shell, text):
    put(shell, f"[registries]\nrate = 1\n{text}")
    refused(plan(shell), text.split()[0])
    if text.startswith(("plain", "realms", "auth")):
        assert plan(shell, "--config", "remetrics.toml").returncode == 0
        home = Path(shell.environ["HOME"], ".config", "hpc-remetrics")
        home.mkdir(parents=True)
        (shell.directory / "remetrics.toml").rename(home / "remetrics.toml")
        assert plan(shell).returncode == 0


@pytest.mark.slow
def test_how_fast_and_how_long_may_stand_there(shell):
    put(shell, "[registries]\nrate = 1\nidle = 5")
    assert plan(shell).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["crawl", "hub"], ["download", "x"], ["fetch", "manifest", "x"], ["reduce", "x.h5"]]
)
def test_every_command_that_takes_settings_refuses(shell, command):
    put(shell, mode=0o666)
    refused(shell(*command))


@pytest.mark.slow
def test_a_file_that_never_ends_is_refused(shell):
    result = plan(shell, "--config", "/dev/zero")
    assert result.returncode == 2
    assert "not a regular file" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pipe", "directory", "dangling link", "too long"])
def test_what_is_no_settings_file_is_told_though_it_was_named(shell, kind):
    path = shell.directory / "s.toml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(b"#" * ((1 << 20) + 1))
    result = plan(shell, "--config", "s.toml")
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "s.toml" in line


@pytest.mark.slow
def test_commands_that_a_file_runs_are_not_taken_from_there(shell):
    put(shell, 'exec = "touch {dir}/x"')
    refused(plan(shell), "exec")
    assert plan(shell, "--config", "remetrics.toml").returncode == 0
