"""Paths that are not UTF-8 work wherever a path can stand: output, source, scratch, list, input."""

from __future__ import annotations

import os
import shutil

import pytest

import hpc_remetrics

NAME = os.fsdecode(b"caf\xe9")


@pytest.mark.slow
def test_every_path_may_hold_bytes_that_are_not_utf_8(runs, layout):
    place = runs.directory / NAME
    place.mkdir()
    source, output = place / f"layout-{NAME}", place / f"out-{NAME}.h5"
    shutil.copytree(layout, source)
    analyze = runs.command(
        "analyze",
        f"oci:{source}",
        "-o",
        output,
        "--types",
        "none",
        "--scratch",
        place / f"scratch-{NAME}",
    )
    runs.run(analyze)
    # It knows its own again.
    assert "nothing to do" in runs.run(analyze).stderr
    with hpc_remetrics.open(output) as data:
        assert data.sources == [f"oci:{runs.directory}/caf\\udce9/layout-caf\\udce9"]
    shutil.rmtree(f"{output}.parts")
    other = place / f"two-{NAME}.h5"
    scratch = ("--scratch", place / f"scratch-{NAME}")
    commands = [
        ("merge", output, "-o", other, *scratch),
        ("reduce", other, *scratch),
        ("report", output),
        ("report", output, "--html", place / f"{NAME}.html"),
        ("status", output),
        ("compare", output, other),
        ("export", output, "-o", place / f"tables-{NAME}", "--table", "layers"),
        ("export", output, "-o", place / f"tables-{NAME}", "--table", "layers"),
        ("export", output, "-o", place / f"old-{NAME}", "--format", "seed2017"),
        ("plot", output, "-o", place / f"figures-{NAME}", "--figure", "3"),
        ("plan", f"oci:{source}"),
    ]
    for words in commands:
        runs.run(runs.command(*words))
    wishes = place / f"list-{NAME}.csv"
    wishes.write_text("localhost:1/a/b\n")
    runs.run(runs.command("plan", f"repos:{wishes}"))
