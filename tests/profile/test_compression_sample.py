"""The sample of contents that is compressed: what is drawn, and how many bytes come out."""

from __future__ import annotations

import gzip
import hashlib
import zlib

import numpy as np
import pytest
from support.added import Added

from hpc_remetrics.filetype.held_content import HEAD_BYTES
from hpc_remetrics.profile import compression_sample
from hpc_remetrics.profile.compression_sample import CompressionProbe, LongSample, codecs
from hpc_remetrics.profile.probe import ALL, NONE
from hpc_remetrics.tar.decoders import zstd_module

zstd = zstd_module()

FIRST_BYTES = 1 << 16


def text(seed: int, size: int) -> bytes:
    """Return bytes that compress to about two thirds."""
    return np.random.default_rng(seed).integers(0, 40, size, np.uint8).tobytes()


def sizes_of(data: bytes) -> tuple[int, int]:
    """Return what gzip and zstd make of a content, by the libraries' own functions."""
    compressor = zstd.ZstdCompressor(level=3)
    compressor.set_pledged_input_size(len(data))
    streamed = len(compressor.compress(data)) + len(compressor.flush())
    return len(gzip.compress(data, 6)), streamed


def test_a_content_is_compressed_by_both_codecs():
    data = text(1, 300_000)
    added = Added()
    CompressionProbe("1").content(b"d" * 32, data, added.add)
    assert added.records("samples") == [(b"d" * 32, *sizes_of(data))]


def test_what_does_not_become_smaller_counts_with_its_own_size():
    data = np.random.default_rng(2).bytes(1000)
    assert min(sizes_of(data)) > len(data)
    added = Added()
    CompressionProbe("1").content(b"d" * 32, data, added.add)
    assert added.records("samples") == [(b"d" * 32, 1000, 1000)]


def test_results_are_kept_for_other_layers_and_no_more_than_there_is_room_for(monkeypatch):
    """A probe that is shown other bytes of the same digest tells what it remembers."""
    monkeypatch.setattr(compression_sample, "_MOST_KNOWN", 2)
    probe = CompressionProbe("1")
    added = Added()
    for name in (b"a", b"b", b"a"):
        probe.content(name * 32, name, added.add)
        probe.begin_layer()
    probe.content(b"b" * 32, b"other", added.add)
    assert [gzip for _, gzip, _ in added.records("samples")] == [1, 1, 1, 1]
    # The third one takes the place of all others
    probe.content(b"c" * 32, b"c", added.add)
    probe.content(b"a" * 32, b"other", added.add)
    assert [gzip for _, gzip, _ in added.records("samples")[4:]] == [1, 5]


def test_a_long_content_is_one_that_is_not_held_and_not_too_long():
    probe = CompressionProbe("1/2")
    assert probe.long_content(HEAD_BYTES) is None
    assert probe.long_content(HEAD_BYTES + 1) is not None
    assert probe.long_content((1 << 32) - 1) is not None
    assert probe.long_content(1 << 32) is None
    assert CompressionProbe("0").long_content(HEAD_BYTES + 1) is None


def draw(bound: bytes, data: bytes, sizes: list[int]) -> list[tuple]:
    """Return the records about a content that comes in pieces of these sizes."""
    watcher = LongSample(bound, len(data))
    added = Added()
    at = 0
    for size in sizes:
        watcher.piece(data[at : at + size], added.add)
        at += size
    assert at == len(data)
    watcher.end(b"d" * 32, added.add)
    return added.records("samples")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("first", [1, FIRST_BYTES - 1, FIRST_BYTES, FIRST_BYTES + 1])
def test_a_long_content_is_drawn_by_its_first_bytes_and_its_size(seed, first):
    data = text(seed, 3 * FIRST_BYTES)
    key = data[:FIRST_BYTES] + len(data).to_bytes(8, "big")
    number = int.from_bytes(hashlib.sha256(key).digest(), "big")
    pieces = [first, FIRST_BYTES, len(data) - FIRST_BYTES - first]
    assert draw((number + 1).to_bytes(32, "big"), data, pieces) == [(b"d" * 32, *sizes_of(data))]
    assert draw(number.to_bytes(32, "big"), data, pieces) == []


def test_a_bound_of_all_draws_each_content_and_one_of_none_draws_none():
    data = text(5, FIRST_BYTES)
    assert draw(ALL, data, [FIRST_BYTES]) == [(b"d" * 32, *sizes_of(data))]
    assert draw(NONE, data, [FIRST_BYTES]) == []


def test_the_provenance_names_codecs_versions_and_levels():
    version = zstd.zstd_version
    assert codecs() == f"zlib {zlib.ZLIB_RUNTIME_VERSION} level 6, zstd {version} level 3"
