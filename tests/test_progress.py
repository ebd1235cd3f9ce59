"""The progress line, rewritten on a terminal and a line a minute elsewhere; and log lines."""

import contextlib
import io
import logging
import os
import pty
import struct
import termios
from fcntl import ioctl

import pytest

from hpc_remetrics.log import escape, set_rank, set_up
from hpc_remetrics.progress import Progress, clock_time, rough_time


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


class Terminal:
    """A pseudo-terminal of a width, and what was written to it."""

    def __init__(self, columns: int) -> None:
        self.master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
        os.set_blocking(self.master, False)
        self.stream = os.fdopen(slave, "w")

    def written(self) -> str:
        """Return all that was written since; a terminal holds few bytes, so it must be read
        often."""
        text = ""
        with contextlib.suppress(BlockingIOError):
            while True:
                text += os.read(self.master, 1 << 20).decode()
        return text

    def close(self) -> None:
        self.stream.close()
        os.close(self.master)


@pytest.fixture(params=[30, 80, 200])
def terminal(request):
    terminal = Terminal(request.param)
    terminal.columns = request.param
    yield terminal
    terminal.close()


def test_a_terminal_gets_one_line_five_times_a_second_that_fits(terminal, clock):
    progress = Progress(1000, 10**12, terminal.stream, clock)
    written = ""
    for n in range(1, 1001):
        clock.now += 0.01
        progress.update(n, 1000 * n, 10**9 * n, n // 100)
        written += terminal.written()
    progress.finish()
    lines = (written + terminal.written()).split("\r")
    assert lines.pop(0) == ""
    # A terminal driver makes "\r\n" of "\n".
    assert lines.pop() == "\n"
    assert 45 <= len(lines) <= 52
    assert all(len(line) == terminal.columns - 1 for line in lines)
    assert lines[-1].startswith("1,000/1,000 layers")


def test_elsewhere_a_line_a_minute_and_a_last_one(clock):
    stream = io.StringIO()
    progress = Progress(600, 6 * 10**11, stream, clock)
    for n in range(1, 2401):
        clock.now += 0.125
        progress.update(n // 4, n, 125 * 10**6 * n, 0)
    progress.finish()
    lines = stream.getvalue().splitlines()
    assert 5 <= len(lines) <= 6
    assert "\r" not in stream.getvalue()
    assert lines[0] == "120/600 layers, 480 files, 60.00/600.00 GB, 1.000 GB/s, 9:00 left"
    assert lines[-1].startswith("600/600 layers, 2,400 files, 300.00/600.00 GB")


def test_failures_are_shown(clock):
    progress = Progress(2, 10, io.StringIO(), clock)
    progress.update(1, 1, 5, 1)
    assert "1 failed" in progress.line()


@pytest.mark.parametrize(("layers", "size"), [(0, 0), (1, 0), (5, 10**15)])
def test_odd_totals_break_nothing(clock, layers, size):
    stream = io.StringIO()
    progress = Progress(layers, size, stream, clock)
    progress.update(0, 0, 0, 0)
    progress.update(layers + 1, 1, size + 1, 0)
    progress.finish()
    assert stream.getvalue().count("\n") == 1


def test_a_line_is_shown_at_once_though_the_stream_is_buffered(clock, tmp_path):
    with open(tmp_path / "log", "w", buffering=1 << 16) as stream:
        progress = Progress(1, 1, stream, clock)
        progress.finish()
        assert (tmp_path / "log").read_text().startswith("0/1 layer, 0 files")


def test_quiet_says_nothing(clock):
    stream = io.StringIO()
    progress = Progress(1, 1, stream, clock, quiet=True)
    clock.now += 1000
    progress.update(1, 1, 1, 0)
    progress.finish()
    assert stream.getvalue() == ""


def test_a_terminal_that_has_gone_doesnt_end_the_run(clock):
    terminal = Terminal(80)
    progress = Progress(10, 10, terminal.stream, clock)
    os.close(terminal.master)
    for _ in range(10):
        clock.now += 1
        progress.update(1, 1, 1, 0)
    progress.finish()


def test_no_line_is_made_that_is_not_shown(clock, monkeypatch):
    """An update is cheap: it comes after every file."""
    monkeypatch.setattr(Progress, "line", None)
    progress = Progress(10, 10, io.StringIO(), clock)
    for n in range(1000):
        progress.update(n, n, n, n)


@pytest.fixture
def log():
    logger = logging.getLogger("hpc_remetrics")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield logging.getLogger("hpc_remetrics.test")
    logger.handlers[:], logger.level, logger.propagate = before


@pytest.mark.parametrize(
    ("verbose", "quiet", "levels"),
    [(0, False, "WE"), (1, False, "IWE"), (2, False, "DIWE"), (9, False, "DIWE"), (0, True, "E")],
)
def test_the_log_names_rank_and_host(log, capsys, verbose, quiet, levels):
    set_up(verbose, quiet)
    set_rank(3, "node7")
    log.debug("x")
    log.info("x")
    log.warning("x")
    log.error("x")
    lines = capsys.readouterr().err.splitlines()
    assert [line[len("[rank 3 node7] ")] for line in lines] == list(levels)
    assert lines[-1] == "[rank 3 node7] ERROR: x"


def test_what_a_layer_says_cant_drive_the_terminal(log, capsys):
    set_up()
    log.warning("path %s", "a\x1b]0;owned\x07\rb\x9b")
    assert not set(capsys.readouterr().err) & set("\x1b\x07\r\x9b")
    assert escape("größe ☃") == "größe ☃"


def test_a_run_begins_with_nothing(clock):
    clock_at_start = clock.now
    progress = Progress(3, 10**9, io.StringIO(), clock)
    clock.now = clock_at_start + 2
    assert progress.line() == "0/3 layers, 0 files, 0.00/1.00 GB, 0.000 GB/s"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (119.4, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2.0 h"),
        (172_799, "48.0 h"),
        (172_800, "2.0 d"),
    ],
)
def test_the_unit_of_a_duration_suits_its_size(seconds, words):
    assert rough_time(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0:00"),
        (60, "1:00"),
        (3599.9, "59:59"),
        (3600, "1:00:00"),
        (172_799, "47:59:59"),
        (172_800, "2 d 0 h"),
        (180_000, "2 d 2 h"),
    ],
)
def test_a_duration_as_a_clock_shows_it(seconds, words):
    assert clock_time(seconds) == words
