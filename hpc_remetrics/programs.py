"""Start other processes without secrets, and Python without code of the current directory.

A directory that others can write may hold a `json.py` or a `numpy.py` for whoever works there.
Python's own `-P` came with 3.11, so it is `-I` here, which puts nothing of the kind before the
standard library, with the path of this process given by hand.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SECRETS = ("REMETRICS_PASSWORD", "DOCKER_AUTH_CONFIG")
"""Environment variables that hold logins: not passed on to processes that are started."""

_PACKAGE = str(Path(__file__).resolve().parents[1])


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for other processes: all but the secrets.

    >>> environment({"PATH": "/bin", "REMETRICS_PASSWORD": "x"})
    {'PATH': '/bin'}
    """
    return {name: value for name, value in environ.items() if name not in SECRETS}


def python(code: str, *arguments: object) -> list[str]:
    """Return a command that runs Python code with this process's modules.

    Modules in the current directory are not imported.

    :param arguments: `sys.argv[1:]` of the code.
    """
    path = f"import sys; sys.path[:] = {module_path()!r}\n"
    flags = ["-I", *(["-B"] if sys.dont_write_bytecode else [])]
    return [sys.executable, *flags, "-c", path + code, *map(str, arguments)]


def module_path(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return `sys.path` without the current directory, unless PYTHONPATH names it.

    An empty item of PYTHONPATH does not count: `PYTHONPATH=$PYTHONPATH:/x` makes one by accident.
    """
    named = {
        os.path.abspath(item)
        for item in environ.get("PYTHONPATH", "").split(os.pathsep)
        if os.path.isabs(item)
    }
    here = os.getcwd()
    kept = [item for item in sys.path if item and (os.path.abspath(item) != here or item in named)]
    # The package itself may be in the current directory: put that last, where it hides no module.
    return [*kept, _PACKAGE] if _PACKAGE not in kept else kept


def command_line(words: Sequence[str]) -> str:
    """Return a command line as datasets keep it: with a digest in place of the `--exec` command.

    That command may contain secrets.

    >>> command_line(["hpc-remetrics", "analyze", "--exec", "scan {dir}"])
    'hpc-remetrics analyze --exec sha256:8ce658b4ffae'
    """
    kept = []
    before = ""
    for word in words:
        flag, equals, text = word.partition("=")
        if before == "--exec":
            word = _digest(word)
        elif equals and flag == "--exec":
            word = f"--exec={_digest(text)}"
        kept.append(word)
        before = word
    return " ".join(kept)


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


def process_stat(process: int) -> tuple[str, list[str]]:
    """Return the name of a process, and the fields behind it in /proc/PID/stat, as strings.

    The fields count from 0: its state is 0, its parent 1, when it began 19 (ticks after boot).

    :raises OSError: there is no such process.
    """
    text = Path(f"/proc/{process}/stat").read_text(errors="replace")
    # A name may hold blanks and parentheses
    before, _, fields = text.rpartition(")")
    return before.partition("(")[2], fields.split()
