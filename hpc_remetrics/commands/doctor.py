"""`doctor`: check what this machine lacks."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

from ..config import OutputOptions, ScratchOptions, SettingsOptions, json_option, read_options
from ..errors import UsageError
from ..options import build, flag_values
from . import Command

_EXAMPLES = """
examples:
  hpc-remetrics doctor
  hpc-remetrics doctor -o /gpfs/project/hub.h5 --scratch /dev/shm --scratch /local
"""


@dataclass(frozen=True, kw_only=True)
class DoctorOptions(OutputOptions, ScratchOptions, SettingsOptions):
    """The options of `doctor`.

    :ivar problem: what is wrong with the settings; the other options are then those of flags alone.
    """

    json: bool = json_option()
    problem: UsageError | None = None


def _read(options: type[DoctorOptions], arguments: argparse.Namespace) -> DoctorOptions:
    """Return the options, though settings may be broken: that is one of the things to check."""
    alone = build(options, flag_values(options, arguments))
    try:
        return read_options(options, arguments)
    except UsageError as error:
        return replace(alone, problem=error)


def _run(options: DoctorOptions) -> int:
    from ..doctor import doctor_command

    return doctor_command(
        options.output,
        options.scratch,
        config=options.config,
        problem=options.problem,
        as_json=options.json,
    )


COMMAND = Command(
    "check this machine: what is missing or wrong, and how to mend it",
    DoctorOptions,
    _run,
    _EXAMPLES,
    read=_read,
)
