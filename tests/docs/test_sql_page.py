"""Every query of docs/sql.md runs on an export, and gives what the reader gives."""

import re

import duckdb
import pytest
from support.package import ROOT

import hpc_remetrics
from hpc_remetrics.export import export_command

PAGE = (ROOT / "docs" / "sql.md").read_text()
BLOCKS = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def answers(truth, tmp_path_factory):
    """Return the rows of each block, after it the blocks before it, in the order of the page."""
    directory = tmp_path_factory.mktemp("sql")
    export_command(truth, "parquet", directory / "hub", [])
    with pytest.MonkeyPatch.context() as patch, duckdb.connect() as session:
        patch.chdir(directory)
        return [session.execute(block).fetchall() for block in BLOCKS]


@pytest.mark.slow
def test_every_question_has_an_answer(answers):
    headings = re.findall(r"^## (\d+)\.", PAGE, re.MULTILINE)
    assert headings == [str(number) for number in range(1, 12)]
    silent = [block for block, rows in zip(BLOCKS, answers, strict=True) if not rows]
    # The views answer nothing, and no file of the tests has the set-user-id bit
    assert all(block.startswith("CREATE VIEW") or "2048" in block for block in silent)


@pytest.mark.slow
def test_the_answers_are_those_of_the_reader(answers, truth):
    with hpc_remetrics.open(truth) as data:
        totals = data.metrics.totals
        images = dict(zip(data.images.readable("name"), data.images["layers"], strict=True))
        sizes = data.layers["CLS"]
        is_made = data.image_layers["step"] >= 0
        made = set(data.image_layers["layer"][is_made.filled(False)].tolist())
        columns = data.contents["copies"], data.contents["size"], data.contents["gzip"]
    names = ("images", "layers", "files", "CLS", "FLS")
    assert answers[1] == [tuple(totals[name] for name in names)]
    assert answers[2][0][1] == sizes.max()
    shares = ("dedup_ratio_by_count", "dedup_ratio_by_capacity", "redundant_byte_share")
    assert answers[3][0] == pytest.approx([totals[name] for name in shares])
    assert {name for name, _ in answers[7]} <= set(images)
    assert sum(count for _, count, _, _ in answers[8]) == totals["files"]
    copies, size, gzip = columns
    assert sum(row[1] for row in answers[10]) == (gzip >= 0).sum()
    # All steps of these images say COPY
    assert answers[11] == [("COPY", len(made), sizes[sorted(made)].sum())]
    assert answers[-1] == [(totals["files"],)]
    assert sum(row[3] for row in answers[4]) <= (copies * size).sum()
