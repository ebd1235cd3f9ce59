"""Two datasets are equal in everything but what may differ from run to run."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import h5py

from support.tools import need

OF_RUNS = ("history", "date_created")
"""Attributes of the file that differ from run to run, as /run does."""


def assert_same(one: Path, other: Path, *but: str) -> None:
    """Compare two files with h5diff, all but /run and what is named, and fail with what differs."""
    exclude = [word for path in ("/run", *but) for word in ("--exclude-path", path)]
    # Compare copies: h5diff of HDF5 1.10.7 can't leave out attributes
    with tempfile.TemporaryDirectory() as directory:
        copies = [
            _without_attributes(path, directory, name) for path, name in ((one, "1"), (other, "2"))
        ]
        command = [need("h5diff"), "-r", *exclude, *copies]
        result = subprocess.run(command, capture_output=True, text=True)
    lines = result.stdout.splitlines()
    differs = [
        "\n".join(lines[max(number - 8, 0) : number + 1])
        for number, text in enumerate(lines)
        if text.endswith("differences found") and not text.startswith("0 ")
    ]
    assert result.returncode == 0, "\n\n".join(differs) or result.stdout[-2000:] + result.stderr


def _without_attributes(path: Path, directory: str, name: str) -> Path:
    """Copy a dataset, and leave out the attributes that differ from run to run."""
    copy = Path(directory, name)
    shutil.copyfile(path, copy)
    with h5py.File(copy, "r+") as file:
        for attribute in OF_RUNS:
            file.attrs.pop(attribute, None)
    return copy


def hex_digests(table, name="digest", start=0, stop=None) -> list[str]:
    """Return the hex digits of a column of digests, as names of blobs have them."""
    texts = table.readable(name, start, stop).tolist()
    return [text.removeprefix("sha256:") for text in texts]
