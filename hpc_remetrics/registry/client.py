"""HTTP as registries want it: one host, its credentials for it alone, redirects, tries, waits,
deadlines, limits.

`Client.get` is for answers that fit into memory; what streams is sent by `Client.send`, one try at
a time, and read by `blobs.py`. Every error is a `RegistryError` whose text holds neither
credentials nor the query of a URL.
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
"""Limits of answers: a token, a page of a list."""

_MOVED = frozenset({301, 302, 303, 307, 308})
_ALWAYS = {"Accept-Encoding": "identity", "User-Agent": f"hpc-remetrics/{__version__}"}


class Client:
    """Asks one registry; it does one thing at a time, so each thread has its own.

    :param host: `name[:port]` as in a `Reference`.
    :param budget: of the process; shared by its clients.
    :param keyring: of the host; shared by its clients.
    :param stopped: when it is set, waits end with an error.
    :param endpoint: where requests go, `https://HOST`; "": what `access` says of the host.
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
        """Ask until there is an answer, within `Patience.deadline`; return it whole.

        :param url: a path on the registry, or a whole URL on it, as `Link` headers have.
        :param scope: `repository:NAME:pull` for what belongs to a repository.
        :param kind: `budget.PULLS` for what the registry counts as a pull.
        :param check: raises `PassingError` if the answer is no good and should be asked for again.
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
        """Do something until it succeeds, fails for good, or `seconds` have passed."""
        self.timer.start(self.access.patience.deadline if seconds is None else seconds)
        failures = 0
        while True:
            try:
                return action()
            except PassingError as error:
                failures += 1
                self.recover(error, failures)

    def recover(self, error: PassingError, failures: int) -> None:
        """Wait before the next try, or raise the error if there is none."""
        if failures >= self.access.patience.tries:
            raise RegistryError(
                error.cause, f"{error}; tried {failures} times", status=error.status
            )
        # A wait that the registry asked for is the budget's, and comes before the next request.
        wait = pause_before(failures) if error.wait is None else 0.0
        if wait > self.timer.left():
            raise RegistryError(
                error.cause, f"{error}; no time is left for another try", status=error.status
            )
        self._sleep(wait)

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        scope: str = "",
        kind: str = ALL,
    ) -> StreamedResponse:
        """Send a request, once, and follow where it leads; return the answer if it is good (2xx).

        :raises PassingError: another try may do better.
        :raises RegistryError: another try would not.
        """
        # A path may begin with two slashes, which `urljoin` would take for another host.
        url = self.endpoint + url if url.startswith("/") else _joined(self.endpoint + "/", url)
        if not url:
            message = f"{self.host} can't be asked for what is no URL of a server"
            raise RegistryError("io_error", message)
        own, challenged, hops = self._is_own(url), False, 0
        self._wait_for_leave(kind)
        auth = self._keyring.header(scope, self._ask_token) if own else ""
        while True:
            answer = self._exchange(
                method, url, {**(headers or {}), **({"Authorization": auth} if auth else {})}
            )
            if answer.status == 401 and own and not challenged:
                challenged = True
                answer.discard()
                challenges = each(answer.headers, "www-authenticate")
                auth = self._keyring.answer(scope, challenges, self._ask_token)
            elif answer.status in _MOVED and "location" in answer.headers:
                answer.discard()
                hops += 1
                url = self._next_hop(url, answer.headers["location"], hops)
                # Once away it stays away: who was led to may lead back to what it likes.
                own = own and self._is_own(url)
                auth = auth if own else ""
            else:
                return self._judged(answer, own, method, kind)

    def _next_hop(self, url: str, location: str, hops: int) -> str:
        if hops > REDIRECTS:
            raise RegistryError("io_error", f"{self.host} redirects more than {REDIRECTS} times")
        target = _joined(url, escaped(location))
        if not target:
            raise RegistryError("io_error", f"{shown(url)} redirects to what is no URL of a server")
        self._check_address(target)
        return target

    def _check_address(self, url: str) -> None:
        name = urlsplit(url).hostname or ""
        # Behind a proxy the name may be known to the proxy alone.
        if not self._proxies(url) or _is_address(name):
            self._bounds.check(name)

    def _is_own(self, url: str) -> bool:
        return origin(url) == origin(self.endpoint)

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes | None = None
    ) -> StreamedResponse:
        """Send one request to one place."""
        timer, patience = self.timer, self.access.patience
        timer.restart()
        left = timer.left()
        if left <= 0:
            raise RegistryError("limit_time", f"{shown(url)} was given up when its time was over")
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
            # Whatever a library makes of what a server sent ends this request, and not the run.
            raise fault(error, url, timer) from None
        return StreamedResponse(response, url, timer)

    def _judged(
        self, answer: StreamedResponse, own: bool, method: str, kind: str
    ) -> StreamedResponse:
        """Return a good answer; raise what another one means."""
        if own and kind == PULLS:
            self.budget.apply_headers(self.host, answer.headers)
        if 200 <= answer.status < 300:
            return answer
        status, what = answer.status, f"{shown(answer.url)} answered {answer.status}"
        if status == 416:  # its body is not what its headers say
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
            # Signed URLs of other hosts end; the registry gives a new one.
            error = RegistryError if own else PassingError
            raise error("denied", what, status=status)
        raise RegistryError("missing" if status in (404, 410) else "io_error", what, status=status)

    def _ask_token(
        self, method: str, url: str, headers: dict[str, str], data: bytes | None
    ) -> dict[str, Any]:
        """Ask a token server, whose realm was judged; where it redirects is not followed."""
        self._check_address(url)
        answer = self._exchange(method, url, headers, data)
        if not 200 <= answer.status < 300:
            what = f"the token server {shown(url)} answered {answer.status}{codes(answer)}"
            answer.close()
            if answer.status in PASSING:
                raise PassingError("io_error", what, answer.status)
            raise RegistryError("denied", what, status=answer.status)
        value = SmallResponse(answer.status, answer.headers, answer.read(TOKEN_BYTES), url).json()
        return value if isinstance(value, dict) else {}

    def _wait_for_leave(self, kind: str) -> None:
        """Wait until the budget lets a request go, if there is time for that."""
        while wait := self.budget.claim(self.host, kind):
            if wait > self.timer.left():
                raise RegistryError(
                    "rate_limited",
                    f"{self.host} wants {wait:.0f} s of silence, more than there is time for",
                )
            # Ranks that waited for the same moment should not come as one.
            self._sleep(wait + random.uniform(0, min(0.1 * wait, 1.0)))

    @property
    def is_stopped(self) -> bool:
        """Whether the job was told to stop."""
        return self._stopped.is_set()

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise RegistryError("io_error", "stopped while it waited for a registry")

    def _proxies(self, url: str) -> dict[str, str]:
        return proxies_for(url)


def origin(url: str) -> tuple[str, str, int]:
    """Return what credentials belong to: scheme, host and port.

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
    """Return the URL of a server that a reference leads to, "" if it is none or holds a login."""
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
