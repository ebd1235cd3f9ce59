"""Maps of sparse files: where they stand, where they end, and what is no map."""

import pytest
from support import tars

from hpc_remetrics.limits import Limits
from hpc_remetrics.tar.fault import LayerFault
from hpc_remetrics.tar.sparse import old_gnu_map, pax_map, pax_map_1_0, validated
from hpc_remetrics.tar.stream import TarStream

LIMITS = Limits()


def old_map(archive: bytes, limits: Limits = LIMITS) -> tuple[int, list[tuple[int, int]]]:
    stream = TarStream([archive])
    return old_gnu_map(stream.take(512), stream, limits)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 24, 25, 26, 46, 47])
def test_old_maps_of_any_length(count):
    # Four fragments stand in the header, and 21 in each block behind it
    fragments = [(10 * number, b"x" * (number % 3)) for number in range(count)]
    size, found = old_map(tars.old_gnu_sparse(b"s", 10_000, fragments))
    assert size == 10_000
    assert found == [(at, len(data)) for at, data in fragments] + [(10_000, 0)]


def test_an_old_map_ends_at_an_empty_fragment_and_goes_on_in_the_next_block():
    archive = bytearray(tars.old_gnu_sparse(b"s", 10_000, [(n, b"x") for n in range(9)]))
    archive[386 + 24 : 386 + 48] = bytes(24)
    _, found = old_map(bytes(archive))
    assert found == [(0, 1), *((n, 1) for n in range(4, 9)), (10_000, 0)]


def test_an_old_map_needs_the_dialect_of_gnu():
    with pytest.raises(LayerFault, match="not GNU's"):
        old_map(tars.header(b"s", b"S", dialect="ustar"))


def test_an_old_map_that_is_cut():
    archive = tars.old_gnu_sparse(b"s", 10_000, [(n, b"") for n in range(9)])
    with pytest.raises(LayerFault, match="within a sparse map") as raised:
        old_map(archive[:1023])
    assert raised.value.cause == "truncated"


def test_the_longest_old_map():
    # 97 bytes of map in the header and a block of 512
    archive = tars.old_gnu_sparse(b"s", 10_000, [(n, b"") for n in range(9)])
    assert old_map(archive, Limits(header_bytes=610))[0] == 10_000
    with pytest.raises(LayerFault, match="more than 609 bytes") as raised:
        old_map(archive, Limits(header_bytes=609))
    assert raised.value.cause == "limit_header"


@pytest.mark.parametrize(
    ("count", "text", "fragments"),
    [
        (b"0", b"", []),
        (b"1", b"0,4", [(0, 4)]),
        (b"2", b"10,10,60,15", [(10, 10), (60, 15)]),
    ],
)
def test_maps_in_records(count, text, fragments):
    records = {b"GNU.sparse.numblocks": count, b"GNU.sparse.map": text}
    assert pax_map(records) == fragments


@pytest.mark.parametrize(
    ("count", "text"),
    [
        *((b"1", b""), (b"1", b"0"), (b"1", b"0,4,5"), (b"2", b"0,4"), (b"-1", b""), (b"", b"0,4")),
        *((b"0", b"0,4"), (b"1", b"0,x"), (b"1", b"0,"), (b"0", b",")),
    ],
)
def test_broken_maps_in_records(count, text):
    with pytest.raises(LayerFault) as raised:
        pax_map({b"GNU.sparse.numblocks": count, b"GNU.sparse.map": text})
    assert raised.value.cause == "bad_header"


def test_no_map_in_records():
    with pytest.raises(LayerFault, match="not a number"):
        pax_map({})
    assert pax_map({b"GNU.sparse.numblocks": b"0"}) == []


def in_data(data: bytes, stored: int = 1 << 20, limits: Limits = LIMITS):
    stream = TarStream([data])
    return pax_map_1_0(stream, stored, limits), stream.tell()


@pytest.mark.parametrize("count", [0, 1, 2, 60, 200])
def test_maps_before_the_data(count):
    numbers = [count, *range(2 * count)]
    text = "".join(f"{number}\n" for number in numbers).encode()
    pairs = list(zip(range(0, 2 * count, 2), range(1, 2 * count, 2), strict=True))
    blocks = -(-len(text) // 512)
    assert in_data(tars.padded(text) + b"data") == (pairs, 512 * blocks)


def test_a_map_whose_lines_fill_a_block():
    # The last line feed is the last byte of the block: no second one is read
    text = b"1\n0\n" + b"0" * (512 - 5) + b"\n"
    assert len(text) == 512
    assert in_data(text + b"data") == ([(0, 0)], 512)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"-1\n", "negative number"),
        (b"x\n", "not a number"),
        (b"1\n0\nx\n", "not a number"),
        (b"\n", "not a number"),
    ],
)
def test_broken_maps_before_the_data(data, message):
    with pytest.raises(LayerFault, match=message):
        in_data(tars.padded(data))


@pytest.mark.parametrize(("stored", "is_whole"), [(512, True), (511, False), (1024, True)])
def test_a_map_is_within_the_data(stored, is_whole):
    data = tars.padded(b"1\n0\n4\n") + bytes(512)
    if is_whole:
        assert in_data(data, stored) == ([(0, 4)], 512)
        return
    with pytest.raises(LayerFault, match="the data ends within a sparse map") as raised:
        in_data(data, stored)
    assert raised.value.cause == "truncated"


def test_the_longest_map_before_the_data():
    data = b"0" * 1000 + b"\n" + bytes(23)
    assert in_data(data, limits=Limits(header_bytes=1024)) == ([], 1024)
    with pytest.raises(LayerFault, match="more than 1023 bytes"):
        in_data(data, limits=Limits(header_bytes=1023))


@pytest.mark.parametrize(
    ("fragments", "size"),
    [
        ([], 0),
        ([(0, 0)], 0),
        ([(0, 10)], 10),
        ([(0, 5), (5, 5)], 10),
        ([(5, 0), (5, 0)], 5),
        ([((1 << 63) - 2, 1)], (1 << 63) - 1),
    ],
)
def test_maps_that_fit(fragments, size):
    assert validated(fragments, size) == fragments


@pytest.mark.parametrize(
    ("fragments", "size"),
    [
        ([], -1),
        ([(0, 11)], 10),
        ([(11, 0)], 10),
        ([(0, 5), (4, 5)], 10),
        ([(5, 1), (0, 1)], 10),
        ([(0, -1)], 10),
        ([(-1, 2)], 10),
        ([(1, (1 << 63) - 1)], 1 << 63),
    ],
)
def test_maps_that_do_not_fit(fragments, size):
    with pytest.raises(LayerFault) as raised:
        validated(fragments, size)
    assert raised.value.cause == "bad_header"
