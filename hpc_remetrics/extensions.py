"""Find sources, probes and commands by name: built in, or registered by other packages.

Another package registers one by an entry point (PyPA's specification of entry points) in its own
`setup.cfg` or `pyproject.toml`, and needs no change here:

    [options.entry_points]
    hpc_remetrics.sources =
        s3 = my_package.s3:S3Source

Built-in ones are found without the metadata of installed packages, whose reading takes some 10 ms.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import MissingComponentError, UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

SOURCES = "hpc_remetrics.sources"
PROBES = "hpc_remetrics.probes"
COMMANDS = "hpc_remetrics.commands"


class Extensions:
    """The extensions of one group, by name; a built-in one wins over one of another package.

    :param group: the name of the entry points' group.
    :param builtin: name -> `module:object`, the module relative to this package.
    """

    def __init__(self, group: str, builtin: Mapping[str, str]) -> None:
        self.group = group
        self.builtin = builtin

    def names(self) -> list[str]:
        """Return all names: the built-in ones in their order, then the others sorted."""
        others = sorted({point.name for point in self._others()} - set(self.builtin))
        return [*self.builtin, *others]

    def load(self, name: str) -> Any:
        """Import and return the object of this name.

        :raises UsageError: nothing is registered by this name.
        :raises MissingComponentError: another package registered it and it can't be imported.
        """
        if name in self.builtin:
            module, _, attribute = self.builtin[name].partition(":")
            return getattr(import_module(f"{__package__}.{module}"), attribute)
        for point in self._others():
            if point.name == name:
                return self._load(point)
        known = ", ".join(self.names())
        raise UsageError(f"unknown {self._kind()} {name!r}", f"known: {known}")

    def _load(self, point: EntryPoint) -> Any:
        try:
            return point.load()
        except (ImportError, AttributeError) as error:
            package = point.dist.name if point.dist else point.value
            raise MissingComponentError(
                f"the {self._kind()} {point.name!r} of {package} can't be imported: {error}"
            ) from error

    def _others(self) -> tuple[EntryPoint, ...]:
        """Return the entry points of installed packages."""
        # Only a name that is not built in leads here: it reads the metadata of every package.
        return _entry_points(self.group, tuple(sys.path))

    def _kind(self) -> str:
        """Return what one of the group is called, in the singular."""
        return self.group.rpartition(".")[2].removesuffix("s")


@cache
def _entry_points(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Return the entry points of one group in the packages on `sys.path`, which is `path`."""
    from importlib.metadata import entry_points

    return tuple(entry_points(group=group))
