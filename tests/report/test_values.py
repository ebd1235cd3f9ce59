"""Single values as readers see them: each unit, and its bounds."""

import math

import pytest

from hpc_remetrics.dataset.metrics_schema import METRICS
from hpc_remetrics.report.values import NOTHING, number, shown, unit_of


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (math.nan, "1", NOTHING),
        (-1, "byte", NOTHING),
        (0, "byte", "0 B"),
        (1500.9, "byte", "1.5 kB"),
        (-1, "1", "-1"),
        (12_345, "1", "12,345"),
        (2.6047, "1", "2.6"),
        (999.4, "1", "999"),
        (999.5, "1", "1,000"),
        (-1234.6, "1", "-1,235"),
        (0, "share", "0 %"),
        (0.00009, "share", "< 0.01 %"),
        (0.0001, "share", "0.01 %"),
        (0.123456, "share", "12.35 %"),
        (1, "share", "100 %"),
    ],
)
def test_a_number_with_its_unit(value, unit, text):
    assert number(value, unit) == text


def test_shares_are_told_by_the_name_and_type_of_a_column():
    names = {
        (table, name): unit_of(column)
        for table in ("totals", "classes", "dedup_levels", "images", "hidden", "pulls")
        for name, column in METRICS[table].columns.items()
    }
    assert {name for (_, name), unit in names.items() if unit == "share"} == {
        "unique_file_share",
        "redundant_byte_share",
        "shared_file_share",
        "hidden_byte_share",
        "base_share",
        "outdated_base_share",
        "inherited_CLS_share",
        "inherited_FLS_share",
        "share_of_files",
        "share_of_bytes",
        "share_of_redundant_bytes",
        "share",
        "pulled_share",
    }
    assert names["totals", "shared_files"] == "1"
    assert names["totals", "shared_bytes"] == "byte"


def test_strings_are_shown_without_control_characters():
    column = METRICS["top_layers"].columns["image"]
    assert shown("a\x1b[2J", column) == r"a\x1b[2J"
    assert shown(7, METRICS["top_layers"].columns["CLS"]) == "7 B"
