"""docs/metrics.md names every table and every distribution."""

from pathlib import Path

import pytest

from hpc_remetrics.dataset.metrics_schema import DISTRIBUTIONS, HIDDEN_BY, METRICS
from hpc_remetrics.metrics.step_kinds import RULES_TEXT, TEXT_BYTES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


@pytest.mark.parametrize("name", [*METRICS, *DISTRIBUTIONS, *HIDDEN_BY])
def test_the_page_names_it(name):
    assert f"`{name}`" in PAGE.read_text()


def test_the_page_has_the_rules_for_steps_as_they_are():
    assert f"```{RULES_TEXT}```" in PAGE.read_text()
    assert f"first {TEXT_BYTES:,} bytes" in PAGE.read_text()
