"""Authentication at a registry: challenges, tokens for a scope, user names and passwords.

A challenge says where credentials are to be sent, so it is checked before they are:

    request -> 401 with challenges -> first one that is trusted
        basic  -> user name and password
        bearer -> token server (its realm is checked) -> token for the scope, kept until it expires
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from ..errors import RegistryError
from . import credentials
from .access import Access
from .credentials import Credentials
from .header_fields import parse_challenges, printable
from .reference import HUB, endpoint_of

_TOKEN_SECONDS = 60
"""Lifetime of a token that states none."""

_USED = 0.8
"""Share of its lifetime in which a token is used, so that none expires on its way."""

_REALMS = {HUB: "auth.docker.io", "registry.gitlab.com": "gitlab.com"}
"""Registry -> its token server, where the names differ and the server is known."""

Fetch = Callable[[str, str, dict[str, str], bytes | None], dict[str, Any]]
"""Sends (method, URL, headers, body) to a token server, and returns the JSON of its answer."""


@dataclass(frozen=True)
class Challenge:
    """One authentication scheme that a 401 response offers; `scheme` in lower case."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""

    @classmethod
    def parse(cls, *headers: str) -> list[Challenge]:
        """Parse the values of WWW-Authenticate headers.

        >>> Challenge.parse('Bearer realm="https://a/token",service="a",scope="repository:x:pull"')[0].service
        'a'
        """
        found = []
        for one in parse_challenges(headers):
            known = {name: one.parameters.get(name, "") for name in ("realm", "service", "scope")}
            found.append(cls(one.scheme, **known))
        return found


@dataclass(frozen=True)
class _Token:
    value: str
    end: float


class Keyring:
    """The credentials and tokens of one registry; shared by threads."""

    def __init__(self, host: str, access: Access) -> None:
        self._host, self._access = host, access
        self._lock = threading.Lock()
        self._tokens: dict[str, _Token] = {}
        self._credentials: dict[str, Credentials | None] = {}
        self._challenge: Challenge | None = None

    def header(self, scope: str, fetch: Fetch) -> str:
        """Return the Authorization header for a request, "" until a challenge is known.

        :param scope: `repository:NAME:pull`, or "" for a request outside of any repository.
        """
        challenge = self._challenge
        if challenge is None:
            return ""
        if challenge.scheme == "basic":
            login = self._login(scope)
            return login.basic if login else ""
        return "Bearer " + self._token(challenge, scope or challenge.scope, fetch)

    def answer_challenge(self, scope: str, headers: Sequence[str], fetch: Fetch) -> str:
        """Return the Authorization header that a 401 response asks for.

        The first challenge that can be met is used: a trusted token server, or a login of the user.

        :param headers: values of WWW-Authenticate.
        :raises RegistryError: none can be met.
        """
        offers = Challenge.parse(*headers)
        refused: RegistryError | None = None
        for challenge in offers:
            try:
                if not self._can_meet(challenge, scope):
                    continue
            except RegistryError as error:
                refused = refused or error
                continue
            # A token that was refused is of no more use.
            self._challenge = challenge
            self._tokens.pop(scope or challenge.scope, None)
            return self.header(scope, fetch)
        raise refused or self._denied(offers)

    def _can_meet(self, challenge: Challenge, scope: str) -> bool:
        """Tell whether a challenge can be met.

        :raises RegistryError: its token server is not trusted.
        """
        if challenge.scheme == "basic":
            return self._login(scope) is not None
        if challenge.scheme != "bearer":
            return False
        self._check_realm(challenge.realm)
        return True

    def _denied(self, offers: Sequence[Challenge]) -> RegistryError:
        schemes = [one.scheme for one in offers]
        what = "a login of an unnamed kind"
        if "basic" in schemes:
            what = "a login"
        elif schemes:
            what = f"a login of an unsupported kind: {', '.join(schemes)[:60]}"
        hint = "see docs/registries.md on logins"
        return RegistryError("denied", f"{self._host} asks for {what}", hint, 401)

    def _login(self, scope: str) -> Credentials | None:
        """Return the user's credentials for the repository of a scope."""
        access = self._access
        repository = scope.partition(":")[2].rpartition(":")[0]
        with self._lock:
            if repository not in self._credentials:
                self._credentials[repository] = self._find(access, repository)
            return self._credentials[repository]

    def _find(self, access: Access, repository: str) -> Credentials | None:
        if access.username:
            if access.login_host != self._host:
                return None
            return Credentials(access.username, access.password)
        if not access.auth_file and (text := os.environ.get("DOCKER_AUTH_CONFIG")):
            return credentials.from_environment(text, self._host, repository)
        return credentials.find(self._host, repository, access.auth_file)

    def _check_realm(self, realm: str) -> None:
        """Check that a token server is the registry's own or trusted, and reached by TLS.

        :raises RegistryError: it is not.
        """
        try:
            parts = urlsplit(realm)
            name, port = parts.hostname, parts.port
        except ValueError:
            message = f"{self._host} names a token server by an invalid URL"
            raise RegistryError("denied", message) from None

        # A registry without TLS may have a token server without TLS, on its own host.
        own = urlsplit(f"//{endpoint_of(self._host)}").hostname
        trusted = {own, _REALMS.get(self._host), *self._access.realms} - {None}
        plain = self._access.scheme(self._host) == "http" and name == own
        if parts.scheme != "https" and not (parts.scheme == "http" and plain):
            scheme = parts.scheme or "a URL without a scheme"
            message = f"{self._host} names a token server by {scheme}, not https"
            raise RegistryError("denied", message)

        # Credentials go to hosts that the registry or the user vouches for.
        shown = printable(name or "nowhere")
        is_trusted = name in trusted or f"{name}:{port}" in self._access.realms
        if parts.username is not None or not is_trusted:
            raise RegistryError(
                "denied",
                f"{self._host} names the token server {shown}, which is not its own host",
                f"allow it with --realm {shown} if you trust it",
            )

    def _token(self, challenge: Challenge, scope: str, fetch: Fetch) -> str:
        with self._lock:
            known = self._tokens.get(scope)
        if known and known.end > time.monotonic():
            return known.value

        # Ask without the lock: other scopes need not wait for this token server.
        login = self._login(scope)
        asked = time.monotonic()
        answer = fetch(*_token_request(challenge, scope, login))
        value = answer.get("token") or answer.get("access_token")
        if not isinstance(value, str) or not value.isprintable() or not value.isascii():
            raise RegistryError("denied", f"the token server of {self._host} returned no token")
        with self._lock:
            self._tokens[scope] = _Token(value, asked + _USED * _lifetime(answer))
        return value


def _token_request(
    challenge: Challenge, scope: str, login: Credentials | None
) -> tuple[str, str, dict[str, str], bytes | None]:
    """Return the request for a token: (method, URL, headers, body).

    With an identity token it is that of OAuth 2, else that of the distribution specification.
    """
    words = {
        name: value for name, value in (("service", challenge.service), ("scope", scope)) if value
    }
    if login and login.identity_token:
        form = {
            "grant_type": "refresh_token",
            "client_id": "hpc-remetrics",
            "refresh_token": login.identity_token,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return "POST", challenge.realm, headers, urlencode({**words, **form}).encode()
    headers = {"Authorization": login.basic} if login else {}
    return (
        "GET",
        f"{challenge.realm}{'&' if '?' in challenge.realm else '?'}{urlencode(words)}",
        headers,
        None,
    )


def _lifetime(answer: dict[str, Any]) -> float:
    """Return the seconds for which a token is valid."""
    seconds = answer.get("expires_in")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 1e9:
        return _TOKEN_SECONDS
    return float(seconds)
