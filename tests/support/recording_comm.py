"""A serial communicator that keeps what is sent, and a way to deliver it later."""

from __future__ import annotations

from typing import Any

from hpc_remetrics.mpi.comm import SerialComm


class RecordingComm(SerialComm):
    """Keeps every message as (destination, tag, message) in `sent`, and delivers none."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[int, int, Any]] = []

    def send(self, message: Any, dest: int, tag: int) -> None:
        self.sent.append((dest, tag, message))

    def take(self, tag: int) -> list[Any]:
        """Return the messages of one tag that were sent so far, and forget them."""
        taken = [message for _, its, message in self.sent if its == tag]
        self.sent = [sent for sent in self.sent if sent[1] != tag]
        return taken
