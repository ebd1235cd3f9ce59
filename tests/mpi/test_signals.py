"""Signals: what is remembered of them, and what is cleared up before one ends the process."""

import signal

import pytest

from hpc_remetrics.mpi import signals
from hpc_remetrics.mpi.signals import (
    STOP_SIGNALS,
    StopRequest,
    clear_up,
    cleared_on_leaving,
    end_on_signal,
)


@pytest.fixture(autouse=True)
def handlers():
    """Give this process its handlers back."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_signals_that_ask_for_a_stop():
    assert set(STOP_SIGNALS) == {signal.SIGTERM, signal.SIGUSR1, signal.SIGINT}


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_is_remembered_with_its_name(number):
    stop = StopRequest()
    stop.install()
    assert not stop and stop.reason == ""
    signal.raise_signal(number)
    assert stop and stop.reason == number.name


def test_a_second_ctrl_c_ends_at_once_and_other_signals_do_not():
    stop = StopRequest()
    stop.install()
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGUSR1)
    assert stop.reason == "SIGUSR1"
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_where_nobody_looks_the_handler_itself_ends_the_work():
    class Ended(BaseException):
        pass

    def end():
        raise Ended(stop.reason)

    stop = StopRequest()
    stop.at_once = end
    stop.install()
    with pytest.raises(Ended, match="SIGTERM"):
        signal.raise_signal(signal.SIGTERM)


def test_signals_are_ignored_at_the_exit():
    stop = StopRequest()
    stop.install()
    stop.ignore()
    for number in STOP_SIGNALS:
        signal.raise_signal(number)
    assert not stop


def test_what_is_to_be_cleared_is_cleared_the_last_first():
    cleared = []
    with cleared_on_leaving(lambda: cleared.append("outer")):
        with cleared_on_leaving(lambda: cleared.append("inner")):
            with cleared_on_leaving(lambda: 1 / 0):
                clear_up()
            assert cleared == ["inner", "outer"]
        with pytest.raises(ZeroDivisionError), cleared_on_leaving(lambda: cleared.append("no")):
            raise ZeroDivisionError
        clear_up()
    clear_up()
    assert cleared == ["inner", "outer", "outer"]


@pytest.mark.parametrize("speaks", [True, False])
def test_before_the_work_a_signal_ends_the_process_with_code_4(monkeypatch, capsys, speaks):
    codes = []
    monkeypatch.setattr(signals.os, "_exit", codes.append)
    end_on_signal(speaks)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGUSR1)
    assert codes == [4, 4]
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"stopped on {name} before the work began; run the command again"
        for name in ("SIGTERM", "SIGUSR1") * speaks
    ]
