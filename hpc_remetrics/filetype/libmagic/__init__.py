"""libmagic's descriptions of files, exactly those of `file --brief`, for a fraction of its time.

:class:`Libmagic` is the only way into this directory; nothing outside it imports the modules inside.
Read README.md here first: it draws how a rule of libmagic becomes a condition, a screen and an
answer, and says what to do when a new version of libmagic comes. docs/filetype.md argues why no
description changes.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from ...errors import MissingComponentError
from ..heads import head_of
from .beyond_head import is_read_in_hole
from .binding import Magic, libmagic_version
from .content import ContentBytes, ContentEnds

if TYPE_CHECKING:
    from .exact import ExactMagic

__all__ = ["ContentBytes", "ContentEnds", "Libmagic"]


class Libmagic:
    """libmagic, with the parameters and the flags of `file` without options.

    :param exact: ask it only with the rules that can match a file. Where its version or its
        database isn't one that this package knows, or its descriptions of the samples differ, all
        rules are asked nevertheless, and `unsupported` says why.
    :ivar unsupported: why all rules are asked although `exact` is wanted, "" if they aren't.
    :ivar remedy: what would change that, "" if nothing does.
    :raises MissingComponentError: libmagic or its database is not installed.
    """

    def __init__(self, exact: bool = True) -> None:
        self._plain = Magic()
        self._exact: ExactMagic | None = None
        self.unsupported = ""
        self.remedy = ""
        if not exact:
            return
        try:
            self._exact = _checked_exact(self._plain)
        except ValueError as error:
            self.unsupported = str(error)
        except MissingComponentError as error:
            self.unsupported = error.args[0]
            self.remedy = error.hint

    def describe(self, content: ContentBytes) -> bytes | None:
        """Return libmagic's description of a file with this content, None if it gives an error."""
        if self._exact is None:
            return self._plain.describe(content)
        return self._exact.describe(content)

    def describe_plainly(self, content: ContentBytes) -> bytes | None:
        """Return the same as :meth:`describe`, with all rules of libmagic asked."""
        return self._plain.describe(content)

    @staticmethod
    def version() -> int:
        """Return the version of the installed libmagic, 544 for 5.44.

        :raises MissingComponentError: libmagic is not installed.
        """
        return libmagic_version()

    @staticmethod
    def agree(want: bytes | None, got: bytes | None) -> bool:
        """Tell whether two descriptions are the same; of ELF files, whether their heads are."""
        if want == got or not want or not got or not want.startswith(b"ELF "):
            return want == got
        return head_of(want.decode("latin-1")) == head_of(got.decode("latin-1"))

    @staticmethod
    def reads_in_hole(head: bytes, size: int) -> bool:
        """Tell whether libmagic may read a file between its first and last `len(head)` bytes.

        :param head: first bytes of the file.
        :param size: bytes of the whole file.
        """
        return is_read_in_hole(head, size)


def _checked_exact(plain: Magic) -> ExactMagic:
    """Return what asks libmagic with few rules, after a comparison on the samples.

    :raises MissingComponentError: there is no engine that seeks patterns.
    :raises ValueError: this libmagic isn't supported.
    """
    # The matcher is loaded only where it is needed.
    from .exact import ExactMagic
    from .samples import SAMPLES

    # What is made here lives as long as the process: the garbage collector need not walk over it.
    gc.disable()
    try:
        exact = ExactMagic(plain)
        for sample in SAMPLES:
            want = plain.describe(sample)
            got = exact.describe(sample)
            if not Libmagic.agree(want, got):
                raise ValueError(f"this libmagic describes a sample as {want!r}, not {got!r}")
        gc.freeze()
    finally:
        gc.enable()
    return exact
