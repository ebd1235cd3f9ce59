"""The text page of totals, line by line."""

from dataclasses import replace

import pytest

from hpc_remetrics.dataset.ledger import Ledger
from hpc_remetrics.report.text import page, size
from hpc_remetrics.summaries.totals import Totals, TypeTotal

NOTHING = Totals(
    images=0,
    repositories=0,
    ledger=Ledger(),
    CLS=0,
    TLS=0,
    FLS=0,
    bytes_without_sharing=0,
    sharing_ratio=0.0,
    entries=0,
    kinds={},
    files=0,
    directories=0,
    contents=0,
    content_bytes=0,
    dedup_ratio_by_count=0.0,
    dedup_ratio_by_capacity=0.0,
    redundant_share_of_bytes=0.0,
    types_by_copies=[],
    types_by_bytes=[],
    classes=[],
    failures={},
    skipped={},
)
SOME = replace(
    NOTHING,
    images=1200,
    repositories=1,
    ledger=Ledger(ok=3000, partial=20, failed=7),
    CLS=1_250_000,
    TLS=4_000_000,
    FLS=3_500_000,
    bytes_without_sharing=2_500_000,
    sharing_ratio=2.0,
    files=10_000,
    directories=1,
    contents=4000,
    content_bytes=999,
    dedup_ratio_by_count=2.5,
    dedup_ratio_by_capacity=3.004,
    redundant_share_of_bytes=0.6666,
)


def test_totals_without_lists():
    assert page(SOME, "hub\n.h5").splitlines() == [
        r"hub\n.h5",
        "",
        "  images                     1,200   of 1 repository",
        "  layers                     3,027   3,000 ok, 20 partial, 7 failed",
        "  compressed               1.25 MB   2.5 MB if images shared no layers",
        "  uncompressed                4 MB   as tar",
        "  files                     10,000   3.5 MB in 1 directory",
        "  contents                   4,000   999 B, each counted once",
        "",
        "  layer sharing               2.00   times fewer bytes than without",
        "  dedup, count                2.50   files for each distinct content",
        "  dedup, capacity             3.00   66.7% redundant",
    ]


def test_lists_of_kinds_types_and_failures():
    one = TypeTotal(
        name="A" * 41 + "BC",
        contents=3,
        copies=12_345,
        bytes=67_000_000,
        share_of_copies=0.75,
        share_of_bytes=0.125,
    )
    other = replace(one, name="\x1b", copies=1, bytes=0)
    lines = page(
        replace(
            SOME,
            kinds={"file": 10_000, "K" * 60: 1},
            classes=[one],
            types_by_copies=[other],
            types_by_bytes=[one, other],
            failures={"bad_header": 7},
            skipped={"artifact": 3},
        ),
        "hub.h5",
    ).splitlines()
    first = f"  {'A' * 41}      12,345  75.0%     67 MB  12.5%"
    second = "  \\x1b                                                1  75.0%       0 B  12.5%"
    assert lines[12:] == [
        "",
        "entries by kind",
        "  file                                                          10,000",
        f"  {'K' * 52}               1",
        "",
        "classes by bytes                                  copies                 bytes",
        first,
        "",
        "types by copies                                   copies                 bytes",
        second,
        "",
        "types by bytes                                    copies                 bytes",
        first,
        second,
        "",
        "failed and partial layers by cause",
        "  bad_header                                                         7",
        "",
        "not profiled, by cause",
        "  artifact                                                           3",
    ]
    assert max(map(len, lines)) <= 80


def test_an_empty_dataset_is_called_empty():
    lines = page(NOTHING, "none.h5").splitlines()
    assert lines[2] == "  images                         0   of 0 repositories"
    assert lines[-2:] == ["", "The dataset is empty: its sources held no image."]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1234, "1.23 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (4 * 10**12, "4 TB"),
        (6 * 10**15, "6 PB"),
        (7 * 10**18, "7 EB"),
        (10**21, "1e+03 EB"),
    ],
)
def test_sizes_have_the_largest_unit_of_which_there_is_one(value, text):
    assert size(value) == text
