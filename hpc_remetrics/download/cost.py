"""The cost of a download as messages: manifests, known bytes, pull limits, time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..errors import RegistryError
from ..progress import clock_time, rough_time
from ..registry.access import BRIEF, Access
from ..registry.budget import PullLimit
from ..registry.registries import Registries
from ..wording import counted, verb
from .options import Wish

_HOSTS = 8
"""Registries that are asked for their limits, at most."""


class PullLimits:
    """The limits of registries on pulls, each asked for once by a HEAD, which costs no pull."""

    def __init__(self, access: Access) -> None:
        self._registries = Registries(replace(access, patience=BRIEF))
        self._limits: dict[str, PullLimit | None] = {}

    def counts_pulls(self, host: str) -> bool:
        """Tell whether a registry is known to count GETs of manifests."""
        return self._limits.get(host) is not None

    def lines(self, wishes: Sequence[Wish]) -> Iterator[str]:
        """Yield the cost, one line for each registry."""
        hosts = Counter(wish.image.host for wish in wishes)
        for host, count in hosts.most_common(_HOSTS):
            own = [wish for wish in wishes if wish.image.host == host]
            yield f"{host}: {self._of_host(own[0], count)}{_bytes(own)}"
        if len(hosts) > _HOSTS:
            yield counted(len(hosts) - _HOSTS, "more registry", "more registries")

    def _of_host(self, first: Wish, count: int) -> str:
        text = f"{counted(count, 'image')}, with one or more manifests each"
        image = first.image
        try:
            head = self._registries.get(image.host).head_manifest(image.repository, image.version)
        except RegistryError as error:
            return f"{text}; its limits are unknown: {error}"
        limit = self._limits[image.host] = PullLimit.of(head.headers)
        return f"{text}; {limit_in_words(limit, count)}"


def limit_in_words(limit: PullLimit | None, count: int) -> str:
    """Return what a limit means for a number of pulls, as a message.

    >>> limit_in_words(PullLimit(100, 21600, 76), 276)
    'it allows 100 pulls in 6:00:00, 76 are left: at least 12.0 h'
    """
    if limit is None:
        return "it states no limit"
    text = f"it allows {counted(limit.limit, 'pull')} in {clock_time(limit.window)}"
    left = limit.limit if limit.remaining < 0 else limit.remaining
    text += f", {left:,} {verb(left, 'is', 'are')} left"
    if limit.limit and limit.window:
        text += f": at least {rough_time(max(count - left, 0) * limit.window / limit.limit)}"
    return text


def _bytes(wishes: Sequence[Wish]) -> str:
    """Return the sizes that a list states for images, as a message; shared layers count twice."""
    known = [wish.bytes for wish in wishes if wish.bytes >= 0]
    if not known:
        return "; the number of bytes is unknown before the manifests are read"
    text = f"; up to {sum(known) / 1e9:.2f} GB"
    unknown = len(wishes) - len(known)
    return f"{text} and {unknown:,} of unknown size" if unknown else text
