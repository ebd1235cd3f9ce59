"""User-facing errors: their text, their exit codes, and that they travel between ranks whole."""

import pickle

import pytest

from hpc_remetrics import errors
from hpc_remetrics.errors import BlobError, PartError, RegistryError, RemetricsError

CODES = {
    errors.RemetricsError: 1,
    errors.UsageError: 2,
    errors.SourceError: 2,
    errors.DatasetError: 2,
    errors.MissingComponentError: 2,
    errors.OutputError: 5,
    errors.OutputLockedError: 6,
}


@pytest.mark.parametrize("kind", CODES)
def test_codes_and_texts(kind):
    assert kind.exit_code == CODES[kind]
    assert str(kind("it failed", "do this")) == "it failed; do this"
    assert str(kind("it failed")) == "it failed"
    assert not kind("it failed").shared


@pytest.mark.parametrize(("cause", "code"), [("rate_limited", 4), ("denied", 3), ("missing", 3)])
def test_codes_of_registry_errors(cause, code):
    assert RegistryError(cause, "no").exit_code == code
    assert RegistryError(cause, "no").status == 0


@pytest.mark.parametrize(
    "error",
    [
        RemetricsError("it failed", "do this"),
        BlobError("no_room", "it failed", "do this"),
        RegistryError("denied", "it failed", "do this", 403),
        PartError(["a", "b"], "it failed", "do this"),
    ],
)
def test_errors_travel_between_ranks(error):
    error.shared = True
    received = pickle.loads(pickle.dumps(error))
    assert type(received) is type(error)
    assert vars(received) == vars(error)
    assert str(received) == "it failed; do this"
