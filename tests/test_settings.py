"""Settings: where they are read from, whose they may be, and what is wrong with them."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from hpc_remetrics.errors import UsageError
from hpc_remetrics.options import COUNT, STRING, Options, option, options_of, table, tables_of
from hpc_remetrics.settings import (
    KnownSettings,
    SettingsPlace,
    find,
    read_settings,
    unknown_variables,
)


@dataclass(frozen=True)
class Login:
    user: str = option(value=STRING, default="", in_any_file=False, help="who")
    secret: str = option(
        value=STRING, default="", key=False, variable="REMETRICS_SECRET", help="a password"
    )
    tries: int = option(value=COUNT, default=1, help="how often")


@dataclass(frozen=True, kw_only=True)
class Everything(Options):
    size: int = option("--size", value=COUNT, default=1, help="how much")
    login: Login = table(Login, key="login", prefix="REMETRICS_LOGIN_", noun="login setting")


KNOWN = KnownSettings(
    {one.name: one for one in options_of(Everything)},
    {one.key: one for one in tables_of(Everything)},
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The current directory, without settings."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def put(text: str, mode: int = 0o644) -> Path:
    path = Path("remetrics.toml")
    path.write_text(text)
    path.chmod(mode)
    return path


def fault(config: Path | None = None, **environ: str) -> str:
    with pytest.raises(UsageError) as caught:
        read_settings(KNOWN, config, environ)
    return str(caught.value)


def test_keys_are_those_of_a_file():
    assert KNOWN.keys == ["size", "login"]
    assert KNOWN.keys_of("login") == ["user", "tries"]


def test_variables_win_over_the_file_and_empty_ones_are_none():
    put("size = 3\n[login]\ntries = 4")
    environ = {"REMETRICS_SIZE": "5", "REMETRICS_LOGIN_TRIES": "", "REMETRICS_SECRET": "s"}
    found = read_settings(KNOWN, None, environ)
    assert found == {"size": 5, "login.tries": 4, "login.secret": "s"}


def test_a_file_is_looked_for_in_order(tmp_path):
    assert find(None, {"HOME": str(tmp_path)}) is None
    home = tmp_path / ".config" / "hpc-remetrics"
    home.mkdir(parents=True)
    (home / "remetrics.toml").write_text("")
    assert find(None, {"HOME": str(tmp_path)}) == SettingsPlace(home / "remetrics.toml", True)
    environ = {"HOME": "/none", "XDG_CONFIG_HOME": str(home.parent)}
    assert find(None, environ) == SettingsPlace(home / "remetrics.toml", True)
    assert find(None, {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "/none"}) is None
    os.symlink("nowhere", "remetrics.toml")
    assert find(None, environ) == SettingsPlace(Path("remetrics.toml"), False)
    environ["REMETRICS_CONFIG"] = "variable"
    assert find(None, environ) == SettingsPlace(Path("variable"), True)
    assert find(Path("flag"), environ) == SettingsPlace(Path("flag"), True)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o755])
def test_a_file_of_the_user_in_the_current_directory_is_read(mode):
    put("size = 3", mode)
    assert read_settings(KNOWN, None, {}) == {"size": 3}


@pytest.mark.parametrize("mode", [0o646, 0o666, 0o602])
def test_one_that_everybody_can_write_is_read_only_where_it_is_named(mode):
    path = put("size = 3", mode)
    assert fault() == (
        "remetrics.toml of the current directory is not read: everybody can write it; "
        "use it with --config ./remetrics.toml, or work in another directory"
    )
    assert read_settings(KNOWN, path, {}) == {"size": 3}


def owned(status: os.stat_result, user: int) -> os.stat_result:
    """Return the status of a file as if it were another user's."""
    return os.stat_result((*status[:4], user, *status[5:]))


@pytest.mark.parametrize("owner", ["of the file", "of the link"])
def test_one_of_somebody_else_is_not_read(monkeypatch, owner):
    """Whose a file is comes from the kernel: another user's can't be made without being root."""
    path = put("size = 3")
    other = os.getuid() + 1
    name = "fstat" if owner == "of the file" else "lstat"
    real = getattr(os, name)
    monkeypatch.setattr(os, name, lambda what: owned(real(what), other))
    assert f"is not read: it belongs to user {other}" in fault()
    assert read_settings(KNOWN, path, {}) == {"size": 3}


def test_one_of_root_is_read(monkeypatch):
    put("size = 3")
    file_status, link_status = os.fstat, os.lstat
    monkeypatch.setattr(os, "fstat", lambda file: owned(file_status(file), 0))
    monkeypatch.setattr(os, "lstat", lambda path: owned(link_status(path), 0))
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert read_settings(KNOWN, None, {}) == {"size": 3}


@pytest.mark.parametrize("is_chosen", [False, True])
def test_a_pipe_or_a_directory_is_no_file(is_chosen):
    path = Path("remetrics.toml")
    for make in (os.mkfifo, os.mkdir):
        make(path)
        text = fault(path if is_chosen else None)
        assert "regular file" in text or "can't be read: Is a directory" in text
        path.rmdir() if path.is_dir() else path.unlink()


def test_the_null_device_is_no_settings_and_a_missing_file_an_error():
    assert read_settings(KNOWN, Path("/dev/null"), {}) == {}
    assert fault(Path("/dev/zero")) == (
        "/dev/zero is not a regular file; name a file, or /dev/null for no settings"
    )
    assert fault(Path("none")) == "none can't be read: No such file or directory"
    os.symlink("nowhere", "remetrics.toml")
    assert fault() == "remetrics.toml can't be read: No such file or directory"


def test_a_file_has_a_greatest_length():
    path = Path("long.toml")
    path.write_bytes(b"#" * (1 << 20))
    assert read_settings(KNOWN, path, {}) == {}
    path.write_bytes(b"#" * ((1 << 20) + 1))
    assert "has more than 1,048,576 bytes" in fault(path)


def test_a_byte_order_mark_is_passed_over_and_other_bytes_are_an_error():
    path = Path("mark.toml")
    path.write_bytes(b"\xef\xbb\xbfsize = 3")
    assert read_settings(KNOWN, path, {}) == {"size": 3}
    path.write_bytes(b"size = '\xff'")
    assert fault(path).startswith("mark.toml is not TOML: ")


def test_where_logins_go_is_not_taken_from_the_current_directory():
    path = put("[login]\nuser = 'me'")
    assert "sets login.user, which is not taken from there" in fault()
    assert read_settings(KNOWN, path, {}) == {"login.user": "me"}


def test_what_is_no_setting_is_named():
    put("sise = 3")
    assert fault() == (
        "remetrics.toml: unknown setting 'sise'; did you mean 'size'? known: size, login"
    )
    put("[login]\ntrys = 3")
    assert fault() == (
        "remetrics.toml: unknown login setting 'trys' in [login]; "
        "did you mean 'tries'? known: user, tries"
    )
    put("[other]\nsize = 3")
    assert "unknown setting 'other'" in fault()
    put("'other.x' = 3")
    assert "unknown setting 'other.x'" in fault()
    put("login = 3")
    assert fault() == "remetrics.toml: login is 3, not a table; begin it with [login]"
    put("[login]\nsecret = 'x'")
    assert fault() == (
        "remetrics.toml: login.secret must not be in a file; set the variable REMETRICS_SECRET"
    )


def test_a_wrong_variable_of_a_table_is_an_error():
    assert fault(REMETRICS_LOGIN_TRYS="1") == (
        "REMETRICS_LOGIN_TRYS: unknown login setting 'trys'; "
        "did you mean 'tries'? known: user, tries"
    )
    assert fault(REMETRICS_LOGIN_SECRET="1") == (
        "REMETRICS_LOGIN_SECRET is not read; set the variable REMETRICS_SECRET"
    )


def test_other_variables_of_such_names_are_told():
    environ = {
        "REMETRICS_SIZE": "1",
        "REMETRICS_CONFIG": "x",
        "REMETRICS_LAUNCH": "x",
        "REMETRICS_LOGIN_X": "1",
        "PATH": "x",
        "MY_REMETRICS_X": "x",
        "remetrics_size": "1",
        "HPC_REMETRICS_SISE": "1",
        "REMETRIC_QQQQQQQQQQQQQQQQQQQQ": "1",
    }
    assert list(unknown_variables(KNOWN, environ)) == [
        "unknown variable HPC_REMETRICS_SISE is ignored; did you mean REMETRICS_SIZE?",
        "unknown variable REMETRIC_QQQQQQQQQQQQQQQQQQQQ is ignored",
        "unknown variable remetrics_size is ignored; did you mean REMETRICS_SIZE?",
    ]
