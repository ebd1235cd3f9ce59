"""Image names, `HOST/NAME[:TAG|@DIGEST]`, by containers-transports(5) and docker's rules."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import UsageError
from ..records import Digest

HUB = "docker.io"
"""The name of Docker Hub in references; its registry has another host name."""

_HUB_NAMES = frozenset({HUB, "index.docker.io", "registry-1.docker.io"})
_HUB_REGISTRY = "registry-1.docker.io"

_HOST = re.compile(
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?)(?::[0-9]{1,5})?\Z"
)
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_FORM = "write HOST/NAME[:TAG|@sha256:DIGEST]"


@dataclass(frozen=True)
class Reference:
    """One image at a registry; `str()` is its full name.

    :param host: `name[:port]` as users write it, `docker.io` for Docker Hub.
    :param repository: its path there, `library/redis`.
    :param tag: "" where `digest` is given.
    """

    host: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str, host: str = "") -> Reference:
        """Parse a reference, with or without `docker://`.

        :param host: the registry of names without a host; "": Docker Hub.
        :raises UsageError: it is not valid.

        >>> str(Reference.parse("docker://redis")), str(Reference.parse("localhost:5000/a/b:1"))
        ('docker.io/library/redis:latest', 'localhost:5000/a/b:1')

        There is an image called `docker`, and a registry may have that name.

        >>> str(Reference.parse("docker:dind")), str(Reference.parse("docker:5000/a"))
        ('docker.io/library/docker:dind', 'docker:5000/a:latest')
        """
        rest = text.removeprefix("docker://")
        rest, at, digest = rest.partition("@")
        if at and not digest.startswith("sha256:"):
            # The text before such an @ may be a password: it is not repeated.
            raise UsageError(
                "a reference has an @ without a digest behind it",
                f"{_FORM}; see docs/registries.md on logins",
            )
        first, slash, path = rest.partition("/")
        if slash and (host == "" or not _NAME.match(first)) and _is_host(first):
            host, rest = first, path
        host = host_of(host or HUB)
        name, colon, tag = rest.rpartition(":")
        name, tag = (name, tag) if colon else (rest, "")
        if not _NAME.match(name) or len(name) > 255:
            raise UsageError(f"not the name of a repository: {name[:300]!r}", _FORM)
        if host == HUB and "/" not in name:
            name = f"library/{name}"
        return cls(host, name, *_tag_or_digest(text, tag, bool(colon), digest))

    @property
    def version(self) -> str:
        """The digest, else the tag."""
        return str(self.digest) if self.digest else self.tag

    @property
    def path(self) -> str:
        """The name without the host, `NAME:TAG` or `NAME@DIGEST`."""
        return f"{self.repository}{'@' if self.digest else ':'}{self.version}"

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"


def _is_host(text: str) -> bool:
    """Tell whether the first part of a name is a host: with a dot or port, or `localhost`."""
    return "." in text or ":" in text or text == "localhost"


def _tag_or_digest(text: str, tag: str, named: bool, digest: str) -> tuple[str, Digest | None]:
    if digest:
        try:
            return "", Digest.parse(digest)
        except ValueError as error:
            raise UsageError(f"{text[:300]!r}: {error}", _FORM) from None
    if named and not _TAG.match(tag):
        raise UsageError(f"not a tag: {tag[:200]!r}", _FORM)
    return tag or "latest", None


def host_of(text: str) -> str:
    """Return the normal form of a registry's `name[:port]`.

    :raises UsageError: it is not valid.

    >>> host_of("index.docker.io"), host_of("Example.org:443")
    ('docker.io', 'example.org:443')
    """
    host = text.lower().rstrip("/")
    if not _HOST.match(host):
        raise UsageError(
            "not the host of a registry: " + repr(text.rpartition("@")[2][:300]),
            "write NAME or NAME:PORT",
        )
    return HUB if host in _HUB_NAMES else host


def endpoint_of(host: str) -> str:
    """Return the `name[:port]` that requests to a registry go to."""
    return _HUB_REGISTRY if host == HUB else host
