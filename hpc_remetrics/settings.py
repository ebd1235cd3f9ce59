"""What is set outside the command line: by variables and in a file; and the one reading of each
value.

Flags win over the environment, this over the file, this over the defaults. The file is
`remetrics.toml`: `--config FILE`, `$REMETRICS_CONFIG`, the current directory, or
`~/.config/hpc-remetrics/`, the first that is there. Paths in it are relative to the current
directory, as on the command line.

The first two and the last are the user's choice. One in the current directory may be anybody's, so
it is read only if it is the user's own or root's and not everybody can write it, and it does not
say where credentials go.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

from .errors import UsageError
from .limits import NODE_LAYERS, Limits
from .registry.access import CREDENTIALS, Access

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "remetrics.toml"
TYPES = ("exact", "plain", "none")

_MOST_BYTES = 1 << 20
"""Bytes of a file of settings: a longer one is something else."""

Tier: TypeAlias = tuple[Path, int | None]
"""A scratch directory, and the most bytes that layers may take there; None: by what is free."""


@dataclass(frozen=True)
class Place:
    """Where a file of settings is.

    :ivar chosen: whether the user named it, or it is in the user's own directory of settings.
    """

    path: Path
    chosen: bool


def settings(
    flags: Mapping[str, Any], config: Path | None = None, environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Return the settings that are made anywhere, by name, each read; those of `limits` are merged
    one by one.

    :param flags: name -> value; None and empty lists count as not given.
    :raises UsageError: a name or a value is wrong; it says where.
    """
    file, environment = _from_file(find(config, environ)), _from_environment(environ)
    given = {name: value for name, value in flags.items() if value not in (None, [], ())}
    limits = {**file.pop("limits", {}), **environment.pop("limits", {}), **given.pop("limits", {})}
    read = {
        name: _read(name, value, f"--{name.replace('_', '-')}") for name, value in given.items()
    }
    return {**file, **environment, **read, "limits": Limits.from_options(limits)}


def access_settings(
    flags: Mapping[str, Any],
    base: Access,
    config: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Access:
    """Return how registries are asked: `base`, changed by the file's table `registries`, the
    environment, the flags.

    The password is in REMETRICS_PASSWORD alone: command lines are seen by others, and are kept in
    datasets.
    """
    file, environment = _from_file(find(config, environ)), _from_environment(environ)
    given = {name: value for name, value in flags.items() if value not in (None, [])}
    options = {**file.get("registries", {}), **environment["registries"], **given}
    return base.changed({**options, "password": environ.get("REMETRICS_PASSWORD", "")}).checked()


def remarks(
    config: Path | None, is_used: bool, environ: Mapping[str, str] = os.environ
) -> Iterator[str]:
    """Yield what the user should know of the settings before a command begins.

    :param is_used: whether the command takes settings, and so says itself what is wrong with them.
    """
    yield from _unknown_variables(environ)
    place = find(config, environ)
    try:
        settings({}, config, environ)
    except UsageError as error:
        if not is_used:
            yield f"{error} (this command needs no settings, and goes on)"
        return
    if is_used and place is not None and not place.chosen:
        yield f"settings are taken from {FILE_NAME} in the current directory"


def find(config: Path | None, environ: Mapping[str, str] = os.environ) -> Place | None:
    """Return where the file of settings is, None if there is none."""
    if named := config or environ.get("REMETRICS_CONFIG"):
        return Place(Path(named), True)
    # A dangling link there is a mistake to be told, not the same as no file.
    if os.path.lexists(FILE_NAME):
        return Place(Path(FILE_NAME), False)
    home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "/", ".config"))
    path = home / "hpc-remetrics" / FILE_NAME
    return Place(path, True) if path.is_file() else None


def parse_limits(texts: list[str] | None) -> dict[str, str]:
    """Split the values of `--limit`."""
    return parse_pairs("--limit", texts, "entries=1000000")


def parse_pairs(flag: str, texts: list[str] | None, example: str) -> dict[str, str]:
    """Split the `NAME=VALUE` values of a flag."""
    pairs = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{flag} {text!r} is not NAME=VALUE", f"for example {flag} {example}")
        pairs[name] = value
    return pairs


def parse_tier(text: str | Path, where: str = "--scratch") -> Tier:
    """Read `DIR` or `DIR=SIZE`, a scratch directory and the most bytes that layers may take there.

    What stands behind the last `=` is a size, unless a directory of the whole name is there.

    >>> parse_tier("/dev/shm=8G")[1], parse_tier("/dev/shm=1.5GiB")[1], parse_tier("/local")[1]
    (8000000000, 1610612736, None)

    :raises UsageError: no directory is named, or the size is none.
    """
    whole = str(text)
    folder, equals, size = whole.rpartition("=")
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:([kmgtp])(i?))?b?", size.strip(), re.IGNORECASE)
    if folder and found:
        base = 1024 if found[3] else 1000
        return path_of(folder), int(
            float(found[1]) * base ** " kmgtp".index((found[2] or " ").lower())
        )
    path = path_of(whole)
    if equals and not path.is_dir():
        raise UsageError(f"{where} {whole!r}: {size!r} is no size", "for example /dev/shm=8G")
    if not whole:
        raise UsageError(f"{where} names no directory", "for example /dev/shm")
    return path, None


def path_of(text: str | Path) -> Path:
    """Return a path as a user writes it: `~` is the home directory, if there is one."""
    # Not Path.expanduser, which raises where there is no such home.
    return Path(os.path.expanduser(text))


def _texts(where: str, value: Any) -> tuple[str, ...]:
    return tuple(map(str, value))


def _tiers(where: str, value: Any) -> tuple[Tier, ...]:
    return tuple(parse_tier(text, where) for text in value)


def _path(where: str, value: Any) -> Path:
    return path_of(value)


def _types(where: str, value: Any) -> str:
    if value not in TYPES:
        raise UsageError(f"{where} is {value!r}", f"choose from {', '.join(TYPES)}")
    return str(value)


def _node_layers(where: str, value: Any) -> tuple[int, ...]:
    numbers = tuple(int(word) if word.strip().isdecimal() else 0 for word in str(value).split(","))
    if len(numbers) != len(NODE_LAYERS) or min(numbers) < 1:
        default = ",".join(map(str, NODE_LAYERS))
        raise UsageError(
            f"{where}: node layers {value!r} are not four numbers above 0", f"for example {default}"
        )
    return numbers


def _share(where: str, value: Any) -> Fraction:
    try:
        number = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        number = Fraction(-1)
    if isinstance(value, bool) or not 0 <= number <= 1:
        raise UsageError(
            f"{where} is {value!r}, not a number from 0 to 1", "for example 1/128 or 0.01"
        )
    return number


def _positive(where: str, value: Any) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise UsageError(f"{where} is {value!r}, not a number above 0")
    return number


def _table(build: Callable[[Any], object]) -> Callable[[str, Any], Any]:
    """Return the reading of a table, which stays as it is so that others can be laid over it."""

    def read(where: str, value: Any) -> Any:
        try:
            build(value)
        except UsageError as error:
            raise UsageError(f"{where}: {error.args[0]}", error.hint) from None
        return value

    return read


_LISTS = {"sources": _texts, "scratch": _tiers, "platforms": _texts}
_STRINGS = {"output": _path, "types": _types, "node_layers": _node_layers}
_NUMBERS = {"publish_seconds": _positive, "memory": _positive, "start_seconds": _positive}
_SHARES = {"compress_sample": _share, "chunk_sample": _share}
_TABLES = {"limits": _table(Limits.from_options), "registries": _table(Access().changed)}
_READERS: dict[str, Callable[[str, Any], Any]] = {
    **_LISTS,
    **_STRINGS,
    **_NUMBERS,
    **_SHARES,
    **_TABLES,
}
"""By name, how a value is read, wherever it comes from: (where, value) -> what it means."""

_SEPARATORS = {"sources": None, "platforms": None, "scratch": os.pathsep}
"""What stands between the items of a list in a variable; None: white space."""

_PREFIXES = {"limits": "REMETRICS_LIMIT_", "registries": "REMETRICS_REGISTRY_"}

_OTHER_VARIABLES = ("REMETRICS_CONFIG", "REMETRICS_PASSWORD", "REMETRICS_LAUNCH")
"""Variables that are no settings: the file, the secret, and what the job scripts launch ranks
with."""


def _read(name: str, value: Any, where: str) -> Any:
    """Return what a value means; a flag that is no setting means itself."""
    return _READERS[name](where, value) if name in _READERS else value


def _from_file(place: Place | None) -> dict[str, Any]:
    if place is None:
        return {}
    path, data = place.path, _bytes_of(place)
    try:
        values = tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    for name, value in values.items():
        _check(name, value, path)
        values[name] = _read(name, value, f"{path}: {name}")
    if not place.chosen:
        _check_credentials(values.get("registries", {}), path)
    return values


def _bytes_of(place: Place) -> bytes:
    """Return what a file of settings holds; one that the user did not choose must be the user's or
    root's."""
    try:
        # A pipe that nobody fills would hold the command for ever.
        flags = os.O_RDONLY | os.O_CLOEXEC | (0 if place.chosen else os.O_NONBLOCK)
        with open(os.open(place.path, flags), "rb") as file:
            if not place.chosen:
                _check_owner(place.path, os.fstat(file.fileno()))
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{place.path} can't be read: {error.strerror}") from None
    if len(data) > _MOST_BYTES:
        raise UsageError(
            f"{place.path} has more than {_MOST_BYTES:,} bytes, so it is no file of settings"
        )
    return data


def _check_owner(path: Path, status: os.stat_result) -> None:
    """Refuse a file of the current directory that somebody else may have put there, or may
    change."""
    link, owners = os.lstat(path), (os.getuid(), 0)
    if not stat.S_ISREG(status.st_mode):
        problem = "it is no regular file"
    elif link.st_uid not in owners or status.st_uid not in owners:
        problem = (
            f"it belongs to user {status.st_uid if status.st_uid not in owners else link.st_uid}"
        )
    elif status.st_mode & stat.S_IWOTH:
        problem = "everybody can write it"
    else:
        return
    raise UsageError(
        f"{path} of the current directory is not read: {problem}",
        f"use it with --config ./{path}, or work in another directory",
    )


def _check_credentials(table: Mapping[str, Any], path: Path) -> None:
    """Refuse what a file that the user did not choose says of credentials and of trusted hosts."""
    if named := [name for name in table if name in CREDENTIALS]:
        raise UsageError(
            f"{path} of the current directory says {', '.join(named)}: where logins go and which hosts are trusted "
            "is not taken from there",
            f"use it with --config ./{path}, or put that into ~/.config/hpc-remetrics/{FILE_NAME}",
        )


def _check(name: str, value: Any, path: Path) -> None:
    if name not in _READERS:
        raise UsageError(f"{path}: nothing is called {name!r}", f"known are {', '.join(_READERS)}")
    if name in _LISTS and not (
        isinstance(value, list) and all(isinstance(item, str) for item in value)
    ):
        raise UsageError(f"{path}: {name} must be a list of strings", f'for example {name} = ["…"]')
    if name in _STRINGS and not isinstance(value, str):
        raise UsageError(f"{path}: {name} must be a string")
    if name in _NUMBERS and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise UsageError(f"{path}: {name} must be a number")
    if name in _TABLES and not isinstance(value, dict):
        raise UsageError(f"{path}: {name} must be a table", f"begin it with [{name}]")
    if name == "registries" and "password" in value:
        raise UsageError(f"{path}: no file holds a password", "set REMETRICS_PASSWORD")


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, reader in _READERS.items():
        variable = _variable(name)
        if name in _TABLES:
            values[name] = reader(f"{variable}…", _table_of(environ, variable))
        elif text := environ.get(variable):
            items = text.split(_SEPARATORS[name]) if name in _LISTS else None
            values[name] = reader(variable, text if items is None else list(filter(None, items)))
    return values


def _variable(name: str) -> str:
    """Return the variable of a setting, of a table what those of its values begin with."""
    return _PREFIXES.get(name, f"REMETRICS_{name.upper()}")


def _table_of(environ: Mapping[str, str], prefix: str) -> dict[str, str]:
    table = {
        key[len(prefix) :].lower(): value
        for key, value in environ.items()
        if key.startswith(prefix)
    }
    if prefix == _PREFIXES["registries"] and "password" in table:
        raise UsageError(f"{prefix}PASSWORD is not read", "the password is in REMETRICS_PASSWORD")
    return table


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each variable that looks like a setting and is none."""
    known = [*(_variable(name) for name in _READERS if name not in _TABLES), *_OTHER_VARIABLES]
    for name in sorted(environ):
        if not re.match(r"(HPC_)?REMETRICS?_", name, re.IGNORECASE) or name in known:
            continue
        if name.startswith(tuple(_PREFIXES.values())):
            continue  # a wrong name in a table is an error where the table is read
        near = difflib.get_close_matches(name.upper(), known, 1)
        yield f"the variable {name} means nothing here" + (
            f"; {near[0]} is probably meant" if near else ""
        )
