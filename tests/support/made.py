"""Made-up layers and images become a dataset with metrics: by parts, gather and reduce, as in a
run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpc_remetrics.gather.gather import gather
from hpc_remetrics.metrics.compute import add_metrics
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.parts.part_writer import write_part
from hpc_remetrics.parts.spill_format import EXTRA_STRUCTS, LayerProfile
from hpc_remetrics.records import (
    Catalog,
    Digest,
    Failure,
    Image,
    ImageConfig,
    Layer,
    Popularity,
    Skipped,
)
from support.synthetic import TYPES, Row, SyntheticLayer, digest_of

_MARKS = ("whiteout", "opaque")


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
    """Layers (lists of entries), and images (lists of places of layers).

    :ivar status: place of a layer -> `partial`, or `failed` (then it has no entries); else `ok`.
    :ivar cause: why layers are partial or failed, `stage`: in which stage that happened, and
        `failed_on`: on which rank and host.
    :ivar first: number from which digests of layers come; datasets of one number share layers.
    :ivar seconds: place of a layer -> CPU seconds that it took; else none are known.
    :ivar compressed: words of contents that the sample compressed, to a half by gzip and to a third
        by zstd, both rounded up.
    :ivar skipped: what images hold besides layers, and `run`: the contents of `/run`.
    :ivar check_sizes: note that each image states 5 bytes for each layer, as they do.
    :ivar tags: place of an image in one of the `repositories` -> its tag; else `1`.
    :ivar created: place of an image -> seconds at which its config says that it was made.
    :ivar configs: place of an image -> fields of its config, such as `history`; images with equal
        ones have the same config, others none.
    :ivar changed: place of an image -> fields of it that differ from what is made, such as `name`.
    :ivar diff_ids: place of a layer -> its diff_id as 64 hex digits; else none is known.
    """

    layers: list[list[Entry]]
    images: list[list[int]]
    repositories: dict[str, Popularity] = field(default_factory=dict)
    status: dict[int, str] = field(default_factory=dict)
    cause: str = "bad_header"
    stage: str = "tar"
    failed_on: tuple[int, str] = (-1, "")
    first: int = 0
    seconds: dict[int, float] = field(default_factory=dict)
    compressed: frozenset[int] = frozenset()
    skipped: list[Skipped] = field(default_factory=list)
    run: dict[str, Any] = field(default_factory=dict)
    check_sizes: bool = False
    tags: dict[int, str] = field(default_factory=dict)
    created: dict[int, int] = field(default_factory=dict)
    configs: dict[int, dict[str, Any]] = field(default_factory=dict)
    changed: dict[int, dict[str, Any]] = field(default_factory=dict)
    diff_ids: dict[int, str] = field(default_factory=dict)

    def digest(self, layer: int) -> Digest:
        return digest_of("made", self.first + layer)

    def publish(self, parts: Path, scratch: Path, job: str = "0") -> None:
        """Write all layers as one part of a job."""
        items = []
        for number, entries in enumerate(self.layers):
            targets = links(entries)
            rows = [
                entry.row(entries[targets[n]] if n in targets else None)
                for n, entry in enumerate(entries)
            ]
            profile = _profile(entries, self.status.get(number, "ok"))
            profile.diff_id = self.diff_ids.get(number, profile.diff_id)
            profile.cpu_seconds = self.seconds.get(number, 0.0)
            extras = {"samples": b"".join(map(self._sample, entries))}
            layer = SyntheticLayer(self.digest(number), profile, rows, extras)
            items.append((layer.digest, layer.profile, layer.spill(scratch)))
        write_part(parts, f"{job}-0-0", items, self._failures(), TYPES, {}, scratch)

    def write(self, directory: Path, metrics: bool = True) -> Path:
        """Write the dataset, with or without its metrics, and return its path."""
        parts = directory / "parts"
        scratch = directory / "scratch"
        parts.mkdir(parents=True)
        scratch.mkdir()
        self.publish(parts, scratch)
        output = directory / "made.h5"

        def finish(path: Path) -> None:
            add_metrics(SerialComm(), path, scratch, 1 << 20)

        images = [self.image(number) for number in range(len(self.images))]
        catalog = Catalog(images, self.skipped, self.repositories)
        for number in {*self.configs, *self.created}:
            catalog.configs.add(self._config(number))
        last = finish if metrics else None
        gather(
            SerialComm(),
            parts,
            catalog,
            output,
            scratch,
            self.run,
            last,
            check_sizes=self.check_sizes,
        )
        return output

    def image(self, number: int) -> Image:
        layers = tuple(Layer(self.digest(layer), 5, "oci_tar") for layer in self.images[number])
        name = f"made:{number:04}"
        if self.repositories:
            name = f"made{number:04}:{self.tags.get(number, '1')}"
        has_config = number in self.configs or number in self.created
        config = self._config(number).digest if has_config else None
        digest = digest_of("image", number, self.images[number])
        image = Image(name, digest, "", "oci", layers, config)
        return replace(image, **self.changed.get(number, {}))

    def _config(self, number: int) -> ImageConfig:
        fields = dict(self.configs.get(number, {}))
        if number in self.created:
            fields["created"] = self.created[number]
        return ImageConfig(digest_of("config", repr(fields)), 100, **fields)

    def _sample(self, entry: Entry) -> bytes:
        """Return the extra record of a file's content, none if it is not in the sample."""
        if entry.kind != "file" or entry.content not in self.compressed:
            return b""
        packed = -(-entry.size // 2), -(-entry.size // 3)
        return EXTRA_STRUCTS["samples"].pack(entry.digest, *packed)

    def _failures(self) -> list[Failure]:
        return [
            Failure(
                self.digest(layer),
                self.stage,
                self.cause,
                f"fault in layer {layer}",
                512,
                *self.failed_on,
            )
            for layer in self.status
        ]


def clean(path: bytes) -> bytes:
    """As `cd /` and then to each part of the path, in a tree without links."""
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            parts = parts[:-1]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def links(entries: list[Entry]) -> dict[int, int]:
    """Return place of a hard link -> place of the file that it names, as an extraction in order
    finds it."""
    found: dict[int, int] = {}

    def follow(place: int) -> int | None:
        target = clean(entries[place].link)
        earlier = [
            n
            for n in range(place)
            if entries[n].kind not in _MARKS and clean(entries[n].path) == target
        ]
        if earlier:
            last = earlier[-1]
            if entries[last].kind == "hardlink":
                return follow(last)
            return last if entries[last].kind == "file" else None
        later = range(place + 1, len(entries))
        return next(
            (n for n in later if entries[n].kind == "file" and clean(entries[n].path) == target),
            None,
        )

    for place, entry in enumerate(entries):
        if entry.kind == "hardlink" and (file := follow(place)) is not None:
            found[place] = file
    return found


def _profile(entries: list[Entry], status: str) -> LayerProfile:
    def count(*kinds: str) -> int:
        return sum(entry.kind in kinds for entry in entries)

    return LayerProfile(
        status=status,
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
