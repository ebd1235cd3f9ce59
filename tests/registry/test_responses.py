"""Responses and failures of servers: waits, pauses, causes, codes, URLs for messages."""

import errno
import http.client
import os
import random
from types import SimpleNamespace

import pytest
import requests
import urllib3
from support.raw_server import RawServer, answer

from hpc_remetrics.errors import RegistryError
from hpc_remetrics.registry import responses
from hpc_remetrics.registry.access import Access, Patience
from hpc_remetrics.registry.client import Client
from hpc_remetrics.registry.connections import Timer
from hpc_remetrics.registry.responses import (
    PassingError,
    SmallResponse,
    fault,
    pause_before,
    retry_after,
    shown,
)

NOW = 1_700_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("2.5", 2.5),
        ("-1", None),
        ("999999999", 999_999_999.0),
        (str(NOW + 30), 30.0),
        (str(NOW - 30), 0.0),
        ("1000000000", 0.0),
        ("1e12", None),
        ("nan", None),
        ("", None),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0.0),
        ("soon", None),
    ],
)
@pytest.mark.parametrize("name", ["retry-after", "x-retry-after"])
def test_a_wait_is_seconds_a_date_or_a_unix_time(monkeypatch, name, text, seconds):
    monkeypatch.setattr(responses, "time", SimpleNamespace(time=lambda: float(NOW)))
    assert retry_after({name: text}) == seconds


def test_the_longer_of_two_waits_counts():
    assert retry_after({"retry-after": "3", "x-retry-after": "5"}) == 5.0
    assert retry_after({"retry-after": "3", "x-retry-after": "later"}) == 3.0


def test_pauses_grow_and_half_of_each_is_random(monkeypatch):
    for end, part in ((0, 0.5), (1, 1.0)):
        monkeypatch.setattr(random, "uniform", lambda *ends, end=end: ends[end])
        pauses = [pause_before(number) for number in range(1, 7)]
        assert pauses == pytest.approx([part * one for one in (0.2, 0.8, 3.2, 12.8, 30, 30)])


@pytest.fixture
def timer(monkeypatch):
    """A timer that has 10 s left."""
    made = Timer(Patience())
    made.left = lambda: 10.0
    return made


URL = "https://user:secret@host/v2/x?signature=secret"


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "cause", "message", "passes"),
    [
        (os_error(errno.ECONNRESET), "io_error", "Connection reset by peer", True),
        (
            caused_by(requests.ConnectionError("secret"), os_error(errno.ECONNREFUSED)),
            "io_error",
            "Connection refused",
            True,
        ),
        (
            caused_by(
                caused_by(os_error(errno.EIO), requests.ConnectionError()),
                os_error(errno.EPIPE),
            ),
            "io_error",
            "Broken pipe",
            True,
        ),
        (requests.ConnectTimeout("secret"), "limit_time", "ConnectTimeout", True),
        (
            urllib3.exceptions.ReadTimeoutError(None, "secret", "secret"),
            "limit_time",
            "no response in time",
            True,
        ),
        (TimeoutError("secret"), "limit_time", "TimeoutError", True),
        (http.client.IncompleteRead(b"secret"), "io_error", "the response ended early", True),
        (requests.exceptions.SSLError("secret"), "denied", "SSLError", False),
        (requests.exceptions.InvalidURL("secret"), "io_error", "InvalidURL", False),
        (requests.exceptions.InvalidHeader("secret"), "io_error", "InvalidHeader", False),
        (ValueError("secret"), "io_error", "ValueError", False),
        (KeyError("secret"), "io_error", "can't be read (KeyError)", False),
    ],
)
def test_the_exception_of_a_library_is_translated(timer, error, cause, message, passes):
    found = fault(error, URL, timer)
    assert found.cause == cause
    assert isinstance(found, PassingError) is passes
    assert str(found).startswith("https://host/v2/x")
    assert message in str(found)
    assert "secret" not in str(found)


def test_what_fails_before_the_deadline_is_no_limit_of_time(timer):
    timer.left = lambda: 0.5
    assert fault(os_error(errno.ECONNRESET), URL, timer).cause == "io_error"


def test_a_circle_of_causes_ends(timer):
    first, second = requests.ConnectionError(), http.client.HTTPException()
    first.__cause__, second.__cause__ = second, first
    assert "HTTPException" in str(fault(first, URL, timer))


@pytest.mark.parametrize(
    ("broken", "left", "message", "passes"),
    [
        ("1 bytes a second", 5.0, "1 bytes a second", True),
        ("not done after 5 s", 0.0, "not done after 5 s", False),
        ("", 0.0, "no time left", False),
        ("", -1.0, "no time left", False),
    ],
)
def test_a_limit_of_time_comes_first(timer, broken, left, message, passes):
    timer.broken = broken
    timer.left = lambda: left
    found = fault(os_error(errno.ECONNRESET), URL, timer)
    assert (found.cause, isinstance(found, PassingError)) == ("limit_time", passes)
    assert str(found).endswith(f": {message}")


def test_urls_in_messages_are_short_and_have_no_login():
    assert shown("http://[::1") == "an invalid URL"
    assert shown("https://a@b@host/p\x07?q#f") == "https://host/p?"
    assert len(shown("https://host/" + "x" * 400)) == 300


def test_a_body_that_is_no_json_is_an_error_with_its_status():
    assert SmallResponse(200, {}, b'{"a": 1}', "http://host/x").json() == {"a": 1}
    for data in (b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(RegistryError, match="host/x did not return JSON") as caught:
            SmallResponse(203, {}, data, "http://host/x").json()
        assert (caught.value.cause, caught.value.status) == ("io_error", 203)


@pytest.fixture
def sent():
    """Return a function that gives the response to a request whose answer is these bytes."""
    with RawServer() as server:
        client = Client(server.host, Access(patience=Patience(connect=5, idle=5)))

        def send(data: bytes):
            server.answer = lambda head: data
            return client._exchange("GET", f"http://{server.host}/x", {})

        yield send


@pytest.mark.parametrize(
    ("text", "length"), [("5", 5), ("9" * 19, int("9" * 19)), ("9" * 20, -1), ("", -1)]
)
def test_a_length_is_a_number_of_some_digits(sent, text, length):
    response = sent(answer(200, ("Content-Length", text), length=False))
    assert response.length == length
    response.close()


@pytest.mark.parametrize("has_length", [True, False])
def test_a_body_is_read_up_to_a_limit(sent, has_length):
    data = answer(200, body=b"12345", length=has_length)
    assert sent(data).read(5) == b"12345"
    with pytest.raises(RegistryError, match="returned more than 4 bytes") as caught:
        sent(data).read(4)
    assert (caught.value.cause, caught.value.status) == ("limit_size", 200)


@pytest.mark.parametrize(
    ("body", "known"),
    [
        (b'{"errors": [{"code": "DENIED"}]}', " (DENIED)"),
        (
            b'{"errors": [{"code": "A"}, {"code": "B_C"}, {"code": 5}, {}, {"code": "D_E"}]}',
            " (B_C)",
        ),
        (b'{"errors": [{"code": "text of a server"}]}', ""),
        (b'{"errors": {}}', ""),
        (b'{"errors": ["x"]}', ""),
        (b"[]", ""),
        (b"<html>", ""),
    ],
)
def test_only_codes_of_an_error_are_repeated(sent, body, known):
    assert responses.codes(sent(answer(400, body=body))) == known


def test_a_short_body_is_dropped_by_reading_it(sent):
    """Its connection can be used again then; a long one is closed."""
    short = sent(answer(307, body=b"moved"))
    short.discard()
    assert short._response.raw.tell() == 5
    long = sent(answer(307, body=b"x" * (responses.ERROR_BYTES + 1)))
    long.discard()
    assert long._response.raw.tell() == 0
    assert long._response.raw.isclosed()
