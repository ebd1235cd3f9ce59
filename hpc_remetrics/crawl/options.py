"""What `crawl` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError
from ..limits import EMPTY_PAGES
from ..registry.access import Access
from ..registry.reference import HUB, host_of

HUB_API = "hub.docker.com"
"""Where Docker Hub answers questions about its repositories."""


@dataclass(frozen=True)
class Target:
    """What is crawled.

    :param registry: `docker.io`, or the registry whose `_catalog` is read.
    :param api: the host that answers.
    :param namespaces: of Docker Hub that are listed instead of a search; empty: everything is
        searched for.
    """

    registry: str
    api: str
    namespaces: tuple[str, ...] = ()

    @property
    def is_hub(self) -> bool:
        return self.registry == HUB

    def __str__(self) -> str:
        if not self.is_hub:
            return f"catalog:{self.registry}"
        return "hub:" + ",".join(self.namespaces) if self.namespaces else "hub"


@dataclass(frozen=True)
class CrawlOptions:
    """What to crawl, what of it to keep, and what it may cost.

    :param tags: "latest" (no question asked), "all", or how many of the newest.
    :param sample: repositories to draw; None: all.
    :param budget: requests that this start may make; None: as many as it needs.
    :param list_namespaces: list every namespace that a search met, for what the search does not
        show.
    :param empty_pages: pages of a listing in a row without anything new, after which it is given
        up.
    :param estimate: say what it would cost, after one request, and end.
    :param force: replace a list that no crawl has made.
    """

    target: Target
    output: Path
    tags: str | int = "latest"
    sample: int | None = None
    seed: int = 0
    budget: int | None = None
    list_namespaces: bool = False
    estimate: bool = False
    empty_pages: int = EMPTY_PAGES
    threads: int = 4
    quiet: bool = False
    access: Access = field(default_factory=Access)
    force: bool = False


def parse_target(text: str, api: str = "") -> Target:
    """Read `hub`, `hub:NAMESPACE[,…]` or `catalog:HOST`; `UsageError` if it is none.

    >>> parse_target("hub:library,bitnami").namespaces, parse_target("catalog:localhost:5000").api
    (('library', 'bitnami'), 'localhost:5000')
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
        return Target(HUB, host_of(api) if api else HUB_API, names)
    if kind == "catalog" and rest:
        host = host_of(rest)
        if host == HUB:
            raise UsageError("Docker Hub has no catalog", "write hub")
        return Target(host, host)
    raise UsageError(
        f"not something to crawl: {text!r}", "write hub, hub:NAMESPACE[,…] or catalog:HOST"
    )


def parse_tags(text: str) -> str | int:
    """Read the value of `--tags`.

    >>> parse_tags("3"), parse_tags("latest")
    (3, 'latest')
    """
    if text in ("latest", "all"):
        return text
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise UsageError(f"--tags is {text!r}", "write latest, all, or a number above 0")
