"""What Go's archive/tar says of an archive; docker, containerd and podman read layers with it."""

import json
import os
import subprocess
from pathlib import Path

from support.tools import need

SOURCE = Path(__file__).parent / "gotar" / "main.go"


class GoTar:
    """A running Go program that reads archives one after another."""

    def __init__(self, folder: Path) -> None:
        program = folder / "gotar"
        places = {"GOCACHE": str(folder / "cache"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off", "CGO_ENABLED": "0"}
        command = [need("go"), "build", "-o", str(program), str(SOURCE)]
        subprocess.run(command, check=True, env={**os.environ, **places}, capture_output=True, text=True)
        self._process = subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self, archive: Path) -> tuple[list[dict], str]:
        """Return the entries (paths and links as bytes) and the error, "" at a good end."""
        self._process.stdin.write(f"{archive}\n")
        self._process.stdin.flush()
        entries = []
        for line in self._process.stdout:
            row = json.loads(line)
            if "error" in row:
                return entries, row["error"]
            entries.append({**row, "path": bytes.fromhex(row["path"]), "link": bytes.fromhex(row["link"])})
        raise AssertionError("the Go program ended")

    def close(self) -> None:
        self._process.communicate(timeout=30)
