"""Values of some keys in a table of keys and values, whatever stands beside them."""

from __future__ import annotations

import numpy as np
import pytest

from hpc_remetrics.dataset.chunk_cache import ChunkReader
from hpc_remetrics.metrics import key_values
from hpc_remetrics.metrics.key_values import values_of

ROWS = [
    (b"name", b"one"),
    (b"other", b"two"),
    (b"nam", b"x"),
    (b"eman", b"of the same length"),
    (b"", b""),
    (b"digest", b"three"),
    (b"name", b""),
    (b"name", b"0123456789"),
]


class Table(ChunkReader):
    """A reader of keys and values, as of a table of a dataset."""

    def __init__(self, rows: list[tuple[bytes, bytes]]) -> None:
        self.read: list[tuple[str, int, int]] = []
        self._columns = {}
        for name, values in zip(("key", "value"), zip(*rows, strict=True), strict=True):
            bounds = np.cumsum([0, *map(len, values)])
            self._columns[f"{name}_offset"] = bounds
            self._columns[name] = np.frombuffer(b"".join(values), np.uint8)

    def column(self, name: str, start: int, stop: int) -> np.ndarray:
        self.read.append((name, start, stop))
        return self._columns[name][start:stop]


def found(start: int = 0, stop: int = len(ROWS), most: int = 6) -> list[tuple[int, int, bytes]]:
    return sorted(values_of(Table(ROWS), start, stop, [b"name", b"digest"], most))


WANTED = [(0, 0, b"one"), (5, 1, b"three"), (6, 0, b""), (7, 0, b"012345")]


@pytest.mark.parametrize("most_bytes", [1 << 24, 20, 5, 0])
def test_the_values_of_keys(monkeypatch, most_bytes):
    monkeypatch.setattr(key_values, "_MOST_BYTES", most_bytes)
    assert found() == WANTED
    assert found(1, 7) == WANTED[1:3]
    assert found(most=20)[-1] == (7, 0, b"0123456789")


def test_values_of_other_keys_are_not_read():
    table = Table(ROWS)
    list(values_of(table, 0, len(ROWS), [b"digest"], 100))
    assert [span for span in table.read if span[0] == "value"] == [("value", 25, 30)]


def test_long_keys_are_read_a_few_rows_at_a_time(monkeypatch):
    monkeypatch.setattr(key_values, "_MOST_BYTES", 9)
    table = Table(ROWS)
    list(values_of(table, 0, len(ROWS), [b"name"], 100))
    assert max(stop - start for name, start, stop in table.read if name == "key") <= 9
