"""The calls into libmagic: through python-magic, which finds the library, and without its checks in
the hot path."""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Sequence
from functools import cache, cached_property
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from ...errors import MissingComponentError

if TYPE_CHECKING:
    from ..held_content import Data

_INSTALL = "install libmagic (Debian: libmagic1, Fedora: file-libs, Alpine: libmagic) or `pip install pylibmagic`"


class Magic:
    """One open magic data base, with the parameters and the flags of `file` without options.

    :param records: compiled data bases in memory to use instead of the installed one.
    :param encoding: find out whether a file is text; without, none is taken for text.
    :raises MissingComponentError: libmagic or its data base is not installed.
    """

    def __init__(self, records: Sequence[bytes] | None = None, encoding: bool = True) -> None:
        # Not magic.Magic: it raises the limit of named rules above that of `file`.
        self._library = _magic()
        try:
            flags = self._library.MAGIC_NONE if encoding else self._library.MAGIC_NO_CHECK_ENCODING
            self._cookie = self._library.magic_open(flags)
            if records is None:
                self._library.magic_load(self._cookie, None)
            else:
                self._load(records)
        except self._library.MagicException as error:
            raise MissingComponentError(
                f"libmagic can't load its data base: {error.message!r}", _INSTALL
            ) from None
        of_buffer = ctypes.CFUNCTYPE(
            ctypes.c_char_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
        )
        self._buffer = of_buffer(("magic_buffer", self._library.libmagic))
        of_file = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int)
        self._descriptor = of_file(("magic_descriptor", self._library.libmagic))

    def _load(self, records: Sequence[bytes]) -> None:
        """Load data bases in memory: libmagic reads the very bytes, so they must live as long as
        this."""
        self._records = tuple(records)
        load = self._library.libmagic.magic_load_buffers
        load.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        pointers = (ctypes.c_char_p * len(records))(*records)
        sizes = (ctypes.c_size_t * len(records))(*map(len, records))
        if load(self._cookie, pointers, sizes, len(records)):
            raise self._library.MagicException(b"it refuses a part of it")

    @property
    def most(self) -> int:
        """Bytes of a content's beginning that `file` of this version looks at."""
        try:
            return int(
                self._library.magic_getparam(self._cookie, self._library.MAGIC_PARAM_BYTES_MAX)
            )
        except (NotImplementedError, self._library.MagicException):
            return 1 << 20

    def ask(self, data: Data) -> bytes | None:
        """Return the words of `file --brief` for a file with this content, or None if it gives an
        error."""
        return self._descriptor(self._cookie, _file().of(data))

    def ask_buffer(self, data: bytes) -> bytes | None:
        """Return libmagic's words for first bytes alone, or None if it gives an error.

        It has no file then: it looks at no end, and reads nothing of an ELF file or a compound
        document beyond these bytes.
        """
        return self._buffer(self._cookie, data, len(data))

    def close(self) -> None:
        self._library.magic_close(self._cookie)


class _File:
    """A file in memory, which holds one content after the other for libmagic to read.

    libmagic reads it from its beginning, and leaves its position there.
    """

    def __init__(self) -> None:
        self._size = 0

    @cached_property
    def _number(self) -> int:
        if hasattr(os, "memfd_create"):
            try:
                file = os.memfd_create("hpc-remetrics-content")
            except OSError:  # the kernel is old, or a sandbox forbids it
                pass
            else:
                os.fchmod(file, 0o644)
                return file
        with tempfile.TemporaryFile() as unnamed:
            file = os.dup(unnamed.fileno())
        os.fchmod(file, 0o644)
        return file

    def of(self, data: Data) -> int:
        """Return the descriptor of a file with this content."""
        file = self._number
        if isinstance(data, bytes):
            if self._size > len(data):
                os.ftruncate(file, len(data))
            os.pwrite(file, data, 0)
            self._size = len(data)
            return file
        if data.whole is not None:
            data.whole.seek(0)
            return data.whole.fileno()
        # The middle must be a hole, and what was there before must not show in it.
        os.ftruncate(file, 0)
        data.write(file)
        self._size = data.size
        return file


@cache
def _file() -> _File:
    return _File()


def data_base_path() -> str:
    """Return where libmagic looks for its data base: paths with colons between them."""
    path = _magic().libmagic.magic_getpath
    path.restype, path.argtypes = ctypes.c_char_p, [ctypes.c_char_p, ctypes.c_int]
    return (path(None, 0) or b"").decode("utf-8", "surrogateescape")


def libmagic_version() -> int:
    """Return the version of libmagic, 544 for 5.44.

    :raises MissingComponentError: libmagic is not installed.
    """
    try:
        return int(_magic().version())
    except NotImplementedError:
        return 0  # before 5.13


def _magic() -> ModuleType:
    """Import the binding when the first file is typed: a run without types needs no libmagic."""
    try:
        magic = _import_magic()
    except (ImportError, OSError) as error:
        raise MissingComponentError(
            f"libmagic can't be used: {error}", f"{_INSTALL}, or choose --types none"
        ) from None
    if not hasattr(magic, "magic_buffer"):
        raise MissingComponentError(
            "the module `magic` is not python-magic",
            "`pip uninstall file-magic`, `pip install python-magic`",
        )
    return magic


def _import_magic() -> ModuleType:
    """Import the binding with the system's libmagic, or with the one of pylibmagic, which must come
    first."""
    try:
        return import_module("magic")
    except ImportError as error:
        try:
            import_module("pylibmagic")
        except ImportError:
            raise error from None
        return import_module("magic")
