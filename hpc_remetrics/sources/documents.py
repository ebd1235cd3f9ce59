"""The JSON of manifests, indexes and configs, read with distrust: every value is checked before it is used."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

MAX_SIZE = 1 << 44
"""No blob is longer, bytes: what a descriptor says beyond it is a mistake or a trap."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Malformed(ValueError):
    """A document is not what its kind asks for; `str()` says what is wrong with it, for people."""


def shown(text: str, length: int = 255) -> str:
    r"""Return text that can be stored and printed: control characters and halves of pairs escaped, then cut.

    >>> shown("a\x00b")
    'a\\x00b'
    """
    return _UNPRINTABLE.sub(_escape, text[:length])[:length]


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")


def _no_constant(word: str) -> NoReturn:
    raise Malformed(f"{word} is not JSON")


def load(data: bytes) -> Any:
    """Read JSON; `Malformed` if it is none, however deep it is nested."""
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except RecursionError:
        raise Malformed("the JSON is nested too deep") from None
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from None


def parse(data: bytes) -> dict[str, Any]:
    """Read a JSON object; `Malformed` on anything else."""
    document = load(data)
    if not isinstance(document, dict):
        raise Malformed("not a JSON object")
    return document


def get_text(document: dict[str, Any], key: str) -> str:
    """Return a member that is text, "" if it is missing or null; `Malformed` if it is anything else."""
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed(f"{key!r} is not text")
    return value


def get_list(document: dict[str, Any], key: str) -> list[Any]:
    """Return a member that is a list, [] if it is missing or null (as Go writes an empty one)."""
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(f"{key!r} is not a list")
    return value


def get_object(document: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a member that is an object, {} if it is missing or null."""
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"{key!r} is not an object")
    return value


def get_size(document: dict[str, Any]) -> int:
    """Return the member `size`, -1 if it is missing; `Malformed` if it can't be the size of a blob."""
    value = document.get("size")
    if value is None:
        return -1
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed("'size' is not a whole number")
    if not 0 <= value <= MAX_SIZE:
        raise Malformed(f"'size' is {value if abs(value) < 10**30 else 'absurd'}, not between 0 and {MAX_SIZE}")
    return value


def get_media_type(document: dict[str, Any]) -> str:
    """Return the member `mediaType` in lower case, without parameters."""
    return get_text(document, "mediaType").partition(";")[0].strip().lower()


def get_platform(document: dict[str, Any]) -> str:
    """Return `os/architecture[/variant]` of a config or of a descriptor's platform, "" if one of the two is missing.

    >>> get_platform({"os": "linux", "architecture": "arm64", "variant": "v8"})
    'linux/arm64/v8'
    """
    parts = [get_text(document, key) for key in ("os", "architecture", "variant")]
    if not (parts[0] and parts[1]):
        return ""
    return shown("/".join(filter(None, parts)))


@dataclass(frozen=True)
class Descriptor:
    """One descriptor, its values checked for their types; the digest is text until somebody needs it.

    :param size: bytes, -1 where it does not say.
    :param media_type: in lower case, without parameters.
    """

    digest: str
    size: int
    media_type: str
    platform: str = ""
    artifact_type: str = ""
    has_urls: bool = False
    is_reference: bool = False

    @classmethod
    def parse(cls, value: Any) -> Descriptor:
        """Check a value out of a JSON document; `Malformed` says what is wrong with it."""
        if not isinstance(value, dict):
            raise Malformed("a descriptor is not an object")
        digest = get_text(value, "digest")
        if not digest:
            raise Malformed("a descriptor has no digest")
        return cls(
            digest,
            get_size(value),
            get_media_type(value),
            get_platform(get_object(value, "platform")),
            get_text(value, "artifactType"),
            bool(get_list(value, "urls")),
            "vnd.docker.reference.type" in get_object(value, "annotations"),
        )
