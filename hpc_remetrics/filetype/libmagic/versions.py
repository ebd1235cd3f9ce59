"""Table of what differs between the versions of libmagic, as far as the modules here need it.

Each version is the one before it with what changed, and beside each change stands the function of
libmagic's source (`git show FILE5_45:src/is_csv.c` and the like in its repository) that has it::

    VERSIONS[544].last_return    "counted"     "a\\r"  ->  ASCII text, with CR line terminators
    VERSIONS[545].last_return    "ignored"     "a\\r"  ->  ASCII text, with no line terminators

README.md lists what differs too but makes no difference here, and why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

SUBSTITUTE = b"\x1a"
"""The character that ended files of DOS."""


@dataclass(frozen=True)
class CsvRule:
    """When a text is CSV: enough lines with as many commas each (is_csv.c: csv_parse).

    :ivar min_lines: lines of a text of fewer than ten.
    :ivar min_commas: commas of each line of such a text.
    :ivar min_commas_of_ten: commas of each line of a longer text.
    """

    min_lines: int
    min_commas: int
    min_commas_of_ten: int


@dataclass(frozen=True)
class Version:
    """How one version of libmagic reads a file and walks through its rules.

    :ivar number: 544 for 5.44.
    :ivar max_text_bytes: bytes of a file that it looks at to see whether it is text, and in what
        encoding; None for all that it reads.
    :ivar utf8: its words for UTF-8, `utf8_with_mark` for UTF-8 that begins with a byte order mark.
    :ivar is_utf8_strict: characters of five bytes, halves of pairs of UTF-16, and characters that
        are written longer than need be aren't UTF-8.
    :ivar min_characters: fewer different bytes are no text in an encoding of one byte a character;
        one that occurs a multiple of 256 times is overlooked.
    :ivar quiet_controls: control characters of ASCII that texts may hold without a remark.
    :ivar counts_long_line: it says how long the longest line is.
    :ivar last_return: what a carriage return at the end of a text is: an end of line that is
        counted as all others, or never, or if there is no other carriage return.
    :ivar csv: which texts are CSV.
    :ivar has_tapes: it knows tapes of the SIMH emulators, by no rule.
    :ivar call_keeps_levels: a rule that calls a named block finds its levels as they were, with
        the places where their matches end.
    :ivar buffer_is_enough: of a buffer in memory it says what it says of a file with these bytes,
        but for what it seeks at a file's end or beyond the head.
    """

    number: int
    max_text_bytes: int | None
    utf8: str
    utf8_with_mark: str
    is_utf8_strict: bool
    min_characters: int
    quiet_controls: bytes
    counts_long_line: bool
    last_return: Literal["counted", "ignored", "counted alone"]
    csv: CsvRule
    has_tapes: bool
    call_keeps_levels: bool
    buffer_is_enough: bool


_V539 = Version(
    number=539,
    max_text_bytes=None,
    utf8="UTF-8 Unicode",
    utf8_with_mark="UTF-8 Unicode (with BOM)",
    is_utf8_strict=False,
    min_characters=1,
    quiet_controls=b"\a\t\n\v\f",
    counts_long_line=False,
    last_return="counted",
    csv=CsvRule(min_lines=3, min_commas=1, min_commas_of_ten=1),
    has_tapes=False,
    call_keeps_levels=False,
    buffer_is_enough=True,
)
_V540 = replace(
    _V539,
    number=540,
    max_text_bytes=64 << 10,  # encoding.c: file_encoding; file.h: FILE_ENCODING_MAX
    utf8="Unicode text, UTF-8",  # encoding.c: file_encoding
    utf8_with_mark="Unicode text, UTF-8 (with BOM)",
    is_utf8_strict=True,  # encoding.c: file_looks_utf8, accept_ranges
    min_characters=3,  # encoding.c: LOOKS
    counts_long_line=True,  # ascmagic.c: file_ascmagic_with_encoding
    call_keeps_levels=True,  # softmagic.c: mget, save_cont
)
_V541 = replace(
    _V540,
    number=541,
    min_characters=1,  # encoding.c: LOOKS
)
_V542 = replace(_V541, number=542)
_V543 = replace(_V542, number=543)
_V544 = replace(_V543, number=544)
_V545 = replace(
    _V544,
    number=545,
    last_return="ignored",  # ascmagic.c: file_ascmagic_with_encoding
    csv=CsvRule(min_lines=2, min_commas=1, min_commas_of_ten=1),  # is_csv.c: csv_parse
    has_tapes=True,  # is_simh.c; funcs.c: file_buffer
)
_V546 = replace(
    _V545,
    number=546,
    csv=CsvRule(min_lines=2, min_commas=2, min_commas_of_ten=2),  # is_csv.c: csv_parse
)
_V547 = replace(
    _V546,
    number=547,
    quiet_controls=_V546.quiet_controls + SUBSTITUTE,  # encoding.c: text_chars
    # softmagic.c: msetoffset. Below the first level it loses the place where a test looks.
    buffer_is_enough=False,
)
_V548 = replace(
    _V547,
    number=548,
    last_return="counted alone",  # ascmagic.c: file_ascmagic_with_encoding
    csv=CsvRule(min_lines=2, min_commas=1, min_commas_of_ten=2),  # is_csv.c: csv_parse
    buffer_is_enough=True,  # softmagic.c: msetoffset
)

VERSIONS = {
    one.number: one
    for one in (_V539, _V540, _V541, _V542, _V543, _V544, _V545, _V546, _V547, _V548)
}
"""Number -> version, of all whose source was followed, and whose answers were compared."""
