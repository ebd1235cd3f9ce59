"""Shares of strata and the draw: sizes, minima, and samples that contain each other."""

from hypothesis import given
from hypothesis import strategies as st

from hpc_remetrics.crawl.sample import SampleStratum, allot, draw, strata, stratum_of
from hpc_remetrics.sources.repositories import Repository

POPULATIONS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 400), min_size=1)


def repositories(count):
    return [Repository(0, number * 7, f"a/{number}") for number in range(count)]


@given(POPULATIONS, st.integers(0, 600))
def test_shares_add_up_to_the_sample_and_no_stratum_gives_more_than_it_has(populations, size):
    shares = allot(populations, size)
    least = sum(min(2, count) for count in populations.values())
    assert sum(shares.values()) == min(max(size, least), sum(populations.values()))
    assert all(min(2, count) <= shares[name] <= count for name, count in populations.items())


@given(POPULATIONS, st.integers(0, 600))
def test_a_larger_sample_takes_nothing_away(populations, size):
    small, large = allot(populations, size), allot(populations, size + 1)
    assert all(small[name] <= large[name] for name in populations)


def test_shares_grow_with_the_square_root():
    assert allot({"a": 90_000, "b": 10_000, "c": 100}, 410) == {"a": 300, "b": 100, "c": 10}
    # From the first one on: two each, and the next two are due where 300 / 3 and 300 / 4 are
    assert allot({"a": 90_000, "b": 10_000}, 6) == {"a": 4, "b": 2}


def test_the_draw_has_the_sizes_of_the_strata_and_depends_on_the_seed():
    rows = repositories(300)
    parts = strata(rows, 30)
    assert sum(part.population for part in parts.values()) == 300
    assert sum(part.drawn for part in parts.values()) == 30
    drawn = draw(rows, parts, 7)
    assert len(drawn) == 30 and drawn == draw(rows[::-1], parts, 7) != draw(rows, parts, 8)
    of_each = dict.fromkeys(parts, 0)
    for row in rows:
        of_each[stratum_of(row)] += f"docker.io/{row.name}" in drawn
    assert of_each == {name: part.drawn for name, part in parts.items()}
    assert drawn < draw(rows, strata(rows, 60), 7)


def test_weights_add_up_to_the_population():
    assert SampleStratum(30, 4).weight == 7.5 and SampleStratum(30, 0).weight == 0.0
    assert stratum_of(Repository(0, 9, "a/b")) == "pulls 1e0"
    assert stratum_of(Repository(0, 10, "a/b")) == "pulls 1e1"
