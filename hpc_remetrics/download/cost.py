"""What a download will cost, in words: manifests, bytes as far as known, limits, and the time that
follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..errors import RegistryError
from ..progress import clock_time, rough_time
from ..registry.access import Access, Patience
from ..registry.budget import PullLimit
from ..registry.endpoint import Registries
from ..wording import counted
from .options import Wish

_PATIENCE = Patience(deadline=20.0, tries=2)
_HOSTS = 8
"""Registries that are asked for their limits."""


class PullLimits:
    """What registries say of their limits on pulls; each is asked once, with a HEAD, which none
    counts."""

    def __init__(self, access: Access) -> None:
        self._registries = Registries(replace(access, patience=_PATIENCE))
        self._limits: dict[str, PullLimit | None] = {}

    def counts_pulls(self, host: str) -> bool:
        """Say whether a registry counts GETs of manifests, as far as is known."""
        return self._limits.get(host) is not None

    def lines(self, wishes: Sequence[Wish]) -> Iterator[str]:
        """Yield the cost in words, a line a registry."""
        hosts = Counter(wish.image.host for wish in wishes)
        for host, count in hosts.most_common(_HOSTS):
            first = next(wish for wish in wishes if wish.image.host == host)
            yield f"{host}: {self._of_host(first, count)}{_bytes([w for w in wishes if w.image.host == host])}"
        if len(hosts) > _HOSTS:
            yield counted(len(hosts) - _HOSTS, "more registry", "more registries")

    def _of_host(self, first: Wish, count: int) -> str:
        text = f"{counted(count, 'image')}, a manifest each or more"
        image = first.image
        try:
            head = self._registries.get(image.host).head_manifest(image.repository, image.version)
        except RegistryError as error:
            return f"{text}; its limits are not known: {error}"
        limit = self._limits[image.host] = PullLimit.of(head.headers)
        return f"{text}; {in_words(limit, count)}"


def in_words(limit: PullLimit | None, count: int) -> str:
    """Return what a limit means for so many pulls.

    >>> in_words(PullLimit(100, 21600, 76), 276)
    'it allows 100 pulls in 6:00:00, 76 are left: at least 12.0 h'
    """
    if limit is None:
        return "it states no limit"
    text = f"it allows {counted(limit.limit, 'pull')} in {clock_time(limit.window)}"
    left = limit.limit if limit.remaining < 0 else limit.remaining
    text += f", {left:,} are left"
    if limit.limit and limit.window:
        text += f": at least {rough_time(max(count - left, 0) * limit.window / limit.limit)}"
    return text


def _bytes(wishes: Sequence[Wish]) -> str:
    """Return what a list says of the images' sizes; layers that they share are counted twice
    there."""
    known = [wish.bytes for wish in wishes if wish.bytes >= 0]
    if not known:
        return "; how many bytes is not known before the manifests are"
    unknown = len(wishes) - len(known)
    return f"; up to {sum(known) / 1e9:.2f} GB" + (
        f" and {unknown:,} of unknown size" if unknown else ""
    )
