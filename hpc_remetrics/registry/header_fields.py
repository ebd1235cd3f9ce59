"""Parse `Link` and `WWW-Authenticate` headers of registries by their RFCs.

Both are lists of elements with parameters, which a server may divide among several header lines.
A damaged part of a line is skipped; no other exception than a documented `ValueError` is raised.

The libraries for both are not maintained: that for links had its last release in 2020 and refuses a
whole header for a semicolon at its end or a link without a relation, and that for challenges has
had a single release.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urljoin, urlsplit

_BLANKS = re.compile(r"[ \t]*")
_BLANKS_AND_COMMAS = re.compile(r"[ \t,]*")
_TO_COMMA = re.compile(r"[^,]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\\?\Z)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

# No RFC allows a target without brackets, but Go's registry clients accept it.
_TARGET = re.compile(r"<([^>]*)>|([^<>;, \t]+)")
_LINK_NAME = re.compile(r"[^ \t=;,]*")
_LINK_VALUE = re.compile(r"[^;,]*")

_SCHEME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?=[ \t,]|\Z)")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|\Z))")
_AUTH_NAME = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*")
_AUTH_VALUE = re.compile(r"[^ \t,]*")

# Characters of a path or query that are not escaped; all others are, byte by byte.
_URL_SAFE = "!#$%&'()*+,/:;=?@[]~"


@dataclass(frozen=True)
class Link:
    """One link: its target as written, and the first parameter of each name, in lower case."""

    target: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def relations(self) -> frozenset[str]:
        """The relation types in lower case; empty without any."""
        words = self.parameters.get("rel", "").lower().split()
        return frozenset(word.strip("'") for word in words)


@dataclass(frozen=True)
class AuthChallenge:
    """One authentication scheme of a 401 response; scheme and parameter names in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


class _Scanner:
    """Reads one header line from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    @property
    def is_at_end(self) -> bool:
        return self._position >= len(self._text)

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Match a pattern at the position and move behind it; None if it does not match."""
        if match := pattern.match(self._text, self._position):
            self._position = match.end()
        return match

    def take_sign(self, sign: str) -> bool:
        """Skip blanks and one character; return False if another one is there."""
        self.take(_BLANKS)
        if self._text[self._position : self._position + 1] != sign:
            return False
        self._position += 1
        return True

    def take_value(self, plain: re.Pattern[str]) -> str:
        """Read a quoted string or a plain value, and return it without quotes and escapes."""
        if quoted := self.take(_QUOTED):
            return _ESCAPED.sub(r"\1", quoted[1])
        found = self.take(plain)
        return found[0].strip() if found else ""


def each(headers: Mapping[str, str], name: str) -> list[str]:
    """Return the values of a header, which a server may send several times."""
    if (getlist := getattr(headers, "getlist", None)) is not None:
        return list(getlist(name))
    return [headers[name]] if name in headers else []


def printable(text: str, length: int = 255) -> str:
    """Return text of a server for messages: cut, and without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:length])


def escaped(text: str) -> str:
    """Return a URL from a header with blanks and bytes beyond ASCII escaped.

    The HTTP library decodes the bytes of headers as Latin-1.
    """
    return quote(text.encode("latin-1", "replace"), safe=_URL_SAFE)


def parse_links(lines: Iterable[str]) -> list[Link]:
    """Parse `Link` headers (RFC 8288, appendix B.2).

    >>> parse_links(['</a>; title="x; y, <z>"; Rel="Next"'])[0].relations
    frozenset({'next'})
    """
    return [link for line in lines for link in _links(_Scanner(line))]


def _links(scanner: _Scanner) -> list[Link]:
    found = []
    while scanner.take(_BLANKS_AND_COMMAS) and not scanner.is_at_end:
        if target := scanner.take(_TARGET):
            written = target[1] if target[1] is not None else target[2]
            found.append(Link(written.strip(), _link_parameters(scanner)))
        # Skip anything else up to the next comma.
        if not scanner.take(_TO_COMMA):
            break
    return found


def _link_parameters(scanner: _Scanner) -> dict[str, str]:
    values: dict[str, str] = {}
    while scanner.take_sign(";"):
        scanner.take(_BLANKS)
        name = scanner.take(_LINK_NAME)
        value = ""
        if scanner.take_sign("="):
            scanner.take(_BLANKS)
            value = scanner.take_value(_LINK_VALUE)
        if name and name[0]:
            values.setdefault(name[0].lower(), value)
    return values


def next_page(lines: Sequence[str], base: str) -> str:
    """Return path and query of the next page by the `Link` headers, "" if this is the last.

    A registry behind another server often names itself by an internal host. So only path and query
    are used, as in skopeo, and no header leads a request or a login to another host.

    :param lines: values of the headers.
    :param base: the URL of this page, or its path.
    :raises ValueError: no link can be read, or the next page has no path.

    >>> next_page(['<http://inside:5000/v2/_catalog?next_page=T>; rel="next"'], "/v2/_catalog")
    '/v2/_catalog?next_page=T'
    """
    found = parse_links(lines)
    if not found and any(line.strip(" \t,") for line in lines):
        raise ValueError("the Link header can't be read")
    own = [link for link in found if _is_about(link, base)]
    for link in own:
        if "next" in link.relations:
            return _path_of(link.target, base)
    # Some registries leave out the relation, since Go's clients ignore it.
    if own and not any("rel" in link.parameters for link in own):
        return _path_of(own[0].target, base)
    return ""


def _is_about(link: Link, base: str) -> bool:
    """Tell whether a link belongs to the page itself, and not to another `anchor`."""
    anchor = link.parameters.get("anchor")
    return anchor is None or _path_and_query(urljoin(base, anchor)) == _path_and_query(base)


def _path_and_query(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.path, parts.query


def _path_of(target: str, base: str) -> str:
    """Return the path and query of a link's target."""
    parts = urlsplit(urljoin(base, escaped(target)))
    if parts.scheme not in ("", "http", "https") or not parts.path.startswith("/"):
        raise ValueError("the Link header names no page of a registry")
    return parts.path + (f"?{parts.query}" if parts.query else "")


def parse_challenges(lines: Iterable[str]) -> list[AuthChallenge]:
    """Parse `WWW-Authenticate` headers (RFC 9110, section 11.6.1).

    >>> [one.scheme for one in parse_challenges(['Negotiate, NTLM TlRM==, Basic realm="a, b"'])]
    ['negotiate', 'ntlm', 'basic']
    """
    return [challenge for line in lines for challenge in _challenges(_Scanner(line))]


def _challenges(scanner: _Scanner) -> list[AuthChallenge]:
    found = []
    while scanner.take(_BLANKS_AND_COMMAS) and not scanner.is_at_end:
        if scheme := scanner.take(_SCHEME):
            scanner.take(_BLANKS)
            has_token = scanner.take(_TOKEN68) is not None
            parameters = {} if has_token else _auth_parameters(scanner)
            found.append(AuthChallenge(scheme[0].lower(), parameters))
        elif not scanner.take(_TO_COMMA):
            break
    return found


def _auth_parameters(scanner: _Scanner) -> dict[str, str]:
    values: dict[str, str] = {}
    while scanner.take(_BLANKS_AND_COMMAS) and (name := scanner.take(_AUTH_NAME)):
        values.setdefault(name[1].lower(), scanner.take_value(_AUTH_VALUE))
    return values
