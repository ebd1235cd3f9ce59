"""The HTTP client of one registry: credentials, redirects, retries, waits, deadlines, size limits.

`Client.get` is for responses that fit into memory. `Client.send` sends a request once and returns
a stream, for `blobs.py`. Every error is a `RegistryError` whose message contains neither
credentials nor the query of a URL.

    get -> trying -> send: wait for the budget -> request -> 401?      answer the challenge, once
            ^                                             -> redirect? follow it; if it leaves the
            `-- wait <- recover <- passing failure                     registry, without credentials
"""

from __future__ import annotations

import os
import random
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests

from .. import __version__
from ..errors import RegistryError
from ..limits import MiB
from .access import Access
from .auth import Keyring
from .budget import ALL, PULLS, Budget
from .connections import Adapter, Timer
from .destinations import Bounds, proxies_for
from .header_fields import each, escaped
from .reference import endpoint_of
from .responses import (
    PASSING,
    PassingError,
    SmallResponse,
    StreamedResponse,
    codes,
    fault,
    pause_before,
    retry_after,
    shown,
)

T = TypeVar("T")

REDIRECTS = 10
TOKEN_BYTES, PAGE_BYTES = MiB, 16 * MiB
"""Longest responses, bytes: a token, a page of a list."""

_MOVED = frozenset({301, 302, 303, 307, 308})
_ALWAYS = {"Accept-Encoding": "identity", "User-Agent": f"hpc-remetrics/{__version__}"}


class Client:
    """Sends requests to one host; does one thing at a time, so each thread has its own.

    :param host: `name[:port]` as in a `Reference`.
    :param budget: of the process, shared by its clients.
    :param keyring: of the host, shared by its clients.
    :param stopped: when it is set, waits end with an error.
    :param endpoint: `https://HOST` that requests go to; "": by `access`.
    """

    def __init__(
        self,
        host: str,
        access: Access,
        budget: Budget | None = None,
        keyring: Keyring | None = None,
        stopped: threading.Event | None = None,
        endpoint: str = "",
    ) -> None:
        self.host, self.access = host, access
        self.budget = budget or Budget(access)
        self.endpoint = endpoint or f"{access.scheme(host)}://{endpoint_of(host)}"
        self.timer = Timer(access.patience)
        self._keyring = keyring or Keyring(host, access)
        self._stopped = stopped or threading.Event()
        self._bounds = Bounds(urlsplit(self.endpoint).hostname or "")
        self._adapter = Adapter(self.timer, self._bounds)

    def get(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        scope: str = "",
        limit: int = PAGE_BYTES,
        kind: str = ALL,
        check: Callable[[SmallResponse], None] | None = None,
    ) -> SmallResponse:
        """Send a request until it succeeds, within `Patience.deadline`; return the response.

        :param url: a path on the registry, or a whole URL, as in `Link` headers.
        :param scope: `repository:NAME:pull` for a request within a repository.
        :param limit: longest body, bytes.
        :param kind: `budget.PULLS` for a request that the registry counts as a pull.
        :param check: raises `PassingError` if the response is wrong and should be requested again.
        :raises RegistryError: `missing` for 404, `denied` for 401 and 403, `rate_limited`,
            `limit_size` …
        """

        def once() -> SmallResponse:
            answer = self.send(method, url, headers, scope, kind)
            small = SmallResponse(answer.status, answer.headers, answer.read(limit), answer.url)
            if check:
                check(small)
            return small

        return self.trying(once)

    def trying(self, action: Callable[[], T], seconds: float | None = None) -> T:
        """Call `action` until it succeeds, fails finally, or `seconds` have passed.

        :param seconds: None: `Patience.deadline`.
        :raises RegistryError: the final failure.
        """
        self.timer.start(self.access.patience.deadline if seconds is None else seconds)
        failures = 0
        while True:
            try:
                return action()
            except PassingError as error:
                failures += 1
                self.recover(error, failures)

    def recover(self, error: PassingError, failures: int) -> None:
        """Wait before the next try.

        :param failures: number of tries so far.
        :raises RegistryError: there is no next try.
        """
        if failures >= self.access.patience.tries:
            message = f"{error}; tried {failures} times"
            raise RegistryError(error.cause, message, status=error.status)
        # If the registry asked for a wait, the budget waits before the next request.
        wait = pause_before(failures) if error.wait is None else 0.0
        if wait > self.timer.left():
            message = f"{error}; no time is left for another try"
            raise RegistryError(error.cause, message, status=error.status)
        self._sleep(wait)

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        scope: str = "",
        kind: str = ALL,
    ) -> StreamedResponse:
        """Send a request once, follow redirects, and return the response if it succeeded (2xx).

        :raises PassingError: another try may succeed.
        :raises RegistryError: another try would not.
        """
        # A path may begin with two slashes, which `urljoin` would take for another host.
        url = self.endpoint + url if url.startswith("/") else _joined(self.endpoint + "/", url)
        if not url:
            raise RegistryError("io_error", f"{self.host}: not the URL of a server")
        own = self._is_own(url)
        challenged = False
        hops = 0
        self._wait_for_budget(kind)
        auth = self._keyring.header(scope, self._ask_token) if own else ""
        while True:
            login = {"Authorization": auth} if auth else {}
            answer = self._exchange(method, url, {**(headers or {}), **login})
            if answer.status == 401 and own and not challenged:
                challenged = True
                answer.discard()
                challenges = each(answer.headers, "www-authenticate")
                auth = self._keyring.answer_challenge(scope, challenges, self._ask_token)
            elif answer.status in _MOVED and "location" in answer.headers:
                answer.discard()
                hops += 1
                url = self._next_hop(url, answer.headers["location"], hops)
                # No credentials after a redirect away, even if another one leads back.
                own = own and self._is_own(url)
                auth = auth if own else ""
            else:
                return self._judged(answer, own, method, kind)

    def _next_hop(self, url: str, location: str, hops: int) -> str:
        if hops > REDIRECTS:
            raise RegistryError("io_error", f"{self.host} redirects more than {REDIRECTS} times")
        target = _joined(url, escaped(location))
        if not target:
            raise RegistryError("io_error", f"{shown(url)} redirects to an invalid URL")
        self._check_address(target)
        return target

    def _check_address(self, url: str) -> None:
        name = urlsplit(url).hostname or ""
        # Only the proxy may know the name.
        if not self._proxies(url) or _is_address(name):
            self._bounds.check(name)

    def _is_own(self, url: str) -> bool:
        return origin(url) == origin(self.endpoint)

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes | None = None
    ) -> StreamedResponse:
        """Send one request to one URL."""
        timer = self.timer
        patience = self.access.patience
        timer.restart()
        left = timer.left()
        if left <= 0:
            raise RegistryError("limit_time", f"{shown(url)}: no time is left")
        try:
            request = requests.Request(
                method, url, headers={**_ALWAYS, **headers}, data=data
            ).prepare()
            response = self._adapter.send(
                request,
                stream=True,
                timeout=(min(patience.connect, left), min(patience.idle, left)),
                verify=_certificates(),
                proxies=self._proxies(url),
            )
        except RegistryError:
            raise
        except Exception as error:
            # Any exception of a library costs this request, not the run.
            raise fault(error, url, timer) from None
        return StreamedResponse(response, url, timer)

    def _judged(
        self, answer: StreamedResponse, own: bool, method: str, kind: str
    ) -> StreamedResponse:
        """Return a response with status 2xx; raise the error that any other status means."""
        if own and kind == PULLS:
            self.budget.apply_headers(self.host, answer.headers)
        if 200 <= answer.status < 300:
            return answer
        status = answer.status
        what = f"{shown(answer.url)} returned status {status}"
        if status == 416:
            # Its body is not as its headers say.
            answer.close()
            raise RegistryError("io_error", what, status=status)
        if method != "HEAD":
            what += codes(answer)
        answer.close()
        if status in PASSING:
            wait = retry_after(answer.headers)
            if wait is not None:
                self.budget.pause(self.host, wait)
            raise PassingError("rate_limited" if status == 429 else "io_error", what, status, wait)
        if status in (401, 403):
            # Signed URLs of other hosts expire; the registry gives a new one.
            error = RegistryError if own else PassingError
            raise error("denied", what, status=status)
        raise RegistryError("missing" if status in (404, 410) else "io_error", what, status=status)

    def _ask_token(
        self, method: str, url: str, headers: dict[str, str], data: bytes | None
    ) -> dict[str, Any]:
        """Send a request to a token server, whose realm was checked; no redirect is followed."""
        self._check_address(url)
        answer = self._exchange(method, url, headers, data)
        if not 200 <= answer.status < 300:
            what = f"the token server {shown(url)} returned status {answer.status}{codes(answer)}"
            answer.close()
            if answer.status in PASSING:
                raise PassingError("io_error", what, answer.status)
            raise RegistryError("denied", what, status=answer.status)
        value = SmallResponse(answer.status, answer.headers, answer.read(TOKEN_BYTES), url).json()
        return value if isinstance(value, dict) else {}

    def _wait_for_budget(self, kind: str) -> None:
        """Wait until the budget allows a request.

        :raises RegistryError: that is after the deadline.
        """
        while wait := self.budget.claim(self.host, kind):
            if wait > self.timer.left():
                message = f"{self.host} asks for a pause of {wait:.0f} s, longer than the time left"
                raise RegistryError("rate_limited", message)
            # Ranks that wait for the same moment should not send all at once.
            self._sleep(wait + random.uniform(0, min(0.1 * wait, 1.0)))

    @property
    def is_stopped(self) -> bool:
        """Whether the job was told to stop."""
        return self._stopped.is_set()

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise RegistryError("io_error", "stopped while waiting for a registry")

    def _proxies(self, url: str) -> dict[str, str]:
        return proxies_for(url)


def origin(url: str) -> tuple[str, str, int]:
    """Return the origin that credentials belong to: scheme, host and port.

    >>> origin("https://a.b/x") == origin("https://a.b:443/y")
    True
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    return parts.scheme, parts.hostname or "", port or (443 if parts.scheme == "https" else 80)


def _joined(base: str, url: str) -> str:
    """Return the URL that a relative or absolute one means, "" if invalid or with a login."""
    try:
        target = urljoin(base, url)
        parts = urlsplit(target)
        # A port that is no number is an error only when it is asked for.
        has_place = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return ""
    return target if has_place and parts.username is None else ""


def _certificates() -> bool | str:
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    return next(filter(None, map(os.environ.get, names)), None) or True


def _is_address(name: str) -> bool:
    return bool(re.fullmatch(r"[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", name))
