"""Every limit trips as its own cause, at its value and not below it."""

import gzip

import pytest
from support import tars
from support.profiled import profile_file

from hpc_remetrics.limits import Limits

FILES = b"".join(tars.file(b"%d" % number, b"x" * 1000) for number in range(10))
ZEROS = gzip.compress(tars.header(size=4 << 20) + bytes(4 << 20) + tars.END)
SPARSE = tars.old_gnu_sparse(b"s", 100_000, [(40_000, b"x" * 10)])
LONG = tars.extension(b"L", b"n" * 5000) + tars.file(dialect="gnu")
CASES = {
    "entries": (FILES + tars.END, 10, "limit_entries"),
    "layer_bytes": (FILES + tars.END, len(FILES) + 1024, "limit_size"),
    "header_bytes": (LONG + tars.END, 5000, "limit_header"),
    "path_bytes": (LONG + tars.END, 5000, "limit_path"),
    "sparse_bytes": (SPARSE + tars.END, 100_000 - 10, "limit_sparse"),
    "ratio": (ZEROS, -(-(512 + (4 << 20) + 1024) // len(ZEROS)), "limit_ratio"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_limit_trips_above_its_value(tmp_path, name):
    data, value, cause = CASES[name]
    (tmp_path / "layer").write_bytes(data)
    others = {"ratio_grace": 1000}
    within, _ = profile_file(tmp_path / "layer", Limits(**{name: value, **others}))
    assert (within.status, within.cause) == ("ok", "")
    beyond, _ = profile_file(tmp_path / "layer", Limits(**{name: value - 1, **others}))
    assert beyond.status in ("partial", "failed")
    assert beyond.cause == cause
