"""From rows of the journal to the list: sorted in runs on disk, each repository once."""

from hpc_remetrics.crawl.repository_table import by_pulls, iso_time, newest


def test_a_repository_is_listed_once_in_its_latest_state_and_by_pulls(tmp_path):
    seen = [
        (2.0, ["a/b", 1, 50, False]),
        (3.0, ["a/c", 2, None, False]),
        (9.0, ["a/b", 3, 70, True]),
        (1.0, ["a/b", 9, 99, False]),
        (4.0, ["a/d", 0, 70, False]),
        (5.0, ["a/e", 0, 1000, False]),
    ]
    rows = list(by_pulls(seen, "docker.io", tmp_path))
    assert [(row.name, row.pulls, row.stars) for row in rows] == [
        ("a/e", 1000, 0),
        ("a/b", 70, 3),
        ("a/d", 70, 0),
        ("a/c", None, 2),
    ]
    assert rows[1].official is True and rows[1].crawled == "1970-01-01T00:00:09Z"
    assert {row.registry for row in rows} == {"docker.io"}


def test_rows_of_a_catalog_have_names_alone(tmp_path):
    (row,) = by_pulls([(0.0, ["x"]), (86400.0, ["x"])], "host:5000", tmp_path)
    assert (row.name, row.stars, row.pulls, row.official) == ("x", None, None, None)
    assert row.crawled == iso_time(86400.0) == "1970-01-02T00:00:00Z"


def test_the_newest_tags_by_time_then_latest_then_by_numbers():
    timed = [
        ["a", "", 1, "2025-01-01"],
        ["b", "", 1, "2025-03-01"],
        ["latest", "", 1, "2025-02-01"],
    ]
    assert [row[0] for row in newest(timed, 2)] == ["b", "latest"]
    plain = [[tag, "", None, ""] for tag in ("v2", "1.10", "edge-7", "1.9", "latest", "v10", "3")]
    assert [row[0] for row in newest(plain, 6)] == ["latest", "v10", "v2", "3", "1.10", "1.9"]
