"""The pass over one layer: every byte is read once, hashed and decompressed; each file is hashed
and typed, and probes see it.

    Blob           bytes of the blob       SHA-256 and size of the blob
    Decompressed   bytes of the tar        limits on size and ratio
    TarStream      bytes of the tar        SHA-256 of the tar (`diff_id`)
    MemberReader   members                 paths, modes, links; where the bytes of a file are
    _Pass          contents                SHA-256, type, probes
    Spill          entries in columns      the file that the rank reads
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from ..filetype.held_content import HEAD_BYTES, keep
from ..limits import Limits
from ..parts.spill_format import NO_TYPE, LayerProfile
from ..parts.spill_writer import NOTHING, Spill
from ..records import KINDS, NOTES, Digest
from ..tar.decompress import Blob, Decompressed
from ..tar.fault import LayerFault
from ..tar.members import Member, MemberReader
from ..tar.paths import OPAQUE, WHITEOUT, Directories, clean
from ..tar.stream import TarStream
from .links import resolve_hardlinks
from .probe import NONE, LongContent, Probe
from .unpack import ZEROS, UnpackedTree

if TYPE_CHECKING:
    from ..filetype.libmagic import ContentBytes
    from ..filetype.typer import Typer

_KIND_OF_TYPE = {
    b"0": KINDS["file"],
    b"7": KINDS["file"],
    b"S": KINDS["file"],
    b"1": KINDS["hardlink"],
    b"2": KINDS["symlink"],
    b"3": KINDS["character_device"],
    b"4": KINDS["block_device"],
    b"5": KINDS["directory"],
    b"6": KINDS["fifo"],
}
"""Type flag of a tar header -> kind of the entry."""

_FILE = KINDS["file"]
_DIRECTORY = KINDS["directory"]
_HARDLINK = KINDS["hardlink"]
_SYMLINK = KINDS["symlink"]
_OTHER = KINDS["other"]
_WHITEOUT = KINDS["whiteout"]
_OPAQUE = KINDS["opaque"]
_DEVICES = (KINDS["character_device"], KINDS["block_device"], KINDS["fifo"])
_HAS_LINK = frozenset((_HARDLINK, _SYMLINK))

_SPECIAL = frozenset((b"", b"."))
"""First bytes of names that may mean something: nothing, `.`, `..`, and whiteouts."""

_MACHINE_CAUSES = frozenset(("io_error", "no_room"))
"""Faults of this machine and not of the layer: no row is kept, so that the layer is tried again."""

_MESSAGE_LENGTH = 500


def profile_layer(
    stream: BinaryIO,
    spill: Spill,
    limits: Limits,
    *,
    size: int = -1,
    expected: Digest | None = None,
    expected_size: int = -1,
    typer: Typer | None = None,
    tree: UnpackedTree | None = None,
    probes: Sequence[Probe] = (),
) -> LayerProfile:
    """Profile one layer and leave its entries in `spill`.

    :param stream: the compressed bytes.
    :param size: how many of these bytes belong to the layer, -1 for all.
    :param expected: the digest that these bytes must have, None to verify nothing.
    :param expected_size: how many there should be, -1 if unknown; it explains a wrong digest.
    :param typer: tells the types of contents; None leaves them without a type.
    :param tree: where the layer is unpacked, and its files are read from; the rows are the same.
    :param probes: what else looks at the contents.
    :returns: the row of the layer. With status `failed` the spill is empty, with `partial` it has
        the entries before the fault.
    """
    started = time.process_time()
    layer = _Pass(Blob(stream, size), spill, limits, typer, tree, probes)
    layer.run()
    layer.verify(expected, expected_size)
    layer.profile.cpu_seconds = round(time.process_time() - started, 6)
    return layer.profile


class _Pass:
    """The state of one pass: the counts so far, and the fault that ended it, if any."""

    def __init__(
        self,
        blob: Blob,
        spill: Spill,
        limits: Limits,
        typer: Typer | None,
        tree: UnpackedTree | None,
        probes: Sequence[Probe],
    ) -> None:
        self.blob = blob
        self.spill = spill
        self.limits = limits
        self.tree = tree
        self.type_later = None if typer is None else typer.type_later
        if typer is not None:
            spill.settle = typer.settle

        self.probes = probes
        self.holds_contents = typer is not None or bool(probes)
        self.long_contents: list[LongContent] = []
        for probe in probes:
            probe.begin_layer()

        self.profile = LayerProfile()
        self.counts = [0] * len(KINDS)
        self.directories = Directories(spill.path.with_suffix(".directories"), limit=limits.entries)
        self.hole_bytes = 0

    def run(self) -> None:
        """Read the layer up to its end or to its first fault."""
        profile = self.profile
        try:
            source = Decompressed(self.blob, self.limits)
        except LayerFault as fault:
            self._note_fault(fault, -1)
            return
        profile.compression = source.compression
        stream = TarStream(source)
        reader = MemberReader(stream, self.limits)
        try:
            try:
                self._walk(reader, stream)
            except LayerFault as fault:
                self.spill.drop_loose()
                self._note_fault(fault, reader.offset)
                # Behind a fault of the tar the digest of the whole can still be had.
                if fault.stage == "tar":
                    stream.drain()
            else:
                source.tar_ended = True
                if stream.drain():
                    profile.notes |= NOTES["trailing_data"]
            if not profile.cause or profile.stage == "tar":
                profile.diff_id = stream.digest().hex()
        except LayerFault as fault:
            self._note_fault(fault, stream.size)
        profile.TLS = stream.size
        profile.notes |= reader.notes | source.notes
        self._finish()

    def _note_fault(self, fault: LayerFault, offset: int) -> None:
        """Put the first fault into the row; a fault of this machine replaces any other."""
        profile = self.profile
        if fault.cause in _MACHINE_CAUSES or not profile.cause:
            profile.stage = fault.stage
            profile.cause = fault.cause
            profile.message = fault.message[:_MESSAGE_LENGTH]
            profile.offset = offset
        # Read the rest of the blob, whose digest tells whether it was damaged on the way.
        if profile.cause not in _MACHINE_CAUSES and fault.stage == "decompress":
            try:
                self.blob.drain()
            except LayerFault as worse:
                self._note_fault(worse, -1)

    def _walk(self, reader: MemberReader, stream: TarStream) -> None:
        """Read all members: the inside of the hot loop, so names are local and small files inline.

        :raises LayerFault: the tar is broken, or a limit is reached.
        """
        add = self.spill.add
        type_later = self.type_later
        kind_of = _KIND_OF_TYPE.get
        sha256 = hashlib.sha256
        profile = self.profile
        counts = self.counts
        tree = self.tree
        limit = self.limits.entries
        probed_below = max((probe.bound for probe in self.probes), default=NONE)
        last_parent = None
        entries = 0
        for member in reader:
            entries += 1
            if entries > limit:
                raise LayerFault("tar", "limit_entries", f"more than {limit} entries")

            # Look at the path; what a file beside the last entry implies is known already
            path = member.path
            kind = kind_of(member.type, _OTHER)
            parent, _, name = path.rpartition(b"/")
            is_plain = name[:1] not in _SPECIAL
            is_known = is_plain and parent == last_parent and kind != _DIRECTORY
            if not is_known or tree is not None:
                cleaned = clean(path)
                kind = _whiteout(cleaned, kind)

            content = NOTHING
            if kind == _FILE:
                # Hash the bytes of the file: on disk, in the buffer, or piece by piece
                size = member.size
                start = stream.position
                end = start + size
                if tree is not None:
                    mode = member.mode & 0o7777
                    pieces = self._expanded(member, stream)
                    digest, data = tree.write(cleaned, mode, size, pieces)
                elif end <= len(stream.buffer) and member.fragments is None:
                    data = stream.buffer[start:end]
                    stream.position = end
                    digest = sha256(data).digest()
                else:
                    digest, data = self._large(member, stream)

                # Show the content to the probes and to the typer
                if digest < probed_below or size > HEAD_BYTES:
                    self._probe(digest, data)
                content = [size, NO_TYPE, digest]
                if type_later is not None:
                    type_later(content, data)
                profile.FLS += size
            else:
                if member.stored:
                    stream.skip(member.stored)
                if tree is not None:
                    _plant(tree, kind, cleaned, member)

            # Count the entry, and what its path implies unless the last one implied the same
            counts[kind] += 1
            if not is_known:
                self._count_path(cleaned, kind)
                last_parent = parent if is_plain else None

            # Append the entry to the spill
            add(
                kind,
                member.mode & 0o7777,
                member.uid,
                member.gid,
                member.mtime,
                member.mtime_ns,
                content,
                path,
                member.link if kind in _HAS_LINK else b"",
            )

    def _count_path(self, path: bytes, kind: int) -> None:
        """Count the directories that a cleaned path implies, and its depth."""
        if kind == _DIRECTORY:
            self.directories.add(path)
        self.directories.add_parents(path)
        if path:
            self.profile.depth = max(self.profile.depth, path.count(b"/") + 1)

    def _large(self, member: Member, stream: TarStream) -> tuple[bytes, ContentBytes]:
        """Hash a file that is sparse or not whole in the buffer; return its digest and its data.

        Where nothing looks at contents, the data is not held: b"" stands for it.
        """
        hasher = hashlib.sha256()
        if not self.holds_contents:
            for piece in self._expanded(member, stream):
                hasher.update(piece)
            return hasher.digest(), b""
        scratch = self.spill.path.parent
        held = keep(self._expanded(member, stream), member.size, scratch, hasher.update)
        return hasher.digest(), held

    def _probe(self, digest: bytes, data: ContentBytes) -> None:
        """Show a content to the probes; those of a long one have seen its pieces already."""
        add = self.spill.add_records
        if isinstance(data, bytes):
            for probe in self.probes:
                if digest < probe.bound:
                    probe.content(digest, data, add)
            return
        for content in self.long_contents:
            content.end(digest, add)
        self.long_contents = []
        self.spill.keep_loose()

    def _expanded(self, member: Member, stream: TarStream) -> Iterator[bytes]:
        """Return the bytes of a file in pieces, holes as zeros; probes see those of a long one."""
        pieces = self._pieces(member, stream)
        if member.size > HEAD_BYTES:
            watchers = [probe.long_content(member.size) for probe in self.probes]
            self.long_contents = [watcher for watcher in watchers if watcher is not None]
            if self.long_contents:
                return self._watched(pieces)
        return pieces

    def _watched(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the pieces of a long content, each after the probes have seen it."""
        add = self.spill.add_loose_records
        for piece in pieces:
            for content in self.long_contents:
                content.piece(piece, add)
            yield piece

    def _pieces(self, member: Member, stream: TarStream) -> Iterator[bytes]:
        if member.fragments is None:
            yield from stream.pieces(member.size)
            return
        position = 0
        for offset, length in [*member.fragments, (member.size, 0)]:
            yield from self._hole(offset - position)
            yield from stream.pieces(length)
            position = offset + length

    def _hole(self, size: int) -> Iterator[bytes]:
        """Yield this many zeros in pieces.

        :raises LayerFault: all holes of the layer together are beyond the limit.
        """
        self.hole_bytes += size
        limit = self.limits.sparse_bytes
        if self.hole_bytes > limit:
            raise LayerFault("tar", "limit_sparse", f"holes of more than {limit} bytes")
        while size:
            piece = ZEROS[:size]
            size -= len(piece)
            yield piece

    def _finish(self) -> None:
        """Resolve hard links, and put the counts and the status into the row."""
        profile = self.profile
        spill = self.spill
        counts = self.counts
        spill.flush()
        if counts[_HARDLINK] and resolve_hardlinks(spill):
            profile.notes |= NOTES["unresolved_hardlink"]

        # Count entries by kind.
        profile.entries = spill.rows
        profile.path_bytes = spill.path_bytes
        profile.link_bytes = spill.link_bytes
        profile.files = counts[_FILE]
        profile.symlinks = counts[_SYMLINK]
        profile.hardlinks = counts[_HARDLINK]
        profile.devices = sum(counts[kind] for kind in _DEVICES)
        profile.whiteouts = counts[_WHITEOUT] + counts[_OPAQUE]
        profile.others = counts[_OTHER]
        profile.directories = self.directories.count()
        if profile.others:
            profile.notes |= NOTES["other_entries"]

        # A layer that failed late keeps its entries.
        if not profile.cause:
            profile.status = "ok"
        elif profile.entries:
            profile.status = "partial"

    def verify(self, expected: Digest | None, expected_size: int) -> None:
        """Compare the digest with that of the manifest; leave nothing of other bytes.

        The digest decides; a wrong size only explains a wrong digest.
        """
        profile = self.profile
        blob = self.blob
        profile.CLS = blob.size
        if profile.cause in _MACHINE_CAUSES:
            self._drop_all()
        elif expected is None:
            if 0 <= expected_size != blob.size:
                self._reject_size(expected_size)
        elif blob.digest() != expected.raw:
            if 0 <= expected_size != blob.size:
                self._reject_size(expected_size)
            else:
                message = f"the blob's bytes are sha256:{blob.digest().hex()}, not {expected}"
                self._reject("digest_mismatch", message)

    def _reject_size(self, expected_size: int) -> None:
        size = self.blob.size
        message = f"the blob has {size} bytes, the manifest says {expected_size}"
        self._reject("size_mismatch", message)

    def _reject(self, cause: str, message: str) -> None:
        """Replace the row by one of a layer whose bytes are not those of its digest."""
        profile = self.profile
        profile.stage = "verify"
        profile.cause = cause
        profile.message = message
        profile.offset = -1
        self._drop_all()

    def _drop_all(self) -> None:
        """Remove all entries; keep only the size, the compression and the fault in the row."""
        self.spill.empty()
        profile = self.profile
        self.profile = LayerProfile(
            compression=profile.compression,
            CLS=profile.CLS,
            stage=profile.stage,
            cause=profile.cause,
            message=profile.message,
            offset=profile.offset,
        )


def _plant(tree: UnpackedTree, kind: int, path: bytes, member: Member) -> None:
    """Make an entry without content in the tree."""
    if kind == _DIRECTORY:
        tree.directory(path, member.mode)
    elif kind == _SYMLINK:
        tree.symlink(path, member.link)
    elif kind == _HARDLINK:
        tree.hardlink(path, clean(member.link))
    elif kind in (_WHITEOUT, _OPAQUE):
        tree.empty_file(path, member.mode)


def _whiteout(cleaned: bytes, kind: int) -> int:
    """Return the kind of an entry by its name: a whiteout, an opaque one, or `kind`."""
    name = cleaned.rpartition(b"/")[2]
    if name == OPAQUE:
        return _OPAQUE
    return _WHITEOUT if name.startswith(WHITEOUT) else kind
