"""The table of a node: lossy but never wrong, shared by many processes, safe against SIGKILL."""

import errno
import hashlib
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import share_of
from support.tools import mount_small, unmount

from hpc_remetrics.errors import OutputError
from hpc_remetrics.filetype.shared_table import (
    EMPTY,
    FIXED,
    SLOTS,
    TIMED_OUT,
    TypeTable,
    slots_for,
)

FORK = multiprocessing.get_context("fork")


def digest_of(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


@pytest.fixture
def table(tmp_path):
    table = TypeTable(tmp_path / "magic-test", 1 << 12)
    yield table
    table.close()


def test_what_is_put_is_found(table):
    number = table.number("ASCII text")
    assert number == len(FIXED)
    assert table.get(digest_of(1)) == -1
    table.put(digest_of(1), number)
    assert table.get(digest_of(1)) == number
    assert table.description(number) == "ASCII text"
    assert table.descriptions() == [*FIXED, "ASCII text"]


def test_every_number_that_fits_comes_back_and_others_are_left_out(table):
    for number in (0, 1, (1 << 16) - 2):
        table.put(digest_of(number), number)
        assert table.get(digest_of(number)) == number
    for number in (-1, (1 << 16) - 1, 1 << 40):
        table.put(digest_of(7), number)
        assert table.get(digest_of(7)) == -1


def test_a_digest_of_zeros_is_not_an_empty_slot(table):
    assert table.get(bytes(32)) == -1
    table.put(bytes(32), 0)
    assert table.get(bytes(32)) == 0
    # Of twelve bytes the bits of the tag and of the set are looked at; see the module on chance.
    for place, byte, number in (
        *((0, 255, 0), (1, 255, 0), (2, 3, 0), (2, 4, -1), (7, 128, -1)),
        # A table of 2**12 words has 2**9 sets.
        *((8, 1, -1), (9, 1, -1), (9, 2, 0), (12, 1, 0), (31, 1, 0)),
    ):
        other = bytearray(32)
        other[place] = byte
        assert table.get(bytes(other)) == number


def test_a_table_that_is_closed_leaves_nothing_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    table = TypeTable(tmp_path, 64)
    table.close()
    table.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert table._map.closed


def test_where_its_first_word_is_empty_no_other_one_is_looked_at(table, monkeypatch):
    monkeypatch.setattr(TypeTable, "_place_of", None)
    assert table.get(digest_of(1)) == -1
    table.put(digest_of(1), EMPTY)
    assert table.get(digest_of(1)) == EMPTY


def tag_of(number: int) -> int:
    return int.from_bytes(digest_of(number)[:8], "little") >> 18


def held(table, numbers):
    """Return which contents the table knows, without a use of any."""
    tags = {word >> 18 for word in table._words if word}
    return {one for one in numbers if tag_of(one) in tags}


def test_a_full_set_forgets_one_content_and_does_not_mislead(tmp_path):
    table = TypeTable(tmp_path, 8)
    for one in range(8):
        table.put(digest_of(one), one)
    assert [table.get(digest_of(one)) for one in range(8)] == [*range(8)]
    table.put(digest_of(8), 17)
    found = [table.get(digest_of(one)) for one in range(9)]
    assert found[8] == 17
    assert sum(number == -1 for number in found) == 1
    assert all(number in (-1, one) for one, number in enumerate(found[:8]))


def test_the_content_that_was_used_least_is_forgotten_and_the_others_lose_as_many_uses(tmp_path):
    table = TypeTable(tmp_path, 8)
    for one in range(8):
        table.put(digest_of(one), EMPTY)
        # Three uses count at most: the last content has 2, all others 3.
        for _ in range(5 if one < 7 else 2):
            table.get(digest_of(one))
    table.put(digest_of(8), EMPTY)
    assert held(table, range(9)) == {*range(7), 8}
    # One use is left to the others, and none to the new one.
    table.put(digest_of(9), EMPTY)
    assert held(table, range(10)) == {*range(7), 9}
    table.get(digest_of(9))
    table.get(digest_of(9))
    table.put(digest_of(10), EMPTY)
    left = held(table, range(11))
    assert {9, 10} <= left and len(left & {*range(7)}) == 6


def test_contents_that_are_used_as_often_go_in_turns(tmp_path):
    table = TypeTable(tmp_path, 8)
    forgotten = []
    known = set()
    for one in range(2000):
        table.put(digest_of(one), EMPTY)
        now = held(table, [*known, one])
        forgotten += [one - old for old in known - now]
        known = now
    assert len(forgotten) == 1992
    # Each of eight words is taken as often: a content stays for eight others on average.
    assert 7 < sum(forgotten) / len(forgotten) < 9
    assert max(forgotten) > 24


def test_what_comes_once_does_not_drive_out_what_comes_often(tmp_path):
    table = TypeTable(tmp_path, 8)
    for often in range(4):
        table.put(digest_of(often), often)
    for once in range(100, 1000):
        assert [table.get(digest_of(often)) for often in range(4)] == [0, 1, 2, 3]
        table.put(digest_of(once), EMPTY)


def test_what_timed_out_stays(tmp_path):
    table = TypeTable(tmp_path, 8)
    table.put(digest_of(1), TIMED_OUT)
    table.put(digest_of(1), EMPTY)
    for one in range(2, 50):
        table.put(digest_of(one), EMPTY)
        table.get(digest_of(one))
    assert table.get(digest_of(1)) == TIMED_OUT
    # Eight of them leave no room for any other.
    for one in range(2, 10):
        table.put(digest_of(one), TIMED_OUT)
    assert [table.get(digest_of(one)) for one in range(1, 10)] == [TIMED_OUT] * 8 + [-1]
    table.put(digest_of(11), EMPTY)
    assert table.get(digest_of(11)) == -1


@settings(max_examples=share_of(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 20)), max_size=300),
    st.sampled_from([8, 16, 64]),
)
def test_a_table_is_a_dict_that_forgets(tmp_path_factory, steps, slots):
    table = TypeTable(tmp_path_factory.mktemp("table"), slots)
    kept = {}
    for is_put, one, number in steps:
        digest = digest_of(one)
        if is_put:
            table.put(digest, number)
            if kept.get(one) != TIMED_OUT:
                kept[one] = number
        found = table.get(digest)
        assert found in (-1, kept.get(one, -1))
        # Nothing is forgotten before eight contents have come.
        if len(kept) <= 8:
            assert found == kept.get(one, -1)
    table.close()


def test_another_table_of_the_directory_sees_names_and_words(tmp_path):
    one, two = TypeTable(tmp_path, 64), TypeTable(tmp_path, 64)
    number = one.number("PNG image data")
    one.put(digest_of(1), number)
    assert two.get(digest_of(1)) == number
    assert two.description(number) == "PNG image data"
    assert two.number("PNG image data") == number
    with pytest.raises(IndexError):
        two.description(number + 1)


def test_who_comes_first_decides_on_the_size(tmp_path):
    first, second = TypeTable(tmp_path, 64), TypeTable(tmp_path, 1 << 30)
    assert first.size == second.size == 64 * 8
    for one in range(40):
        first.put(digest_of(one), EMPTY)
        assert second.get(digest_of(one)) == EMPTY
    assert sorted(path.name for path in tmp_path.iterdir()) == ["types.names", "types.table"]


@pytest.mark.parametrize("size", [0, 56, 72, 3 * 64, (1 << 35) + 64])
def test_a_table_of_a_wrong_size_is_replaced(tmp_path, size):
    """Nothing makes one; who has it mapped keeps what he has."""
    with open(tmp_path / "types.table", "wb") as file:
        file.truncate(size)
    table = TypeTable(tmp_path, 64)
    assert (tmp_path / "types.table").stat().st_size == table.size == 64 * 8
    table.put(digest_of(1), EMPTY)
    assert TypeTable(tmp_path, 128).get(digest_of(1)) == EMPTY


def test_a_table_that_a_killed_process_left_unfinished_is_made_anew(tmp_path):
    (tmp_path / "types.unfinished").write_bytes(b"x" * 700)
    table = TypeTable(tmp_path, 64)
    assert [table.get(digest_of(one)) for one in range(20)] == [-1] * 20
    assert (tmp_path / "types.table").stat().st_size == 64 * 8
    assert not (tmp_path / "types.unfinished").exists()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_table_gets_as_much_as_there_is(tmp_path, monkeypatch, error):
    allocate = os.posix_fallocate

    def small(descriptor, start, length):
        # Part of what does not fit stays allocated on some file systems.
        if length > 400_000:
            allocate(descriptor, start, 90_112)
            raise OSError(error, "no room")
        allocate(descriptor, start, length)

    monkeypatch.setattr(os, "posix_fallocate", small)
    table = TypeTable(tmp_path, 1 << 16)
    assert table.size == (tmp_path / "types.table").stat().st_size == 8 << 14
    table.put(digest_of(1), EMPTY)
    assert TypeTable(tmp_path, 1 << 16).get(digest_of(1)) == EMPTY


@pytest.mark.parametrize(("error", "tries"), [(errno.ENOSPC, 4), (errno.EIO, 1)])
def test_a_table_that_gets_no_room_at_all(tmp_path, monkeypatch, error, tries):
    asked = []

    def none(descriptor, start, length):
        asked.append(length)
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "posix_fallocate", none)
    with pytest.raises(OutputError, match="make the table of types"):
        TypeTable(tmp_path, 1 << 15)
    assert [length - (1 << 18) for length in asked] == [8 << 15, 8 << 14, 8 << 13, 8 << 12][:tries]
    assert not (tmp_path / "types.table").exists()


@pytest.mark.slow
def test_a_small_tmpfs_gets_a_small_table_whose_words_can_all_be_written(tmp_path):
    """As in a container; a store into a hole of a full tmpfs would end this process by SIGBUS."""
    mount_small(tmp_path, 1 << 20)
    try:
        table = TypeTable(tmp_path / "types", 1 << 21)
        assert table.size == 512 << 10
        assert table.number("a description") == len(FIXED)
        with open(tmp_path / "rest", "wb", buffering=0) as rest:
            assert rest.write(bytes(2 << 20)) < 1 << 19
        for place in range(0, len(table._words), 8):
            table._words[place] = place
        table.close()
    finally:
        unmount(tmp_path)


def _create(directory: Path, slots: int, sizes: Path) -> None:
    table = TypeTable(directory, slots)
    table.put(digest_of(slots), EMPTY)
    (sizes / str(slots)).write_text(str(table.size))


def test_processes_that_come_at_once_with_sizes_of_their_own_agree(tmp_path):
    (tmp_path / "sizes").mkdir()
    wanted = [1 << bits for bits in (12, 13, 14, 15)]
    workers = [
        FORK.Process(target=_create, args=(tmp_path / "t", slots, tmp_path / "sizes"))
        for slots in wanted
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    table = TypeTable(tmp_path / "t", 64)
    assert {int(path.read_text()) for path in (tmp_path / "sizes").iterdir()} == {table.size}
    assert [table.get(digest_of(slots)) for slots in wanted] == [EMPTY] * 4


@pytest.mark.parametrize(
    ("files", "size", "slots"),
    [
        (0, 0, SLOTS),
        (42_000, 1 << 40, SLOTS),
        # 2 * files^0.88: 5.7 million contents; and the images of 2017, on one node and on 64.
        (2.1e7, 1 << 40, 1 << 23),
        (5.28e9, 1 << 40, 1 << 30),
        (5.28e9 / 64, 1 << 40, 1 << 25),
        # The room decides, but never below the least size.
        (5.28e9, 2 << 30, 1 << 28),
        (5.28e9, (2 << 30) - 1, 1 << 27),
        (5.28e9, (32 << 20) - 1, SLOTS),
        # What a manifest may claim.
        (1e30, 1 << 60, 1 << 32),
    ],
)
def test_the_size_follows_the_number_of_files_and_the_room(files, size, slots):
    assert slots_for(files, size) == slots


@pytest.mark.parametrize("slots", [0, 3, 4, 24, 1 << 33])
def test_slots_are_a_power_of_two(tmp_path, slots):
    with pytest.raises(ValueError, match="power of two"):
        TypeTable(tmp_path, slots)


@pytest.mark.parametrize("description", ["", "two\nlines"])
def test_a_description_is_one_line(table, description):
    with pytest.raises(ValueError, match="not a description"):
        table.number(description)


def test_a_directory_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="make the table of types"):
        TypeTable(tmp_path / "file" / "below")


def test_its_room_is_taken_at_once(tmp_path):
    TypeTable(tmp_path, 1 << 12)
    assert (tmp_path / "types.table").stat().st_blocks * 512 >= 8 << 12


@pytest.mark.parametrize("torn", [b"h", b"half a descripti", b"\xc3"])
def test_a_torn_last_line_is_passed_over_and_mended(tmp_path, torn):
    table = TypeTable(tmp_path, 64)
    first = table.number("first")
    with open(tmp_path / "types.names", "ab") as names:
        names.write(torn)
    assert table.descriptions() == [*FIXED, "first"]
    late = TypeTable(tmp_path, 64)
    assert late.number("second") == first + 1
    assert table.descriptions() == late.descriptions() == [*FIXED, "first", "second"]
    assert (tmp_path / "types.names").read_bytes() == b"first\nsecond\n"


def test_a_name_for_which_there_is_no_room_is_no_name(tmp_path, monkeypatch):
    table = TypeTable(tmp_path, 64)
    first = table.number("first")
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:4]))
    with pytest.raises(OSError, match="no space left for the names of types"):
        table.number("second")
    monkeypatch.undo()
    assert table.descriptions() == [*FIXED, "first"]
    assert table.number("third") == first + 1
    assert (tmp_path / "types.names").read_bytes() == b"first\nthird\n"


def _work(directory: Path, seed: int, rounds: int) -> None:
    table = TypeTable(directory, 1 << 10)  # created by whoever comes first
    rng = random.Random(seed)
    for _ in range(rounds):
        item = rng.randrange(5_000)
        text = f"type {item % 150}"
        found = table.get(digest_of(item))
        if found >= 0 and table.description(found) != text:
            os._exit(1)
        table.put(digest_of(item), table.number(text))


@pytest.mark.slow
def test_many_processes_create_fill_and_read_at_once(tmp_path):
    workers = [FORK.Process(target=_work, args=(tmp_path / "t", seed, 10_000)) for seed in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 5
    names = TypeTable(tmp_path / "t", 1 << 10).descriptions()
    assert len(names) == len(set(names)) == 150 + len(FIXED)


def _name_forever(directory: Path, seed: int) -> None:
    table = TypeTable(directory, 64)
    for item in range(1 << 30):
        table.number(f"a description of some length, number {item} of process {seed}")


@pytest.mark.slow
def test_kill_in_the_middle_of_number(tmp_path):
    mine = TypeTable(tmp_path, 64)
    for seed in range(25):
        child = FORK.Process(target=_name_forever, args=(tmp_path, seed))
        child.start()
        deadline = time.monotonic() + 10
        while f"process {seed}" not in mine.descriptions()[-1] and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(random.Random(seed).random() / 200)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        number = mine.number(f"after {seed}")  # the lock is free
        assert TypeTable(tmp_path, 64).description(number) == f"after {seed}"
    names = mine.descriptions()
    assert names == TypeTable(tmp_path, 64).descriptions()
    assert len(names) == len(set(names))
    whole = (*FIXED, "after ", "a description of some length, number ")
    assert all(name.startswith(whole) for name in names)
