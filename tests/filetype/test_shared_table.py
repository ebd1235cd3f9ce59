"""The table of a node: lossy but never wrong, shared by many processes, safe against SIGKILL."""

import hashlib
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from hpc_remetrics.errors import OutputError
from hpc_remetrics.filetype.shared_table import EMPTY, FIXED, TIMED_OUT, TypeTable

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
    for number in (0, 1, (1 << 20) - 2):
        table.put(digest_of(number), number)
        assert table.get(digest_of(number)) == number
    for number in (-1, (1 << 20) - 1, 1 << 40):
        table.put(digest_of(7), number)
        assert table.get(digest_of(7)) == -1


def test_a_digest_of_zeros_is_not_an_empty_slot(table):
    assert table.get(bytes(32)) == -1
    table.put(bytes(32), 0)
    assert table.get(bytes(32)) == 0
    assert (
        table.get(bytes(31) + b"\1") == 0
    )  # the 65 bits that are looked at; see the module on chance


def test_a_collision_overwrites_but_does_not_mislead(tmp_path):
    table = TypeTable(tmp_path, 1)
    table.put(digest_of(1), EMPTY)
    table.put(digest_of(2), table.number("x"))
    assert table.get(digest_of(1)) == -1
    assert table.description(table.get(digest_of(2))) == "x"


def test_what_timed_out_stays(tmp_path):
    table = TypeTable(tmp_path, 1)
    table.put(digest_of(1), TIMED_OUT)
    table.put(digest_of(2), EMPTY)
    assert table.get(digest_of(1)) == TIMED_OUT
    assert table.get(digest_of(2)) == -1


def test_another_table_of_the_directory_sees_names_and_words(tmp_path):
    one, two = TypeTable(tmp_path, 64), TypeTable(tmp_path, 64)
    number = one.number("PNG image data")
    one.put(digest_of(1), number)
    assert two.get(digest_of(1)) == number
    assert two.description(number) == "PNG image data"
    assert two.number("PNG image data") == number
    with pytest.raises(IndexError):
        two.description(number + 1)


def test_tables_of_other_sizes_do_not_disturb(tmp_path):
    small, large = TypeTable(tmp_path, 64), TypeTable(tmp_path, 128)
    small.put(digest_of(1), EMPTY)
    assert large.get(digest_of(1)) == -1


@pytest.mark.parametrize("slots", [0, 3, 1 << 29])
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
    assert (tmp_path / f"types-{1 << 12}.table").stat().st_blocks * 512 >= 8 << 12


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
