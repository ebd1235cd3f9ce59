"""Gather: all ranks make one dataset of the parts of a run, in memory that the entries don't grow.

1. Place: rank 0 sorts the layers by digest, their entries one after the other (`placement.py`).
2. Number: distinct contents and chunks travel to the ranks that own their digests, are numbered in
   order there, and the numbers travel back (`content_numbers.py`, `fingerprints.py`).
3. Write: rank 0 writes the small tables (`rank_0_tables.py`); all ranks compress the chunks of the
   large ones (`entry_writer.py`), which rank 0 puts in place (`dataset/chunk_writer.py`).
4. Publish: the file gets its name when it is whole.

Every number is a function of the layers alone, so any number of ranks makes the same file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..claimed_sizes import false_sizes
from ..dataset.chunk_writer import ChunkWriter
from ..dataset.hdf5 import new_file
from ..dataset.ledger import Ledger
from ..dataset.table_writer import describe_file
from ..files.disk_errors import disk_errors
from ..files.outputs import real_name
from ..files.publish import publish_whole, temporary_name
from ..files.writing import remove
from ..mpi.collective import Collective, on_rank_0
from ..mpi.comm import Comm
from ..parts.parts_directory import ScannedParts, scan_parts
from ..records import STATUSES, Catalog, Failure, Image, Layer
from ..row_ranges import rank_range
from .config_tables import ConfigTables
from .content_numbers import ContentNumbers
from .dataset_reader import DatasetReader, Reused, write_flat
from .entry_writer import EntryWriter
from .fingerprints import Fingerprints
from .placed_reader import PartReader, PlacedReader
from .placement import Placement, in_order, place, sorted_images
from .rank_0_tables import write_small_tables

Finish: TypeAlias = Callable[[Path], None]
"""What all ranks do with the finished file before it has its name."""


class Gathered(NamedTuple):
    """What a gather has put into the dataset.

    :ivar ledger: how the layers ended.
    :ivar claims: what images state wrongly about layers, as in `/failures`.
    """

    ledger: Ledger
    claims: list[Failure]


def gather(
    comm: Comm,
    directory: Path,
    catalog: Catalog | None,
    output: Path,
    scratch: Path,
    run: Mapping[str, Any] | None,
    finish: Finish | None = None,
    without: Container[str] = (),
    check_sizes: bool = False,
    reused: Reused | None = None,
) -> Gathered:
    """Make the dataset `output` of the parts in `directory`, replacing what is there; collective.

    :param catalog: on rank 0, the images whose layers belong to the dataset; parts and `reused`
        hold all of these.
    :param scratch: a directory on node-local disk for rows between two ranks.
    :param run: on rank 0, the contents of `/run`: values, and mappings from column to list.
    :param without: names of parts that are ignored.
    :param check_sizes: note in `/failures` which images state a wrong size for a layer.
    :param reused: earlier datasets whose layers are taken where no part holds a better row;
        `/run/reused` says how many are.
    :raises OutputError: the output or scratch can't be written; the output is as it was before.
    :raises PartError: a part holds impossible entries; on every rank.
    """
    images = sorted_images(catalog) if catalog is not None else []
    placed = _placed(comm, scan_parts(directory, comm, without), images, check_sizes, reused)
    if placed is not None and reused and reused.datasets and run is not None:
        run = {**run, "reused": _about_reused(placed, reused)}
    placement: Placement = comm.bcast(placed)
    if placement.missing:
        raise RuntimeError(f"{placement.missing} layers stand in no part")
    reader = _reader(comm, placement, reused, scratch)
    ledger = DatasetBuild(comm, reader, scratch).run(catalog, images, output, run, finish)
    return Gathered(ledger, [failure for failure in placement.failures if failure.is_claim])


def _placed(
    comm: Comm, scanned: ScannedParts, images: list[Image], check_sizes: bool, reused: Reused | None
) -> Placement | None:
    """Place the layers on rank 0; the rows of the parts, which other ranks don't have, go then."""
    if comm.rank != comm.root:
        return None
    placed = place([*scanned.parts, *(reused.indexes if reused else [])], images)
    if check_sizes:
        _note_false_sizes(placed, images)
    return placed


def _reader(comm: Comm, placement: Placement, reused: Reused | None, scratch: Path) -> PlacedReader:
    """Return what reads the placed layers from parts and from earlier datasets; collective."""
    if not reused or not reused.datasets:
        return PartReader(placement)
    with Collective(comm), disk_errors(scratch, "scratch"):
        write_flat(comm, reused.datasets, scratch)
    return DatasetReader(placement, reused.datasets, scratch.parent)


def _about_reused(placement: Placement, reused: Reused) -> dict[str, list[Any]]:
    """Return the table `/run/reused`: how many layers each earlier dataset gave, and their CLS."""
    table: dict[str, list[Any]] = {"dataset": [], "fingerprint": [], "layers": [], "bytes": []}
    first = len(placement.paths) - len(reused.datasets)
    for part, dataset in enumerate(reused.datasets, first):
        taken = placement.layers[placement.part == part]
        table["dataset"].append(str(dataset.path.absolute()))
        table["fingerprint"].append(dataset.fingerprint)
        table["layers"].append(len(taken))
        table["bytes"].append(int(taken["CLS"].sum()))
    return table


def _note_false_sizes(placement: Placement, images: list[Image]) -> None:
    """Add a failure for each image that states a wrong size for a layer that could be read."""
    layers = placement.layers[placement.layers["status"] != STATUSES["failed"]]
    sizes = dict(zip(layers["digest"].tolist(), layers["CLS"].tolist(), strict=True))
    claims = []
    for image, layer in false_sizes(Catalog(images), sizes):
        message = _size_message(image, layer, sizes[layer.digest.raw])
        claims.append(Failure(layer.digest, "manifest", "size_mismatch", message))
    placement.failures = in_order([*placement.failures, *claims])


def _size_message(image: Image, layer: Layer, size: int) -> str:
    return f"{image.name[:250]} ({image.digest}) states {layer.size} bytes, it has {size}"


class DatasetBuild:
    """Makes one dataset of the rows that a reader gives, on one rank of all."""

    def __init__(self, comm: Comm, reader: PlacedReader, scratch: Path) -> None:
        self._comm = comm
        self._reader = reader
        self._scratch = scratch
        self._placement = reader.placement

    def run(
        self,
        catalog: Catalog | None,
        images: list[Image],
        output: Path,
        run: Mapping[str, Any] | None,
        finish: Finish | None = None,
    ) -> Ledger:
        """Number, write under a temporary name, and publish; collective.

        :param images: of the catalog, sorted; arguments are those of `gather`.
        """
        comm = self._comm
        temporary: Path = on_rank_0(comm, lambda: temporary_name(real_name(output)))

        # Number the contents and the chunks
        with Collective(comm), disk_errors(self._scratch, "scratch"):
            contents = ContentNumbers(comm, self._reader, self._scratch)
            chunks = Fingerprints(comm, self._reader, self._scratch)

        # Write the tables, add what the caller adds, and give the file its name
        try:
            with ExitStack() as opened:
                file = None
                with Collective(comm), disk_errors(output, "the dataset"):
                    if catalog is not None and run is not None:
                        file, sink = opened.enter_context(new_file(temporary))
                        self._write_small(file, catalog, images, run, contents, chunks)
                        sink.check()
                self._write_large(file, contents, chunks)
                with Collective(comm), disk_errors(output, "the dataset"):
                    self._reader.check()
                    opened.close()
            if finish is not None:
                finish(temporary)
            with Collective(comm), disk_errors(output, "the dataset"):
                if comm.rank == comm.root:
                    publish_whole(temporary, output)
        finally:
            if comm.rank == comm.root:
                remove(temporary)
        return self._ledger()

    def _write_small(
        self,
        file: Any,
        catalog: Catalog,
        images: list[Image],
        run: Mapping[str, Any],
        contents: ContentNumbers,
        chunks: Fingerprints,
    ) -> None:
        """Write the small tables, and create the large ones; on rank 0."""
        seconds = float(run.get("gather_started", time.time()))
        describe_file(file, seconds, str(run.get("command", "")))
        with ConfigTables(images, catalog.configs, self._scratch) as configs:
            write_small_tables(
                file,
                self._placement,
                catalog,
                images=images,
                configs=configs,
                types=contents.types,
                run=run,
                large={"contents": contents.total, "chunks": chunks.total},
            )

    def _write_large(self, file: Any, contents: ContentNumbers, chunks: Fingerprints) -> None:
        """Write the large tables: each rank compresses its range, rank 0 stores what all send.

        :param file: the open file on rank 0, None elsewhere.
        """
        writer = ChunkWriter(self._comm, file)
        with Collective(self._comm), disk_errors(self._scratch, "scratch"):
            try:
                for _ in self._write_pieces(writer, contents, chunks):
                    writer.drain()
            except Exception:
                # Other ranks wait until their chunks are stored, or until this one has sent all
                writer.finish()
                raise
            writer.finish()
        self._reader.close()

    def _write_pieces(
        self, writer: ChunkWriter, contents: ContentNumbers, chunks: Fingerprints
    ) -> Iterator[None]:
        """Write this rank's range of the large tables, and yield after each piece."""
        comm = self._comm

        # Each rank writes the blocks whose rows it owns.
        entries = EntryWriter(self._reader, writer)
        for block, numbers in contents.entry_blocks():
            entries.write_block(block, numbers)
            yield
        for block, rows in contents.content_blocks():
            contents.write(writer, block, rows)
            yield
        for block, rows in chunks.blocks():
            chunks.write(writer, block, rows)
            yield

        # Texts are cut by bytes, so their chunks are shared out anew.
        for blob in ("path", "link"):
            for chunk in rank_range(comm.rank, comm.size, self._placement.blob_chunks(blob)):
                entries.write_blob(blob, chunk)
                yield

    def _ledger(self) -> Ledger:
        counts = np.bincount(self._placement.layers["status"], minlength=len(STATUSES)).tolist()
        return Ledger(**{word: counts[number] for word, number in STATUSES.items()})
