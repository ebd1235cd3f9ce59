"""Strategies: archives of every dialect, and what may become of them on their way."""

from __future__ import annotations

from hypothesis import strategies as st
from support import tars

LETTERS = [
    b"a",
    b"bin",
    b"..",
    b".",
    b"",
    b"\xff\xfe",
    b".wh.gone",
    b".wh..wh..opq",
    b"long" * 20,
    "ü".encode(),
    b"x y\n",
]
paths = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=4).map(b"/".join)
short_paths = paths.map(lambda path: path[:100] or b"f")
contents = st.one_of(
    st.binary(max_size=30), st.integers(0, 3000).map(lambda size: b"content!" * (size // 8))
)
dialects = st.sampled_from(sorted(tars.MAGIC))
numbers = st.one_of(
    st.integers(0, 0o777),
    st.sampled_from([0o7777777, 0o77777777777, 2**31, 2**40, 2**62, -1, -(2**40)]),
    st.sampled_from(
        [
            b"",
            b"   7 ",
            b"0000644",
            b"644 \0",
            b" 1 2",
            b"9",
            b"-1",
            b"\x80" + bytes(11),
            b"\xff" * 12,
        ]
    ),
)
sizes = st.one_of(numbers, st.integers(0, 2000))
flags = st.sampled_from(
    [
        b"0",
        b"\0",
        b"1",
        b"2",
        b"3",
        b"4",
        b"5",
        b"6",
        b"7",
        b"S",
        b"D",
        b"V",
        b"M",
        b"A",
        b"9",
        b"\x80",
    ]
)
KEYS = [
    "path",
    "linkpath",
    "size",
    "uid",
    "gid",
    "mtime",
    "atime",
    "ctime",
    "uname",
    "gname",
    "comment",
    "hdrcharset",
]
SPARSE = ["major", "minor", "map", "name", "size", "realsize", "numblocks", "offset", "numbytes"]
keys = st.sampled_from(
    [b"", *(key.encode() for key in KEYS), *(f"GNU.sparse.{key}".encode() for key in SPARSE)]
)
values = st.one_of(
    paths,
    st.sampled_from(
        [
            b"",
            b"0",
            b"1",
            b"5",
            b"512",
            b"-1",
            b"+3",
            b"1.5",
            b"-1.5",
            b"-0.5",
            b"1.",
            b".5",
            b"1e3",
            b"07",
        ]
    ),
    st.sampled_from(
        [
            b"0,1",
            b"0,5,10,0",
            b"5,0",
            b"1,2,3",
            b"9223372036854775807",
            b"-9223372036854775808.5",
            b"a\0b",
        ]
    ),
    st.integers(-(2**64), 2**64).map(lambda value: b"%d" % value),
)


@st.composite
def fragments(draw):
    """A sparse file: its size, and data at places in order."""
    at, found = 0, []
    for data in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=30)):
        at += draw(st.integers(0, 5000))
        found.append((at, data))
        at += len(data)
    return at + draw(st.integers(0, 5000)), found


@st.composite
def entries(draw):
    """One entry with all that belongs to it."""
    shape = draw(
        st.sampled_from(
            ["file"] * 4
            + ["any", "any", "long", "pax", "pax", "global", "old", "1.0", "0.1", "0.0"]
        )
    )
    path, data = draw(paths), draw(contents)
    if shape == "file":
        prefix = draw(st.sampled_from([b"", b"", b"prefix", b"p" * 155]))
        dialect = draw(dialects)
        if dialect == "star":
            prefix = prefix[:130]
        fields = {"prefix": prefix} if dialect in ("ustar",) else {}
        mode, uid, gid, mtime = draw(numbers), draw(numbers), draw(numbers), draw(numbers)
        return tars.file(
            path, data, dialect=dialect, mode=mode, uid=uid, gid=gid, mtime=mtime, **fields
        )
    if shape == "any":
        link = draw(short_paths)
        return tars.header(
            path, draw(flags), draw(sizes), link, dialect=draw(dialects)
        ) + tars.padded(data)
    if shape == "long":
        many = draw(st.integers(0, 400))
        name = tars.extension(b"L", path * (1 + many // 8) + b"\0" * draw(st.integers(0, 1)))
        link = tars.extension(b"K", b"target/" + path + b"\0")
        pieces = draw(st.permutations([name, link]))[: draw(st.integers(1, 2))]
        return b"".join(pieces) + tars.file(
            path, data, flag=draw(st.sampled_from([b"0", b"1", b"2", b"5"])), dialect="gnu"
        )
    if shape in ("pax", "global"):
        records = draw(st.lists(st.tuples(keys, values), max_size=6))
        return tars.pax(records, b"g" if shape == "global" else b"x") + tars.file(path, data)
    size, holes = draw(fragments())
    return (
        tars.old_gnu_sparse(path, size, holes)
        if shape == "old"
        else tars.pax_sparse(path, size, holes, shape)
    )


ends = st.sampled_from(
    [tars.END] * 6
    + [b"", bytes(512), bytes(10240), tars.END + b"trailing", bytes(512) + b"x" * 512, bytes(700)]
)


@st.composite
def archives(draw):
    """A whole archive as some tool might have written it."""
    return b"".join([*draw(st.lists(entries(), max_size=5)), draw(ends)])


@st.composite
def damaged(draw):
    """An archive of which some bytes are others, with or without the checksums that fit, or the end
    is missing."""
    data = bytearray(draw(archives()))
    if not data:
        return b""
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data) - 1))
        data[at] = draw(
            st.one_of(st.integers(0, 255), st.sampled_from(list(b"\0\x7f\x80\xff 0179xgLKS")))
        )
        block = at - at % 512
        if draw(st.booleans()) and len(data) >= block + 512:
            data[block : block + 512] = tars.sealed(data[block : block + 512])
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)
