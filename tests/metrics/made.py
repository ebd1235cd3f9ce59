"""Made-up layers and images become a dataset with metrics: by parts, gather and reduce, as in a
run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from support.synthetic import TYPES, Row, SyntheticLayer, digest_of

from hpc_remetrics.gather.gather import gather
from hpc_remetrics.metrics.compute import add_metrics
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.parts.part_writer import write_part
from hpc_remetrics.parts.spill_format import LayerProfile
from hpc_remetrics.records import Catalog, Digest, Image, Layer, Popularity


@dataclass(frozen=True)
class Entry:
    """One entry; `content` is a word from which digest and size come, `link` names a path."""

    kind: str
    path: bytes
    content: int = 0
    link: bytes = b""

    @property
    def size(self) -> int:
        return (self.content * 7919) % 1000 if self.content else 0

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(b"%d" % self.content).digest()

    def row(self, target: Entry | None = None) -> Row:
        source = self if self.kind == "file" else target
        row = Row(self.kind, self.path, self.link)
        if source is not None:
            row.size, row.digest, row.type = source.size, source.digest, 4 + source.content % 2
        return row


@dataclass
class Made:
    """Layers (lists of entries), and images (lists of places of layers)."""

    layers: list[list[Entry]]
    images: list[list[int]]
    output: Path = field(default_factory=Path)
    repositories: dict[str, Popularity] = field(default_factory=dict)

    def digest(self, layer: int) -> Digest:
        return digest_of("made", layer)

    def write(self, folder: Path, links) -> Path:
        """Write the dataset; `links(entries)` gives place of a hard link -> place of its file."""
        (folder / "parts").mkdir(parents=True)
        (folder / "scratch").mkdir()
        items = []
        for number, entries in enumerate(self.layers):
            targets = links(entries)
            rows = [
                entry.row(entries[targets[n]] if n in targets else None)
                for n, entry in enumerate(entries)
            ]
            layer = SyntheticLayer(self.digest(number), _profile(entries), rows)
            items.append((layer.digest, layer.profile, layer.spill(folder)))
        write_part(folder / "parts", "0-0-0", items, [], TYPES, {}, folder)
        images = [self._image(number) for number in range(len(self.images))]
        self.output = folder / "made.h5"

        def finish(path: Path) -> None:
            add_metrics(SerialComm(), path, folder / "scratch", 1 << 20)

        catalog = Catalog(images, repositories=self.repositories)
        gather(SerialComm(), folder / "parts", catalog, self.output, folder / "scratch", {}, finish)
        return self.output

    def _image(self, number: int) -> Image:
        layers = tuple(Layer(self.digest(layer), 5, "oci_tar") for layer in self.images[number])
        name = f"made{number:04}:1" if self.repositories else f"made:{number:04}"
        return Image(name, digest_of("image", number), "", "oci", layers)


def _profile(entries: list[Entry]) -> LayerProfile:
    def count(*kinds: str) -> int:
        return sum(entry.kind in kinds for entry in entries)

    return LayerProfile(
        status="ok",
        diff_id="0" * 64,
        compression="none",
        CLS=10 * len(entries),
        TLS=512 * len(entries),
        FLS=sum(entry.size for entry in entries if entry.kind == "file"),
        entries=len(entries),
        files=count("file"),
        directories=1,
        symlinks=count("symlink"),
        hardlinks=count("hardlink"),
        devices=count("character_device", "block_device", "fifo"),
        whiteouts=count("whiteout", "opaque"),
        others=count("other"),
        depth=1,
        path_bytes=sum(len(entry.path) for entry in entries),
        link_bytes=sum(len(entry.link) for entry in entries),
    )
