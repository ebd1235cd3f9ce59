"""What a journal holds after a cut at any byte: whole lines, from the first on, and nothing
else."""

import pytest

from hpc_remetrics.crawl.repository_table import sorted_lines
from hpc_remetrics.errors import OutputError
from hpc_remetrics.files.journal import Journal

HEAD = {"format": "test", "version": 1}
VALUES = [{"a": 1}, ["ü", "\n", "\u2028"], "text", 5]


def write(path):
    journal = Journal(path, HEAD)
    for value in VALUES:
        journal.append(value)
    journal.close()
    return path.read_bytes()


def test_a_journal_is_read_as_it_was_written_and_goes_on(tmp_path):
    write(tmp_path / "journal")
    journal = Journal(tmp_path / "journal", HEAD)
    journal.append("more")
    assert list(journal) == [*VALUES, "more"]
    journal.close()


@pytest.mark.slow
def test_a_cut_at_any_byte_loses_only_what_it_cut(tmp_path):
    data = write(tmp_path / "journal")
    for length in range(len(data) + 1):
        path = tmp_path / "cut"
        path.write_bytes(data[:length])
        whole = max(data[:length].count(b"\n") - 1, 0)
        journal = Journal(path, HEAD)
        assert list(journal) == VALUES[:whole]
        journal.append("next")
        assert list(journal) == [*VALUES[:whole], "next"]
        journal.close()
        assert list(Journal(path, HEAD)) == [*VALUES[:whole], "next"]


def test_a_run_that_learned_nothing_leaves_the_name_to_others(tmp_path):
    Journal(tmp_path / "journal", HEAD).close()
    other = Journal(tmp_path / "journal", {"format": "other"})
    other.append(1)
    other.close()
    with pytest.raises(OutputError, match="another run"):
        Journal(tmp_path / "journal", HEAD)


def test_a_damaged_byte_is_never_taken_for_a_value(tmp_path):
    data = write(tmp_path / "journal")
    start = data.index(b"\n") + 1
    for place in range(start, len(data)):
        path = tmp_path / "damaged"
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        found = list(Journal(path, HEAD))
        assert found == VALUES[: len(found)] and len(found) < len(VALUES)


def test_another_runs_journal_is_refused(tmp_path):
    write(tmp_path / "journal")
    with pytest.raises(OutputError, match="another run"):
        Journal(tmp_path / "journal", {"format": "other"})


@pytest.mark.slow
@pytest.mark.parametrize("run", [1, 7, 100, 1000])
def test_lines_are_sorted_whatever_fits_into_memory(tmp_path, run):
    lines = [f"{(number * 7919) % 1000:04} ü{number % 3}" for number in range(1000)]
    assert list(sorted_lines(iter(lines), tmp_path, run)) == sorted(lines)
    assert list(tmp_path.iterdir()) == []
