"""A layer as a tree on disk, for those who ask for it: never outside its folder, whatever the layer
holds.

Every step goes from an open folder to the next by one name, and follows no link; what is in the way
gives way to the later entry, as docker and containerd have it. Regular files, folders, symbolic and
hard links are made; devices and FIFOs are not, nor owners, nor set-id bits. What a file system
can't hold (names or paths that are too long) is profiled and left out of the tree.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..filetype.held_content import ContentBytes, ContentEnds, keep
from ..filetype.libmagic import Libmagic
from ..tar.fault import LayerFault

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = 1 << 20
_INODE = 1 << 10
"""Bytes that an entry counts besides its content."""

_MOST_DEPTH = 256
_MOST_NAME = 255
_MOST_PATH = 3072
"""Longer paths can't be opened from outside once the folder's own is put before them."""

ZEROS = bytes(1 << 20)
"""A piece of a hole: it takes no room."""

_TOO_LONG = (errno.ENAMETOOLONG, errno.EINVAL)


class UnpackedTree:
    """The tree under `root`, a folder that is made anew.

    :param quota: bytes that it may take.
    """

    def __init__(self, root: Path, quota: int) -> None:
        shutil.rmtree(root, ignore_errors=True)  # what a child that was ended left of it
        root.mkdir(mode=0o700)
        self._path, self._left = root, quota
        self._root = os.open(root, _DIRECTORY)
        self._folders: dict[bytes, int] = {}
        """Open folders on the way to the last entry, by path."""

    def close(self) -> None:
        self._forget()
        os.close(self._root)

    def write(
        self, path: bytes, mode: int, size: int, pieces: Iterable[bytes]
    ) -> tuple[bytes, ContentBytes]:
        """Write a file, read it back, and return the SHA-256 of what was read, and what is held of
        it.

        :param path: cleaned, as `paths.clean` returns it.
        :raises LayerFault: with cause `no_room` when the quota or the disk is full.
        """
        try:
            self._spend(_INODE)
            file = self._create(path, mode)
            try:
                self._fill(file, size, pieces)
                return _read_back(file, size)
            finally:
                os.close(file)
        except OSError as error:
            raise _fault(error, path) from None

    def directory(self, path: bytes, mode: int) -> None:
        """Make a folder, or give one that is there its mode."""
        self._place(path, lambda: os.fchmod(self._open(path), mode & 0o777 | 0o700))

    def symlink(self, path: bytes, target: bytes) -> None:
        """Make a symbolic link, wherever it leads: nothing here follows it."""
        if target:
            self._place(
                path, lambda: os.symlink(target, self._vacant(path), dir_fd=self._parent(path))
            )

    def hardlink(self, path: bytes, target: bytes) -> None:
        """Make a hard link to a file of the tree; none where there is no such file."""
        self._place(path, lambda: self._link(path, target))

    def empty_file(self, path: bytes, mode: int) -> None:
        """Make a file without content, as the marker of a whiteout is."""
        self._place(path, lambda: os.close(self._create(path, mode)))

    def _place(self, path: bytes, make: object) -> None:
        """Make an entry that has no content; what the file system can't hold is left out."""
        try:
            self._spend(_INODE)
            if _fits(path) and path:
                make()  # type: ignore[operator]
        except OSError as error:
            if error.errno not in _TOO_LONG:
                raise _fault(error, path) from None

    def _link(self, path: bytes, target: bytes) -> None:
        if not _fits(target) or target == path or (source := self._find(target)) is None:
            return
        try:
            name = target.rpartition(b"/")[2]
            if not stat.S_ISDIR(os.stat(name, dir_fd=source, follow_symlinks=False).st_mode):
                vacant, parent = self._vacant(path), self._parent(path)
                os.link(name, vacant, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return  # to nothing, or to what just gave way to it
        finally:
            os.close(source)

    def _find(self, path: bytes) -> int | None:
        """Return the open folder that an entry would stand in, None if it is not there; the caller
        closes it."""
        at = os.dup(self._root)
        for name in path.split(b"/")[:-1]:
            try:
                inner = os.open(name, _DIRECTORY, dir_fd=at)
            except OSError:
                return None
            finally:
                os.close(at)
            at = inner
        return at

    def _create(self, path: bytes, mode: int) -> int:
        """Return a new file at the path, or one without a name where there can't be one of that
        name."""
        if _fits(path) and path:
            try:
                return os.open(
                    self._vacant(path), _FILE, mode & 0o777 | 0o600, dir_fd=self._parent(path)
                )
            except OSError as error:
                if error.errno not in _TOO_LONG:
                    raise
        with tempfile.TemporaryFile(dir=self._path.parent) as file:
            return os.dup(file.fileno())

    def _vacant(self, path: bytes) -> bytes:
        """Remove what stands at the path, and return its last name."""
        parent, name = self._parent(path), path.rpartition(b"/")[2]
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.EISDIR, errno.EPERM):
                raise
            self._forget()
            shutil.rmtree(b"/proc/self/fd/%d/%s" % (self._parent(path), name))
        return name

    def _parent(self, path: bytes) -> int:
        return self._open(path.rpartition(b"/")[0])

    def _open(self, path: bytes) -> int:
        """Return the open folder of that path, made where there is none; anything else there gives
        way."""
        if not path:
            return self._root
        if (known := self._folders.get(path)) is not None:
            return known
        if len(self._folders) >= _MOST_DEPTH:
            self._forget()
        above, _, name = path.rpartition(b"/")
        parent = self._open(above)
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
            self._spend(_INODE)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, 0o700, dir_fd=parent)
        self._folders[path] = os.open(name, _DIRECTORY, dir_fd=parent)
        return self._folders[path]

    def _forget(self) -> None:
        """Close all folders but the root: one of them may be about to go."""
        for file in self._folders.values():
            os.close(file)
        self._folders.clear()

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise OSError(errno.EDQUOT, "the layer takes more than it was granted on scratch")

    def _fill(self, file: int, size: int, pieces: Iterable[bytes]) -> None:
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
    """Say whether a path can stand in a tree."""
    names = path.split(b"/")
    short = (
        len(path) <= _MOST_PATH and len(names) < _MOST_DEPTH and max(map(len, names)) <= _MOST_NAME
    )
    return short and b"\0" not in path


def _read_back(file: int, size: int) -> tuple[bytes, ContentBytes]:
    hasher = hashlib.sha256()
    held = keep(_pieces(file, size), size, None, hasher.update)
    if isinstance(held, ContentEnds) and Libmagic.reads_in_hole(held.head, size):
        # The file is there as a whole already.
        held = held._replace(whole=os.fdopen(os.dup(file), "rb"))
    return hasher.digest(), held


def _pieces(file: int, size: int) -> Iterator[bytes]:
    at = 0
    while data := os.pread(file, _READ, at):
        at += len(data)
        yield data
    if at != size:
        raise OSError(errno.EIO, f"a file of {size} bytes has {at} when it is read back")


def _fault(error: OSError, path: bytes) -> LayerFault:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)
    name = path[-200:].decode("utf-8", "backslashreplace")
    return LayerFault(
        "unpack", "no_room" if full else "io_error", f"unpacking {name} failed: {error.strerror}"
    )
