"""How other processes are started: with which environment, and Python without code of the current
directory.

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
"""Variables that hold logins: for this process and for nobody whom it starts."""

_PACKAGE = str(Path(__file__).resolve().parents[1])


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what processes that are started inherit: all but the secrets.

    >>> environment({"PATH": "/bin", "REMETRICS_PASSWORD": "x"})
    {'PATH': '/bin'}
    """
    return {name: value for name, value in environ.items() if name not in SECRETS}


def python(code: str, *arguments: object) -> list[str]:
    """Return a command that runs Python code with the modules of this process, and with none of the
    current directory.

    :param arguments: are `sys.argv[1:]` of the code.
    """
    path = f"import sys; sys.path[:] = {module_path()!r}\n"
    flags = ["-I", *(["-B"] if sys.dont_write_bytecode else [])]
    return [sys.executable, *flags, "-c", path + code, *map(str, arguments)]


def module_path(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return where modules of this process come from, less the current directory unless PYTHONPATH
    names it.

    An empty item of PYTHONPATH, as `PYTHONPATH=$PYTHONPATH:/x` easily makes one, is nobody's wish.
    """
    named = {
        os.path.abspath(item)
        for item in environ.get("PYTHONPATH", "").split(os.pathsep)
        if os.path.isabs(item)
    }
    here = os.getcwd()
    kept = [item for item in sys.path if item and (os.path.abspath(item) != here or item in named)]
    # The package may have come from the current directory; behind all else nothing there hides
    # another module.
    return [*kept, _PACKAGE] if _PACKAGE not in kept else kept


def command_line(words: Sequence[str]) -> str:
    """Return a command line as datasets keep it: of what `--exec` runs, which may hold secrets, a
    digest.

    >>> command_line(["hpc-remetrics", "analyze", "--exec", "scan {dir}"])
    'hpc-remetrics analyze --exec sha256:8ce658b4ffae'
    """
    kept, before = [], ""
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
