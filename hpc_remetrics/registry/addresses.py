"""Which addresses may be asked: a registry's answer must not send a request to this machine or its
cloud."""

from __future__ import annotations

import ipaddress
import socket

from ..errors import RegistryError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def kind_of(address: str) -> str:
    """Return why an address is out of bounds, "" if it isn't.

    >>> kind_of("169.254.169.254"), kind_of("::ffff:127.0.0.1"), kind_of("192.0.2.7")
    ('link-local', 'loopback', '')
    """
    ip: IPAddress = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if ip.is_unspecified:
        return "loopback"  # which is where it leads
    for name in ("loopback", "link_local", "multicast"):
        if getattr(ip, f"is_{name}"):
            return name.replace("_", "-")
    return ""


class Bounds:
    """Where a registry's answers may lead to: not to loopback or link-local addresses, unless it is
    there itself."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._own: frozenset[str] | None = None
        self._passed: set[str] = set()

    def check(self, name: str) -> None:
        """Raise `RegistryError` if a host's name leads out of bounds; names that lead nowhere pass,
        to fail later."""
        if name in self._passed or name == self._host:
            return
        for address in _addresses(name):
            self.check_address(name, address)
        self._passed.add(name)

    def check_address(self, name: str, address: str) -> None:
        """Raise `RegistryError` if a connection to `name` led to an address out of bounds."""
        kind = kind_of(address)
        if not kind or name == self._host:
            return
        if self._own is None:
            self._own = frozenset(map(kind_of, _addresses(self._host)))
        if kind not in self._own:
            raise RegistryError(
                "denied", f"{self._host} leads to {name}, a {kind} address: not followed"
            )


def _addresses(name: str) -> list[str]:
    try:
        return sorted(
            {str(info[4][0]) for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
        )
    except (OSError, UnicodeError):
        return []
