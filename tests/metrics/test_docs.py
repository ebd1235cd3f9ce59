"""docs/metrics.md names every table and every distribution."""

from pathlib import Path

import pytest

from hpc_remetrics.dataset.metrics_schema import DISTRIBUTIONS, HIDDEN_BY, METRICS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


@pytest.mark.parametrize("name", [*METRICS, *DISTRIBUTIONS, *HIDDEN_BY])
def test_the_page_names_it(name):
    assert f"`{name}`" in PAGE.read_text()
