"""Read archives by Go's archive/tar, with which docker, containerd and podman read layers."""

import json
import os
import subprocess
from pathlib import Path

from support.tools import need

SOURCE = Path(__file__).parent / "gotar" / "main.go"

_KINDS = {
    "0": "file",
    "7": "file",
    "S": "file",
    "1": "hardlink",
    "2": "symlink",
    "3": "character_device",
}
_KINDS |= {"4": "block_device", "5": "directory", "6": "fifo"}


def kind_of(entry: dict) -> str:
    """The word for an entry of the Go program; whiteouts are told by the last part of the path."""
    parts = [part for part in os.path.normpath(b"/" + entry["path"]).split(b"/") if part]
    name = parts[-1] if parts else b""
    if name == b".wh..wh..opq":
        return "opaque"
    return "whiteout" if name.startswith(b".wh.") else _KINDS.get(entry["type"], "other")


class GoTar:
    """A running Go program that reads archives one after another."""

    def __init__(self, directory: Path) -> None:
        program = directory / "gotar"
        places = {
            "GOCACHE": str(directory / "cache"),
            "GOFLAGS": "-mod=mod",
            "GO111MODULE": "off",
            "CGO_ENABLED": "0",
        }
        command = [need("go"), "build", "-o", str(program), str(SOURCE)]
        subprocess.run(
            command, check=True, env={**os.environ, **places}, capture_output=True, text=True
        )
        self._process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def read(self, archive: Path) -> tuple[list[dict], str]:
        """Return the entries (paths and links as bytes) and the error, "" at a good end."""
        return self.read_whole(archive)[:2]

    def read_whole(self, archive: Path) -> tuple[list[dict], str, str]:
        """Return also what is wrong behind the end of the tar, "" if nothing is."""
        self._process.stdin.write(f"{archive}\n")
        self._process.stdin.flush()
        entries = []
        for line in self._process.stdout:
            row = json.loads(line)
            if "error" in row:
                return entries, row["error"], row["behind"]
            entries.append(
                {**row, "path": bytes.fromhex(row["path"]), "link": bytes.fromhex(row["link"])}
            )
        raise AssertionError("the Go program ended")

    def close(self) -> None:
        self._process.communicate(timeout=30)
