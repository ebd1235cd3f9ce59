"""The registries that one process asks: a client for each thread and host, one budget and one
keyring for all."""

from __future__ import annotations

import threading
from typing import Any

from .access import Access
from .auth import Keyring
from .budget import Budget
from .endpoint import Registry


class Registries:
    """Gives each thread its `Registry` of a host; goes to other ranks as what it was made from."""

    def __init__(self, access: Access | None = None) -> None:
        self.access = access or Access()
        self.budget = Budget(self.access)
        self.stopped = threading.Event()
        self._keyrings: dict[str, Keyring] = {}
        self._lock = threading.Lock()
        self._local = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return Registries, (self.access,)

    def get(self, host: str) -> Registry:
        """Return this thread's client of a registry."""
        mine: dict[str, Registry] = self._local.__dict__
        if host not in mine:
            with self._lock:
                keyring = self._keyrings.setdefault(host, Keyring(host, self.access))
            mine[host] = Registry(host, self.access, self.budget, keyring, self.stopped)
        return mine[host]
