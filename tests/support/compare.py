"""Whether two datasets are the same, by HDF5's own tool."""

import subprocess
from pathlib import Path

from support.tools import need


def same(one: Path, other: Path) -> None:
    """Fail unless two datasets are equal in every table outside /run."""
    command = [need("h5diff"), "-v", "--exclude-path", "/run", str(one), str(other)]
    result = subprocess.run(command, capture_output=True, text=True)
    differing = [
        line
        for line in result.stdout.splitlines()
        if "differences found" in line and line[:2] != "0 "
    ]
    assert result.returncode == 0, "\n".join(differing) + result.stdout[-500:] + result.stderr
