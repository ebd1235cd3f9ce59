"""Text, its encoding and its description: examples that libmagic 5.44 gave."""

import pytest

from hpc_remetrics.filetype.libmagic.plaintext import (
    NOT_TEXT,
    UNKNOWN,
    PlainText,
    Text,
    _is_lax_utf8,
)
from hpc_remetrics.filetype.libmagic.versions import VERSIONS

MAX = 64 << 10
TEXTS = PlainText(VERSIONS[544], 1 << 20)


@pytest.mark.parametrize(
    ("head", "encoding", "is_whole", "looks"),
    [
        (b"ab", "ASCII", True, True),
        (b"a\tb\n", "ASCII", True, True),
        (b"a\r\n", "ASCII", True, True),
        (b"a\x1b[0m", "ASCII", True, True),
        (b"some\0\0", "ASCII", False, False),
        (b"som\0\0\0", None, False, False),  # two bytes a character may end in a zero
        (b"x" * MAX, "ASCII", True, True),
        (b"x" * (MAX + 1), "ASCII", False, True),
        ("é!".encode(), "Unicode text, UTF-8", True, True),
        ("aé".encode()[:-1] + b"", "Non-ISO", None, None),
        ("éa€".encode()[:-1], "Unicode text, UTF-8", False, True),
        (b"\xef\xbb\xbfab", "Unicode text, UTF-8 (with BOM)", False, True),
        (b"Gr\xf6\xdfe", "ISO-8859", False, True),
        (b"Gr\x94\xdfe", "Non-ISO extended-ASCII", False, True),
        (b"a\xa0", "ISO-8859", False, True),
        (b"a\x85\xe9", "ISO-8859", False, True),
    ],
)
def test_encodings(head, encoding, is_whole, looks):
    text = TEXTS.read(head)
    if encoding is None:
        assert text is NOT_TEXT
    elif encoding == "Non-ISO":
        assert text.encoding == "ISO-8859"  # one character, which is cut
    else:
        assert (text.encoding, text.is_whole, text.looks) == (encoding, is_whole, looks)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"a b\0c", NOT_TEXT),
        (b"a b\1", NOT_TEXT),
        (b"a\n\1", NOT_TEXT),
        (b"ab\1", UNKNOWN),  # EBCDIC has neither of these for a blank or a line feed
        (b"\xff\xfea\0", UNKNOWN),
        (b"\xff\xfeab", UNKNOWN),
        (b"\0\0\xfe\xffa", UNKNOWN),
        (b"+/v8-", UNKNOWN),
        (b"+/v8-\r", UNKNOWN),
        (b"a\0\0", UNKNOWN),  # one byte is left
        (b"a\x85", UNKNOWN),
        (b"\xef\xbb\xbfa", UNKNOWN),
    ],
)
def test_what_is_no_text_or_not_known(head, kind):
    assert TEXTS.read(head) is kind


def test_utf8_is_what_rules_see():
    assert TEXTS.read(b"\xef\xbb\xbfab").utf8 == b"ab"
    assert TEXTS.read(b"\xe9x").utf8 == "éx".encode()
    assert TEXTS.read(b"ab\0\0").utf8 == b"ab"


def words(head: bytes, printed: str = "", may_be_long: bool = True) -> str:
    text = TEXTS.read(head)
    assert isinstance(text, Text)
    return TEXTS.describe(text, printed, may_be_long)


LONG = ", with very long lines (301)"


@pytest.mark.parametrize(
    ("head", "described"),
    [
        (b"a\nb\n", "ASCII text"),
        (b"ab", "ASCII text, with no line terminators"),
        (b"a\r\nb\r\n", "ASCII text, with CRLF line terminators"),
        (b"a\rb\r", "ASCII text, with CR line terminators"),
        (b"a\r\nb\rc\nd\n", "ASCII text, with CRLF, CR, LF line terminators"),
        (b"\xe9\x85b\n", "ISO-8859 text, with LF, NEL line terminators"),
        ("é\n".encode(), "Unicode text, UTF-8 text"),
        ("é!".encode(), "Unicode text, UTF-8 text, with no line terminators"),
        (b"a\x1b\n", "ASCII text, with escape sequences"),
        (b"a\ba\n", "ASCII text, with overstriking"),
        (b"a\b\x1b\n", "ASCII text, with escape sequences, with overstriking"),
        (b"x" * 300 + b"\n", "ASCII text"),
        (b"x" * 301 + b"\n", "ASCII text" + LONG),
        (b"a\n" + b"x" * 301 + b"\nb", "ASCII text" + LONG),
        (b"x\n" * 400, "ASCII text"),
        (b"x" * 301 + b"\r\n", "ASCII text" + LONG + ", with CRLF line terminators"),
        ("é".encode() * 301 + b"\n", "Unicode text, UTF-8 text" + LONG),
        ("é".encode() * 300 + b"\n", "Unicode text, UTF-8 text"),
        (b"x" * 200 + b"\r" + b"x" * 200 + b"\n", "ASCII text, with CR, LF line terminators"),
    ],
)
def test_descriptions_of_texts(head, described):
    assert words(head) == described


def test_a_long_line_is_sought_only_where_it_may_be():
    assert words(b"x" * 301 + b"\n", may_be_long=False) == "ASCII text"
    assert words(b"x" * 301 + b"\r", may_be_long=False) == "ASCII text, with CR line terminators"


@pytest.mark.parametrize(
    ("printed", "described"),
    [
        ("C source", "C source, ASCII text"),
        ("C source text", "C source, ASCII text"),
        ("Python script text executable", "Python script, ASCII text executable"),
        ("a text here", "a text here, ASCII text"),
    ],
)
def test_the_encoding_takes_the_place_of_last_words(printed, described):
    assert words(b"a\n", printed) == described


def tar_like(checksum: bytes) -> bytes:
    return b"a" * 148 + checksum.ljust(8) + b"b" * 400


@pytest.mark.parametrize(
    ("head", "left"),
    [
        (b"a text\n", True),
        (b" \n{}", False),
        (b"[1]", False),
        (b"x[1]", True),
        (b"\xd0\xcf", False),
        (tar_like(b" 0123"), False),
        (tar_like(b"7"), False),
        (tar_like(b"8"), True),
        (tar_like(b"0")[:511], True),
        (b"a,b\n1,2\n3,4\n", False),
        (b"a,b\n1,2\n", True),  # two lines are too few
        (b"a,b\n1,2,3\n3,4\n", True),
        (b"ab\n12\n34\n", True),
        (b'"a,b",c\n1,2\n3,4\n', False),
        (b'"a""b,b",c\n1,2\n3,4\n', False),
        (b'"a\n', True),
        (b"a,b\n" * 9 + b"a,b\nc\n", False),  # ten lines decide
        (b"a,b\n" * 9 + b"c\n", True),
        (b"a,b\n" * 8 + b"c\n", True),
    ],
)
def test_what_libmagic_knows_without_rules(head, left):
    assert TEXTS.is_left_to_rules(head) is left


def test_a_head_that_may_go_on_is_not_left_to_rules():
    assert not PlainText(VERSIONS[544], 7).is_left_to_rules(b"a text\n")
    assert PlainText(VERSIONS[544], 8).is_left_to_rules(b"a text\n")


ALL = sorted(VERSIONS)
UTF8, MARKED, OVERLONG = "é b\n".encode(), "\ufeffé b\n".encode(), b"a\xc0\x80 x\n"
FIVE_BYTES, HALF, FAR = (
    b"\xf8\x88\x80\x80\x80 ab\n",
    b"\xed\xa0\x80 ab\n",
    b"ab c\n" * 13_107 + b"x\xe9\n",
)
EXTENDED = "Non-ISO extended-ASCII text"
UNICODE, UNICODE_MARKED = "Unicode text, UTF-8 text", "Unicode text, UTF-8 (with BOM) text"
NO_ENDS = "ASCII text, with no line terminators"
RETURNS, BOTH = "ASCII text, with CR line terminators", "ASCII text, with CR, LF line terminators"
CRLF, CRLF_AND_CR = "ASCII text, with CRLF line terminators", "ASCII text, with CRLF, CR line terminators"  # fmt: skip


@pytest.mark.parametrize(
    ("head", "described"),
    [
        # What a version says, and the versions up to which it does; None: libmagic is asked.
        (UTF8, {539: "UTF-8 Unicode text", 548: UNICODE}),
        (MARKED, {539: "UTF-8 Unicode (with BOM) text", 548: UNICODE_MARKED}),
        (OVERLONG, {539: None, 548: EXTENDED}),
        (FIVE_BYTES, {539: None, 548: EXTENDED}),
        (HALF, {539: None, 548: EXTENDED}),
        (b"\xf8\x88\x80\x80\xc0 ab\n", {548: EXTENDED}),
        (b"\xff\xa0 ab\n", {548: "ISO-8859 text"}),
        (b"\xa0\xa0 ab\n", {548: "ISO-8859 text"}),
        (b"\xe9\xa0a ab\n", {548: "ISO-8859 text"}),
        (FAR, {539: "ISO-8859 text", 548: "ASCII text"}),
        (b"ab " * 101 + b"\n", {539: "ASCII text, with very long lines", 548: "ASCII text, with very long lines (303)"}),
        (b"aaaa\n", {539: "ASCII text", 540: None, 548: "ASCII text"}),
        (b"ab c\n" * 256, {539: "ASCII text", 540: None, 548: "ASCII text"}),
        (b"ab c\n" * 257, {548: "ASCII text"}),
        (b"abb", {539: NO_ENDS, 540: None, 548: NO_ENDS}),
        (b"a\x1ab\n", {546: None, 548: "ASCII text"}),
        (b"a b\r", {544: RETURNS, 547: NO_ENDS, 548: RETURNS}),
        (b"a b\rc\r", {548: RETURNS}),
        (b"a b\nb\r", {544: BOTH, 547: "ASCII text", 548: BOTH}),
        (b"a b\r\nb\r", {544: CRLF_AND_CR, 548: CRLF}),
        (b"a,b\n1,2\n", {544: "ASCII text", 545: None, 547: "ASCII text", 548: None}),
        (b"a,b\n" * 3, {545: None, 547: "ASCII text", 548: None}),
        (b"a,b\n" * 12, {545: None, 548: "ASCII text"}),
        (b"a,b,c\n" * 2, {544: "ASCII text", 548: None}),
        (b"a,b,c\n" * 12, {548: None}),
        (b"a\n" * 12, {539: "ASCII text", 540: None, 548: "ASCII text"}),
    ],
)  # fmt: skip
def test_versions_say_different_things_of_a_text(head, described):
    for version in ALL:
        texts = PlainText(VERSIONS[version], 1 << 20)
        expected = described[min(last for last in described if last >= version)]
        text = texts.read(head)
        is_known = isinstance(text, Text) and texts.is_left_to_rules(head)
        assert (texts.describe(text, "", True) if is_known else None) == expected, version


@pytest.mark.parametrize(
    ("length", "behind", "size", "is_tape"),
    [
        (b"\t\n\n", b"\t\n\n", 0x0A0A09, True),
        (b"\t\n\n", b"\n\n\n", 0x0A0A09, True),  # the same even number
        (b"\t\n\n", b"\v\n\n", 0x0A0A09, False),
        (b"\n\n\n", b"\n\n\n", 0x0A0A0A, True),
        (b"\n\n\n", b"\t\n\n", 0x0A0A0A, True),
        (b"\n\n\n", b"\n\n\v", 0x0A0A0A, False),
    ],
)
def test_a_tape_begins_with_a_record_between_two_lengths(length, behind, size, is_tape):
    record = b"x" * (size + size % 2)
    for version in ALL:
        texts = PlainText(VERSIONS[version], 1 << 20)
        assert texts.is_left_to_rules(length + b" " + record + behind + b"x") is not (
            is_tape and version >= 545
        )
        assert texts.is_left_to_rules(length + b" " + record + behind)  # the length is cut


@pytest.mark.parametrize(
    ("first", "following"), [(0xC0, 1), (0xE0, 2), (0xF0, 3), (0xF8, 4), (0xFC, 5), (0xFD, 5)]
)
def test_a_first_character_of_up_to_six_bytes(first, following):
    whole = bytes([first]) + b"\x80" * following
    assert _is_lax_utf8(whole + b"a")
    assert _is_lax_utf8(whole[:-1])  # cut by the end
    assert not _is_lax_utf8(whole[:-1] + b"a")
