"""Sources whose reference names a file or a directory: `PREFIX:PATH` or `PREFIX:PATH:REF`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from ..errors import SourceError, UsageError
from .base import Source


class PathSource(Source):
    """A source in a file or directory of this machine."""

    path_kind: ClassVar[str] = "directory"
    """`file` or `directory`: what the path has to be."""

    has_ref: ClassVar[bool] = False
    """Whether `:REF` may follow the path, the name of one image of several."""

    @classmethod
    def absolute(cls, rest: str) -> str:
        if not rest:
            return rest
        path, ref = cls.split(rest)
        return f"{full_path(path)}:{ref}" if ref else full_path(path)

    @classmethod
    def whole(cls, rest: str) -> str:
        return cls.split(rest)[0]

    @classmethod
    def input_path(cls, rest: str) -> Path | None:
        return Path(full_path(cls.split(rest)[0])) if rest else None

    @classmethod
    def split(cls, rest: str) -> tuple[str, str]:
        """Return the path and the REF ("" if none) of what follows the prefix."""
        return divide(rest) if cls.has_ref else (rest, "")

    @classmethod
    def existing(cls, reference: str, rest: str) -> tuple[Path, str]:
        """Return the absolute path and the REF of a reference.

        :raises UsageError: it names no path.
        :raises SourceError: the path does not exist, or is a directory in place of a file.
        """
        path, ref = cls.split(rest)
        if not path:
            raise UsageError(f"{reference!r} names no {cls.path_kind}", f"write {cls.form}")
        full = full_path(path)
        is_right = os.path.isdir if cls.path_kind == "directory" else os.path.isfile
        if not os.path.exists(full):
            raise SourceError(f"{reference}: there is no {full}")
        if not is_right(full):
            # The suggestions ask every registered source, this one too.
            from . import suggestion

            raise SourceError(f"{reference}: {full} is not a {cls.path_kind}", suggestion(path))
        return Path(full), ref


def divide(rest: str) -> tuple[str, str]:
    """Divide `PATH[:REF]`, where both may contain colons.

    The longest path that exists wins; if none exists, the path ends at the first colon.
    """
    if os.path.exists(full_path(rest)):
        return rest, ""
    colons = [index for index, letter in enumerate(rest) if letter == ":"]
    for index in reversed(colons):
        if os.path.exists(full_path(rest[:index])):
            return rest[:index], rest[index + 1 :]
    path, _, ref = rest.partition(":")
    return path, ref


def full_path(path: str) -> str:
    """Return an absolute path, with `~` replaced by the home directory."""
    return os.path.abspath(os.path.expanduser(path))
