"""The files of a crawl: which are replaced, when it is finished, what the description says."""

import json
from dataclasses import replace

import pytest

from hpc_remetrics.crawl.options import CrawlOptions, parse_target
from hpc_remetrics.crawl.output import Output
from hpc_remetrics.crawl.sample import SampleStratum
from hpc_remetrics.errors import OutputError, UsageError
from hpc_remetrics.files.journal import Journal
from hpc_remetrics.sources.repositories import COLUMNS, Repository


class Known:
    """What a description says of the journal."""

    begun, ended, seen, refused = 0.0, 86400.0, 5, 1

    def __len__(self):
        return 3


@pytest.fixture
def options(tmp_path):
    return CrawlOptions(target=parse_target("hub:a"), output=tmp_path / "list.csv")


def written(options, *rows, failures=(), strata=()):
    output = Output(options)
    return output.write(rows, Known(), dict(strata), {"more": 1}, dict(failures))


ROWS = Repository(1, 2, "a/b", tag="1"), Repository(1, 2, "a/b", tag="2"), Repository(0, 0, "a/c")


def test_the_list_and_its_description(options, tmp_path):
    strata = {"official": SampleStratum(10, 4)}
    failures = {"tags a/d /v2/x?secret=1": "HTTP 404"}
    assert written(options, *ROWS, failures=failures, strata=strata) == 3
    lines = options.output.read_text().splitlines()
    assert [line.split(",")[:3] for line in lines[1:]] == [["1", "2", "a/b"]] * 2 + [
        ["0", "0", "a/c"]
    ]
    assert json.loads((tmp_path / "list.csv.about.json").read_text()) == {
        "format": "hpc_remetrics repositories",
        "wishes": {
            "target": "hub:a",
            "tags": "latest",
            "sample": None,
            "seed": 0,
            "namespaces": False,
        },
        "begun": "1970-01-01T00:00:00Z",
        "ended": "1970-01-02T00:00:00Z",
        "pages": 3,
        "names_seen": 5,
        "names_refused": 1,
        "more": 1,
        "repositories_listed": 2,
        "rows": 3,
        "strata": {"official": {"population": 10, "drawn": 4, "weight": 2.5}},
        # The query of a URL may hold a signature.
        "failures": {"tags a/d /v2/x": "HTTP 404"},
    }


def test_a_crawl_is_finished_for_the_same_options_alone(options):
    assert Output(options).finished() is None
    assert written(options, *ROWS) == 0
    assert Output(options).finished() == 0
    for changed in ({"tags": 3}, {"sample": 5}, {"seed": 1}, {"list_namespaces": True}):
        assert Output(replace(options, **changed)).finished() is None
    assert Output(replace(options, empty_pages=7)).finished() is None
    assert Output(replace(options, threads=9, quiet=True)).finished() == 0
    written(options, *ROWS, failures={"x": "y"})
    assert Output(options).finished() == 3
    options.output.unlink()
    assert Output(options).finished() is None


def test_a_list_of_a_crawl_is_replaced_and_no_other(options, tmp_path):
    output = Output(options)
    output.check()
    written(options, *ROWS)
    output.check()
    # So is one of another version, with fewer columns.
    options.output.write_text(f"{','.join(COLUMNS[:3])},tag\n")
    output.check()
    # A journal beside it tells, too.
    (tmp_path / "list.csv.about.json").unlink()
    with pytest.raises(UsageError, match=r"list\.csv exists and is no list of this program"):
        output.check()
    journal = Journal(output.journal, {"format": "hpc_remetrics crawl"})
    journal.append(1)
    journal.close()
    output.check()
    for text in ("stars,pulls,name\n", "stars,pulls\n1,2\n", "my,own,name,list\n"):
        options.output.write_text(text)
        with pytest.raises(UsageError, match="is no list of this program"):
            output.check()
        Output(replace(options, force=True)).check()


@pytest.mark.parametrize("text", ["{}", '{"format": "other"}', "[]", "no JSON"])
def test_another_file_with_the_name_of_the_description_stays(options, tmp_path, text):
    (tmp_path / "list.csv.about.json").write_text(text)
    with pytest.raises(UsageError, match=r"about\.json exists and is no crawl of this program"):
        Output(options).check()
    Output(replace(options, force=True)).check()


def test_what_killed_crawls_left_is_removed(options, tmp_path):
    kept = {"list.csv", ".other.csv.sort-1", f".other.csv.{'0' * 16}.tmp"}
    for name in kept:
        (tmp_path / name).write_text("")
    for name in ("list.csv", "list.csv.about.json"):
        (tmp_path / f".{name}.{'0' * 16}.tmp").write_text("")
    (tmp_path / ".list.csv.sort-x").mkdir()
    output = Output(options)
    output.sweep()
    with output.sort_directory() as directory:
        assert directory.parent == tmp_path and directory.name.startswith(".list.csv.sort-")
        (directory / "run").write_text("")
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_a_full_disk_is_an_error_of_one_line(options):
    with (
        pytest.raises(OutputError, match=r"can't write beside .*: No space left.*; free some"),
        Output(options).sort_directory(),
    ):
        raise OSError(28, "No space left on device")
    lost = replace(options, output=options.output.parent / "missing" / "list.csv")
    with pytest.raises(OutputError, match=r"can't write .*list.csv: No such file or directory"):
        written(lost, *ROWS)
