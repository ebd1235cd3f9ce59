"""One layer that lies in a file, profiled in this process: its row, and its entries in plain
values."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from ..limits import Limits
from ..parts.spill_format import NO_CONTENT, LayerProfile, read_blocks
from ..parts.spill_writer import Spill
from ..records import KINDS, Digest
from .layer import profile_layer


class Entry(NamedTuple):
    """One entry in plain values; `size` and `sha256` are None where it has no content."""

    kind: str
    path: bytes
    link: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
    mtime_ns: int
    size: int | None
    sha256: bytes | None


def profile_file(
    path: str | os.PathLike[str],
    limits: Limits | None = None,
    expected: Digest | None = None,
    expected_size: int = -1,
) -> tuple[LayerProfile, list[Entry]]:
    """Profile a layer that lies in a file, in this process and without types: its row and its
    entries."""
    with tempfile.TemporaryDirectory() as folder, open(path, "rb") as stream:
        spill = Spill(Path(folder, "spill"))
        profile = profile_layer(
            stream, spill, limits or Limits(), expected=expected, expected_size=expected_size
        )
        spill.close()
        return profile, _entries(spill.path)


def _entries(path: Path) -> list[Entry]:
    words = list(KINDS)
    entries = []
    for block in read_blocks(path):
        columns = {
            name: values.tolist() for name, values in block.columns.items() if name != "digest"
        }
        paths, links = block.paths.tobytes(), block.links.tobytes()
        path_at = link_at = 0
        for row in range(block.rows):
            path_end, link_end = (
                path_at + columns["path_length"][row],
                link_at + columns["link_length"][row],
            )
            has_content = columns["size"][row] != NO_CONTENT
            entries.append(
                Entry(
                    words[columns["kind"][row]],
                    paths[path_at:path_end],
                    links[link_at:link_end],
                    columns["mode"][row],
                    columns["uid"][row],
                    columns["gid"][row],
                    columns["mtime"][row],
                    columns["mtime_ns"][row],
                    columns["size"][row] if has_content else None,
                    block.columns["digest"][row].tobytes() if has_content else None,
                )
            )
            path_at, link_at = path_end, link_end
    return entries
