"""Profile one layer that lies in a file, in this process: its row, and its entries as values."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hpc_remetrics.limits import Limits
from hpc_remetrics.parts.spill_format import NO_CONTENT, LayerProfile, SpillBlock, read_blocks
from hpc_remetrics.parts.spill_writer import Spill
from hpc_remetrics.profile.layer import profile_layer
from hpc_remetrics.records import KINDS, Digest

_KIND_WORDS = list(KINDS)


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
    """Profile a layer that lies in a file, without types; return its row and its entries.

    :param expected: the digest that the file must have, None to verify nothing.
    :param expected_size: bytes that it should have, -1 if unknown.
    """
    with tempfile.TemporaryDirectory() as directory, open(path, "rb") as stream:
        spill = Spill(Path(directory, "spill"))
        profile = profile_layer(
            stream, spill, limits or Limits(), expected=expected, expected_size=expected_size
        )
        spill.close()
        entries = [entry for block in read_blocks(spill.path) for entry in _entries(block)]
        return profile, entries


def _entries(block: SpillBlock) -> Iterator[Entry]:
    """Yield the entries of a block."""
    columns = {name: values.tolist() for name, values in block.columns.items() if name != "digest"}
    digests = block.columns["digest"]
    paths = block.paths.tobytes()
    links = block.links.tobytes()
    path_at = 0
    link_at = 0
    for row in range(block.rows):
        path_end = path_at + columns["path_length"][row]
        link_end = link_at + columns["link_length"][row]
        has_content = columns["size"][row] != NO_CONTENT
        yield Entry(
            kind=_KIND_WORDS[columns["kind"][row]],
            path=paths[path_at:path_end],
            link=links[link_at:link_end],
            mode=columns["mode"][row],
            uid=columns["uid"][row],
            gid=columns["gid"][row],
            mtime=columns["mtime"][row],
            mtime_ns=columns["mtime_ns"][row],
            size=columns["size"][row] if has_content else None,
            sha256=digests[row].tobytes() if has_content else None,
        )
        path_at = path_end
        link_at = link_end
