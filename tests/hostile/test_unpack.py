"""Hostile layers in whole runs that unpack them on scratch, and tools that see them."""

import os

import pytest
from cases import CANARY
from support.same import assert_same, hex_digests


@pytest.mark.slow
def test_hostile_layers_unpacked_give_the_rows_of_the_stream(hostile):
    """All of the hostile table with `--extract`: the same dataset, and no canary outside."""
    runs, output = hostile.runs, hostile.directory / "unpacked.h5"
    runs.run(runs.analyze(f"oci:{hostile.layout.directory}", output, "--extract", ranks=3), code=3)
    assert_same(hostile.directory / "out.h5", output)
    assert not [
        path
        for top in ("/tmp", "/", "/etc", "/dev/shm")
        for path in os.listdir(top)
        if CANARY in path
    ]
    assert not list(hostile.directory.parent.rglob(f"*{CANARY}*"))
    assert list(runs.scratch.iterdir()) == []


@pytest.mark.slow
def test_a_tool_sees_each_layer_and_its_failure_is_a_row(hostile, tmp_path):
    runs, source = hostile.runs, f"oci:{hostile.directory / 'alone'}"
    one = tmp_path / "one.h5"
    runs.run(
        runs.analyze(
            source,
            one,
            "--exec",
            f"find {{dir}} -type f | wc -l > {tmp_path}/{{digest}}.count",
            ranks=3,
        )
    )
    assert_same(hostile.directory / "alone.h5", one)
    layers = hostile.alone.layers
    counts = [int((tmp_path / f"{name}.count").read_text()) for name in hex_digests(layers)]
    assert counts == layers["files"].tolist()
    failing, two = (
        "case {digest} in " + hex_digests(layers)[0] + ") exit 7;; esac; : {dir}",
        tmp_path / "two.h5",
    )
    result = runs.run(runs.analyze(source, two, "--exec", failing), code=3)
    assert "exec_failed: the tool ended with exit code 7" in result.stderr
    slow = tmp_path / "three.h5"
    limits = ("--limit", "exec_seconds=0.3")
    result = runs.run(runs.analyze(source, slow, "--exec", "sleep 60; : {dir}", *limits), code=3)
    assert result.stderr.count("the tool was ended after 0 s") == len(layers)


@pytest.mark.slow
def test_a_command_that_names_no_directory_is_refused(hostile):
    runs = hostile.runs
    result = runs.run(runs.analyze("demo:", hostile.directory / "no.h5", "--exec", "true"), code=2)
    assert "has no {dir}" in result.stderr
