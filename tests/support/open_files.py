"""The files that this process has open, to see that nothing stays open."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def open_files(directory: Path) -> list[str]:
    """Return the paths below a directory that this process has open, one for each descriptor."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return [path for path in found if path == str(directory) or path.startswith(f"{directory}/")]
