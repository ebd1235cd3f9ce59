"""Numeric tests: what passes them, and the pairs of bytes that they need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.magic_rules import record

from hpc_remetrics.filetype.libmagic.database import STRING, UNSIGNED
from hpc_remetrics.filetype.libmagic.numeric import (
    BIG_ENDIAN,
    QUADS,
    WIDTHS,
    bytes_of,
    may_be_error,
    pairs_from,
    pairs_of,
)
from hpc_remetrics.filetype.libmagic.numeric import test_of as evaluator_of

BYTE, BESHORT, LESHORT, BELONG, LELONG, LEQUAD, BEQUAD = 1, 7, 10, 8, 11, 25, 26
LEDATE = 12
AND, OR, XOR, ADD, MINUS, TIMES, DIVIDE, MODULO, INVERSE = *range(8), 0x40


@pytest.mark.parametrize(
    ("made", "data", "passes"),
    [
        (record(BELONG, 0xFFD8FF00, mask=0xFFFFFF00, flag=UNSIGNED), b"\xff\xd8\xff\xe1", True),
        (record(BELONG, 0xFFD8FF00, mask=0xFFFFFF00, flag=UNSIGNED), b"\xff\xd8\xfe\xe1", False),
        (record(LESHORT, 0x0201), b"\1\2", True),
        (record(BESHORT, 0x0201), b"\1\2", False),
        (record(LESHORT, 0x0201), b"\1", False),
        (record(LESHORT, 0x0201, relation="!"), b"\1", True),
        (record(LESHORT, 0x0201, relation="!"), b"\1\2", False),
        (record(LEQUAD, 1), b"\1", True),  # zeros follow
        (record(BEQUAD, 1), b"\1", False),
        # A byte of 0xff is -1, unless it is unsigned.
        (record(BYTE, 0, relation="<"), b"\xff", True),
        (record(BYTE, 0, relation="<"), b"\0", False),
        (record(BYTE, 0, relation=">"), b"\x7f", True),
        (record(BYTE, 0, relation=">", flag=UNSIGNED), b"\xff", True),
        (record(BYTE, -1), b"\xff", True),
        (record(BYTE, 0xFF, flag=UNSIGNED), b"\xff", True),
        (record(BYTE, 0xFF), b"\xff", False),
        (record(BYTE, 0x81, relation="&"), b"\x83", True),
        (record(BYTE, 0x05, relation="&"), b"\x07", True),
        (record(BYTE, 0x05, relation="&"), b"\x03", False),
        (record(BYTE, 0x05, relation="^"), b"\x03", True),
        (record(BYTE, 0x05, relation="^"), b"\x07", False),
        (record(BYTE, 9, relation="x"), b"\0", True),
        # What is done to the number first.
        (record(BYTE, 7, mask=4, operator=OR), b"\3", True),
        (record(BYTE, 7, mask=4, operator=XOR), b"\3", True),
        (record(BYTE, 3, mask=4, operator=XOR), b"\7", True),
        (record(BYTE, 7, mask=4, operator=ADD), b"\3", True),
        (record(BYTE, 3, mask=4, operator=ADD), b"\xff", True),  # 259 is cut to a byte
        (record(BYTE, 3, mask=4, operator=MINUS), b"\7", True),
        (record(BYTE, 12, mask=4, operator=TIMES), b"\3", True),
        (record(BYTE, 3, mask=4, operator=DIVIDE, flag=UNSIGNED), b"\x0f", True),
        (record(BYTE, 3, mask=4, operator=MODULO, flag=UNSIGNED), b"\x0f", True),
        (record(BYTE, 0x0F, operator=INVERSE), b"\xf0", True),
        (record(BYTE, 0x0F, mask=0x1F, operator=AND | INVERSE, flag=UNSIGNED), b"\xf0", False),
        (record(BYTE, 0xEF, mask=0x1F, operator=AND | INVERSE, flag=UNSIGNED), b"\xf0", True),
    ],
)
def test_a_number_is_compared_as_libmagic_does(made, data, passes):
    test = evaluator_of(made)
    assert test(data, 0) is passes
    assert test(b"ab" + data, 2) is passes


def test_what_is_not_a_known_number_has_no_test():
    assert evaluator_of(record(STRING, b"a")) is None
    assert evaluator_of(record(BYTE, 1, relation="?")) is None
    assert evaluator_of(record(BYTE, 1, mask=1 << 8, operator=DIVIDE)) is None


@pytest.mark.parametrize("operator", [DIVIDE, MODULO])
def test_versions_divide_numbers_with_a_sign_in_two_ways(operator):
    for made in (
        record(BYTE, 3, mask=4, operator=operator),
        record(BELONG, 3, mask=4, operator=operator),
    ):
        assert evaluator_of(made) is None and pairs_of(made) is None
        assert not may_be_error(made)


@pytest.mark.parametrize(
    ("made", "may_be"),
    [
        (record(BYTE, 1, mask=1 << 8, operator=DIVIDE), True),  # the mask is cut to zero
        (record(BYTE, 1, mask=1 << 8, operator=MODULO), True),
        (record(BYTE, 1, mask=1 << 8, operator=TIMES), False),
        (record(LESHORT, 1, mask=1 << 8, operator=DIVIDE), False),
        (record(BYTE, 1, operator=DIVIDE), False),
        (record(LELONG, 1, mask=0xFFFFFFFF, operator=DIVIDE), True),  # -1
        (record(LELONG, 1, mask=0xFFFFFFFF, operator=DIVIDE, flag=UNSIGNED), False),
        (record(LELONG, 1, mask=0xFFFF, operator=MODULO), False),
        (record(LELONG, 1, mask=0xFFFFFFFF), False),
        # Of a date, any mask may be zero, or -1, that has the lowest byte of one.
        (record(LEDATE, 1, mask=0x100, operator=DIVIDE), True),
        (record(LEDATE, 1, mask=0xFF, operator=DIVIDE), True),
        (record(LEDATE, 1, mask=0x101, operator=DIVIDE), False),
    ],
)
def test_a_division_that_some_version_refuses(made, may_be):
    assert may_be_error(made) is may_be


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (record(BESHORT, 0x1F8B), b"\x1f\x8b"),
        (record(LESHORT, 0x1F8B), b"\x8b\x1f"),
        (record(LESHORT, 0x8B1F), None),  # the file's number is negative
        (record(LESHORT, -0x74E1), b"\x1f\x8b"),
        (record(LESHORT, 0x8B1F, flag=UNSIGNED), b"\x1f\x8b"),
        (record(LESHORT, 0x18B1F, flag=UNSIGNED), None),
        (record(LESHORT, 0x1F8B, mask=1), None),
        (record(LESHORT, 0x1F8B, operator=INVERSE), None),
        (record(LESHORT, 0x1F8B, relation="<"), None),
        (record(LEQUAD, 0x1F8B), None),
        (record(STRING, b"ab"), None),
    ],
)
def test_the_bytes_of_a_plain_test(made, wanted):
    assert bytes_of(made) == wanted


def test_pairs_of_two_sets():
    assert pairs_from(b"\1\2", b"\3") == [0x301, 0x302]


@pytest.mark.parametrize(
    ("made", "place"),
    [
        (record(BELONG, 0xFFD8FF00, mask=0xFFFFFF00, flag=UNSIGNED), (0, [0xD8FF])),
        (record(LELONG, 0x04030201, offset=5), (5, [0x0201])),
        (record(LELONG, 0x04030000, offset=5), (6, [0x0300])),  # not the pair of zeros
        (record(LELONG, 0, offset=5), (5, [0])),
        (
            record(BESHORT, 0x0102, relation="&"),
            (0, [a + 256 * b for a in range(1, 256, 2) for b in range(256) if b & 2]),
        ),
        (
            record(BYTE, 3, relation="<", flag=UNSIGNED),
            (0, [a + 256 * b for b in range(256) for a in range(3)]),
        ),
        (record(LESHORT, 0x7FFD, relation=">"), (0, [0x7FFE, 0x7FFF])),
        (record(BESHORT, 0x7FFD, relation=">"), (0, [0xFE7F, 0xFF7F])),
        (record(LESHORT, 2, relation="<", flag=UNSIGNED), (0, [0, 1])),
        (record(BESHORT, 2, relation="<", flag=UNSIGNED), (0, [0, 0x100])),
        (record(LESHORT, -0x7FFE, relation="<"), (0, [0x8000, 0x8001])),
        (record(LESHORT, 0xFFFD, relation=">", flag=UNSIGNED), (0, [0xFFFE, 0xFFFF])),
        (record(LESHORT, 1 << 13, relation="<", flag=UNSIGNED), (0, [*range(1 << 13)])),
        (record(LESHORT, (1 << 13) + 1, relation="<", flag=UNSIGNED), None),
        # All pass, or none.
        (record(LESHORT, 1 << 40, relation="<"), None),
        (record(LESHORT, -(1 << 40), relation="<"), None),
        (record(LESHORT, -(1 << 40), relation=">"), None),
        (record(LESHORT, 1 << 40, relation=">"), None),
        (record(LESHORT, 2, mask=1, relation="<", flag=UNSIGNED), None),
        (record(LESHORT, 2, operator=INVERSE, relation="<", flag=UNSIGNED), None),
        (record(LESHORT, 0, relation=">"), None),  # half of all pairs
        (record(LELONG, 0, relation=">"), None),
        (record(LELONG, 1, mask=2, operator=ADD), None),
        (record(BYTE, 1 << 63, relation=">", flag=UNSIGNED), None),
        (record(BYTE, 1, relation="&", operator=INVERSE), None),  # half of all bytes
        (record(BYTE, 1, relation="!"), None),
        (record(BYTE, 1, relation="x"), None),
        (record(STRING, b"ab"), None),
        (record(BYTE, 1, mask=1 << 8, operator=DIVIDE), None),
    ],
)
def test_the_pairs_that_a_test_needs(made, place):
    found = pairs_of(made)
    assert (found and (found[0], sorted(found[1]))) == (place and (place[0], sorted(place[1])))


@given(
    type_=st.sampled_from(sorted(WIDTHS)),
    value=st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-300, 300),
    mask=st.just(0) | st.integers(0, (1 << 64) - 1) | st.integers(0, 0xFFFF),
    operator=st.sampled_from([*range(8), INVERSE, INVERSE | AND]),
    relation=st.sampled_from("=!<>&^x"),
    flag=st.sampled_from([0, UNSIGNED]),
    data=st.binary(min_size=2, max_size=12),
)
def test_what_passes_has_a_pair(type_, value, mask, operator, relation, flag, data):
    """No file that passes is without one of the pairs, so that none is left out."""
    made = record(type_, value, mask=mask, operator=operator, relation=relation, flag=flag)
    test = evaluator_of(made)
    if test is None or not test(data, 0):
        return
    wanted = bytes_of(made)
    assert wanted is None or data.startswith(wanted)
    place = pairs_of(made)
    if place is not None:
        offset, pairs = place
        pair = data[offset : offset + 2]
        is_padded = type_ in QUADS and len(data) < 8
        assert (is_padded and 0 in pairs) or len(pair) < 2 or pair[0] + 256 * pair[1] in pairs


def test_types_in_big_endian_order():
    assert set(BIG_ENDIAN) == {7, 8, 26}
    assert {WIDTHS[one] for one in QUADS} == {8}


def test_a_number_has_eight_bytes_whatever_follows_them():
    value = (0x1F8B).to_bytes(8, "little") + b"\xff" * 8
    made = record(BESHORT, value, mask=0)
    assert bytes_of(made) == b"\x1f\x8b"
    assert pairs_of(made) == (0, [0x8B1F])
    assert evaluator_of(made)(b"\x1f\x8b", 0) is True
