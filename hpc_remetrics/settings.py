"""Read settings from a settings file and from environment variables, and check them.

The settings file is `remetrics.toml`: the first that is there of `--config FILE`,
`$REMETRICS_CONFIG`, the one in the current directory, and the one in `~/.config/hpc-remetrics/`.
Paths in it are relative to the current directory, as on the command line.

The user chooses the first two and the last. The one in the current directory may be anybody's, so
it is read only if it belongs to the user or to root and not everybody can write it, and options
with `in_any_file=False` (where logins go, which commands run) are refused in it.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import UsageError
from .options import Option, OptionTable, shown, suggestion

FILE_NAME = "remetrics.toml"

CONFIG_VARIABLE = "REMETRICS_CONFIG"
"""The variable that names the settings file."""

_MAX_BYTES = 1 << 20
"""Bytes of a settings file: a longer one is something else."""

_OTHER_VARIABLES = (CONFIG_VARIABLE, "REMETRICS_LAUNCH")
"""Variables that are no options: the file, and what the job scripts launch ranks with."""


@dataclass(frozen=True)
class SettingsPlace:
    """Where a settings file is.

    :ivar is_chosen: whether the user named it, or it is in the user's own configuration directory.
    """

    path: Path
    is_chosen: bool


@dataclass(frozen=True)
class KnownSettings:
    """What can be set outside the command line.

    :ivar options: by name; each has a key or a variable.
    :ivar tables: of the settings file, by key.
    """

    options: Mapping[str, Option]
    tables: Mapping[str, OptionTable]

    @property
    def keys(self) -> list[str]:
        """The keys that stand at the top of a settings file, tables included."""
        return [key for key in self.options if "." not in key] + list(self.tables)

    def keys_of(self, table: str) -> list[str]:
        """Return the keys of a table of the file."""
        options = (one.key for one in self.options.values())
        return [key.partition(".")[2] for key in options if key.startswith(f"{table}.")]


def read_settings(
    known: KnownSettings, config: Path | None = None, environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Return the values of the settings file and of the variables, which win, by option name.

    :param config: the file that the user named.
    :raises UsageError: a name or a value is wrong; the error says where.
    """
    return {**_from_file(known, find(config, environ)), **_from_environment(known, environ)}


def find(
    config: Path | None = None, environ: Mapping[str, str] = os.environ
) -> SettingsPlace | None:
    """Return where the settings file is, None if there is none."""
    if named := config or environ.get(CONFIG_VARIABLE):
        return SettingsPlace(Path(named), True)
    # A dangling link in the current directory is a mistake, not the same as no file.
    if os.path.lexists(FILE_NAME):
        return SettingsPlace(Path(FILE_NAME), False)
    home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "/", ".config"))
    path = home / "hpc-remetrics" / FILE_NAME
    return SettingsPlace(path, True) if path.is_file() else None


def unknown_variables(known: KnownSettings, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each variable that looks like one of this program and is none."""
    variables = [one.variable for one in known.options.values()] + [*_OTHER_VARIABLES]
    prefixes = tuple(table.prefix for table in known.tables.values())
    for name in sorted(environ):
        if not re.match(r"(HPC_)?REMETRICS?_", name, re.IGNORECASE) or name in variables:
            continue
        # A wrong name in a table is an error where variables are read.
        if name.startswith(prefixes):
            continue
        # Only a message needs it.
        from difflib import get_close_matches

        near = get_close_matches(name.upper(), variables, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        yield f"unknown variable {name} is ignored{meant}"


def _from_file(known: KnownSettings, place: SettingsPlace | None) -> dict[str, Any]:
    """Return the values of a settings file."""
    if place is None:
        return {}
    path = place.path
    values = {}
    for name, value in _flattened(known, path, _parsed(place)).items():
        option = known.options.get(name)
        if option is None or not option.key:
            raise _unknown(known, path, name)

        # A file that merely lies in the current directory may be another user's.
        if not (place.is_chosen or option.in_any_file):
            raise UsageError(
                f"{path} of the current directory sets {name}, which is not taken from there: "
                "it decides where logins go, which hosts are trusted or which commands run",
                f"use it with --config ./{path}, or move {name} to "
                f"~/.config/hpc-remetrics/{FILE_NAME}",
            )
        values[name] = option.value.read_toml(f"{path}: {name}", value)
    return values


def _parsed(place: SettingsPlace) -> dict[str, Any]:
    """Return a settings file as TOML has it."""
    # Most runs have no such file.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    data = _bytes_of(place)
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        # ValueError: also bytes that are not UTF-8, and an integer of more than 4,300 digits.
        raise UsageError(f"{place.path} is not TOML: {str(error)[:200]}") from None


def _flattened(known: KnownSettings, path: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a document by option name, `registries.rate` for those of a table."""
    flat = {}
    for key, value in document.items():
        if key not in known.tables:
            flat[key] = value
            continue
        if not isinstance(value, dict):
            raise UsageError(
                f"{path}: {key} is {shown(value)}, not a table", f"begin it with [{key}]"
            )
        flat.update({f"{key}.{name}": inner for name, inner in value.items()})
    return flat


def _unknown(known: KnownSettings, path: Path, name: str) -> UsageError:
    """Return the error for a key of a settings file that is no setting."""
    # A password has a variable and no key.
    if name in known.options:
        return UsageError(f"{path}: {name} must not be in a file", _set(known.options[name]))
    table, dot, short = name.partition(".")
    if dot and table in known.tables:
        noun = known.tables[table].noun
        hint = suggestion(short, known.keys_of(table))
        return UsageError(f"{path}: unknown {noun} {short!r} in [{table}]", hint)
    return UsageError(f"{path}: unknown setting {name!r}", suggestion(name, known.keys))


def _set(option: Option) -> str:
    return f"set the variable {option.variable}"


def _bytes_of(place: SettingsPlace) -> bytes:
    """Return the bytes of a settings file.

    One that the user did not choose must belong to the user or to root.
    """
    try:
        # Without O_NONBLOCK a pipe that nobody fills would hold up the command for ever.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        with open(os.open(place.path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not place.is_chosen:
                _check_owner(place.path, status)
            if not stat.S_ISREG(status.st_mode) and str(place.path) != os.devnull:
                hint = f"name a file, or {os.devnull} for no settings"
                raise UsageError(f"{place.path} is not a regular file", hint)
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{place.path} can't be read: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise UsageError(
            f"{place.path} has more than {_MAX_BYTES:,} bytes, so it is not a settings file"
        )
    return data


def _check_owner(path: Path, status: os.stat_result) -> None:
    """Refuse a file of the current directory that another user may have made or can change."""
    link = os.lstat(path)
    strangers = [uid for uid in (status.st_uid, link.st_uid) if uid not in (os.getuid(), 0)]
    if not stat.S_ISREG(status.st_mode):
        problem = "it is not a regular file"
    elif strangers:
        problem = f"it belongs to user {strangers[0]}"
    elif status.st_mode & stat.S_IWOTH:
        problem = "everybody can write it"
    else:
        return
    raise UsageError(
        f"{path} of the current directory is not read: {problem}",
        f"use it with --config ./{path}, or work in another directory",
    )


def _from_environment(known: KnownSettings, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of variables; an empty variable is as good as none."""
    _check_tables(known, environ)
    return {
        name: option.value.read_variable(option.variable, string)
        for name, option in known.options.items()
        if (string := environ.get(option.variable))
    }


def _check_tables(known: KnownSettings, environ: Mapping[str, str]) -> None:
    """Refuse a variable that begins as those of a table do and is none of them."""
    variables = {one.variable for one in known.options.values()}
    for key, table in known.tables.items():
        for variable in sorted(environ):
            if not variable.startswith(table.prefix) or variable in variables:
                continue
            short = variable.removeprefix(table.prefix).lower()
            if secret := known.options.get(f"{key}.{short}"):
                raise UsageError(f"{variable} is not read", _set(secret))
            hint = suggestion(short, known.keys_of(key))
            raise UsageError(f"{variable}: unknown {table.noun} {short!r}", hint)
