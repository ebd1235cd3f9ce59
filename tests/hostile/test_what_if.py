"""Compressing and cutting contents changes nothing of what is said of a layer, however hostile it
is."""

import io

import numpy as np
import pytest

from hpc_remetrics.limits import Limits
from hpc_remetrics.parts.spill_check import checked_blocks
from hpc_remetrics.parts.spill_writer import Spill
from hpc_remetrics.profile.layer import profile_layer
from hpc_remetrics.profile.probe import load_probes

SMALL = 1 << 20


def profiled(data, path, **how):
    """Return the row without its time, and the blocks of entries."""
    spill = Spill(path)
    profile = profile_layer(io.BytesIO(data), spill, Limits(), **how)
    spill.close()
    blocks = list(checked_blocks(profile, path if profile.entries else None, {}))
    return profile.to_json() | {"cpu_seconds": 0}, blocks


@pytest.mark.slow
def test_rows_and_entries_are_the_same(table, tmp_path):
    both = {"probes": load_probes({"compression": "1", "chunks": "1"})}
    compared = 0
    for name, case in table.items():
        if len(case.data) > SMALL:
            continue
        (row, entries), (same_row, more) = (
            profiled(case.data, tmp_path / name, **how) for how in ({}, both)
        )
        assert row == same_row, name
        kinds, same_kinds = (
            [kind for block in blocks for kind in block.columns["kind"]]
            for blocks in (entries, more)
        )
        assert kinds == same_kinds, name
        digests = {one.tobytes() for block in more for one in block.columns["digest"]}
        for extra in ("samples", "cuts"):
            known = np.concatenate(
                [np.empty(0, "V32"), *(block.extras[extra]["digest"] for block in more)]
            )
            assert {one.tobytes() for one in known} <= digests, name
        compared += 1
    assert compared > 40
