"""Probes see each content as it passes, and add records to the spill of the layer."""

import hashlib
import io
from fractions import Fraction

import pytest
from support import tars

from hpc_remetrics.errors import UsageError
from hpc_remetrics.filetype.held_content import HEAD_BYTES
from hpc_remetrics.limits import Limits
from hpc_remetrics.parts.spill_format import EXTRA_STRUCTS, read_blocks
from hpc_remetrics.parts.spill_writer import Spill
from hpc_remetrics.profile.layer import profile_layer
from hpc_remetrics.profile.probe import ALL, NONE, PROBE_CLASSES, bound_of, load_probes

RECORD = EXTRA_STRUCTS["cuts"]
LONG = bytes(HEAD_BYTES + 1)


class Counter:
    """A probe of a test: adds the sizes of contents and of pieces as if they were chunks."""

    def __init__(self, bound: bytes = ALL, watch: bool = True) -> None:
        self.bound = bound
        self.watch = watch
        self.layers = 0

    def begin_layer(self) -> None:
        self.layers += 1

    def content(self, digest, data, add) -> None:
        add("cuts", RECORD.pack(digest, len(data)))

    def long_content(self, size):
        self.size = self.left = size
        return self if self.watch else None

    def piece(self, data, add) -> None:
        self.left -= len(data)
        add("cuts", RECORD.pack(bytes(32), len(data)))

    def end(self, digest, add) -> None:
        add("cuts", RECORD.pack(digest, self.size - self.left))


@pytest.fixture
def probed(tmp_path):
    """Return a function that profiles a tar with probes: its row, and its records of `cuts`."""

    def run(data: bytes, *probes, size: int = -1):
        spill = Spill(tmp_path / "spill")
        profile = profile_layer(io.BytesIO(data), spill, Limits(), size=size, probes=probes)
        spill.close()
        records = []
        for block in read_blocks(tmp_path / "spill"):
            cuts = block.extras["cuts"]
            records += [(one["digest"].tobytes(), int(one["cdc_chunks"])) for one in cuts]
        return profile, records

    return run


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def test_a_probe_sees_each_content(probed):
    probe = Counter()
    layer = tars.file(b"a", b"1") + tars.file(b"b", b"22") + tars.file(b"c", b"1") + tars.END
    _, records = probed(layer, probe)
    assert records == [(sha256(b"1"), 1), (sha256(b"22"), 2), (sha256(b"1"), 1)]
    probed(layer, probe)
    assert probe.layers == 2


def test_each_probe_sees_what_its_bound_asks_for(probed):
    contents = [b"%d" % number for number in range(20)]
    layer = b"".join(tars.file(one, one) for one in contents) + tars.END
    half = bound_of(Fraction(1, 2))
    drawn = [(sha256(one), len(one)) for one in contents if sha256(one) < half]
    assert 0 < len(drawn) < 20
    assert probed(layer, Counter(half))[1] == drawn
    assert len(probed(layer, Counter(half), Counter())[1]) == 20 + len(drawn)
    assert probed(layer, Counter(NONE))[1] == []


def test_pieces_of_a_long_content_come_before_its_end(probed):
    layer = tars.file(b"long", LONG) + tars.file(b"short", b"x") + tars.END
    profile, records = probed(layer, Counter(NONE), Counter(watch=False))
    assert profile.status == "ok"
    assert records[-2:] == [(sha256(LONG), len(LONG)), (sha256(b"x"), 1)]
    assert {digest for digest, _ in records[:-2]} == {bytes(32)}
    assert sum(size for _, size in records[:-2]) == len(LONG)


def test_a_content_that_is_cut_leaves_no_record(probed):
    layer = tars.file(b"short", b"x") + tars.file(b"long", LONG) + tars.END
    profile, records = probed(layer, Counter(), size=HEAD_BYTES)
    assert (profile.status, profile.entries) == ("partial", 1)
    assert records == [(sha256(b"x"), 1)]


def test_the_rest_of_a_long_content_that_nobody_watches_is_kept(probed):
    layer = tars.file(b"long", LONG) * 2 + tars.END
    profile, records = probed(layer, Counter(watch=False))
    assert (profile.status, records) == ("ok", [])


def test_probes_are_loaded_by_name():
    probes = load_probes({"compression": "1/2", "chunks": "1"})
    assert [type(probe).__name__ for probe in probes] == ["CompressionProbe", "ChunkProbe"]
    assert [probe.bound for probe in probes] == [bytes([128]) + bytes(7), ALL]
    assert PROBE_CLASSES.names()[:2] == ["compression", "chunks"]
    with pytest.raises(UsageError, match="unknown probe 'x'"):
        load_probes({"x": "1"})


@pytest.mark.parametrize(
    ("share", "bound"),
    [
        (Fraction(0), NONE),
        (Fraction(1), ALL),
        (Fraction(1, 256), b"\1" + bytes(7)),
        (Fraction(1, 1 << 64), bytes(7) + b"\1"),
        (Fraction(1, 1 << 65), NONE),
    ],
)
def test_a_bound_is_the_share_of_64_bits(share, bound):
    assert bound_of(share) == bound
