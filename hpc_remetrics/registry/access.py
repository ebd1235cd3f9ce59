"""How registries are reached: logins, trusted hosts, request rate, and time limits (`Patience`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .destinations import is_this_machine
from .reference import host_of


@dataclass(frozen=True)
class Patience:
    """How long a registry may take. The only place of these defaults.

    A registry with a limit may ask for hours of silence, so a request may wait for a day.

    :param connect: seconds until a connection is made.
    :param idle: seconds between two pieces of a response.
    :param least_rate: bytes per second of a body on average, checked after its first `idle` seconds.
    :param deadline: seconds for one small request, with all tries and waits.
    :param blob_deadline: seconds for a blob, plus what its size needs at `least_rate`.
    :param tries: attempts in a row that bring no new bytes.
    """

    connect: float = 10.0
    idle: float = 60.0
    least_rate: float = 10_000.0
    deadline: float = 86_400.0
    blob_deadline: float = 86_400.0
    tries: int = 5

    def for_blob(self, size: int) -> float:
        """Return the seconds that a blob of `size` bytes (-1: unknown) may take."""
        return self.blob_deadline + (max(size, 0) / self.least_rate if self.least_rate else 0.0)


BRIEF = Patience(deadline=20.0, tries=2)
"""For a request whose result is welcome but not needed."""


@dataclass(frozen=True)
class Access:
    """How registries are reached; picklable, since all ranks use the same.

    :param username: with `password`, for `login_host` only; "": the files of `docker login` are
        read.
    :param auth_file: a file like that of `docker login`, in place of the usual ones.
    :param plain_http: registries (`name[:port]`) without TLS, besides those of this machine.
    :param realms: hosts of token servers that are trusted besides the registry's own.
    :param requests_per_second: of the whole job, to each registry; 0: unlimited.
    :param ranks: number of processes that share this rate.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    login_host: str = ""
    auth_file: Path | None = None
    plain_http: tuple[str, ...] = ()
    realms: tuple[str, ...] = ()
    requests_per_second: float = 0.0
    ranks: int = 1
    patience: Patience = field(default_factory=Patience)

    def changed(self, options: Mapping[str, object]) -> Access:
        """Return a copy with some options changed.

        :param options: name of a setting -> its value, as a string or as TOML gives it.
        :raises UsageError: there is no such setting, or its value is not valid.

        >>> Access().changed({"rate": "2.5", "idle": 5}).patience.idle
        5.0
        """
        values: dict[str, Any] = {}
        patience: dict[str, Any] = {}
        for name, value in options.items():
            if name in _PATIENCE:
                patience[name] = _number(name, value, _PATIENCE[name])
            elif name in _SETTINGS:
                field_name, kind = _SETTINGS[name]
                values[field_name] = kind(name, value)
            else:
                known = ", ".join((*_SETTINGS, *_PATIENCE))
                raise UsageError(f"unknown setting {name!r} of registries", f"choose from {known}")
        return replace(self, **values, patience=replace(self.patience, **patience))

    def checked(self) -> Access:
        """Return this object after a check of its login.

        :raises UsageError: a user name has no host or no password.
        """
        if self.username and not (self.login_host and self.password):
            raise UsageError(
                "a user name for a registry needs a host and a password",
                "set --login-host HOST and REMETRICS_PASSWORD",
            )
        return self

    def scheme(self, host: str) -> str:
        """Return the URL scheme for a registry, `http` or `https`.

        >>> Access().scheme("127.0.0.1:5000"), Access().scheme("example.org")
        ('http', 'https')
        """
        return "http" if host in self.plain_http or is_loopback_name(host) else "https"


def is_loopback_name(host: str) -> bool:
    """Tell whether the name in `name[:port]` means this machine, without a look-up."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return is_this_machine(name.strip("[]"))


def _number(name: str, value: object, kind: Callable[[Any], Any] = float) -> Any:
    try:
        number = kind(str(value))
    except ValueError:
        number = -1
    least = 0 if name in _MAY_BE_0 else 1e-9
    if isinstance(value, bool) or not least <= number < float("inf"):
        raise UsageError(f"{name} is {value!r}, not a number above 0")
    return number


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} must be a string")
    return value


def _host(name: str, value: object) -> str:
    return host_of(_text(name, value)) if value else ""


def _hosts(name: str, value: object) -> tuple[str, ...]:
    """Read a list of strings, or one string with spaces between (from an environment variable)."""
    items = value.split() if isinstance(value, str) else value
    if not (isinstance(items, list) and all(isinstance(item, str) for item in items)):
        raise UsageError(f"{name} must be a list of hosts")
    return tuple(map(host_of, items))


def _file(name: str, value: object) -> Path:
    return Path(os.path.expanduser(_text(name, value)))


CREDENTIALS = frozenset({"auth_file", "username", "login_host", "plain_http", "realms"})
"""Settings that decide where logins are sent and which hosts are trusted."""

_MAY_BE_0 = frozenset({"rate", "least_rate"})
_SETTINGS: dict[str, tuple[str, Callable[[str, object], Any]]] = {
    "rate": ("requests_per_second", _number),
    "auth_file": ("auth_file", _file),
    "username": ("username", _text),
    "password": ("password", _text),
    "login_host": ("login_host", _host),
    "plain_http": ("plain_http", _hosts),
    "realms": ("realms", _hosts),
}
_PATIENCE: dict[str, Callable[[Any], Any]] = {
    one.name: type(one.default) for one in fields(Patience)
}
