"""Find secrets in what images say about themselves, and replace them by their kind and length.

Environments, labels and steps of the history hold passwords and keys that somebody forgot there,
and datasets are handed on. `FORMS` and `NAMES` say what a secret is; `docs/configs.md` shows them.

>>> redactor = Redactor()
>>> redactor.text("curl https://me:s3cret@host/?token=0123456789")
'curl https://me:<redacted:password:6>@host/?token=<redacted:token:10>'
>>> redactor.value("DB_PASSWORD", "s3cret"), redactor.value("PASSWORD_FILE", "/run/secrets/db")
('<redacted:password:6>', '/run/secrets/db')
>>> redactor.count
3

Every search is linear in the length of the text, whatever the text is: runs of characters begin
where another character precedes them, or end in a match.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable
from functools import lru_cache, partial
from typing import NamedTuple

_MARK = "<redacted:"


class Form(NamedTuple):
    """Secrets that are recognized by what they look like.

    :param hints: texts in lower case; one of them is in every text that holds such a secret.
    :param pattern: its group `secret` is what is replaced, or all of it if there is no such group.
    """

    kind: str
    hints: tuple[str, ...]
    pattern: str


def _form(kind: str, hints: str, pattern: str) -> Form:
    """Make a form of hints with bars between them; what was replaced already is no secret."""
    pattern = pattern.replace("(?P<secret>", f"(?P<secret>(?!{_MARK})")
    return Form(kind, tuple(hints.split("|")), pattern)


@lru_cache(None)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


FORMS = (
    _form(
        "private_key",
        "-----begin",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----[^-]*(?:-[^-]+){0,20}"
        r"(?:-----END [A-Z0-9 ]{0,60}-----)?",
    ),
    _form("password", "://", r"://[^\s/@:?#\"'<>]*:(?P<secret>(?!\$)[^\s/?#\"'<>]+)@"),
    _form("token", "://", r"://(?P<secret>[^\s/@:?#\"'<>$]{20,})@"),
    _form(
        "authorization",
        "authorization",
        r"(?i:authorization)\\?[\"']?\s*[:=]\s*\\?[\"']?(?i:basic|bearer|token)\s+"
        r"(?P<secret>[^\s\"'\\$]+)",
    ),
    _form(
        "authorization",
        "auth",
        r"(?<![A-Za-z0-9-])_?auth\\?[\"']?\s*[:=]\s*\\?[\"']?(?P<secret>[A-Za-z0-9+/]{12,}={0,2})",
    ),
    _form("jwt", "eyj", r"(?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"),
    _form("aws_key_id", "akia|asia", r"(?<![A-Z0-9])A[KS]IA[A-Z0-9]{16}(?![A-Z0-9])"),
    _form("azure_key", "accountkey=", r"AccountKey=(?P<secret>[\w+/=]{40,})"),
    _form("azure_signature", "sig=", r"[?&]sig=(?P<secret>[\w%+/=-]{20,})"),
    _form("docker_token", "dckr_", r"dckr_(?:pat|oat)_[\w-]{20,}"),
    _form("github_token", "ghp_|gho_|ghu_|ghs_|ghr_", r"gh[pousr]_[A-Za-z0-9]{36,}"),
    _form("github_token", "github_pat_", r"github_pat_\w{22,}"),
    _form(
        "gitlab_token",
        "glpat-|gldt-|glrt-|glptt-|glcbt-",
        r"gl(?:pat|dt|rt|ptt|cbt)-[\w-]{20,}",
    ),
    _form("google_key", "aiza", r"AIza[\w-]{35}"),
    _form("google_token", "ya29.|gocspx-", r"(?:ya29\.|GOCSPX-)[\w-]{20,}"),
    _form("huggingface_token", "hf_", r"(?<!\w)hf_[A-Za-z0-9]{30,}"),
    _form("npm_token", "npm_", r"(?<!\w)npm_[A-Za-z0-9]{36}"),
    _form("pypi_token", "pypi-age", r"pypi-AgE[\w-]{50,}"),
    _form("sendgrid_key", "sg.", r"SG\.[\w-]{16,}\.[\w-]{16,}"),
    _form("api_key", "sk-", r"(?<![A-Za-z0-9])sk-[\w-]{32,}"),
    _form("slack_token", "xox", r"xox[a-z]-[A-Za-z0-9-]{10,}"),
    _form("slack_token", "hooks.slack.com", r"hooks\.slack\.com/services/(?P<secret>[\w/]{20,})"),
    _form("stripe_key", "k_live_|k_test_", r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    _form(
        "password",
        " -u| --user",
        r"\s(?:-u|--user)[ =]\\?[\"']?(?!\d+:\d)[^\s:\"'=$]*:(?P<secret>[^\s\"'\\$]+)",
    ),
    _form(
        "password",
        "chpasswd",
        r"(?<=[\s\"'])[\w.-]+:(?P<secret>[^\s\"'|$]+)[\"']?\s*\|\s*(?:sudo\s+)?chpasswd",
    ),
    _form("password", "sshpass", r"sshpass\s+-p\s*[\"']?(?P<secret>[^\s\"'$]+)"),
)
"""Secrets by their form; the first form that fits a place has it."""

NAMES = {
    "PASSWORD": "password",
    "PASSWORDS": "password",
    "PASSWD": "password",
    "PASSPHRASE": "password",
    "PASS": "password",
    "PWD": "password",
    "SECRET": "secret",
    "SECRETS": "secret",
    "TOKEN": "token",
    "APIKEY": "api_key",
    "API KEY": "api_key",
    "ACCESS KEY": "key",
    "ACCOUNT KEY": "key",
    "AUTH KEY": "key",
    "DEPLOY KEY": "key",
    "ENCRYPTION KEY": "key",
    "LICENSE KEY": "key",
    "MASTER KEY": "key",
    "PRIVATE KEY": "key",
    "SIGNING KEY": "key",
    "SSH KEY": "key",
    "STORAGE KEY": "key",
    "CREDENTIAL": "credentials",
    "CREDENTIALS": "credentials",
    "CREDS": "credentials",
}
"""Words, or two words in a row, in names of variables, labels and flags -> the kind of the value.

Words end at `_`, `-`, `.`, at digits and where lower case turns into upper case."""

KINDS_OF_SECRETS = tuple(sorted({*NAMES.values(), *(form.kind for form in FORMS)}))
"""The kinds of all secrets."""

LONG_WORDS = ("PASSWORD", "PASSWD", "SECRET", "TOKEN", "APIKEY")
"""Words of `NAMES` that count at the end of a longer word, too: `dbpassword`, `authtoken`."""

_ENDS = """
    ALG ALGORITHM ALLOWED AUDIENCE BACKEND CLASS COUNT DESCRIPTION DIR DIRECTORY DISABLED DRIVER
    DURATION ENABLED ENDPOINT EXPIRATION EXPIRES EXPIRY FIELD FILE FOLDER FORMAT HEADER HOST ID
    INTERVAL ISSUER LABEL LENGTH LIFETIME LIMIT LOCATION MANAGER MAX METHOD MIN MODE NAME PATH
    POLICY PORT PREFIX PROVIDER REALM REQUIRED SIZE STORE SUFFIX TIMEOUT TITLE TTL TYPE URI URL
    USER USERNAME VERSION
"""
HARMLESS_ENDS = frozenset(_ENDS.split())
"""Last words of names that say something about a secret, and don't hold it."""

SWITCHES = r"(?i:true|false|yes|no|on|off|none|null|nil|undefined|default|[01])"
REFERENCES = r"\$[A-Za-z_{(]|\$[\d@*#](?![\w$])|%\w+%|<redacted:|(?:id|type|source|src|target)="
"""Values that are no secrets, and beginnings of such: switches; variables and mounts."""

_HARMLESS = rf"{SWITCHES}\Z|{REFERENCES}"
_HARMLESS_WORD = rf"{SWITCHES}(?=[\s;&|),}}\]\"'\\]|\Z)|{REFERENCES}"

_NAME_HINTS = ("pass", "pwd", "secret", "token", "key", "cred")
"""One of these is in every name that `NAMES` finds, in lower case."""

_WORD = r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+"
_NAME = r"[\w.-]+"
_SIGN = r"\\*[\"']?\s*(=+|:)\s*"
_GAP_AFTER_FLAG = r"\\*[\"']?[\s,]+(?!-)"
_PLACEHOLDER = rf"{_MARK}[a-z_]+:\d+>"
_OPENING_QUOTE = r"\\*[\"']"
_BARE_VALUES = {"=": r"[^\s;&|)\"'`]+", ":": r"[^\s;&|),}\]\"'\\]+"}

_LONGEST_NAME = 200


def table_version() -> str:
    """Return a word that differs between versions of the table."""
    table = (FORMS, sorted(NAMES.items()), LONG_WORDS, _ENDS, SWITCHES, REFERENCES)
    return hashlib.sha256(repr(table).encode()).hexdigest()[:16]


class Redactor:
    """Replaces secrets in texts, and counts them.

    :param keep: whether all secrets stay as they are.
    :ivar count: how many were replaced so far.
    """

    def __init__(self, keep: bool = False) -> None:
        self._keep = keep
        self.count = 0

    def text(self, text: str) -> str:
        """Return a text without its secrets."""
        if self._keep or not text:
            return text
        redact = _redact_short if len(text) <= _SHORT else _redact
        text, count = redact(text)
        self.count += count
        return text

    def value(self, name: str, value: str) -> str:
        """Return the value of a variable or a label without its secrets."""
        count_before = self.count
        redacted = self.text(value)
        if self._keep or not value or not (kind := kind_of_name(name)):
            return redacted
        if _compiled(_HARMLESS).match(value) or _compiled(_PLACEHOLDER).fullmatch(redacted):
            return redacted
        # The value as a whole is one secret, whatever was found in it.
        self.count = count_before + 1
        return placeholder(kind, value)

    def words(self, words: Iterable[str]) -> list[str]:
        """Return the words of a command line without secrets.

        >>> Redactor().words(["server", "--password", "s3cret", "--port", "80"])
        ['server', '--password', '<redacted:password:6>', '--port', '80']
        """
        found = []
        flag = ""
        for word in words:
            is_flag = word.startswith("-")
            found.append(self.value("" if is_flag else flag, word))
            flag = word if is_flag and "=" not in word else ""
        return found


def _redact(text: str) -> tuple[str, int]:
    """Return a text without its secrets, and how many there were."""
    lowered = text.lower()
    count = 0
    for form in FORMS:
        if any(hint in lowered for hint in form.hints):
            text, found = _compiled(form.pattern).subn(partial(_replaced, form.kind), text)
            count += found
    if any(hint in lowered for hint in _NAME_HINTS):
        text, found = _redact_assignments(text)
        count += found
    return text, count


_redact_short = lru_cache(1 << 14)(_redact)
"""The same for texts that may come again: images share the steps of their bases."""

_SHORT = 1000
"""Characters of the longest such text."""


def placeholder(kind: str, secret: str) -> str:
    """Return what stands for a secret: its kind, and its length in bytes of UTF-8."""
    return f"{_MARK}{kind}:{len(secret.encode())}>"


def kind_of_name(name: str) -> str:
    """Return the kind of secret that a variable, label or flag of this name holds, "" for none.

    >>> kind_of_name("AWS_SECRET_ACCESS_KEY"), kind_of_name("apiKey"), kind_of_name("MYSQL_PWD")
    ('secret', 'api_key', 'password')
    >>> kind_of_name("PWD"), kind_of_name("GPG_KEY"), kind_of_name("TOKEN_TTL")
    ('', '', '')
    """
    return _kind_of_name(name[-_LONGEST_NAME:])


@lru_cache(1 << 14)
def _kind_of_name(name: str) -> str:
    words = [word.upper() for word in _compiled(_WORD).findall(name)]
    if not words or words[-1] in HARMLESS_ENDS or words in (["PWD"], ["OLDPWD"]):
        return ""
    pairs = map(" ".join, itertools.pairwise(words))
    for word in (*words, *pairs):
        if kind := NAMES.get(word):
            return kind
        if word.endswith(LONG_WORDS):
            return next(NAMES[end] for end in LONG_WORDS if word.endswith(end))
    return ""


def _replaced(kind: str, match: re.Match[str]) -> str:
    """Return what stands in place of a match: all of it, or its group `secret`, is replaced."""
    whole = match.group()
    if "secret" not in match.re.groupindex:
        return placeholder(kind, whole)
    start = match.start("secret") - match.start()
    end = match.end("secret") - match.start()
    return whole[:start] + placeholder(kind, whole[start:end]) + whole[end:]


def _redact_assignments(text: str) -> tuple[str, int]:
    """Replace what is assigned in a text to names of secrets.

    RUN |1 DB_PASSWORD=s3cret /bin/sh -c ./install --token 0123456789
           name       value                        name    value
    """
    pieces = []
    done = 0
    for match in _compiled(_NAME).finditer(text):
        name = match.group()
        if match.start() < done or not kind_of_name(name):
            continue
        # The kind in what stands for a secret is no name.
        if text.endswith(_MARK, 0, match.start()):
            continue
        span = _value_behind(text, match.end(), name.startswith("-"))
        if span is not None:
            start, end = span
            pieces += [text[done:start], placeholder(kind_of_name(name), text[start:end])]
            done = end
    return "".join([*pieces, text[done:]]), len(pieces) // 2


def _value_behind(text: str, place: int, is_flag: bool) -> tuple[int, int] | None:
    """Return where the value lies that follows a name in a text, None if none or a harmless one.

    :param place: end of the name.
    :param is_flag: whether the name is that of a flag, whose value may follow a space.
    """
    sign = _compiled(_SIGN).match(text, place)
    gap = sign or (_compiled(_GAP_AFTER_FLAG).match(text, place) if is_flag else None)
    if gap is None:
        return None
    quote = _compiled(_OPENING_QUOTE).match(text, gap.end())
    start = quote.end() if quote else gap.end()
    if _compiled(_HARMLESS_WORD).match(text, start):
        return None
    if quote:
        end = _end_of_quoted(text, start, quote.group())
    else:
        bare = _compiled(_BARE_VALUES[":" if sign and sign[1] == ":" else "="]).match(text, start)
        end = bare.end() if bare else start
    return (start, end) if start < end else None


def _end_of_quoted(text: str, start: int, quote: str) -> int:
    r"""Return where a quoted value ends: before a quote like the opening one, or with the text.

    >>> _end_of_quoted(r'"a\"b" c', 1, '"'), _end_of_quoted(r'\"a\" c', 2, r'\"')
    (5, 3)
    """
    end = text.find(quote, start)
    while quote == '"' and end > start and text[end - 1] == "\\":
        end = text.find(quote, end + 1)
    return len(text) if end < 0 else end
