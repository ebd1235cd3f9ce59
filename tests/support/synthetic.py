"""Random layers as spills, with everything in them that a tar may hold."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from pathlib import Path

from hpc_remetrics.parts.spill_format import NO_CONTENT, NO_TYPE, LayerProfile
from hpc_remetrics.parts.spill_writer import Spill
from hpc_remetrics.records import KINDS, Digest

TYPES = {
    0: "untyped",
    1: "empty",
    2: "timed out",
    3: "unreadable by libmagic",
    4: "ELF 64-bit",
    5: "ASCII text",
    9: "ünïcode",
}
SIGNATURE = {"magic": "5.44"}


@dataclass
class Row:
    kind: str
    path: bytes
    link: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    mtime_ns: int = 0
    size: int = NO_CONTENT
    type: int = NO_TYPE
    digest: bytes = bytes(32)


@dataclass
class SyntheticLayer:
    digest: Digest
    profile: LayerProfile
    rows: list[Row] = field(default_factory=list)
    extras: dict[str, bytes] = field(default_factory=dict)

    def spill(self, directory: Path, block: int = 1 << 20) -> Path:
        """Write the layer to a spill, in blocks of some rows, and return its path."""
        path = directory / f"{self.digest.hex}.spill"
        spill = Spill(path)
        for number, r in enumerate(self.rows):
            if number and number % block == 0:
                spill.flush()
            content = (r.size, r.type, r.digest)
            spill.add(
                KINDS[r.kind], r.mode, r.uid, r.gid, r.mtime, r.mtime_ns, content, r.path, r.link
            )
        for kind, records in self.extras.items():
            spill.add_records(kind, records)
        spill.flush()
        spill.close()
        return path


def digest_of(*parts: object) -> Digest:
    return Digest(hashlib.sha256(repr(parts).encode()).digest())


def random_rows(rng: random.Random, count: int, pool: int) -> list[Row]:
    """Make rows whose contents come from `pool` possible ones, so that layers share them."""
    rows: list[Row] = []
    files: list[Row] = []
    for number in range(count):
        kind = rng.choice(["file"] * 12 + ["directory", "symlink", "hardlink", *KINDS])
        path = (
            b"./d%d/" % rng.randrange(5)
            + bytes(rng.randrange(256) for _ in range(rng.randrange(20)))
            + b"%d" % number
        )
        row = Row(
            kind,
            path,
            mode=rng.randrange(0o10000),
            uid=rng.choice([0, 1000, -1, 2**40]),
            gid=rng.choice([0, 1000, -(2**62)]),
            mtime=rng.choice([0, -5, 1_600_000_000, 2**62]),
            mtime_ns=rng.choice([0, 999_999_999, 5]),
        )
        if kind == "file":
            name = int(pool * rng.random() ** 3)
            row.digest, row.size = hashlib.sha256(b"content %d" % name).digest(), name
            row.type = (
                rng.choice([(name % 2) + 4, 0, 2, NO_TYPE, 9]) if name % 7 == 0 else (name % 2) + 4
            )
        elif kind == "hardlink":
            row.link = b"somewhere"
            if files and rng.random() < 0.8:
                target = rng.choice(files)
                row.link, row.size, row.type, row.digest = (
                    target.path,
                    target.size,
                    target.type,
                    target.digest,
                )
        elif kind == "symlink":
            row.link = bytes(rng.randrange(256) for _ in range(rng.randrange(9)))
        rows.append(row)
        if kind == "file":
            files.append(row)
    return rows


def profile_of(rows: list[Row], name: object, status: str = "ok") -> LayerProfile:
    def count(*kinds: str) -> int:
        return sum(row.kind in kinds for row in rows)

    fault = (
        {}
        if status == "ok"
        else {"stage": "tar", "cause": "bad_header", "message": f"fault {name}\0é", "offset": 512}
    )
    return LayerProfile(
        status=status,
        diff_id=digest_of("diff", name).hex if status == "ok" else "",
        compression="gzip",
        CLS=len(rows) * 10 + 1,
        TLS=len(rows) * 600,
        FLS=sum(row.size for row in rows if row.kind == "file"),
        entries=len(rows),
        files=count("file"),
        directories=len({row.path for row in rows if row.kind == "directory"}) + 1,
        symlinks=count("symlink"),
        hardlinks=count("hardlink"),
        devices=count("character_device", "block_device", "fifo"),
        whiteouts=count("whiteout", "opaque"),
        others=count("other"),
        depth=2,
        notes=1,
        path_bytes=sum(len(row.path) for row in rows),
        link_bytes=sum(len(row.link) for row in rows),
        cpu_seconds=0.5,
        **fault,
    )


def make_layer(
    rng: random.Random, name: object, count: int, pool: int = 200, status: str = "ok"
) -> SyntheticLayer:
    rows = random_rows(rng, count, pool) if status != "failed" else []
    return SyntheticLayer(digest_of("layer", name), profile_of(rows, name, status), rows)
