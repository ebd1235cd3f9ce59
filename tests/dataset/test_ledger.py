"""Ledgers: layers by how they ended."""

import pytest

from hpc_remetrics.dataset.ledger import Ledger


def test_words_are_counted_and_ledgers_added():
    one = Ledger.of(["ok", "failed", "ok", "partial"])
    assert one == Ledger(ok=2, partial=1, failed=1)
    assert one + Ledger(1, 2, 3, 4) == Ledger(3, 3, 4, 4)
    assert (one + Ledger(pending=5)).layers == 9


@pytest.mark.parametrize(
    ("ledger", "code"),
    [
        (Ledger(ok=9), 0),
        (Ledger(ok=9, partial=1), 3),
        (Ledger(failed=1), 3),
        (Ledger(failed=1, pending=1), 4),
        (Ledger(pending=1), 4),
        (Ledger(), 0),
    ],
)
def test_exit_codes(ledger, code):
    assert ledger.exit_code == code
