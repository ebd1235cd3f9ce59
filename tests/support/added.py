"""Collect what a probe adds while a test shows contents to it."""

from __future__ import annotations

from hpc_remetrics.parts.spill_format import EXTRA_STRUCTS


class Added:
    """Collects extra records by type, as a spill does."""

    def __init__(self) -> None:
        self.packed: dict[str, bytes] = {}

    def add(self, name: str, records: bytes) -> None:
        """Take packed records of one type."""
        self.packed[name] = self.packed.get(name, b"") + records

    def records(self, name: str) -> list[tuple]:
        """Return the records of a type, unpacked."""
        return list(EXTRA_STRUCTS[name].iter_unpack(self.packed.get(name, b"")))
