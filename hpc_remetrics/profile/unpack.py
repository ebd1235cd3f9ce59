"""Unpack a layer into a directory, and never write outside of it, whatever the layer holds.

Every step goes from an open directory to the next one by a single name, and follows no link:

    entry "a/b/c"      openat(root, "a")  ->  openat(a, "b")  ->  openat(b, "c", O_EXCL)
                       each with O_NOFOLLOW: a link in the way is removed, not followed

A later entry replaces whatever is in its way, as docker and containerd do it. Regular files,
directories, symbolic and hard links are made; devices, FIFOs, owners and set-id bits are not. An
entry that the file system can't hold (a name or path that is too long) is profiled, and left out.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..filetype.held_content import keep
from ..filetype.libmagic import ContentBytes, ContentEnds, Libmagic
from ..tar.fault import LayerFault

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_BYTES = 1 << 20
_ENTRY_BYTES = 1 << 10
"""Bytes of the quota that an entry takes besides its content."""

_MOST_NAMES = 256
"""Names in a path, and directories that are open at the same time."""

_NAME_BYTES = 255
_PATH_BYTES = 3072
"""Bytes of the longest path: with that of the directory before it, it can still be opened."""

ZEROS = bytes(1 << 20)
"""A piece of a hole of a sparse file, which is not written."""

_TOO_LONG = (errno.ENAMETOOLONG, errno.EINVAL)


class UnpackedTree:
    """The directory that a layer is unpacked into, made anew.

    :param root: its path; the remains of an earlier child are removed.
    :param quota: bytes that it may take.
    """

    def __init__(self, root: Path, quota: int) -> None:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(mode=0o700)
        self._path = root
        self._left = quota
        self._root = os.open(root, _OPEN_DIRECTORY)
        self._open_directories: dict[bytes, int] = {}
        """Path -> descriptor, of directories on the way to the last entries."""

    def close(self) -> None:
        """Close all descriptors; the files stay."""
        self._forget()
        os.close(self._root)

    def write(
        self, path: bytes, mode: int, size: int, pieces: Iterable[bytes]
    ) -> tuple[bytes, ContentBytes]:
        """Write a file and read it back; return the SHA-256 and the data of what was read.

        :param path: as `paths.clean` returns it; so are all paths of this class.
        :param mode: permissions, of which the owner keeps reading and writing.
        :param size: bytes of all pieces; a piece of `ZEROS` itself becomes a hole.
        :raises LayerFault: with cause `no_room` when the quota or the disk is full.
        """
        try:
            self._spend(_ENTRY_BYTES)
            file = self._create(path, mode)
            try:
                self._fill(file, size, pieces)
                return _read_back(file, size)
            finally:
                os.close(file)
        except OSError as error:
            raise _fault(error, path) from None

    def directory(self, path: bytes, mode: int) -> None:
        """Make a directory, or give an existing one its mode."""
        self._place(path, lambda: os.fchmod(self._open(path), mode & 0o777 | 0o700))

    def symlink(self, path: bytes, target: bytes) -> None:
        """Make a symbolic link to anywhere: no code here follows it; one to nothing is left out."""
        if target:
            self._place(
                path, lambda: os.symlink(target, self._vacated(path), dir_fd=self._parent(path))
            )

    def hardlink(self, path: bytes, target: bytes) -> None:
        """Make a hard link to a file of the tree; without such a file there is none."""
        self._place(path, lambda: self._link(path, target))

    def empty_file(self, path: bytes, mode: int) -> None:
        """Make an empty file, such as a whiteout."""
        self._place(path, lambda: os.close(self._create(path, mode)))

    def _place(self, path: bytes, make: Callable[[], None]) -> None:
        """Make an entry without content, or leave it out if the file system can't hold it."""
        try:
            self._spend(_ENTRY_BYTES)
            if _fits(path) and path:
                make()
        except OSError as error:
            if error.errno not in _TOO_LONG:
                raise _fault(error, path) from None

    def _link(self, path: bytes, target: bytes) -> None:
        """Link to an entry that is there and is no directory."""
        if not _fits(target) or target == path or (source := self._find(target)) is None:
            return
        try:
            name = target.rpartition(b"/")[2]
            if not stat.S_ISDIR(os.stat(name, dir_fd=source, follow_symlinks=False).st_mode):
                link = self._vacated(path)
                parent = self._parent(path)
                os.link(name, link, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return  # there is no such entry, or the link has just replaced it
        finally:
            os.close(source)

    def _find(self, path: bytes) -> int | None:
        """Open the directory that an entry would be in; None if it is not there.

        The caller closes it.
        """
        at = os.dup(self._root)
        for name in path.split(b"/")[:-1]:
            try:
                inner = os.open(name, _OPEN_DIRECTORY, dir_fd=at)
            except OSError:
                return None
            finally:
                os.close(at)
            at = inner
        return at

    def _create(self, path: bytes, mode: int) -> int:
        """Open a new file at the path, or one without a name if the path can't be."""
        if _fits(path) and path:
            mode = mode & 0o777 | 0o600
            try:
                return os.open(self._vacated(path), _NEW_FILE, mode, dir_fd=self._parent(path))
            except OSError as error:
                if error.errno not in _TOO_LONG:
                    raise
        with tempfile.TemporaryFile(dir=self._path.parent) as file:
            return os.dup(file.fileno())

    def _vacated(self, path: bytes) -> bytes:
        """Remove whatever is at the path, and return the last name of the path."""
        parent = self._parent(path)
        name = path.rpartition(b"/")[2]
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.EISDIR, errno.EPERM):
                raise
            # It is a directory, which may be open here
            self._forget()
            shutil.rmtree(b"/proc/self/fd/%d/%s" % (self._parent(path), name))
        return name

    def _parent(self, path: bytes) -> int:
        """Return the descriptor of the directory that the path is in."""
        return self._open(path.rpartition(b"/")[0])

    def _open(self, path: bytes) -> int:
        """Return the descriptor of a directory, which replaces anything else at its path."""
        if not path:
            return self._root
        if (known := self._open_directories.get(path)) is not None:
            return known
        if len(self._open_directories) >= _MOST_NAMES:
            self._forget()

        # Make it, unless it is there
        above, _, name = path.rpartition(b"/")
        parent = self._open(above)
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
            self._spend(_ENTRY_BYTES)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, 0o700, dir_fd=parent)
        descriptor = os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
        self._open_directories[path] = descriptor
        return descriptor

    def _forget(self) -> None:
        """Close all directories but the root, since one of them may be about to be removed."""
        for descriptor in self._open_directories.values():
            os.close(descriptor)
        self._open_directories.clear()

    def _spend(self, size: int) -> None:
        """Take bytes of the quota; `OSError` (EDQUOT) if there are not so many left."""
        self._left -= size
        if self._left < 0:
            raise OSError(errno.EDQUOT, "the layer takes more than it was granted on scratch")

    def _fill(self, file: int, size: int, pieces: Iterable[bytes]) -> None:
        """Write the pieces of a file one after the other, and leave holes where they are."""
        for piece in pieces:
            if piece is ZEROS:
                os.lseek(file, len(piece), os.SEEK_CUR)
                continue
            self._spend(len(piece))
            view = memoryview(piece)
            while view:
                view = view[os.write(file, view) :]
        os.ftruncate(file, size)


def _fits(path: bytes) -> bool:
    """Say whether the file system can hold an entry of this path."""
    names = path.split(b"/")
    return (
        len(path) <= _PATH_BYTES
        and len(names) < _MOST_NAMES
        and max(map(len, names)) <= _NAME_BYTES
        and b"\0" not in path
    )


def _read_back(file: int, size: int) -> tuple[bytes, ContentBytes]:
    """Return the SHA-256 and the data of a file that was just written."""
    hasher = hashlib.sha256()
    held = keep(_pieces(file, size), size, None, hasher.update)
    if isinstance(held, ContentEnds) and Libmagic.reads_in_hole(held.head, size):
        # The file itself is the whole content that libmagic may read anywhere
        held = held._replace(whole=os.fdopen(os.dup(file), "rb"))
    return hasher.digest(), held


def _pieces(file: int, size: int) -> Iterator[bytes]:
    """Yield the bytes of a file; `OSError` (EIO) if they are not `size`."""
    at = 0
    while data := os.pread(file, _READ_BYTES, at):
        at += len(data)
        yield data
    if at != size:
        raise OSError(errno.EIO, f"a file of {size} bytes has {at} when it is read back")


def _fault(error: OSError, path: bytes) -> LayerFault:
    """Return the fault that an error of the file system is for the layer."""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)
    cause = "no_room" if is_full else "io_error"
    name = path[-200:].decode("utf-8", "backslashreplace")
    return LayerFault("unpack", cause, f"unpacking {name} failed: {error.strerror}")
