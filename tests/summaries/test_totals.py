"""Totals are what plain Python counts, with and without metrics."""

from collections import Counter, defaultdict

import pytest

import hpc_remetrics
from hpc_remetrics.summaries import totals as module
from hpc_remetrics.summaries.totals import ratio, totals

from .made_datasets import FIRST, compressed, files_of, layers_of

TYPES = {0: "ELF 64-bit", 1: "ASCII text"}


@pytest.mark.parametrize("rows", [1, 5, 1 << 17])
def test_the_tables_give_what_the_metrics_give(first, without_metrics, monkeypatch, rows):
    """Also if the tables are read in small blocks."""
    monkeypatch.setattr(module, "CHUNK_ROWS", rows)
    with hpc_remetrics.open(first) as one, hpc_remetrics.open(without_metrics) as other:
        assert one.has_metrics and not other.has_metrics
        assert totals(one) == totals(other)


@pytest.fixture(scope="module")
def found(first):
    with hpc_remetrics.open(first) as dataset:
        return totals(dataset)


def test_counts_and_bytes(found):
    layers = layers_of(FIRST)
    files = files_of(FIRST)
    distinct = {entry.digest: entry.size for entry in files}
    assert (found.images, found.repositories, found.contents) == (4, 1, len(distinct))
    assert str(found.ledger) == "5 layers: 3 ok, 1 partial, 1 failed, 0 pending"
    assert sum(compressed(FIRST, layer) for layer in layers) == found.CLS
    assert 512 * found.entries == found.TLS
    assert sum(entry.size for entry in files) == found.FLS
    assert found.content_bytes == sum(distinct.values())
    assert found.files == len(files)
    assert found.entries == sum(len(FIRST.layers[layer]) for layer in layers)
    kinds = Counter(entry.kind for layer in layers for entry in FIRST.layers[layer])
    assert found.kinds == kinds
    assert list(found.kinds) == sorted(kinds, key=lambda kind: (-kinds[kind], kind))
    assert found.failures == {"bad_header": 2}
    assert found.skipped == {"artifact": 1, "attestation": 1}  # each once


def test_ratios(found):
    stored = sum(compressed(FIRST, layer) for image in FIRST.images for layer in image)
    assert found.bytes_without_sharing == stored
    assert found.sharing_ratio == stored / found.CLS
    assert found.dedup_ratio_by_count == found.files / found.contents
    assert found.dedup_ratio_by_capacity == found.FLS / found.content_bytes
    assert found.redundant_share_of_bytes == 1 - found.content_bytes / found.FLS
    assert (ratio(3, 2), ratio(3, 0)) == (1.5, 0.0)


def test_types_and_classes(found):
    by_type = defaultdict(list)
    for entry in files_of(FIRST):
        by_type[TYPES[entry.content % 2]].append(entry)
    for total in found.types_by_bytes:
        entries = by_type[total.name]
        assert total.contents == len({entry.digest for entry in entries})
        assert total.copies == len(entries)
        assert total.bytes == sum(entry.size for entry in entries)
        assert total.share_of_copies == len(entries) / found.files
        assert total.share_of_bytes == total.bytes / found.FLS
    assert {total.name for total in found.types_by_bytes} == set(by_type)
    sizes = [total.bytes for total in found.types_by_bytes]
    assert sizes == sorted(sizes, reverse=True)
    copies = [total.copies for total in found.types_by_copies]
    assert copies == sorted(copies, reverse=True)
    assert sum(total.bytes for total in found.classes) == found.FLS
    assert sum(total.contents for total in found.classes) == found.contents
    assert sum(total.share_of_copies for total in found.classes) == pytest.approx(1)


def test_lists_of_types_are_cut(first, monkeypatch):
    monkeypatch.setattr(module, "_MOST", 1)
    with hpc_remetrics.open(first) as dataset:
        found = totals(dataset)
    assert len(found.types_by_copies) == len(found.types_by_bytes) == 1
