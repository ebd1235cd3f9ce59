"""What decides how registries are asked: who the user is there, what is allowed, how long to wait."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path


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

    :param username: with `password`, for `login_host` alone; "": the files of `docker login` say it.
    :param auth_file: a file like that of `docker login`, in place of the usual ones.
    :param plain_http: registries (`name[:port]`) that are spoken to without TLS; those at loopback always are.
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

    def scheme(self, host: str) -> str:
        """Return `http` or `https` for a registry.

        >>> Access().scheme("127.0.0.1:5000"), Access().scheme("example.org")
        ('http', 'https')
        """
        return "http" if host in self.plain_http or is_loopback_name(host) else "https"


def is_loopback_name(host: str) -> bool:
    """Tell whether `name[:port]` is this machine by its name alone."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    name = name.strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
