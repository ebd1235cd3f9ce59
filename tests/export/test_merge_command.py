"""The whole command: crawls of some images each, merged, are the crawl of all, with their
metrics."""

import pytest
from support.same import assert_same

import hpc_remetrics

NAMES = ("a/one:1", "a/two:1", "b:latest", "b:empty")


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 3])
def test_like_analyzing_all_sources_at_once(runs, odd_layout, other, ranks):
    sources = [f"oci:{odd_layout}:{name}" for name in NAMES]
    runs.run(runs.analyze(sources[0], "whole.h5", *sources[1:]), code=3)
    files = [runs.directory / "0.h5", other, runs.directory / "2.h5", runs.directory / "3.h5"]
    for source, file in zip(sources, files, strict=True):
        if file != other:
            runs.run(runs.analyze(source, file))
    merge = runs.command("merge", *files, "-o", "all.h5", "--scratch", runs.scratch, ranks=ranks)
    said = runs.run(merge).stderr
    assert said.count("\n") == 1 and "duplicates dropped" in said
    # The message of a lost layer names one of the sources that were asked.
    assert_same(runs.directory / "whole.h5", runs.directory / "all.h5", "/failures")
    with (
        hpc_remetrics.open(runs.directory / "all.h5") as dataset,
        hpc_remetrics.open(runs.directory / "whole.h5") as whole,
    ):
        columns = ["digest", "stage", "cause", "offset"]
        assert dataset.failures.frame(columns).equals(whole.failures.frame(columns))
        assert dataset.metrics.totals["images"] == 4
        assert str(dataset.run["merged"]).split() == [str(file) for file in files]
        commands = [f" {word} " for word in ("analyze",) * 4 + ("merge",)]
        lines = dataset.file_history.splitlines()
        assert all(word in line for word, line in zip(commands, lines, strict=True))
        assert len(dataset.run_table("job_ranks")["rank"]) == 3  # one image has no layer
        assert [rank for rank, _ in dataset.failed_on.values()] == [0, 0]
