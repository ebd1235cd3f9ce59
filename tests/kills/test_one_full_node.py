"""Scratch full on one node of several while ranks exchange rows: code 5 and one line."""

import os
import shutil

import pytest
from support.sabotage import Job
from support.same import assert_same
from support.tools import mount_small, need, unmount

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.getuid() != 0, reason="mounts file systems"),
]

RANKS = 3
SIZES = [24, 96, 512]
"""KiB of scratch: for no directory, for the first rows, for some, for all of the small images."""

NODE = """#!/bin/bash
rank=${PMI_RANK:-$OMPI_COMM_WORLD_RANK}
export REMETRICS_SCRATCH=DIRECTORY/scratch-$rank
exec unshare --uts bash -c 'hostname "$0" && exec "$@"' node$rank "$@"
"""


@pytest.fixture
def nodes(tmp_path):
    """Return a script that puts each rank on a node of its own: another name, another scratch."""
    need("unshare")
    script = tmp_path / "node"
    script.write_text(NODE.replace("DIRECTORY", str(tmp_path)))
    script.chmod(0o755)
    for rank in range(RANKS):
        (tmp_path / f"scratch-{rank}").mkdir()
    return script


def on_nodes(runs, nodes, *arguments):
    launcher, flag, count, *program = runs.command(*arguments, ranks=RANKS)
    return [launcher, flag, count, str(nodes), *program]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["analyze", "reduce", "merge"])
@pytest.mark.parametrize("victim", range(RANKS))
def test_one_full_node_ends_the_job_with_5_and_one_line(
    runs, nodes, layout, truth, command, victim
):
    output, full = runs.directory / "out.h5", nodes.parent / f"scratch-{victim}"
    words = {
        "analyze": ("analyze", f"oci:{layout}", "-o", output),
        "reduce": ("reduce", output),
        "merge": ("merge", truth, truth, "-o", output),
    }
    codes = []
    for size in SIZES:
        if command == "reduce":
            shutil.copy(truth, output)
        if command == "analyze":  # so that only the gather is left
            runs.run(runs.analyze(f"oci:{layout}", output, "--share", "1/1"))
        mount_small(full, size << 10)
        try:
            job = Job(on_nodes(runs, nodes, *words[command]), runs.directory)
            codes.append(job.wait(120))
            assert "Traceback" not in job.said
            if codes[-1] == 5:
                (line,) = (line for line in job.said.splitlines() if "error" in line)
                assert "No space left" in line and str(full) in line
            else:
                assert codes[-1] == 0, job.said
                assert_same(truth, output)
            assert [list(path.iterdir()) for path in nodes.parent.glob("scratch-*")] == [[]] * RANKS
            assert list(runs.directory.glob(".*.tmp")) == []
        finally:
            unmount(full)
        output.unlink(missing_ok=True)
    assert codes[0] == 5
