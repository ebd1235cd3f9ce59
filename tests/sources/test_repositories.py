"""Lists as spreadsheets, editors and other systems save them: the same rows, or an error that says
what to do."""

import codecs

import pytest

from hpc_remetrics.errors import SourceError
from hpc_remetrics.sources.repositories import (
    COLUMNS,
    Repository,
    csv_lines,
    read_repositories,
)

HEAD = "stars,pulls,name,registry,tag"
ROWS = ["5,100,library/redis,docker.io,7", "0,2,a/b,quay.io,"]
RIGHT = [(5, 100, "docker.io/library/redis:7"), (0, 2, "quay.io/a/b:latest")]
PLAIN = "\n".join([HEAD, *ROWS, ""])


def read(path, data: bytes):
    path.write_bytes(data)
    return [(row.stars, row.pulls, row.reference) for row in read_repositories(path)]


SAVED = {
    "as it is": PLAIN.encode(),
    "byte order mark": codecs.BOM_UTF8 + PLAIN.encode(),
    "two of them": codecs.BOM_UTF8 * 2 + PLAIN.encode(),
    "CRLF": codecs.BOM_UTF8 + PLAIN.replace("\n", "\r\n").encode(),
    "CR alone": PLAIN.replace("\n", "\r").encode(),
    "no end of the last line": PLAIN.rstrip("\n").encode(),
    "blank lines": PLAIN.replace("\n", "\n\n , \n").encode(),
    "trailing blanks": PLAIN.replace("\n", " \t\n").replace(",", " , ").encode(),
    "quotes": "\n".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) for line in PLAIN.split("\n")[:-1]
    ).encode(),
    "quotes and blanks": "\n".join(
        ", ".join(f'"{cell}" ' for cell in line.split(",")) for line in PLAIN.split("\n")[:-1]
    ).encode(),
    "head in capitals": PLAIN.replace("stars,pulls,name", "Stars,Pulls,NAME").encode(),
    "no-break spaces": PLAIN.replace(",", "\u00a0,").encode(),
}


@pytest.mark.parametrize("data", SAVED.values(), ids=SAVED)
def test_the_rows_are_the_same_however_a_list_was_saved(tmp_path, data):
    assert read(tmp_path / "list.csv", data) == RIGHT


@pytest.mark.parametrize("form", ["5,100,library/redis\n", "library/redis\n"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_lists_without_a_head_too(tmp_path, form, mark):
    (row,) = read(tmp_path / "list.csv", mark + form.encode())
    assert row == ((5, 100) if "," in form else (None, None)) + ("docker.io/library/redis:latest",)


def test_lists_that_were_joined_have_marks_in_their_middle(tmp_path):
    data = (codecs.BOM_UTF8 + b"library/redis\n") * 2
    assert len(read(tmp_path / "list.lst", data)) == 2


WRONG = {
    "utf-16": (PLAIN.encode("utf-16"), "UTF-16"),
    "utf-16 of the other order": (codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"), "UTF-16"),
    "utf-32": (PLAIN.encode("utf-32"), "UTF-16"),
    "utf-16 without a mark": (PLAIN.encode("utf-16-le"), "NUL"),
    "NUL in a name": (PLAIN.replace("a/b", "a/\0b").encode(), "line 3: a NUL"),
    "NUL elsewhere": (PLAIN.replace("docker.io,7", "docker.io,7\0").encode(), "line 2: a NUL"),
    "a quote that nothing closes": (PLAIN.replace("docker.io,7", 'docker.io,"7').encode(), "quote"),
    "Latin-1": (PLAIN.replace("a/b", "ä/b").encode("latin-1"), "is not a list of repositories"),
    "semicolons": (PLAIN.replace(",", ";").encode(), "line 1"),
    "a weight that is none": (b"stars,pulls,name,weight\n1,2,a/b,nan\n", "line 2: weight"),
}


@pytest.mark.parametrize(("data", "words"), WRONG.values(), ids=WRONG)
def test_what_is_no_list_is_refused_with_the_reason(tmp_path, data, words):
    with pytest.raises(SourceError, match=words):
        read(tmp_path / "list.csv", data)


def test_a_row_comes_back_as_it_was_written(tmp_path):
    rows = [
        Repository(1, 2, "a/b", "quay.io", "7", True, f"sha256:{'1' * 64}", 5, "u", "c", "s", 2.5),
        Repository(None, None, "library/redis"),
        Repository(0, 10**12, "c/d", "localhost:5000", f"sha256:{'2' * 64}", False),
        Repository(1, 2, "a/b", weight=1e9 / 3),
    ]
    lines = list(csv_lines(rows))
    assert lines[0] == ",".join(COLUMNS) + "\n"
    assert lines[2] == ",,library/redis,docker.io,,,,,,,,\n"
    assert lines[4].endswith(",333333333.3\n")
    (tmp_path / "list.csv").write_text("".join(lines))
    read_rows = list(read_repositories(tmp_path / "list.csv"))
    assert read_rows[:3] == rows[:3]
    assert read_rows[3].weight == 333333333.3
    assert [row.official for row in rows] == [True, None, False, None]
    assert rows[2].reference == f"localhost:5000/c/d@sha256:{'2' * 64}"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1,2,", "line 2: no name"),
        ("x,2,a/b", "line 2: stars is 'x', not a number"),
        (f"1,{'y' * 50},a/b", f"pulls is '{'y' * 40}', not a number"),
        ("1,2,a/b,,,0", "weight is '0', not a number above 0"),
        ("1,2,a/b,,,-1", "weight is '-1', not"),
        ("1,2,a/b,,,inf", "weight is 'inf', not"),
        ("1,2,a/b,,,much", "weight is 'much', not"),
        ("1,2,A b", "line 2: "),
        ('1,2,"a/b\rc"', "a value goes over several lines"),
        ('1,2,"a/b\nc"', "a value goes over several lines"),
        ("1,2,a/b\0c", "a NUL character"),
    ],
)
def test_a_line_that_is_not_valid_is_named(tmp_path, line, words):
    (tmp_path / "list.csv").write_text(f"stars,pulls,name,bytes,official,weight\n{line}\n")
    # The csv module of Python 3.10 refuses a NUL by itself.
    with pytest.raises(SourceError) as caught:
        list(read_repositories(tmp_path / "list.csv"))
    assert words in str(caught.value) or "line contains NUL" in str(caught.value)


def test_names_of_columns_are_sought_in_the_first_three_cells(tmp_path):
    """A repository may be called `name`."""
    path = tmp_path / "list.csv"
    path.write_text("name,tag\na/b,7\n")
    assert [row.reference for row in read_repositories(path)] == ["docker.io/a/b:7"]
    path.write_text("1,2,a/b,name\n3,4,c/d,name\n")
    assert [row.stars for row in read_repositories(path)] == [1, 3]
    path.write_text("a/b:latest\na/b:7\nquay.io/c/d\n")
    assert [row.tag for row in read_repositories(path)] == ["", "7", ""]
    assert [row.stars for row in read_repositories(path)] == [None] * 3


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(SourceError, match=r"can't read .*none: No such file"):
        list(read_repositories(tmp_path / "none"))
