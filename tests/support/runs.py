"""Runs the command as a person does."""

import subprocess
import sys
from pathlib import Path

from support.tools import need


class Runs:
    """Runs the program in one directory, with scratch of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.scratch = directory / "scratch"
        self.scratch.mkdir()

    def command(self, *arguments: object, ranks: int = 0) -> list[str]:
        launcher = [need("mpirun"), "-n", str(ranks)] if ranks else []
        return [*launcher, sys.executable, "-m", "hpc_remetrics", *map(str, arguments)]

    def analyze(
        self, source: object, output: object, *options: object, ranks: int = 0
    ) -> list[str]:
        return self.command(
            "analyze", source, "-o", output, "--scratch", self.scratch, *options, ranks=ranks
        )

    def run(
        self, command: list[str], code: int = 0, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, cwd=self.directory
        )
        assert result.returncode == code, (
            f"{result.returncode}, wanted {code}\n{result.stdout}\n{result.stderr}"
        )
        return result
