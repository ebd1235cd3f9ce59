"""The options of `crawl`, and how its target and tags are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import (
    AccessOptions,
    JobOptions,
    ListingOptions,
    SettingsOptions,
    TalkOptions,
    force_option,
)
from ..errors import UsageError
from ..options import COUNT, INTEGER, PATH, SWITCH, ValueType, argument, option
from ..registry.access import HOST
from ..registry.reference import HUB, host_of

HUB_API = "hub.docker.com"
"""The host that lists the repositories of Docker Hub."""

_HUB_RATE = 5.0
"""Requests a second to Docker Hub, by default."""

_CATALOG_RATE = 50.0
"""Requests a second to any other registry, by default."""


@dataclass(frozen=True)
class Target:
    """The repositories that are crawled.

    :ivar registry: `docker.io`, or the registry whose `_catalog` is read.
    :ivar api: the host that lists the repositories.
    :ivar namespaces: of Docker Hub that are listed instead of a search; empty: everything is
        searched for.
    """

    registry: str
    api: str
    namespaces: tuple[str, ...] = ()

    @property
    def is_hub(self) -> bool:
        """Whether it is Docker Hub, which has a search in place of a catalog."""
        return self.registry == HUB

    def __str__(self) -> str:
        if not self.is_hub:
            return f"catalog:{self.registry}"
        return "hub:" + ",".join(self.namespaces) if self.namespaces else "hub"


def parse_target(text: str) -> Target:
    """Read `hub`, `hub:NAMESPACE[,…]` or `catalog:HOST`.

    >>> parse_target("hub:library,bitnami").namespaces, parse_target("catalog:localhost:5000").api
    (('library', 'bitnami'), 'localhost:5000')

    :raises UsageError: it is none of them.
    """
    kind, _, rest = text.partition(":")
    if kind == "hub":
        names = tuple(name for name in rest.split(",") if name)
        if wrong := [
            name for name in names if not name.replace("-", "").replace("_", "").isalnum()
        ]:
            raise UsageError(
                f"not a namespace of Docker Hub: {wrong[0]!r}", "write hub:NAMESPACE[,NAMESPACE…]"
            )
        return Target(HUB, HUB_API, names)
    if kind == "catalog" and rest:
        host = host_of(rest)
        if host == HUB:
            raise UsageError("Docker Hub has no catalog", "write hub")
        return Target(host, host)
    raise UsageError(
        f"not something to crawl: {text!r}", "write hub, hub:NAMESPACE[,…] or catalog:HOST"
    )


def parse_tags(text: str) -> str | int:
    """Read the value of `--tags`: a word, or how many of the newest tags.

    >>> parse_tags("3"), parse_tags("latest")
    (3, 'latest')

    :raises ValueError: it is none.
    """
    return text if text in ("latest", "all") else COUNT.convert(text)


@dataclass(frozen=True, kw_only=True)
class CrawlOptions(ListingOptions, AccessOptions, JobOptions, SettingsOptions, TalkOptions):
    """The options of `crawl`: which registry, which repositories of it, how many requests.

    :ivar threads: of each rank.
    """

    target: Target = argument(
        "TARGET",
        value=ValueType("something to crawl", (str,), parse_target),
        help="hub, hub:NAMESPACE[,…] or catalog:HOST",
    )
    output: Path = option(
        "-o",
        "--output",
        value=PATH,
        default=Path("repos.csv"),
        key=False,
        metavar="FILE.csv",
        help="the list to write",
    )
    tags: str | int = option(
        "--tags",
        value=ValueType("latest, all, or a whole number above 0", (str,), parse_tags),
        default="latest",
        key=False,
        metavar="latest|all|N",
        help="which tags: latest costs no request, all and the N newest cost at least one for each "
        "repository",
        default_text="latest; of a catalog: all",
    )
    sample: int | None = option(
        "--sample",
        value=COUNT,
        key=False,
        metavar="N",
        help="draw N repositories, stratified by pulls",
        default_text="all",
    )
    seed: int = option(
        "--seed",
        value=INTEGER,
        default=0,
        key=False,
        metavar="S",
        help="random seed of the sample",
    )
    budget: int | None = option(
        "--budget",
        value=COUNT,
        key=False,
        metavar="N",
        help="stop after N requests",
        default_text="as many as are needed",
    )
    list_namespaces: bool = option(
        "--namespaces",
        value=SWITCH,
        default=False,
        key=False,
        help="also list each namespace that a search of Docker Hub came across",
    )
    estimate: bool = option(
        "--estimate",
        value=SWITCH,
        default=False,
        key=False,
        help="print the estimated cost, after one request, and exit",
    )
    api: str | None = option(
        "--api",
        value=HOST,
        key=False,
        metavar="HOST",
        help="host to ask for the repositories of Docker Hub",
        default_text=HUB_API,
    )
    force: bool = force_option("a list that no crawl has made")
    threads: int = 4

    @property
    def host(self) -> str:
        """The host that lists the repositories."""
        return self.api if self.api and self.target.is_hub else self.target.api

    @classmethod
    def defaults_for(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the rate and the tags, which depend on the target.

        Docker Hub allows fewer requests a second than a registry of one's own. A request for tags
        costs it one of those, and a catalog says nothing else about its repositories.
        """
        target: Target = values["target"]
        if target.is_hub:
            return {"tags": "latest", "registries.rate": _HUB_RATE}
        return {"tags": "all", "registries.rate": _CATALOG_RATE}
