"""The calls into libmagic: python-magic finds the library, its functions are called by `ctypes`.

Magic()                     the installed database of rules
Magic(records)              a database in memory, of a few rules
magic.describe(content)     magic_descriptor: libmagic has a file, as `file` does
magic.describe_buffer(head) magic_buffer: libmagic has first bytes alone, which is cheaper
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from functools import cache, cached_property
from importlib import import_module
from types import ModuleType

from ...errors import MissingComponentError
from .content import ContentBytes

_INSTALL = (
    "install libmagic (Debian: libmagic1, Fedora: file-libs, Alpine: libmagic) "
    "or `pip install pylibmagic`"
)

_OLD_MAX_HEAD = 1 << 20
"""Bytes that a libmagic looks at which can't be asked for them (before 5.44)."""


class Magic:
    """One open database of libmagic, with the parameters and the flags of `file` without options.

    :param records: a compiled database in memory, to use instead of the installed one.
    :param finds_encoding: find out whether a file is text; without, none is taken for text.
    :raises MissingComponentError: libmagic or its database is not installed.
    """

    def __init__(self, records: bytes | None = None, *, finds_encoding: bool = True) -> None:
        # Not magic.Magic: it raises the limit of named rules above that of `file`.
        self._library = _magic_module()
        flags = (
            self._library.MAGIC_NONE if finds_encoding else self._library.MAGIC_NO_CHECK_ENCODING
        )
        try:
            self._cookie = self._library.magic_open(flags)
            if records is None:
                self._library.magic_load(self._cookie, None)
            else:
                self._load(records)
        except self._library.MagicException as error:
            message = f"libmagic can't load its database: {error.message!r}"
            raise MissingComponentError(message, _INSTALL) from None
        # Call without the checks of python-magic, which take as long as a small file.
        buffer_call = ctypes.CFUNCTYPE(
            ctypes.c_char_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
        )
        self._buffer = buffer_call(("magic_buffer", self._library.libmagic))
        file_call = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int)
        self._descriptor = file_call(("magic_descriptor", self._library.libmagic))

    def _load(self, records: bytes) -> None:
        """Load a database in memory.

        libmagic reads the very bytes, so they must live as long as this object.
        """
        self._records = records
        load = self._library.libmagic.magic_load_buffers
        load.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        pointers = (ctypes.c_char_p * 1)(records)
        sizes = (ctypes.c_size_t * 1)(len(records))
        if load(self._cookie, pointers, sizes, 1):
            raise self._library.MagicException(b"it refuses a part of it")

    @property
    def max_head(self) -> int:
        """Bytes of a content's beginning that `file` of this version looks at."""
        library = self._library
        try:
            return int(library.magic_getparam(self._cookie, library.MAGIC_PARAM_BYTES_MAX))
        except (NotImplementedError, library.MagicException):
            return _OLD_MAX_HEAD

    def describe(self, content: ContentBytes) -> bytes | None:
        """Return what `file --brief` prints of a file with this content, None for an error."""
        return self._descriptor(self._cookie, _memory_file().hold(content))

    def describe_buffer(self, head: bytes) -> bytes | None:
        """Return libmagic's description of first bytes alone, None if it gives an error.

        It has no file then: it looks at no end, and reads nothing of an ELF file or a compound
        document beyond these bytes.
        """
        return self._buffer(self._cookie, head, len(head))

    def close(self) -> None:
        """Close the database."""
        self._library.magic_close(self._cookie)


class _MemoryFile:
    """A file in memory that holds one content after the other for libmagic to read.

    libmagic reads it from its beginning, and leaves its position there.
    """

    def __init__(self) -> None:
        self._size = 0

    @cached_property
    def _descriptor(self) -> int:
        """The descriptor of the file; of one in the directory for temporary files as a last resort."""
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

    def hold(self, content: ContentBytes) -> int:
        """Return the descriptor of a file with this content; the next call changes the file."""
        file = self._descriptor
        if isinstance(content, bytes):
            if self._size > len(content):
                os.ftruncate(file, len(content))
            os.pwrite(file, content, 0)
            self._size = len(content)
            return file
        if content.whole is not None:
            content.whole.seek(0)
            return content.whole.fileno()
        # The middle must be a hole, and what was there before must not show in it.
        os.ftruncate(file, 0)
        content.write(file)
        self._size = content.size
        return file


@cache
def _memory_file() -> _MemoryFile:
    return _MemoryFile()


def database_path() -> str:
    """Return where libmagic looks for its database: paths with colons between them."""
    path = _magic_module().libmagic.magic_getpath
    path.restype = ctypes.c_char_p
    path.argtypes = [ctypes.c_char_p, ctypes.c_int]
    return (path(None, 0) or b"").decode("utf-8", "surrogateescape")


def libmagic_version() -> int:
    """Return the version of libmagic, 544 for 5.44, 0 for one before 5.13.

    :raises MissingComponentError: libmagic is not installed.
    """
    try:
        return int(_magic_module().version())
    except NotImplementedError:
        return 0


def _magic_module() -> ModuleType:
    """Import python-magic when the first file is typed: a run without types needs no libmagic.

    :raises MissingComponentError: it or libmagic is not installed.
    """
    try:
        module = _import_magic()
    except (ImportError, OSError) as error:
        message = f"libmagic can't be used: {error}"
        raise MissingComponentError(message, f"{_INSTALL}, or choose --types none") from None
    if not hasattr(module, "magic_buffer"):
        raise MissingComponentError(
            "the module `magic` is not python-magic",
            "`pip uninstall file-magic`, `pip install python-magic`",
        )
    return module


def _import_magic() -> ModuleType:
    """Import python-magic with the system's libmagic, else with that of pylibmagic.

    The package pylibmagic must be imported first, since it says where its library is.
    """
    try:
        return import_module("magic")
    except ImportError as error:
        try:
            import_module("pylibmagic")
        except ImportError:
            raise error from None
        return import_module("magic")
