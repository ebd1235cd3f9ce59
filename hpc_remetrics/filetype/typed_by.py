"""Read what `/run` of datasets says about who typed their files, and warn where it differs.

Apart from `typer.py`, which writes that, since it needs no libmagic and no Linux.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .heads import RULE

_SIGNATURE = re.compile(r"magic-(\d+)-(plain|file)-(\d+)$")


def _words_of_signature(signature: str) -> str:
    """Return in words what typed the files of a dataset."""
    match = _SIGNATURE.match(signature)
    if match is None:
        return "no libmagic" if signature == "magic-none" else signature or "an unknown libmagic"
    version = int(match[1])
    words = f"libmagic {version // 100}.{version % 100:02}"
    if match[2] == "plain":
        words += " that saw first bytes alone"
    return words if int(match[3]) == RULE else f"{words}, rule {match[3]}"


def typed_differently(signatures: Iterable[str]) -> str:
    """Return a warning where datasets, or the parts of one, were not typed alike, "" if all were.

    :param signatures: what `/run` of each says under `types`.
    """
    distinct = dict.fromkeys(one for signature in signatures for one in signature.split(" + "))
    if len(distinct) < 2:
        return ""
    words = ", ".join(map(_words_of_signature, distinct))
    return f"files were typed by {words}: types differ by that alone"
