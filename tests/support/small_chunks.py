"""Make chunks and blocks of all tables so small that a few hundred rows have many of them."""

from __future__ import annotations

import sys

import pytest

ROWS = 64
BYTES = 512
"""Values of eight bytes have as many rows a chunk as a block has, as in the real format."""


def use_small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace `CHUNK_ROWS` and `CHUNK_BYTES` in every module that has imported them."""
    for name, module in list(sys.modules.items()):
        if name.startswith("hpc_remetrics."):
            for constant, value in (("CHUNK_ROWS", ROWS), ("CHUNK_BYTES", BYTES)):
                if hasattr(module, constant):
                    monkeypatch.setattr(module, constant, value)
