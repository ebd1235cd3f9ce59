"""Access to registries: logins, trusted hosts, request rate, and time limits (`Patience`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..errors import UsageError
from ..options import (
    COUNT,
    NOT_NEGATIVE,
    PATH,
    POSITIVE,
    STRING,
    ValueType,
    list_of,
    option,
    table,
)
from .destinations import is_this_machine
from .reference import host_of

WAIT = 86_400.0
"""Seconds that a job may wait for one response: registries with limits want hours of silence."""


def _host(value: str) -> str:
    return host_of(value) if value else ""


HOST = ValueType("a host", (str,), _host)
_HOSTS = list_of(ValueType("a host", (str,), host_of))


@dataclass(frozen=True)
class Patience:
    """How long a registry may take, and how often a request is tried."""

    connect: float = option(
        value=POSITIVE, default=10.0, help="seconds until a connection is there"
    )
    idle: float = option(
        value=POSITIVE, default=60.0, help="seconds between two pieces of a response"
    )
    least_rate: float = option(
        value=NOT_NEGATIVE,
        default=10_000.0,
        help="bytes a second of a body on average, once `idle` has passed; 0: any",
    )
    deadline: float = option(
        value=POSITIVE,
        default=WAIT,
        help="seconds of one manifest, config, token or page, with all tries and waits",
    )
    blob_deadline: float = option(
        value=POSITIVE,
        default=WAIT,
        help="seconds of a blob, besides what its size takes at `least_rate`",
    )
    tries: int = option(value=COUNT, default=5, help="tries in a row that bring nothing new")

    def for_blob(self, size: int) -> float:
        """Return the seconds that a blob of `size` bytes (-1: unknown) may take."""
        return self.blob_deadline + (max(size, 0) / self.least_rate if self.least_rate else 0.0)


BRIEF = Patience(deadline=20.0, tries=2)
"""For a request whose result is welcome but not needed."""


@dataclass(frozen=True)
class Access:
    """How registries are reached; picklable, since all ranks use the same.

    :ivar ranks: how many processes share the rate.
    """

    TITLE: ClassVar[str] = "registries"

    requests_per_second: float = option(
        "--rate",
        value=NOT_NEGATIVE,
        default=0.0,
        key="rate",
        metavar="N",
        help="requests a second of all ranks together, to each registry; 0: no bound",
        default_text="0; crawl: 5 or 50",
    )
    auth_file: Path | None = option(
        "--auth-file",
        value=PATH,
        in_any_file=False,
        metavar="FILE",
        help="file with logins",
        default_text="what docker login and podman login keep",
        example='"~/.docker/config.json"',
    )
    username: str = option(
        "--username",
        value=STRING,
        default="",
        in_any_file=False,
        metavar="NAME",
        help="user at --login-host, with the password in REMETRICS_PASSWORD",
        example='"me"',
    )
    password: str = option(
        value=STRING,
        default="",
        key=False,
        variable="REMETRICS_PASSWORD",
        is_secret=True,
        help="password of that user, which only the environment may hold",
    )
    login_host: str = option(
        "--login-host",
        value=HOST,
        default="",
        in_any_file=False,
        metavar="HOST",
        help="registry that --username is for",
        example='"registry.example.org"',
    )
    plain_http: tuple[str, ...] = option(
        "--plain-http",
        value=_HOSTS,
        default=(),
        in_any_file=False,
        metavar="HOST",
        help="registry to speak to without TLS",
        default_text="those on this machine",
        example='["registry.example.org:5000"]',
    )
    realms: tuple[str, ...] = option(
        "--realm",
        value=_HOSTS,
        default=(),
        in_any_file=False,
        metavar="HOST",
        help="host of a token server to trust",
        default_text="the registry's own",
        example='["auth.example.org"]',
    )
    patience: Patience = table(
        Patience,
        flag="--patience",
        help="change how long a registry may take, in seconds, and how often a request is tried",
        noun="registry setting",
    )
    ranks: int = 1

    def check_login(self) -> None:
        """Check that a login is complete.

        :raises UsageError: a user name has no host or no password.
        """
        if self.username and not (self.login_host and self.password):
            raise UsageError(
                "a user name for a registry needs a host and a password",
                "set --login-host HOST and REMETRICS_PASSWORD",
            )

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
