"""The options that say how registries are asked, for every verb that asks them."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from ..registry.access import Access, Patience
from ..settings import access_settings, parse_pairs


def add_access_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("registries")
    group.add_argument(
        "--rate",
        metavar="N",
        help="requests a second, of all ranks together (default: 0, no bound; crawl: 5 or 50)",
    )
    group.add_argument(
        "--auth-file",
        metavar="FILE",
        help="logins (default: what docker login and podman login keep)",
    )
    group.add_argument(
        "--username",
        metavar="NAME",
        help="at --login-host, with the password in REMETRICS_PASSWORD (default: none)",
    )
    group.add_argument(
        "--login-host", metavar="HOST", help="the registry that --username is for (default: none)"
    )
    group.add_argument(
        "--plain-http",
        action="append",
        metavar="HOST",
        help="speak to this registry without TLS (repeat; default: those on this machine)",
    )
    group.add_argument(
        "--realm",
        action="append",
        metavar="HOST",
        help="trust this host to give tokens (repeat; default: the registry's own)",
    )
    names = ", ".join(f"{name}={value:g}" for name, value in asdict(Patience()).items())
    group.add_argument(
        "--patience",
        action="append",
        metavar="NAME=N",
        help=f"how long a registry may take, in seconds, and how often something is tried (repeat; default: {names})",
    )


def access_of(arguments: argparse.Namespace, rate: float = 0.0) -> Access:
    """Return how registries are asked.

    :param rate: requests a second where nothing else says it.
    """
    flags = {
        "rate": arguments.rate,
        "auth_file": arguments.auth_file,
        "username": arguments.username,
        "login_host": arguments.login_host,
        "plain_http": arguments.plain_http,
        "realms": arguments.realm,
        **parse_pairs("--patience", arguments.patience, "idle=120"),
    }
    config = getattr(arguments, "config", None)
    return access_settings(flags, Access(requests_per_second=rate), config)
