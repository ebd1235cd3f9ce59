"""Paths as text: readable, on one line, and nothing is lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_remetrics.dataset.text_values import digest_texts, path_bytes, path_text, path_texts

PATHS = st.binary(max_size=30) | st.text(max_size=20).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)


@given(PATHS)
def test_a_path_comes_back_whole(path):
    text = path_text(path)
    assert path_bytes(text) == path
    assert text.isprintable()
    text.encode("utf-8")


@pytest.mark.slow
@given(st.lists(PATHS, max_size=8))
def test_many_paths_are_each_as_alone(paths):
    bounds = np.cumsum([0, *map(len, paths)]).tolist()
    assert path_texts(b"".join(paths), bounds) == [path_text(path) for path in paths]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"./usr/bin/env", "./usr/bin/env"),
        ("größe".encode(), "größe"),
        (b"a\nb\0", r"a\x0ab\x00"),
        (b"C:\\x41", r"C:\\x41"),
        (b"\xc2\x9b31m", r"\xc2\x9b31m"),
        ("\u202egnp.exe".encode(), r"\xe2\x80\xaegnp.exe"),
    ],
)
def test_worked_examples(path, text):
    assert path_text(path) == text


def test_a_digest_that_is_not_there_is_empty():
    raw = bytes(32) + bytes(31) + b"\1"
    assert digest_texts(np.frombuffer(raw, "V32")) == ["", "sha256:" + "00" * 31 + "01"]
