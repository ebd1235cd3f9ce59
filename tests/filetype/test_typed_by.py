"""Words about what typed the files of datasets."""

import pytest

from hpc_remetrics.filetype.typed_by import typed_differently


@pytest.mark.parametrize(
    ("signatures", "words"),
    [
        (["magic-544-file-1"] * 3, ""),
        (["magic-none", "magic-none"], ""),
        (["magic-544-file-1", "magic-546-file-1"], "libmagic 5.44, libmagic 5.46"),
        (
            ["magic-544-plain-1", "magic-544-file-1"],
            "libmagic 5.44 that saw first bytes alone, libmagic 5.44",
        ),
        (["magic-544-file-1", "magic-544-file-1 + magic-none"], "libmagic 5.44, no libmagic"),
        (["magic-544-file-1", ""], "libmagic 5.44, an unknown libmagic"),
    ],
)
def test_what_typed_files_is_told_in_words(signatures, words):
    said = typed_differently(signatures)
    assert said == (words and f"files were typed by {words}: types differ by that alone")
