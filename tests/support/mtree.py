"""Read archives by bsdtar, in its mtree format."""

import re
import subprocess
from pathlib import Path

OPTIONS = "--options=!all,type,size,sha256,uid,gid,mode,time,link"
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def mtree(archive: Path) -> dict[bytes, dict[str, bytes]]:
    """Return path (without the leading `./`) -> keywords; of entries with one path only the last is
    there."""
    command = ["bsdtar", "-cf", "-", "--format=mtree", OPTIONS, f"@{archive}"]
    result = subprocess.run(command, capture_output=True)
    # 1: with a warning, as for a path that is no UTF-8.
    assert result.returncode in (0, 1), result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == b"#mtree"
    found = {}
    for line in lines[1:]:
        path, *words = line.split(b" ")
        keywords = dict(word.partition(b"=")[::2] for word in words)
        found[plain(path)] = {name.decode(): value for name, value in keywords.items()}
    return found


def plain(text: bytes) -> bytes:
    """Return a path or link of an mtree without escapes and the leading `./`."""
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), text).removeprefix(b"./")


def time_of(keywords: dict[str, bytes]) -> tuple[int, int]:
    """Return seconds and nanoseconds; mtree writes the latter without leading zeros."""
    seconds, _, nanoseconds = keywords["time"].partition(b".")
    return int(seconds), int(nanoseconds or b"0")
