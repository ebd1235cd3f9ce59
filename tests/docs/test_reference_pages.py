"""docs/api.md says what the docstrings say, and docs/taxonomy.md what the table of types says."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_pages_are_up_to_date():
    command = [sys.executable, ROOT / "scripts" / "reference-pages", "--check"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
