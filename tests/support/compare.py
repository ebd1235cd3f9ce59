"""Whether two datasets are the same, by HDF5's own tool."""

import subprocess
from pathlib import Path

from support.tools import need


def same(one: Path, other: Path) -> None:
    """Fail unless two datasets are equal in every table outside /run."""
    command = [need("h5diff"), "-v", "--exclude-path", "/run", str(one), str(other)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr
