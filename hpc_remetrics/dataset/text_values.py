"""Turn values of a dataset into strings for people and other tools, and back without a loss."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

_PLAIN = re.compile(rb"[ -\[\]-~]*")
_FIRST = ord(" ")
_LAST = ord("~")
_PLAIN_TEXT = re.compile(r"[ -\[\]-~]*")
_ESCAPE = re.compile(rb"\\(\\|x[0-9a-f]{2})")
_PREFIX = b"sha256:"
DIGEST_CHARS = len(_PREFIX) + 64


def path_text(path: bytes) -> str:
    r"""Return a path or link as a string: UTF-8 as it is, `\\` for a backslash, `\xNN` for a byte.

    Control characters and all that can't be printed are written as bytes, so a path is one line.

    >>> path_text(b"usr/lib"), path_text("ü\n".encode()), path_text(b"a\xff\\b")
    ('usr/lib', 'ü\\x0a', 'a\\xff\\\\b')
    """
    if _PLAIN.fullmatch(path):
        return path.decode("ascii")
    return "".join(map(_shown, path.decode("utf-8", "surrogateescape")))


def _shown(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if char.isprintable():
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


_FORMULA = re.compile("[=+\\-@\uff1d\uff0b\uff0d\uff20]")
"""How a cell begins that a spreadsheet may take for a formula; the last four are the wide forms."""


def csv_text(text: str) -> str:
    r"""Return a string that is safe in a CSV file, for spreadsheets and terminals.

    A backslash is doubled, and what can't be printed is `\xNN`, byte by byte, as in paths; so is
    the first character where a spreadsheet would take it for the beginning of a formula.
    `path_bytes` gives the bytes of the string back.

    >>> csv_text("=HYPERLINK(1)"), csv_text("a=b\x1b[0m"), csv_text("plain")
    ('\\x3dHYPERLINK(1)', 'a=b\\x1b[0m', 'plain')
    """
    return _no_formula(text if _PLAIN_TEXT.fullmatch(text) else "".join(map(_shown, text)))


def _no_formula(text: str) -> str:
    if not _FORMULA.match(text):
        return text
    return "".join(f"\\x{byte:02x}" for byte in text[0].encode()) + text[1:]


def csv_texts(texts: Sequence[str | None], is_path: bool) -> list[str | None]:
    """Return strings as `csv_text` does; None stays None.

    :param is_path: they come from `path_text`, so only the first character of a formula changes.
    """
    change = _no_formula if is_path else csv_text
    return [None if text is None else change(text) for text in texts]


def path_bytes(text: str) -> bytes:
    r"""Return the path that :func:`path_text` was given.

    >>> path_bytes('a\\xff\\\\b')
    b'a\xff\\b'
    """
    return _ESCAPE.sub(_unescaped, text.encode())


def _unescaped(found: re.Match[bytes]) -> bytes:
    return b"\\" if found[1] == b"\\" else bytes([int(found[1][1:], 16)])


def path_texts(data: bytes, bounds: Sequence[int]) -> list[str]:
    """Return each path between consecutive bounds of a blob as `path_text` does."""
    if is_plain(data):
        text = data.decode("ascii")
        return [text[low:high] for low, high in pairwise(bounds)]
    return [path_text(data[low:high]) for low, high in pairwise(bounds)]


def utf8_texts(data: bytes, bounds: Sequence[int]) -> list[str]:
    """Return each string between consecutive bounds of a blob of UTF-8."""
    if data.isascii():
        text = data.decode("ascii")
        return [text[low:high] for low, high in pairwise(bounds)]
    return [data[low:high].decode("utf-8", "replace") for low, high in pairwise(bounds)]


def is_plain(data: bytes) -> bool:
    """Return whether `path_text` leaves all paths in a blob as they are."""
    values = np.frombuffer(data, np.uint8)
    if not len(values):
        return True
    # Bounds and one search take a tenth of the time of a pattern
    return bool(values.min() >= _FIRST and values.max() <= _LAST) and b"\\" not in data


def time_texts(times: np.ndarray) -> list[str]:
    """Return (n,) seconds since 1970 as strings of RFC 3339, "" for missing ones.

    >>> time_texts(np.array([0, -62135596800, -1 << 63]))
    ['1970-01-01T00:00:00Z', '0001-01-01T00:00:00Z', '']
    """
    texts = np.datetime_as_string(times.view("<M8[s]")).tolist()
    return ["" if text == "NaT" else f"{text}Z" for text in texts]


def digest_chars(digests: np.ndarray) -> np.ndarray:
    """Return (n, `DIGEST_CHARS`) uint8: `sha256:` and the hex digits of (n,) V32 digests.

    >>> digest_chars(np.frombuffer(bytes(32), "V32")).tobytes()[:10]
    b'sha256:000'
    """
    chars = np.empty((len(digests), DIGEST_CHARS), np.uint8)
    chars[:, : len(_PREFIX)] = np.frombuffer(_PREFIX, np.uint8)
    chars[:, len(_PREFIX) :] = np.frombuffer(digests.tobytes().hex().encode(), np.uint8).reshape(
        len(digests), 64
    )
    return chars


def is_digest(digests: np.ndarray) -> np.ndarray:
    """Return (n,) bool, which digests are known; an unknown one is all zero."""
    return np.frombuffer(digests.tobytes(), "<u8").reshape(-1, 4).max(axis=1) > 0


def digest_texts(digests: np.ndarray) -> list[str]:
    """Return `sha256:…` of (n,) V32 digests, "" for unknown ones."""
    text = digest_chars(digests).tobytes().decode("ascii")
    starts = range(0, len(text), DIGEST_CHARS)
    return [
        text[start : start + DIGEST_CHARS] if is_known else ""
        for start, is_known in zip(starts, is_digest(digests).tolist(), strict=True)
    ]


def flag_texts(flags: np.ndarray, words: Mapping[str, int]) -> list[str]:
    """Return the words of (n,) sets of bits, with a space in between.

    >>> flag_texts(np.array([0, 3], "u4"), {"odd": 1, "long": 2})
    ['', 'odd long']
    """
    distinct, inverse = np.unique(flags, return_inverse=True)
    texts = [
        " ".join(word for word, bit in words.items() if value & bit) for value in distinct.tolist()
    ]
    return [texts[place] for place in inverse.tolist()]
