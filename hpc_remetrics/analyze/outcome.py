"""The outcome of a run: whether its dataset is complete, and the exit code."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from ..dataset.ledger import Ledger
from ..errors import DatasetError
from .run_inputs import MAX_WARNINGS, Work
from .session import Session
from .signature import fingerprint_of

if TYPE_CHECKING:
    from ..dataset.reader import Dataset

log = logging.getLogger(__name__)

FalseClaim: TypeAlias = tuple[str, str, str]
"""What an image states wrongly about a layer: digest of the layer, cause and message."""


def exit_code(ledger: Ledger, lost: int, false_claims: int) -> int:
    """Return the exit code of a run.

    :param ledger: how the layers ended.
    :param lost: images, or parts of images, that can't be in the dataset.
    :param false_claims: what images state wrongly about layers that are there.
    """
    return ledger.exit_code or (3 if lost or false_claims else 0)


def code_if_complete(session: Session, work: Work) -> int | None:
    """Return the exit code if the output is already what this run would make, else None.

    Called on rank 0.
    """
    from ..dataset.reader import Dataset, reading

    assert work.catalog is not None
    output = session.options.output
    if not output.exists():
        return None
    fingerprint = fingerprint_of(session.options, work.catalog)
    try:
        with Dataset(output) as dataset, reading(dataset):
            if dataset.fingerprint != fingerprint or not dataset.has_metrics:
                return None
            ledger = dataset.ledger
            false_claims = warn_of_false_claims(list(_claims_of(dataset)))
    except DatasetError:
        # It is damaged, and will be replaced: the check of the output has allowed that.
        return None
    session.say(f"nothing to do: {output} already holds {ledger}")
    return exit_code(ledger, work.lost, false_claims)


def warn_of_false_claims(claims: Sequence[FalseClaim]) -> int:
    """Warn of what images state wrongly about layers of the output; return how often."""
    for digest, cause, message in claims[:MAX_WARNINGS]:
        log.warning("layer %s is in the dataset, but %s: %s", digest, cause, message)
    if len(claims) > MAX_WARNINGS:
        message = "and %d more; the dataset's table /failures lists all of them"
        log.warning(message, len(claims) - MAX_WARNINGS)
    return len(claims)


def _claims_of(dataset: Dataset) -> Iterator[FalseClaim]:
    """Yield what images state wrongly about layers of a dataset."""
    names = ("stage", "digest", "cause", "message")
    columns = [dataset.failures.readable(name).tolist() for name in names]
    for stage, digest, cause, message in zip(*columns, strict=True):
        if stage == "manifest":
            yield digest, cause, message
