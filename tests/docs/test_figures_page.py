"""docs/figures.md says of every figure what the program says of it."""

import re
from pathlib import Path

from hpc_remetrics.report.figures import FIGURES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "figures.md").read_text()


def test_every_figure_stands_in_the_page():
    parts = re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]
    shown = {int(part.split()[0]): " ".join(part.split()) for part in parts}
    assert list(shown) == list(FIGURES) == sorted(FIGURES)
    for number, figure in FIGURES.items():
        assert shown[number].startswith(f"{number} {figure.title} {figure.caption}")
        assert all(f"`{name}`" in shown[number] for name in (*figure.distributions, *figure.tables))
