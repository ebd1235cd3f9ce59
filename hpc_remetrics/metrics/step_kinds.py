"""Tell from the texts of a build step what kind of step it is: RUN_apt, COPY, ADD, …

A step is an entry of `history` in an image's config. Its texts are what the build tool wrote:

    /bin/sh -c #(nop) ADD file:5a3f… in /                docker's classic builder     base
    |1 V=3 /bin/sh -c apt-get update && apt-get install  the same, with a build arg   RUN_apt
    RUN /bin/sh -c pip install numpy # buildkit          BuildKit                     RUN_pip
    COPY --from=build /out/app /usr/bin/                 kaniko, buildah              COPY_from
    bazel build ...                                      bazel                        bazel
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ..records import STEP_KINDS

TEXT_BYTES = 8192
"""Bytes of `created_by` and of `comment` that are looked at; what follows them does not count."""

RULES_TEXT = r"""
base         first    ADD(?: .*)? /$|COPY .*rootfs\S{0,80} /$
base         text     Apply image|Install update|KIWI|BusyBox|# debian\.sh
base         comment  Imported from|debuerreotype
COPY_from    text     COPY (?:--\S+ )*(?:--from=|/)\S*
COPY         text     COPY
ADD          text     ADD
WORKDIR      text     WORKDIR
metadata     text     ARG|CMD|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER
metadata     text     ONBUILD|SHELL|STOPSIGNAL|USER|VOLUME
buildpacks   text     Layer: '.*|Buildpacks|Application (?:Layer|Slice.*)|Software Bill-of-Materials
bazel        text     bazel
jib          text     jib\S*
ko           text     ko (?:build|publish)
apko         text     apko
nix          comment  store paths:
squash       comment  merge sha256:\S*
commit       text     (?:\S*/)?(?:a|ba|da|k|z)?sh$|(?:cmd|powershell|pwsh)(?:\.exe)?$
RUN_conda    command  conda|mamba|micromamba
RUN_pip      command  pip[\d.]*|pipx|pipenv|poetry|pdm|uv|python[\d.]* (?:-\S+ )*-m pip
RUN_npm      command  npm|npx|yarn|pnpm|bun
RUN_gem      command  gem|bundle
RUN_php      command  composer|pecl|pear|phpize|docker-php-ext-\S+|install-php-extensions
RUN_R        command  r|rscript|install2\.r|installgithub\.r
RUN_go       command  go (?:build|generate|get|install|mod)|xcaddy
RUN_cargo    command  cargo|rustup|rustup-init
RUN_maven    command  mvn|mvnw|gradle|gradlew|sbt|ant
RUN_dotnet   command  dotnet|nuget|msbuild
RUN_spack    command  spack|eb
RUN_make     command  make|gmake|cmake|ninja|meson|scons|configure|gcc|g\+\+|cc|bazel|bazelisk
RUN_apt      command  apt|apt-get|apt-key|apt-mark|aptitude|add-apt-repository|dpkg|install_packages
RUN_apk      command  apk
RUN_dnf      command  dnf|yum|microdnf|tdnf|zypper|rpm|rpmkeys
RUN_git      command  git|svn|hg
RUN_curl     command  curl|wget|aria2c|axel|invoke-webrequest|iwr
RUN_chown    command  chown|chmod|chgrp
RUN_other    text     RUN|\|\d+|(?:\S*/)?\w*sh(?:\.exe)? .*|(?:cmd|powershell|pwsh)(?:\.exe)? .*
"""
"""The rules: a kind of step, what of a step is looked at, and a regular expression.

The first rule that matches decides; a step that matches none is `other`. A rule looks at the
beginning of

- `text`: `created_by`, without `/bin/sh -c #(nop)` before it and `# buildkit` behind it;
- `first`: the same, of the step that made the lowest layer of an image;
- `comment`: `comment`;
- `command`: each command of the shell in `created_by`, without its directory, in lower case.

A match ends where a word ends. Commands that bring an application come before those that prepare
for it, which many steps have, and often undo: a step that installs a compiler by apt, downloads an
archive by curl and runs make is `RUN_make`.
"""

NO_HISTORY = STEP_KINDS["no_history"]
"""The kind of a layer without a step, and of a step without text."""

_OTHER = STEP_KINDS["other"]

_NOP = "#(nop)"
_NOP_WITHIN = 512
"""Characters in which the mark of docker's classic builder begins, if it is there."""

_SEPARATOR = re.compile(r"[;&|(){}`\n]+")
"""What stands between the commands of a shell."""

_BEFORE_NAME = re.compile(
    r"\s*(?:(?:-o\s+\w+|-\S*|/\w|\w+=\S*|(?:\S*/)?(?:a|ba|da|k|z)?sh|cmd|powershell|pwsh|"
    r"run|sudo|env|exec|time|nice|eatmydata|xargs|if|then|else|do|while|until|!)\s+)*"
    r"(?:\S*[/\\])?"
)
"""What may stand before the name of a command: options, assignments, some words, its directory."""

_BRINGS_NOTHING = re.compile(
    r"\S+\s+(?:--version|-version|version|-v|--help|clean|autoclean|cache)(?!\S)"
)
"""Commands that add no files: `npm --version`, `apt-get clean`."""


@dataclass(frozen=True)
class Rule:
    """A line of the rules.

    :ivar looks_at: text, first, comment or command.
    """

    kind: str
    looks_at: str
    pattern: str


RULES = tuple(Rule(*line.split(maxsplit=2)) for line in RULES_TEXT.strip().splitlines())
"""The rules in order."""


class _RulesFor:
    """The rules that look at the same part of a step, as one regular expression."""

    def __init__(self, *looks_at: str) -> None:
        self._places = [place for place, rule in enumerate(RULES) if rule.looks_at in looks_at]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # Compile it when a step is there: many datasets have none
        groups = [f"((?:{RULES[place].pattern})(?!\\S))" for place in self._places]
        return re.compile("|".join(groups))

    def first(self, text: str, start: int = 0) -> int:
        """Return the place of the first rule that matches at `start`; `len(RULES)` if none does."""
        match = self._pattern.match(text, start)
        group = match.lastindex if match else None
        return self._places[group - 1] if group else len(RULES)


_TEXT = _RulesFor("text")
_TEXT_OF_FIRST = _RulesFor("text", "first")
_COMMENT = _RulesFor("comment")
_COMMAND = _RulesFor("command")

_FIRST_COMMAND = min(place for place, rule in enumerate(RULES) if rule.looks_at == "command")


def step_kind(created_by: bytes, comment: bytes, is_first: bool) -> int:
    """Return the number of a step's kind in `STEP_KINDS`.

    The time it takes is linear in the bytes of both texts, of which it reads `TEXT_BYTES` each.

    :param is_first: whether the step made the lowest layer of an image.

    >>> step_kind(b"RUN /bin/sh -c apk add curl # buildkit", b"", False) == STEP_KINDS["RUN_apk"]
    True
    """
    text = _instruction(_decoded(created_by))
    remark = _decoded(comment)
    if not text and not remark:
        return NO_HISTORY
    rules = _TEXT_OF_FIRST if is_first else _TEXT
    place = min(rules.first(text), _COMMENT.first(remark))
    # Look for commands where no rule before theirs has matched.
    if place > _FIRST_COMMAND:
        place = min([place, *_commands(text)])
    return STEP_KINDS[RULES[place].kind] if place < len(RULES) else _OTHER


def _decoded(text: bytes) -> str:
    return text[:TEXT_BYTES].decode("latin-1").strip()


def _instruction(text: str) -> str:
    """Return a text without what builders put around the instruction.

    >>> _instruction('/bin/sh -c #(nop)  CMD ["sh"]'), _instruction("WORKDIR /app # buildkit")
    ('CMD ["sh"]', 'WORKDIR /app')
    """
    at = text.find(_NOP, 0, _NOP_WITHIN)
    if at >= 0:
        text = text[at + len(_NOP) :].lstrip()
    return text.removesuffix("# buildkit").rstrip()


def _commands(text: str) -> Iterator[int]:
    """Yield the place of the rule of each command of the shell in a text.

    >>> text = "RUN set -eux; X=1 sudo -E /usr/bin/apt-get update && npm --version && ./configure"
    >>> [RULES[place].kind for place in _commands(text) if place < len(RULES)]
    ['RUN_apt', 'RUN_make']
    """
    # What follows `-c` is a command, whatever arguments stand before the shell.
    plain = text.lower().replace('"', "").replace("'", "").replace(" -c ", ";")
    for piece in _SEPARATOR.split(plain):
        before = _BEFORE_NAME.match(piece)
        start = before.end() if before else 0
        if not _BRINGS_NOTHING.match(piece, start):
            yield _COMMAND.first(piece, start)
