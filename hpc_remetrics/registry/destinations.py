"""Destinations of requests: proxies, and which addresses may be asked.

Proxies are taken from the variables that Go programs (skopeo, podman) read. A registry on this
machine is never reached through a proxy, which would send the login over the network in plain text.
A registry's response must not lead a request to this machine or to its cloud (`Bounds`).
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from ..errors import RegistryError

_PORTS = {"http": 80, "https": 443}
_ENTRY_PORT = re.compile(r"(?P<name>\[[^\]]*\]|[^:]*):(?P<port>[0-9]{0,5})\Z")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def proxies_for(url: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the proxy for a URL as `requests` takes it, scheme -> proxy; {} if there is none.

    :raises ValueError: the URL is not valid.

    >>> environ = {"HTTPS_PROXY": "http://p:3128", "no_proxy": ".b.example"}
    >>> proxies_for("https://a.example/", environ)
    {'https': 'http://p:3128'}
    >>> proxies_for("http://127.0.0.1:5000/v2/", {"http_proxy": "http://p:3128"})
    {}
    """
    parts = urlsplit(url)
    name, scheme = (parts.hostname or "").rstrip("."), parts.scheme
    proxy = _variable(environ, f"{scheme}_proxy") or _variable(environ, "all_proxy")
    if not proxy or is_this_machine(name):
        return {}
    if _is_excepted(name, parts.port or _PORTS.get(scheme, 0), _variable(environ, "no_proxy")):
        return {}
    return {scheme: proxy if "://" in proxy else f"http://{proxy}"}


def is_this_machine(name: str) -> bool:
    """Tell whether a host name or address (without brackets) means this machine.

    >>> is_this_machine("127.1"), is_this_machine("::1"), is_this_machine("localhost.example")
    (True, True, False)
    """
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    # Connections to the unspecified address lead to this machine.
    return address is not None and (address.is_loopback or address.is_unspecified)


def _variable(environ: Mapping[str, str], name: str) -> str:
    """Return the value of a variable; its name in lower case has precedence."""
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def _address(name: str) -> Address | None:
    """Return the address that a name spells, in any form of the C library; None: a real name."""
    try:
        found: Address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return _short_address(name)
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        return found.ipv4_mapped
    return found


def _short_address(name: str) -> Address | None:
    """Return the address that `127.1` and `0x7f000001` mean to the C library."""
    if not name[:1].isdecimal():
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(name))
    except (OSError, ValueError):
        return None


def _is_excepted(name: str, port: int, exceptions: str) -> bool:
    """Return whether `no_proxy` lists a host, by a name, an address, a network or `*`."""
    entries = re.split(r"[\s,]+", exceptions.lower())
    return any(_is_meant(name, port, entry) for entry in entries if entry)


def _is_meant(name: str, port: int, entry: str) -> bool:
    if entry == "*":
        return True
    address = _address(name)
    if "/" in entry:
        return address is not None and _is_in_network(address, entry)
    # An IPv6 address contains colons; a port can only follow its brackets.
    if _address(entry.strip("[]")) is None and (divided := _ENTRY_PORT.match(entry)):
        if divided["port"] and int(divided["port"]) != port:
            return False
        entry = divided["name"]
    meant = _address(entry.strip("[]"))
    if meant is not None or address is not None:
        return meant == address
    # A leading dot means only the names below, as in Go.
    if entry.startswith("*."):
        entry = entry[1:]
    entry = entry.rstrip(".")
    if not entry.startswith("."):
        return name == entry or name.endswith(f".{entry}")
    return name.endswith(entry)


def _is_in_network(address: Address, entry: str) -> bool:
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
    return address in network


def kind_of(address: str) -> str:
    """Return the kind of a special address (`loopback`, `link-local`, `multicast`), else "".

    >>> kind_of("169.254.169.254"), kind_of("::ffff:127.0.0.1"), kind_of("192.0.2.7")
    ('link-local', 'loopback', '')
    """
    ip: Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if ip.is_unspecified:
        # Connections to the unspecified address lead to this machine.
        return "loopback"
    for name in ("loopback", "link_local", "multicast"):
        if getattr(ip, f"is_{name}"):
            return name.replace("_", "-")
    return ""


class Bounds:
    """Refuses special addresses as targets of a registry's responses, unless it has one itself."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._own: frozenset[str] | None = None
        self._passed: set[str] = set()

    def check(self, name: str) -> None:
        """Check the addresses of a host name; a name without addresses passes and fails later.

        :raises RegistryError: one of them is special.
        """
        if name in self._passed or name == self._host:
            return
        for address in _addresses(name):
            self.check_address(name, address)
        self._passed.add(name)

    def check_address(self, name: str, address: str) -> None:
        """Check the address that a connection to `name` has.

        :raises RegistryError: it is special.
        """
        kind = kind_of(address)
        if not kind or name == self._host:
            return
        if self._own is None:
            self._own = frozenset(map(kind_of, _addresses(self._host)))
        if kind not in self._own:
            message = f"{self._host} leads to {name}, a {kind} address: not followed"
            raise RegistryError("denied", message)


def _addresses(name: str) -> list[str]:
    try:
        return sorted(
            {str(info[4][0]) for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
        )
    except (OSError, UnicodeError):
        return []
