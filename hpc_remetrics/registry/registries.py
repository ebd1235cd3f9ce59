"""The registries that this process reaches: one client for each thread and host.

Every run has a :class:`Registries`, and most runs read local images. So the clients, which bring
`requests` and urllib3 with them (some 300 files), are imported when the first one is asked for.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from .access import Access
from .budget import Budget

if TYPE_CHECKING:
    from .auth import Keyring
    from .endpoint import Registry


class Registries:
    """The registries of a process: a client for each thread and host, with one budget for all.

    A pickled copy on another rank has the same options, and a budget of its own.
    """

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
        from .auth import Keyring
        from .endpoint import Registry

        mine: dict[str, Registry] = self._local.__dict__
        if host not in mine:
            with self._lock:
                keyring = self._keyrings.setdefault(host, Keyring(host, self.access))
            mine[host] = Registry(host, self.access, self.budget, keyring, self.stopped)
        return mine[host]
