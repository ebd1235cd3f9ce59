"""A download that is killed or stopped at any moment goes on where it was, and what has its name is
whole."""

import json
import os
import random
import signal
import subprocess
import time

import pytest

from .conftest import MANY, SINGLE

IN_FLIGHT = 3 << 20
"""Bytes of a connection between a server's `send` and a client's file, buffers of the kernel on
both sides included."""

THREADS = 4


def names_at(host):
    return [f"{host}/{name}" for name in (*SINGLE, *MANY)]


def killed(command, front, size):
    """Run a command and kill it with all its processes when so many bytes have come; say whether it
    ended before."""
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = front.sent + size
    while process.poll() is None and front.sent < end:
        time.sleep(0.005)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    assert process.returncode == 0
    return False


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 2])
def test_kills_at_random_moments_cost_what_was_in_flight(start_front, mirror, ranks):
    """No start gets as many bytes as the largest blob has: it comes only by going on within it."""
    rng = random.Random(5 + ranks)
    front = start_front(rate=6_000_000)
    names, kills = names_at(front.host), 0
    command = mirror.command(*names, ranks=ranks)
    while killed(command, front, rng.choice((1, *rng.choices(range(500_000, 5_000_000), k=3)))):
        kills += 1
        assert kills < 60
        if (mirror.directory / "index.json").exists():
            assert mirror.names() <= set(names)
            mirror.blobs()
    assert mirror.names() == set(names)
    size = sum(map(len, mirror.blobs().values()))
    assert size > 12_000_000 and kills > 2
    # A start that had been killed may still be sending when the next one asks.
    assert front.sent <= size + kills * (IN_FLIGHT + THREADS * (256 << 10))
    assert list((mirror.directory / ".remetrics" / "partial").iterdir()) == []
    asked = front.asked.total()
    mirror(*names, ranks=ranks)
    assert front.asked.total() == asked


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_stop_signal_ends_a_download_in_order(start_front, mirror, ranks, number):
    front = start_front(rate=3_000_000)
    names = names_at(front.host)
    process = subprocess.Popen(
        mirror.command(*names, ranks=ranks), stderr=subprocess.PIPE, text=True
    )
    while front.sent < 2_000_000:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 4, said
    assert (
        f"stopped: on {signal.Signals(number).name}" in said
        and "run the command again to continue" in said
    )
    assert mirror.names() < set(names)
    mirror.blobs()
    front.rate = 0
    mirror(*names, ranks=ranks)
    assert mirror.names() == set(names)
    assert front.sent <= sum(map(len, mirror.blobs().values())) + IN_FLIGHT


@pytest.mark.slow
def test_a_stop_in_a_silent_registry_does_not_wait_for_it(start_front, mirror):
    front = start_front(rate=1)
    process = subprocess.Popen(
        mirror.command(f"{front.host}/forms/big:1"), stderr=subprocess.PIPE, text=True
    )
    while not front.asked:
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 4, said


@pytest.mark.slow
def test_a_partial_blob_with_other_bytes_is_fetched_anew(registry, mirror):
    """As a crash of the machine may leave it: the right length, and zeros in it."""
    name = f"{registry.host}/forms/big:1"
    mirror(name)
    digest = max(mirror.blobs(), key=lambda name: len(mirror.blobs()[name]))
    whole = mirror.blob(digest).read_bytes()
    for data in (whole[:100_000] + bytes(100_000), bytes(len(whole)), whole + b"more", whole):
        mirror.blob(digest).unlink()
        (mirror.directory / ".remetrics" / "journal").unlink()
        (mirror.directory / ".remetrics" / "partial" / digest).write_bytes(data)
        mirror(name)
        assert mirror.blob(digest).read_bytes() == whole


@pytest.mark.slow
def test_an_index_that_is_behind_the_journal_or_ahead_is_put_right(registry, mirror):
    names = [f"{registry.host}/forms/{name}" for name in ("one:1", "two:1")]
    mirror(*names)
    index = mirror.directory / "index.json"
    document = json.loads(index.read_text())
    for entries in ([], document["manifests"][:1], document["manifests"] * 2):
        index.write_text(json.dumps({**document, "manifests": entries}))
        mirror(*names)
        assert json.loads(index.read_text()) == document


@pytest.mark.slow
def test_a_second_download_into_a_directory_is_refused(start_front, mirror):
    # At a byte a second, the first download is never done before the others are refused.
    front = start_front(rate=1)
    names = names_at(front.host)
    first = subprocess.Popen(mirror.command(*names), stderr=subprocess.DEVNULL)
    try:
        while not front.asked:
            assert first.poll() is None
            time.sleep(0.02)
        assert "another job holds" in mirror(*names, code=6).stderr
        assert "another job holds" in mirror(*names, code=6, ranks=2).stderr
    finally:
        first.kill()
        first.wait()
