"""Small copies of the fonts of figures, which a PDF file embeds in a tenth of the time."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Iterable
from functools import cache

FAMILY = "DejaVu Sans"
"""The font that comes with matplotlib."""

_SMALL = "DejaVu Sans small"
_CHARACTERS = frozenset(chr(code) for code in range(0x20, 0x7F)) | frozenset("μ−–…×←→↑↓·")


def font_of(texts: Iterable[str]) -> dict[str, str]:
    """Return how to draw some texts: with the whole font, if the small one lacks a character."""
    is_small = _CHARACTERS.issuperset("".join(texts))
    return {} if is_small else {"fontfamily": FAMILY}


@cache
def small_family() -> str:
    """Make the small fonts known to matplotlib, and return the family that they have there.

    Matplotlib embeds the characters of a figure by a run of fontTools over all 6,253 glyphs of the
    font, for every figure and weight. From a copy with a hundred glyphs it gets the same ones. The
    copy has the kerning in the old table `kern` alone: fontTools takes the most time for the tables
    of OpenType (`GPOS`), and hints for screens are not used.
    """
    from fontTools import subset
    from matplotlib.font_manager import FontProperties, findfont, fontManager

    options = subset.Options(
        glyph_names=True,
        hinting=False,
        layout_features=[],
        legacy_kern=True,
        recommended_glyphs=True,
    )
    options.drop_tables += ["FFTM", "GDEF", "GPOS", "GSUB", "MATH"]
    # Matplotlib reads the copies until the process ends
    directory = _directory().name
    for weight in ("normal", "bold"):
        # Copy a hundred glyphs of the font
        whole = findfont(FontProperties(family=FAMILY, weight=weight))
        font = subset.load_font(whole, options)
        subsetter = subset.Subsetter(options)
        subsetter.populate(text="".join(_CHARACTERS))
        subsetter.subset(font)
        copy = os.path.join(directory, f"{weight}.ttf")
        font.save(copy)

        # Register the copy under a name of its own
        entry = next(one for one in fontManager.ttflist if one.fname == str(whole))
        fontManager.ttflist.append(dataclasses.replace(entry, name=_SMALL, fname=copy))
    return _SMALL


@cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="hpc_remetrics-fonts-")
