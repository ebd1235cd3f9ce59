"""The pass over one layer: every byte is read once, hashed, inflated, walked; each file is hashed
and typed."""

from __future__ import annotations

import hashlib
import time
from fractions import Fraction
from typing import Any, BinaryIO, Protocol

from ..filetype.held_content import HEAD_BYTES, Data, keep
from ..limits import Limits
from ..parts.spill_format import NO_TYPE, LayerProfile
from ..parts.spill_writer import NOTHING, Content, Spill
from ..records import KINDS, NOTES, Digest
from ..tar.decompress import Blob, Decompressed
from ..tar.fault import LayerFault
from ..tar.members import Member, Reader
from ..tar.paths import OPAQUE, WHITEOUT, Directories, clean
from ..tar.stream import Stream
from .chunking import Cutter, Cutting
from .compression_sample import Passing, Sampler
from .links import resolve_hardlinks
from .unpack import ZEROS, Tree

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
_FILE, _DIRECTORY, _OTHER = KINDS["file"], KINDS["directory"], KINDS["other"]
_WHITEOUT, _OPAQUE = KINDS["whiteout"], KINDS["opaque"]
_EMPTIES = frozenset(("io_error", "no_room"))
"""Causes that are the machine's, not the layer's: nothing of the layer is kept, so that it is tried
anew."""

_HAS_LINK = frozenset((KINDS["hardlink"], KINDS["symlink"]))


class Typer(Protocol):
    """Tells the types of contents, as numbers: puts each into its content, at the latest when told
    to settle."""

    def type_later(self, content: Content, data: Data, /) -> None: ...

    def settle(self) -> None: ...


class _NoTypes:
    def type_later(self, content: Content, data: Data, /) -> None:
        """Leave the content without one."""

    def settle(self) -> None:
        """Have nothing to do."""


def profile_layer(
    stream: BinaryIO,
    size: int,
    expected: Digest | None,
    expected_size: int,
    spill: Spill,
    limits: Limits,
    typer: Typer | None = None,
    tree: Tree | None = None,
    sampler: Sampler | None = None,
    cutter: Cutter | None = None,
) -> LayerProfile:
    """Profile one layer and leave its entries in `spill`.

    :param stream: the compressed bytes; `size` of them belong to the layer (-1: all).
    :param expected: digest of those bytes, and `expected_size` their number (-1: unknown), to
        verify.
    :param tree: where the layer is unpacked, and its files are read from; the rows are the same.
    :param sampler: compresses a sample of the contents; None: there is none.
    :param cutter: cuts the contents into chunks; None: they are not.
    :returns: the layer's row; with status `failed` the spill is empty, with `partial` it holds the
        entries before the fault.
    """
    started = time.process_time()
    sampler = sampler or Sampler(Fraction())
    layer = _Pass(Blob(stream, size), spill, limits, typer or _NoTypes(), tree, sampler, cutter)
    layer.run()
    layer.verify(expected, expected_size)
    layer.profile.cpu_seconds = round(time.process_time() - started, 6)
    return layer.profile


class _Pass:
    """The state of one pass: what was counted so far, and the fault that ended it, if any."""

    def __init__(
        self,
        blob: Blob,
        spill: Spill,
        limits: Limits,
        typer: Typer,
        tree: Tree | None,
        sampler: Sampler,
        cutter: Cutter | None,
    ) -> None:
        self.blob, self.spill, self.limits, self.typer, self.tree = blob, spill, limits, typer, tree
        self.sampler, self.cutter = sampler, cutter
        self.passing: Passing | None = None
        self.cutting: Cutting | None = None
        if cutter:
            cutter.begin()
        self.profile = LayerProfile()
        spill.settle = typer.settle
        self.counts = [0] * len(KINDS)
        self.directories = Directories(spill.path.with_suffix(".directories"), limit=limits.entries)
        self.holes = 0

    def run(self) -> None:
        """Read the layer as far as it goes."""
        profile = self.profile
        try:
            source = Decompressed(self.blob, self.limits)
        except LayerFault as fault:
            self._fault(fault, -1)
            return
        profile.compression = source.compression
        stream = Stream(source)
        reader = Reader(stream, self.limits)
        try:
            try:
                self._walk(reader, stream)
            except LayerFault as fault:
                self.spill.drop_loose()
                self._fault(fault, reader.offset)
                if fault.stage == "tar":
                    stream.drain()
            else:
                source.tar_ended = True
                if stream.drain():
                    profile.notes |= NOTES["trailing_data"]
            if not profile.cause or profile.stage == "tar":
                profile.diff_id = stream.digest().hex()
            self.blob.drain()
        except LayerFault as fault:
            self._fault(fault, stream.size)
        profile.TLS = stream.size
        profile.notes |= reader.notes | source.notes
        self._finish()

    def _fault(self, fault: LayerFault, offset: int) -> None:
        profile = self.profile
        if fault.cause in _EMPTIES or not profile.cause:
            profile.stage, profile.cause, profile.message = (
                fault.stage,
                fault.cause,
                fault.message[:500],
            )
            profile.offset = offset
        if profile.cause not in _EMPTIES and fault.stage == "decompress":
            try:
                self.blob.drain()
            except LayerFault as worse:
                self._fault(worse, -1)

    def _walk(self, reader: Reader, stream: Stream) -> None:
        add, counts, directories = self.spill.add, self.counts, self.directories
        profile, limit = self.profile, self.limits.entries
        kind_of, type_later, sha256, tree = (
            _KIND_OF_TYPE.get,
            self.typer.type_later,
            hashlib.sha256,
            self.tree,
        )
        drawn, cutter, entries = self.sampler.bound, self.cutter, 0
        for member in reader:
            entries += 1
            if entries > limit:
                raise LayerFault("tar", "limit_entries", f"more than {limit} entries")
            path = member.path
            cleaned = clean(path)
            kind = kind_of(member.type, _OTHER)
            if WHITEOUT in cleaned:
                kind = _whiteout(cleaned, kind)
            content = NOTHING
            if kind == _FILE:
                size, position = member.size, stream.position
                if tree is not None:
                    mode = member.mode & 0o7777
                    digest, data = tree.write(cleaned, mode, size, self._expanded(member, stream))
                elif member.fragments is None and position + size <= len(stream.buffer):
                    data = stream.buffer[position : position + size]
                    stream.position = position + size
                    digest = sha256(data).digest()
                else:
                    digest, data = self._large(member, stream)
                if digest < drawn or size > HEAD_BYTES:
                    self._sample(size, digest, data)
                if cutter is not None:
                    self._cut(cutter, digest, data)
                content = [size, NO_TYPE, digest]
                type_later(content, data)
                profile.FLS += size
            else:
                if member.stored:
                    stream.skip(member.stored)
                if kind == _DIRECTORY:
                    directories.add(cleaned)
                if tree is not None:
                    _plant(tree, kind, cleaned, member)
            counts[kind] += 1
            directories.add_parents(cleaned)
            if cleaned and (depth := cleaned.count(b"/") + 1) > profile.depth:
                profile.depth = depth
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

    def _large(self, member: Member, stream: Stream) -> tuple[bytes, Data]:
        """Return digest and what is held of a file that is not whole in the buffer, or sparse."""
        hasher = hashlib.sha256()
        scratch = self.spill.path.parent
        held = keep(self._expanded(member, stream), member.size, scratch, hasher.update)
        return hasher.digest(), held

    def _sample(self, size: int, digest: bytes, data: Data) -> None:
        """Note what a content that is in the sample takes compressed; `data` is all of it unless it
        passed."""
        passing, self.passing = self.passing, None
        if isinstance(data, bytes):
            self.spill.add_sample(digest, *self.sampler.sizes(digest, data))
        elif passing is not None and (sizes := passing.sizes()) is not None:
            self.spill.add_sample(digest, *sizes)

    def _cut(self, cutter: Cutter, digest: bytes, data: Data) -> None:
        """Note the chunks of a content; `data` is all of it unless it passed."""
        cutting, self.cutting = self.cutting, None
        found = cutter.whole(digest, data) if isinstance(data, bytes) else cutting and cutting.end()
        if found:
            self.spill.add_chunks(found[0], digest, found[1])

    def _expanded(self, member: Member, stream: Stream) -> Any:
        """Return the bytes of a file in pieces, holes as zeros, looked at by sampler and cutter if
        they are many."""
        pieces, self.passing = self._pieces(member, stream), self.sampler.passing(member.size)
        if self.passing:
            pieces = self.passing.through(pieces)
        if self.cutter and member.size > HEAD_BYTES:
            self.cutting = self.cutter.passing(self.spill.add_loose_chunks)
            pieces = self.cutting.through(pieces)
        return pieces

    def _pieces(self, member: Member, stream: Stream) -> Any:
        if member.fragments is None:
            yield from stream.pieces(member.size)
            return
        position = 0
        for offset, length in [*member.fragments, (member.size, 0)]:
            yield from self._hole(offset - position)
            yield from stream.pieces(length)
            position = offset + length

    def _hole(self, size: int) -> Any:
        self.holes += size
        if self.holes > self.limits.sparse_bytes:
            raise LayerFault(
                "tar", "limit_sparse", f"holes of more than {self.limits.sparse_bytes} bytes"
            )
        while size:
            piece = ZEROS[:size]
            size -= len(piece)
            yield piece

    def _finish(self) -> None:
        """Settle hard links, counts and the status."""
        profile, spill, counts = self.profile, self.spill, self.counts
        spill.flush()
        if counts[KINDS["hardlink"]] and resolve_hardlinks(spill):
            profile.notes |= NOTES["unresolved_hardlink"]
        profile.entries, profile.path_bytes, profile.link_bytes = (
            spill.rows,
            spill.path_bytes,
            spill.link_bytes,
        )
        profile.files, profile.symlinks = counts[_FILE], counts[KINDS["symlink"]]
        profile.hardlinks, profile.others = counts[KINDS["hardlink"]], counts[_OTHER]
        profile.devices = sum(
            counts[KINDS[kind]] for kind in ("character_device", "block_device", "fifo")
        )
        profile.whiteouts = counts[_WHITEOUT] + counts[_OPAQUE]
        profile.directories = self.directories.count()
        if profile.others:
            profile.notes |= NOTES["other_entries"]
        profile.status = "ok" if not profile.cause else "partial" if profile.entries else "failed"

    def verify(self, expected: Digest | None, expected_size: int) -> None:
        """Compare the digest with the manifest's; other bytes than asked for leave nothing.

        A size says only why the digest is another one.
        """
        profile, blob = self.profile, self.blob
        profile.CLS = blob.size
        wrong = ""
        if profile.cause in _EMPTIES:
            wrong = profile.cause
        elif expected is not None and blob.digest() == expected.raw:
            return  # a size is what somebody says, the digest is the truth
        elif expected_size >= 0 and blob.size != expected_size:
            wrong, message = (
                "size_mismatch",
                f"the blob has {blob.size} bytes, the manifest says {expected_size}",
            )
        elif expected is not None:
            wrong, message = (
                "digest_mismatch",
                f"the blob's bytes are sha256:{blob.digest().hex()}, not {expected}",
            )
        if not wrong:
            return
        self.spill.empty()
        if wrong not in _EMPTIES:
            profile.stage, profile.cause, profile.message, profile.offset = (
                "verify",
                wrong,
                message,
                -1,
            )
        self.profile = LayerProfile(
            compression=profile.compression,
            CLS=profile.CLS,
            stage=profile.stage,
            cause=profile.cause,
            message=profile.message,
            offset=profile.offset,
        )


def _plant(tree: Tree, kind: int, path: bytes, member: Member) -> None:
    """Make an entry without content in the tree."""
    if kind == _DIRECTORY:
        tree.folder(path, member.mode)
    elif kind == KINDS["symlink"]:
        tree.symlink(path, member.link)
    elif kind == KINDS["hardlink"]:
        tree.hardlink(path, clean(member.link))
    elif kind in (_WHITEOUT, _OPAQUE):
        tree.empty(path, member.mode)


def _whiteout(cleaned: bytes, kind: int) -> int:
    name = cleaned.rpartition(b"/")[2]
    if name == OPAQUE:
        return _OPAQUE
    return _WHITEOUT if name.startswith(WHITEOUT) else kind
