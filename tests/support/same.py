"""Two datasets are equal in everything but what may differ from run to run."""

import subprocess
from pathlib import Path

from support.tools import need


def assert_same(one: Path, other: Path, *but: str) -> None:
    """Compare two files with h5diff, all but /run and what is named, and fail with what differs."""
    exclude = [word for path in ("/run", *but) for word in ("--exclude-path", path)]
    command = [need("h5diff"), "-r", *exclude, str(one), str(other)]
    result = subprocess.run(command, capture_output=True, text=True)
    lines = result.stdout.splitlines()
    differs = [
        "\n".join(lines[max(number - 8, 0) : number + 1])
        for number, text in enumerate(lines)
        if text.endswith("differences found") and not text.startswith("0 ")
    ]
    assert result.returncode == 0, "\n\n".join(differs) or result.stdout[-2000:] + result.stderr


def hex_digests(table, name="digest", start=0, stop=None) -> list[str]:
    """Return the hex digits of a column of digests, as names of blobs have them."""
    texts = table.readable(name, start, stop).tolist()
    return [text.removeprefix("sha256:") for text in texts]
