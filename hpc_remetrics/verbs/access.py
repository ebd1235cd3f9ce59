"""The options that say how registries are asked, for every verb that asks them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..errors import UsageError
from ..registry.access import Access, Patience
from ..registry.reference import host_of

_WAIT = 86_400.0
"""Seconds that a job may wait for one answer: registries with limits want hours of silence."""


def add_access_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("registries")
    group.add_argument("--rate", type=float, metavar="N", help="requests a second, of all ranks together (0: no bound)")
    group.add_argument("--auth-file", type=Path, metavar="FILE", help="logins (default: what docker login keeps)")
    group.add_argument("--username", default="", help="at --login-host; its password is in REMETRICS_PASSWORD")
    group.add_argument("--login-host", default="", metavar="HOST", help="the registry that --username is for")
    group.add_argument(
        "--plain-http", action="append", default=[], metavar="HOST", help="speak to this registry without TLS (repeat)"
    )
    group.add_argument(
        "--realm", action="append", default=[], metavar="HOST", help="trust this host to give tokens (repeat)"
    )


def access_of(arguments: argparse.Namespace, rate: float) -> Access:
    """Return how registries are asked.

    :param rate: requests a second where --rate doesn't say it.
    """
    if arguments.rate is not None and not 0 <= arguments.rate < float("inf"):
        raise UsageError(f"--rate is {arguments.rate}, not a number from 0 on")
    password = os.environ.get("REMETRICS_PASSWORD", "")
    if arguments.username and not (arguments.login_host and password):
        raise UsageError("--username needs --login-host HOST and a password", "set REMETRICS_PASSWORD")
    return Access(
        arguments.username,
        password if arguments.username else "",
        host_of(arguments.login_host) if arguments.login_host else "",
        arguments.auth_file,
        tuple(map(host_of, arguments.plain_http)),
        tuple(arguments.realm),
        rate if arguments.rate is None else arguments.rate,
        patience=Patience(deadline=_WAIT, blob_deadline=_WAIT),
    )
