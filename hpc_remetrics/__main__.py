"""Entry point of the program, in a syntax that any Python 3 can parse."""

import os
import sys


def main():  # type: () -> int
    """Run the command line, or print in one line why this Python can't; return the exit code."""
    if sys.version_info < (3, 10):
        version = ".".join(map(str, sys.version_info[:3]))
        return _refuse(
            f"Python 3.10 or newer is needed, and {sys.executable} is {version}",
            "run it with another one, or with `mpirun … hpc-remetrics` of the environment "
            "it is installed in",
        )
    # Without this, numpy starts a thread for each core in each rank, and nothing here uses them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from .cli import main as run
    except ImportError as error:
        if (error.name or "").partition(".")[0] == __package__ or "--debug" in sys.argv:
            raise
        return _refuse(
            "{} can't import {}: {}".format(sys.executable, error.name or "a package", error),
            "install what is missing with `pip install hpc-remetrics`, "
            "or run it where that was done",
        )
    return run()


def _refuse(message, hint):  # type: (str, str) -> int
    # One line, whatever the import says.
    text = " ".join(f"hpc-remetrics: error: {message}; {hint}".split())
    try:
        sys.stderr.write(text + "\n")
    except UnicodeEncodeError:
        sys.stderr.write(text.encode("ascii", "replace").decode() + "\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
