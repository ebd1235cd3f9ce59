"""What decides how registries are asked: who the user is there, what is allowed, how long to
wait."""

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
    """How long a registry may take, in seconds; `least_rate` in bytes a second.

    :param connect: for a connection.
    :param idle: between two pieces of an answer.
    :param least_rate: what a body must come with on average, once `idle` seconds of it have passed.
    :param deadline: for one small request, all its tries and waits included.
    :param blob_deadline: for a blob; what its size needs at `least_rate` is added.
    :param tries: how often something is tried that brings nothing new.
    """

    connect: float = 10.0
    idle: float = 60.0
    least_rate: float = 10_000.0
    deadline: float = 900.0
    blob_deadline: float = 1800.0
    tries: int = 5

    def for_blob(self, size: int) -> float:
        """Return the seconds that a blob of `size` bytes (-1: unknown) may take."""
        return self.blob_deadline + (max(size, 0) / self.least_rate if self.least_rate else 0.0)


@dataclass(frozen=True)
class Access:
    """How registries are reached; picklable, so that all ranks have the same.

    :param username: with `password`, for `login_host` alone; "": the files of `docker login` say
        it.
    :param auth_file: a file like that of `docker login`, in place of the usual ones.
    :param plain_http: registries (`name[:port]`) that are spoken to without TLS; those at loopback
        always are.
    :param realms: hosts of token servers that are trusted besides the registry's own.
    :param requests_per_second: of the whole job, to each registry; 0: as many as it allows.
    :param ranks: how many processes share that.
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
        """Return the same with some things otherwise, by the names that settings have; `UsageError`
        says what is wrong.

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
                raise UsageError(
                    f"nothing about registries is called {name!r}",
                    f"choose from {', '.join((*_SETTINGS, *_PATIENCE))}",
                )
        return replace(self, **values, patience=replace(self.patience, **patience))

    def checked(self) -> Access:
        """Return it, unless its login would go nowhere or anywhere: `UsageError`."""
        if self.username and not (self.login_host and self.password):
            raise UsageError(
                "a user name for a registry needs a host and a password",
                "set --login-host HOST and REMETRICS_PASSWORD",
            )
        return self

    def scheme(self, host: str) -> str:
        """Return `http` or `https` for a registry.

        >>> Access().scheme("127.0.0.1:5000"), Access().scheme("example.org")
        ('http', 'https')
        """
        return "http" if host in self.plain_http or is_loopback_name(host) else "https"


def is_loopback_name(host: str) -> bool:
    """Tell whether `name[:port]` is this machine by its name alone."""
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
        raise UsageError(f"{name} must be a text")
    return value


def _host(name: str, value: object) -> str:
    return host_of(_text(name, value)) if value else ""


def _hosts(name: str, value: object) -> tuple[str, ...]:
    """Read a list, or a text with spaces between, as variables have it."""
    items = value.split() if isinstance(value, str) else value
    if not (isinstance(items, list) and all(isinstance(item, str) for item in items)):
        raise UsageError(f"{name} must be a list of hosts")
    return tuple(map(host_of, items))


def _file(name: str, value: object) -> Path:
    return Path(os.path.expanduser(_text(name, value)))


CREDENTIALS = frozenset({"auth_file", "username", "login_host", "plain_http", "realms"})
"""Settings that say where logins go and which hosts are trusted."""

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
