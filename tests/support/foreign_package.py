"""A package of somebody else, as an installer leaves it: a module and its metadata."""

import os
from pathlib import Path

import pytest


def install(directory: Path, module: str, text: str, entry_points: str) -> None:
    """Put a package of one module, and of the same name, into a directory of packages."""
    (directory / f"{module}.py").write_text(text)
    about = directory / f"{module}-1.dist-info"
    about.mkdir()
    name = module.replace("_", "-")
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (about / "entry_points.txt").write_text(entry_points)


def add_to_path(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process, and those that it starts, find packages in a directory."""
    monkeypatch.syspath_prepend(directory)
    paths = [str(directory), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
