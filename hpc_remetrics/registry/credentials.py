"""Logins of the user, as `docker login` and `podman login` store them: files and helper programs.

The files are read in the order of containers-auth.json(5); the first that has the registry wins.
Helpers are started without the secrets of this process (`programs.environment`).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..programs import environment
from .reference import HUB, host_of

_HELPER_SECONDS = 60
_FILE_BYTES = 4 << 20
_HUB_KEYS = ("https://index.docker.io/v1/", "https://index.docker.io/v1", "index.docker.io", HUB)
_TOKEN_USER = "<token>"


@dataclass(frozen=True)
class Credentials:
    """A user name and a password, or an identity token in place of both; `repr` shows none."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header for HTTP basic authentication."""
        text = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(text).decode("ascii")


def find(host: str, repository: str, auth_file: Path | None = None) -> Credentials | None:
    """Return the login that the user's files have for a repository, None if there is none.

    :param auth_file: read in place of the usual files.
    :raises UsageError: a file or a helper can't be used; the message repeats none of its content.
    """
    for path in [auth_file] if auth_file else _files(os.environ):
        try:
            text = path.read_bytes()[:_FILE_BYTES]
        except OSError as error:
            if auth_file:
                raise UsageError(f"{path} can't be read: {error.strerror}") from None
            continue
        if found := _look_up(_parse(text, str(path)), host, repository, str(path)):
            return found
    return None


def from_environment(text: str, host: str, repository: str) -> Credentials | None:
    """Return the login for a repository from the content of `DOCKER_AUTH_CONFIG`, None if none.

    :param text: JSON, as in the files.
    :raises UsageError: it can't be used.
    """
    where = "DOCKER_AUTH_CONFIG"
    return _look_up(_parse(text.encode(), where), host, repository, where)


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files where logins are stored, in the order of containers-auth.json(5)."""
    if named := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
        return
    home = Path(environ.get("HOME") or "/")
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime, "containers", "auth.json")
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "containers", "auth.json")
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker", "config.json")


def _parse(data: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise UsageError(
            f"{where} is not JSON", "log in again, or name another file with --auth-file"
        ) from None
    return value if isinstance(value, dict) else {}


def _look_up(config: dict[str, Any], host: str, repository: str, where: str) -> Credentials | None:
    """Look up a repository: the helper of its host, entries by longest name, the common helper."""
    # A helper that is named for this registry wins over everything else.
    helpers = _table(config, "credHelpers")
    for key in _host_keys(host):
        if isinstance(helper := helpers.get(key), str) and helper:
            return _ask(helper, key, where)
    # The entry for the longest path that the repository is in.
    entries = {_normal(key): entry for key, entry in _table(config, "auths").items()}
    for name in _names(host, repository):
        entry = entries.get(name)
        if isinstance(entry, dict) and (found := _read(entry, where)):
            return found
    # The helper that keeps all other logins.
    if isinstance(store := config.get("credsStore"), str) and store:
        return next(filter(None, (_ask(store, key, where) for key in _host_keys(host))), None)
    return None


def _table(config: dict[str, Any], name: str) -> dict[str, Any]:
    value = config.get(name)
    return value if isinstance(value, dict) else {}


def _host_keys(host: str) -> tuple[str, ...]:
    """Return the names that a helper may know a registry by."""
    return _HUB_KEYS if host == HUB else (host, f"https://{host}")


def _normal(key: str) -> str:
    """Return an entry's name as host and path, without scheme and API version."""
    name = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    for version in ("/v1", "/v2"):
        name = name.removesuffix(version)
    host, slash, path = name.partition("/")
    try:
        return host_of(host) + slash + path
    except UsageError:
        return ""


def _names(host: str, repository: str) -> Iterator[str]:
    """Yield the names that an entry for a repository may have, longest first.

    >>> list(_names("quay.io", "a/b"))
    ['quay.io/a/b', 'quay.io/a', 'quay.io']
    """
    name = f"{host}/{repository}".rstrip("/")
    while name:
        yield name
        name = name.rpartition("/")[0]


def _read(entry: dict[str, Any], where: str) -> Credentials | None:
    """Read one entry of `auths`; None if it is empty, as the entries that helpers leave."""
    if token := entry.get("identitytoken"):
        return Credentials(identity_token=str(token))
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if auth := entry.get("auth"):
        try:
            username, _, password = (
                base64.b64decode(str(auth), validate=True).decode().partition(":")
            )
        except (binascii.Error, ValueError):
            raise UsageError(
                f"{where}: an entry's auth is not base64 of NAME:PASSWORD", "log in again"
            ) from None
        # As docker does when it reads such an entry.
        password = password.rstrip("\0")
    if username == _TOKEN_USER:
        return Credentials(identity_token=password)
    return Credentials(username, password) if username else None


def _ask(helper: str, key: str, where: str) -> Credentials | None:
    """Ask a credential helper by the protocol of docker-credential-helpers; None: not found."""
    # It is looked up in PATH, never at a path that a file names.
    if os.sep in helper:
        raise UsageError(f"{where}: {helper!r} is not the name of a credential helper")
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"],
            input=key.encode(),
            capture_output=True,
            timeout=_HELPER_SECONDS,
            env=environment(),
        )
    except FileNotFoundError:
        raise UsageError(
            f"{where} names {program}, which is not in PATH", "install it, or log in without it"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            f"{program}, which {where} names, did not run: {type(error).__name__}"
        ) from None
    # The exit code is the same for a login that is not there and for a fault.
    if done.returncode:
        if b"credentials not found" in done.stdout + done.stderr:
            return None
        raise UsageError(
            f"{program}, which {where} names, failed with exit code {done.returncode}",
            "log in again",
        )
    answer = _parse(done.stdout, f"the answer of {program}")
    return _read({"username": answer.get("Username"), "password": answer.get("Secret")}, program)
