"""The small copies of the fonts draw what the whole fonts draw."""

import pytest
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.textpath import TextPath

from hpc_remetrics.report.figures.fonts import FAMILY, font_of, small_family

TEXT = "AVATAR Today 0.5–12 % ~ {x}… 3×3 → μs −1 ·"


@pytest.mark.slow
@pytest.mark.parametrize("weight", ["normal", "bold"])
def test_outlines_and_kerning_are_those_of_the_whole_font(weight):
    whole, small = (
        TextPath((0, 0), TEXT, prop=FontProperties(family=family, weight=weight, size=8))
        for family in (FAMILY, small_family())
    )
    assert (whole.vertices == small.vertices).all()
    assert findfont(FontProperties(family=small_family(), weight=weight)) != findfont(
        FontProperties(family=FAMILY, weight=weight)
    )


def test_other_characters_are_taken_from_the_whole_font():
    assert font_of(["plain", "~ and – and …"]) == {}
    assert font_of(["plain", "é"]) == {"fontfamily": FAMILY}
