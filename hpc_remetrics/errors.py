"""User-facing errors: one sentence that says what happened, and what the user can do about it.

Everything raised on purpose derives from :class:`RemetricsError`, so that the command line can
print one line and choose the exit code; anything else is a fault of the program and keeps its
traceback.

The package imports this module first, so it keeps to what any Python 3 reads: an old interpreter
must come as far as `__main__`, which says in one line what is wrong.
"""

from collections.abc import Sequence
from typing import Any


class RemetricsError(Exception):
    """A run can't go on; `str()` says what happened and to what, `hint` what to do.

    :param message: one sentence, no full stop needed.
    :param hint: what the user can do, or "".
    """

    exit_code = 1
    shared = False
    """Whether every rank raises it; then rank 0 prints it, and no rank ends the others."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> "tuple[Any, ...]":
        # Ranks send errors to each other; the default would call the class with the message alone.
        return _rebuild, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}; {self.hint}" if self.hint else message


def _rebuild(
    kind: "type[RemetricsError]", args: "tuple[Any, ...]", state: "dict[str, Any]"
) -> RemetricsError:
    error = kind.__new__(kind, *args)
    # OSError, which a DatasetError is too, takes its arguments in `__init__` alone
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(RemetricsError):
    """The command line, the configuration or a reference is wrong."""

    exit_code = 2


class SourceError(RemetricsError):
    """A source can't be opened or is not what its reference says."""

    exit_code = 2


class BlobError(RemetricsError):
    """One blob can't be read: the layer fails, the run goes on.

    :param cause: a member of :data:`hpc_remetrics.records.CAUSES`.
    """

    def __init__(self, cause: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.cause = cause


class RegistryError(BlobError):
    """A registry did not return what was requested, and another request would not help now.

    :param status: HTTP status of the response, 0 if there was none.
    """

    def __init__(self, cause: str, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(cause, message, hint)
        self.status = status
        self.exit_code = 4 if cause == "rate_limited" else 3


class DatasetError(RemetricsError, OSError):
    """A file is not a dataset or part of this program, or of another schema version.

    It is an `OSError`, as other readers of files raise it; it has no `errno`.
    """

    exit_code = 2


class PartError(DatasetError):
    """Parts contradict themselves: their layers must be profiled anew.

    :param parts: paths of the parts, or of the datasets that are merged.
    """

    def __init__(self, parts: "Sequence[str]", message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.parts = parts


class MissingComponentError(RemetricsError):
    """Something that must be installed is missing (libmagic, MPI, …)."""

    exit_code = 2


class OutputError(RemetricsError):
    """The output or scratch can't be written."""

    exit_code = 5


class OutputLockedError(RemetricsError):
    """Another job holds this output."""

    exit_code = 6
