"""Parse the JSON of manifests, indexes and configs; each value is checked before it is used.

Names of members are matched like in Go's `encoding/json`, which docker, containerd, podman and
skopeo use: case is ignored, and if a member occurs twice, its values are merged, the later first.

>>> value = parse(b'{"Layers": [1], "MEDIATYPE": "a", "mediaType": "b"}')
>>> get_list(value, "layers"), get_text(value, "mediaType")
([1], 'b')
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

MAX_SIZE = 1 << 44
"""Longest blob that a descriptor may state, bytes; more is an error or an attack."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Malformed(ValueError):
    """A document is not valid; `str()` is the reason, for users."""


def shown(text: str, length: int = 255) -> str:
    r"""Return a string that can be stored and printed: control characters and surrogates escaped.

    :param length: characters at most.

    >>> shown("a\x00b")
    'a\\x00b'
    """
    return _UNPRINTABLE.sub(_escape, text[:length])[:length]


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")


class _Repeated(dict[str, Any]):
    """A JSON object in which a name occurs twice, in the same or in another case.

    :ivar merged: folded name -> the value that Go's decoder makes of all members of that name.
    :ivar is_same_case: whether one occurs twice in the same case.
    """

    merged: dict[str, Any]
    is_same_case: bool


@lru_cache(1024)
def _fold(name: str) -> str:
    """Return a name in the form that is compared: like Go, with long s as s, kelvin sign as k.

    >>> _fold("Layer\u017f"), _fold("\u212aind")
    ('layers', 'kind')
    """
    return name.lower().replace("\u017f", "s")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object of its members, which are in the order of the document."""
    members = dict(pairs)
    if len(members) == len(pairs) == len(set(map(_fold, members))):
        return members
    return _repeated(pairs)


def _repeated(pairs: Iterable[tuple[str, Any]]) -> _Repeated:
    found = _Repeated()
    found.merged = {}
    found.is_same_case = False
    for name, value in pairs:
        found.is_same_case |= name in found
        found[name] = value
        _put(found, _fold(name), value)
    return found


def is_repeated(document: dict[str, Any], any_case: bool = True) -> bool:
    """Tell whether a name occurs twice in an object.

    :param any_case: whether names are the same that differ in case alone, as those of members are;
        keys of maps, such as labels, are not.
    """
    return isinstance(document, _Repeated) and (any_case or document.is_same_case)


_ALWAYS_THERE = frozenset({"config", "rootfs"})
"""Members that Go decodes into structures: a null does not change them, but clears all others."""


def _put(found: _Repeated, folded: str, value: Any) -> None:
    known = found.merged
    old = known.get(folded)
    if value is None and isinstance(old, dict) and folded not in _ALWAYS_THERE:
        known[folded] = None
    else:
        known[folded] = _over(old, value)


def _over(old: Any, new: Any) -> Any:
    """Return the value that Go's decoder leaves in a field with value `old` when it decodes `new`.

    Objects are merged, lists element by element up to the length of the later one; a null empties
    a list and does not change other values. `old` is modified, so that the time of many repetitions
    is linear in their length.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        joined = old if isinstance(old, _Repeated) else _repeated(old.items())
        joined.update(new)
        for folded, value in _folded(new):
            _put(joined, folded, value)
        return joined
    if isinstance(old, list) and isinstance(new, list):
        return [*map(_over, old, new), *new[len(old) :]]
    return old if new is None and not isinstance(old, list) else new


def _folded(document: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return the members by folded name, each once."""
    if isinstance(document, _Repeated):
        return document.merged.items()
    return ((_fold(name), value) for name, value in document.items())


def get(document: dict[str, Any], key: str) -> Any:
    """Return a member by its name in any case, None if it is missing or null.

    :raises Malformed: `document` is not an object.
    """
    if not isinstance(document, dict):
        raise Malformed("not a JSON object")
    if isinstance(document, _Repeated):
        return document.merged.get(_fold(key))
    if key in document:
        return document[key]
    length = len(key)
    for name in document:
        if len(name) == length and _fold(name) == _fold(key):
            return document[name]
    return None


def has(document: dict[str, Any], key: str) -> bool:
    """Tell whether there is a member of a name, in any case; it may be null."""
    folded = _fold(key)
    return key in document or any(_fold(name) == folded for name in document)


def spelled(document: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Return an object in which the given members are spelled like the keys and occur once.

    >>> spelled(parse(b'{"LAYERS": [], "layers": [1], "x": 2}'), ["layers"])
    {'x': 2, 'layers': [1]}
    """
    wanted = {_fold(key): key for key in keys}
    is_right = all(wanted.get(_fold(name), name) == name for name in document)
    if is_right and not isinstance(document, _Repeated):
        return document
    found = {name: value for name, value in document.items() if _fold(name) not in wanted}
    found.update((key, get(document, key)) for key in wanted.values() if has(document, key))
    return found


def _replace_each(error: UnicodeError) -> tuple[str, int]:
    """Replace each byte that is no UTF-8 by U+FFFD, as Go does; Python replaces some together."""
    assert isinstance(error, UnicodeDecodeError)
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error("hpc_remetrics.replace_each", _replace_each)


def _no_constant(word: str) -> NoReturn:
    raise Malformed(f"{word} is not JSON")


def load(data: bytes) -> Any:
    """Parse JSON. Bytes that are not UTF-8 become replacement characters, as in Go.

    :raises Malformed: it is not JSON, or nested too deeply.
    """
    try:
        text = data.decode("utf-8", "hpc_remetrics.replace_each")
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object)
    except RecursionError:
        raise Malformed("the JSON is nested too deeply") from None
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from None


def parse(data: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    :raises Malformed: it is anything else.
    """
    document = load(data)
    if not isinstance(document, dict):
        raise Malformed("not a JSON object")
    return document


def get_text(document: dict[str, Any], key: str) -> str:
    """Return a string member, "" if it is missing or null.

    :raises Malformed: it is anything else.
    """
    value = get(document, key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed(f"{key!r} is not a string")
    return value


def get_list(document: dict[str, Any], key: str) -> list[Any]:
    """Return a list member, [] if it is missing or null (as Go writes an empty list).

    :raises Malformed: it is anything else.
    """
    value = get(document, key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(f"{key!r} is not a list")
    return value


def get_object(document: dict[str, Any], key: str) -> dict[str, Any]:
    """Return an object member, {} if it is missing or null.

    :raises Malformed: it is anything else.
    """
    value = get(document, key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"{key!r} is not an object")
    return value


def get_size(document: dict[str, Any]) -> int:
    """Return the member `size`, -1 if it is missing.

    :raises Malformed: it can't be the size of a blob.
    """
    value = get(document, "size")
    if value is None:
        return -1
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed("'size' is not a whole number")
    if not 0 <= value <= MAX_SIZE:
        text = value if abs(value) < 10**30 else "absurd"
        raise Malformed(f"'size' is {text}, not between 0 and {MAX_SIZE}")
    return value


def get_media_type(document: dict[str, Any]) -> str:
    """Return the member `mediaType` in lower case, without parameters."""
    return get_text(document, "mediaType").partition(";")[0].strip().lower()


def get_platform(document: dict[str, Any]) -> str:
    """Return `os/architecture[/variant]` of a config or a `platform` member, "" if incomplete.

    >>> get_platform({"os": "linux", "architecture": "arm64", "variant": "v8"})
    'linux/arm64/v8'
    """
    parts = [get_text(document, key) for key in ("os", "architecture", "variant")]
    if not (parts[0] and parts[1]):
        return ""
    return shown("/".join(filter(None, parts)))


@dataclass(frozen=True)
class Descriptor:
    """One descriptor; the types of its values are checked, its digest is not parsed.

    :param size: bytes, -1 where it states none.
    :param media_type: in lower case, without parameters.
    :param has_urls: whether it is stored elsewhere.
    :param is_reference: whether it is a statement about another manifest (attestation).
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
        """Check a value of a JSON document.

        :raises Malformed: it is not a descriptor.
        """
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
