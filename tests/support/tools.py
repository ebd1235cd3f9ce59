"""The programs that tests call."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest


def need(tool: str) -> str:
    """Return the path of a tool; without it the test fails in CI and is skipped elsewhere."""
    found = shutil.which(
        tool, path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    )
    if not found:
        lack(f"{tool} is not installed")
    return str(found)


def mount_small(directory: Path, size: int, *, again: bool = False) -> None:
    """Mount a file system of some bytes at a directory, or give it another size; who calls it
    unmounts."""
    words = ["-o", f"{'remount,' * again}size={size}"]
    result = subprocess.run(
        [need("mount"), "-t", "tmpfs", *words, "tmpfs", directory], capture_output=True, text=True
    )
    if result.returncode:
        lack(f"can't mount: {result.stderr}")


def unmount(directory: Path) -> None:
    subprocess.run([need("umount"), "-l", directory], check=True)


def lack(what: str) -> None:
    """End a test for want of something: it fails in CI, and is skipped elsewhere."""
    pytest.fail(what) if os.environ.get("CI") else pytest.skip(what)
