"""Whatever a file holds, a command ends in success or in one line: within 20 seconds and a
gigabyte, with no traceback.

The named cases are all run; the drawn ones are a few by default, the same each time.
`REMETRICS_FUZZ=N` draws N times as many, others with each `REMETRICS_FUZZ_SEED`, and gives every
case to every command.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TIMES = int(os.environ.get("REMETRICS_FUZZ", "0"))
SEED = int(os.environ.get("REMETRICS_FUZZ_SEED", "1"))
SHARDS = 4
COUNTS = {
    "hostile_datasets": 1000,
    "hostile_parts": 1000,
    "other_files": 1000,
    "drawn_datasets": 60,
    "drawn_parts": 12,
}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("kind", COUNTS)
def test_every_end_is_success_or_one_line(kind, shard, tiny, tiny_layout, tmp_path):
    first, count = 0, COUNTS[kind]
    if kind.startswith("drawn"):
        first, count = SEED * 1_000_000, COUNTS[kind] * max(TIMES, 1)
    program = Path(__file__).with_name("fuzz_program.py")
    words = [kind, tiny, tiny_layout, tmp_path / "work", first + shard, first + count, SHARDS]
    every = ["--every"] if TIMES else []
    run = subprocess.run(
        [sys.executable, str(program), *map(str, words), *every],
        capture_output=True,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
