"""The child's side, in this process: all messages of a rank wait on the socket, then it serves."""

import ctypes
import errno
import hashlib
import json
import os
import resource
import signal
import socket
from collections.abc import Iterator

import pytest
from support import tars

from hpc_remetrics.errors import MissingComponentError
from hpc_remetrics.filetype.shared_table import TypeTable
from hpc_remetrics.filetype.watch import WATCH_BYTES
from hpc_remetrics.limits import PACKET_BYTES
from hpc_remetrics.parts.spill_format import read_blocks
from hpc_remetrics.profile import child

LAYER = tars.file(b"a", b"1") + tars.file(b"b", b"22") + tars.END

PR_SET_PDEATHSIG, PR_GET_PDEATHSIG = 1, 2
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def waiting(ours: socket.socket) -> Iterator[dict]:
    """Yield the messages that have come."""
    ours.setblocking(False)
    try:
        while data := ours.recv(PACKET_BYTES):
            yield json.loads(data)
    except BlockingIOError:
        return  # the other end is still referred to by the traceback of an error


@pytest.fixture
def limits_set(monkeypatch):
    """The limits on this process that a child sets; they are kept and not set."""
    kept = {}
    monkeypatch.setattr(resource, "setrlimit", lambda what, limit: kept.update({what: limit}))
    return kept


@pytest.fixture
def serve(limits_set, tmp_path):
    """Return a function that sends messages, serves them, and returns the code and the answers."""
    handlers = {number: signal.getsignal(number) for number in IGNORED}

    def run(*messages, parent: int = os.getppid()):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            for message in messages:
                ours.send(json.dumps(message).encode())
            ours.shutdown(socket.SHUT_WR)
            code = child.main(["child", str(theirs.detach()), str(parent)])
            return code, list(waiting(ours))

    yield run
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def setup(tmp_path):
    """The first message of a rank, with a table of types and a watch."""
    TypeTable(tmp_path / "types", 16).close()
    (tmp_path / "watch").write_bytes(bytes(WATCH_BYTES))
    return {
        "limits": {"child_bytes": 1 << 30},
        "types": "none",
        "table": str(tmp_path / "types"),
        "watch": str(tmp_path / "watch"),
        "probes": {},
    }


@pytest.fixture
def job(tmp_path):
    """Return a function that makes the message of a job, for a blob behind some other bytes."""

    def make(number: int = 1, data: bytes = LAYER, offset: int = 0, **fields):
        path = tmp_path / f"blob{number}"
        path.write_bytes(b"x" * offset + data + b"behind")
        return {
            "job": number,
            "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
            "expected_size": len(data),
            "path": str(path),
            "offset": offset,
            "size": len(data),
            "spill": str(tmp_path / f"spill{number}"),
            "tree": "",
            "quota": 0,
            **fields,
        }

    return make


def test_layers_are_profiled_one_after_the_other(serve, setup, job, tmp_path):
    code, answers = serve(setup, job(1), job(2, offset=7))
    ready, first, second = answers
    assert code == 0
    assert ready == {"ready": os.getpid()}
    for number, answer in ((1, first), (2, second)):
        assert answer["job"] == number
        assert (answer["profile"]["status"], answer["profile"]["files"]) == ("ok", 2)
        (block,) = read_blocks(tmp_path / f"spill{number}")
        assert block.rows == 2


def test_a_rank_that_hangs_up_at_once_gets_no_answer(serve):
    assert serve() == (0, [])


def test_a_child_ends_with_its_rank_and_leaves_signals_to_it(serve, setup):
    serve(setup)
    number = ctypes.c_int()
    ctypes.CDLL(None).prctl(PR_GET_PDEATHSIG, ctypes.byref(number), 0, 0, 0)
    assert number.value == signal.SIGKILL
    assert [signal.getsignal(number) for number in IGNORED] == [signal.SIG_IGN] * 3


def test_a_child_whose_rank_has_ended_already_ends_too(serve, setup, monkeypatch):
    class EndedError(Exception):
        pass

    def end(code):
        raise EndedError(code)

    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(EndedError) as caught:
        serve(setup, parent=os.getppid() + 1)
    assert caught.value.args == (0,)


def test_the_table_of_types_counts_as_memory_beyond_the_limit(serve, setup, limits_set):
    serve(setup)
    memory = (1 << 30) + 16 * 8
    assert limits_set == {
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_AS: (memory, memory),
    }


def test_contents_are_typed_unless_types_are_none(serve, setup, job, tmp_path):
    script = tars.file(b"a", b"#!/bin/sh\necho\n") + tars.END
    serve({**setup, "types": "plain"}, job(1, script))
    serve(setup, job(2, script))
    types = [next(read_blocks(tmp_path / f"spill{n}")).columns["type"][0] for n in (1, 2)]
    assert "shell script" in TypeTable(tmp_path / "types").description(int(types[0]))
    assert types[1] == (1 << 32) - 1


def test_probes_of_the_setup_see_the_contents(serve, setup, job, tmp_path):
    serve({**setup, "probes": {"compression": "1"}}, job())
    (block,) = read_blocks(tmp_path / "spill1")
    assert block.extras["samples"]["gzip"].tolist() == [1, 2]


def test_a_layer_is_unpacked_where_a_job_says_so(serve, setup, job, tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    tree = str(tmp_path / "tree")
    _, (_, row, poor) = serve(
        setup, job(1, tree=tree, quota=1 << 20), job(2, tree=tree + "2", quota=1500)
    )
    assert row["profile"]["status"] == "ok"
    assert sorted(os.listdir(tree)) == ["a", "b"]
    assert (poor["profile"]["stage"], poor["profile"]["cause"]) == ("unpack", "no_room")
    # Besides the mapped watches and tables nothing stays open
    assert len(os.listdir("/proc/self/fd")) <= before + 3


def test_a_setup_that_can_not_be_used_is_told(serve, setup, tmp_path):
    code, answers = serve({**setup, "types": "guess"})
    assert code == 1
    assert answers == [{"error": "unknown way to type files 'guess'; choose from exact, plain"}]
    code, answers = serve({**setup, "watch": str(tmp_path / "gone")})
    assert code == 1
    (answer,) = answers
    assert "a profiling process can't open its files: [Errno 2]" in answer["error"]


CAUSES = {
    "missing": ("missing", "open"),
    "a directory": ("io_error", "open"),
}


@pytest.mark.parametrize("what", CAUSES)
def test_a_blob_that_can_not_be_opened_costs_its_layer(serve, setup, job, tmp_path, what):
    path = tmp_path if what == "a directory" else tmp_path / "none"
    _, (_, failed, whole) = serve(setup, job(1, path=str(path)), job(2))
    row = failed["profile"]
    assert (row["status"], row["cause"], row["stage"]) == ("failed", *CAUSES[what])
    assert row["message"].startswith("opening the blob failed: [Errno ")
    assert whole["profile"]["status"] == "ok"


@pytest.mark.parametrize(
    ("error", "cause", "message"),
    [
        (MemoryError(), "limit_memory", "needed more memory than the limit child_bytes"),
        (OSError(errno.ENOSPC, "full"), "no_room", "on scratch: full"),
        (OSError(errno.EDQUOT, "over"), "no_room", "on scratch: over"),
        (ValueError("x" * 600), "internal", "ValueError: " + "x" * 488),
    ],
)
def test_an_error_costs_its_layer(serve, setup, job, monkeypatch, error, cause, message):
    real = child.profile_layer

    def fail_once(*arguments, **options):
        monkeypatch.setattr(child, "profile_layer", real)
        raise error

    monkeypatch.setattr(child, "profile_layer", fail_once)
    code, (_, failed, whole) = serve(setup, job(1), job(2))
    row = failed["profile"]
    assert (row["status"], row["stage"], row["cause"]) == ("failed", "child", cause)
    assert row["message"].endswith(message)
    assert whole["profile"]["status"] == "ok"
    assert code == 0


def test_a_missing_component_ends_the_child(serve, setup, job, monkeypatch):
    def fail(*_, **__):
        raise MissingComponentError("libmagic is not installed", "apt install libmagic1")

    monkeypatch.setattr(child, "profile_layer", fail)
    code, answers = serve(setup, job())
    assert code == 1
    assert len(answers) == 2
    assert answers[1]["error"].startswith("libmagic is not installed")


@pytest.mark.parametrize(
    ("end", "code"), [(lambda argv: 7, 7), ("broken", 0)], ids=["code", "the rank is gone"]
)
def test_the_process_ends_with_the_code_of_main(monkeypatch, end, code):
    def broken(argv):
        raise BrokenPipeError

    monkeypatch.setattr(child, "main", broken if end == "broken" else end)
    with pytest.raises(SystemExit) as caught:
        child.run()
    assert caught.value.code == code
