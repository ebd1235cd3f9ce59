"""The SHA-256 of a whole file."""

import hashlib

import pytest

from hpc_remetrics.files.file_digest import file_sha256


@pytest.mark.parametrize("size", [0, 5, (1 << 20) + 1])
def test_a_file_is_hashed_piece_by_piece(tmp_path, size):
    data = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "a").write_bytes(data[:size])
    assert file_sha256(tmp_path / "a") == (size, hashlib.sha256(data[:size]).digest())
