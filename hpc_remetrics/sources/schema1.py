"""Docker's manifest schema 1, signed or not: digests newest first, no sizes, no media types."""

from __future__ import annotations

import base64
from typing import Any

from .documents import Malformed, get, get_list, get_platform, get_text, parse, spelled


def payload(data: bytes, document: dict[str, Any]) -> bytes:
    """Return the bytes that the digest of a manifest covers: a signed one without its signatures.

    The protected header of a signature states the length of the text before the signatures, and
    the text behind them.

    :raises Malformed: that is wrong.
    """
    signatures = get_list(document, "signatures")
    if not signatures:
        return data
    if not isinstance(signatures[0], dict):
        raise Malformed("a signature is not an object")
    protected = parse(_base64url(get_text(signatures[0], "protected")))
    length, tail = get(protected, "formatLength"), _base64url(get_text(protected, "formatTail"))
    if isinstance(length, bool) or not isinstance(length, int) or not 0 <= length <= len(data):
        raise Malformed("a signature covers more than the manifest")
    return data[:length] + tail


def _base64url(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except ValueError:
        raise Malformed("a signature is not base64") from None


def layer_digests(document: dict[str, Any]) -> list[str]:
    """Return the digests of the layers, not parsed, base first."""
    layers = get_list(document, "fsLayers")
    if not all(isinstance(layer, dict) for layer in layers):
        raise Malformed("a member of 'fsLayers' is not an object")
    return [get_text(layer, "blobSum") for layer in reversed(layers)]


def platform(document: dict[str, Any]) -> str:
    """Return the platform in the history of the newest layer, "" without."""
    try:
        history = get_list(document, "history")
        newest = parse(get_text(history[0], "v1Compatibility").encode("utf-8", "replace"))
        said = spelled(newest, ("os", "architecture", "variant"))
        return get_platform({"architecture": get(document, "architecture"), **said})
    except (Malformed, IndexError):
        return ""
