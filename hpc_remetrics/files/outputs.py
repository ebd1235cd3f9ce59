"""What may bear the name of an output: a regular file, or nothing yet.

Outputs are written beside their name and renamed, which would put a file in the place of whatever had the name:
of a device such as `/dev/null`, of a pipe, of a symbolic link.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import OutputError


def check_output(path: Path) -> None:
    """Refuse a name that something else than a regular file has.

    :raises OutputError: it is a folder, a device, a pipe or a socket.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder", "name a file")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is a device or a pipe", "name a file")


def real_name(path: Path) -> Path:
    """Return the name of the file that is to be replaced: where a symbolic link leads, even if nothing is there yet.

    :raises OutputError: as `check_output`.
    """
    check_output(path)
    return Path(os.path.realpath(path))
