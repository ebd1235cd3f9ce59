"""Find what names persons in the texts of images, and replace it by its kind and length.

Whoever builds an image may write names and addresses into its config. `NAMES` and `FORMS` say what
is taken for such; secrets that a dataset still has are replaced in the same way
(`sources/secrets.py`).

>>> without_persons("RUN useradd x # by Jane <jane@example.org>")
'RUN useradd x # by Jane <<redacted:email:16>>'
>>> value_without_persons("maintainer", "Jane Doe"), value_without_persons("version", "1.2")
('<redacted:person:8>', '1.2')

Every search is linear in the length of the text: what is repeated in a pattern has a bound, or
reaches to the end of the line.
"""

from __future__ import annotations

import re

from ..sources.secrets import Redactor, placeholder

NAMES = re.compile(r"maintainer|author(?!i[tz])|committer|contact|owner|e-?mail", re.IGNORECASE)
"""What is in the names of labels, annotations and variables whose values name persons."""

FORMS = (
    ("person", r"\bMAINTAINER\s{1,8}(?P<person>\S[^\n]*)"),
    (
        "person",
        r"(?i:maintainer|author(?!i[tz])|committer)[\w.-]{0,64}\"?\s{0,8}[=:]\s{0,8}"
        r"(?P<person>[^\s<][^\n]*)",
    ),
    (
        "email",
        r"(?<![\w.+-])(?P<person>[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}"
        r"(?:\.[A-Za-z0-9-]{1,63}){0,8}\.[A-Za-z]{2,24})(?![\w-])",
    ),
)
"""Kinds, and patterns of which the group `person` is replaced."""

_SECRETS = Redactor()
_PATTERNS = [(kind, re.compile(pattern)) for kind, pattern in FORMS]
_EMAIL = [pair for pair in _PATTERNS if pair[0] == "email"]


def without_persons(text: str) -> str:
    """Return a text without secrets, names behind `MAINTAINER` and the like, and addresses."""
    return _replaced(_SECRETS.text(text), _PATTERNS)


def json_without_persons(text: str) -> str:
    """Return a JSON text without secrets and addresses."""
    return _replaced(_SECRETS.text(text), _EMAIL)


def value_without_persons(name: str, value: str) -> str:
    """Return the value of a label, annotation or variable without secrets and names of persons."""
    if value and NAMES.search(name):
        return placeholder("person", value)
    return _replaced(_SECRETS.value(name, value), _EMAIL)


def _replaced(text: str, patterns: list[tuple[str, re.Pattern[str]]]) -> str:
    for kind, pattern in patterns:
        text = pattern.sub(lambda match, kind=kind: _placeholder(match, kind), text)  # type: ignore
    return text


def _placeholder(match: re.Match[str], kind: str) -> str:
    """Return what stands in place of a match, whose group `person` is replaced."""
    start = match.start("person") - match.start()
    end = match.end("person") - match.start()
    whole = match.group()
    return f"{whole[:start]}{placeholder(kind, whole[start:end])}{whole[end:]}"
