"""Probes: measure the contents of a layer while they pass, and add records about them.

The pass over a layer reads every byte once. A probe sees each regular file's content on the way and
adds records of a type of `parts.spill_format.EXTRAS` to the spill of the layer:

    pass over a layer       a probe                              the spill
    layer begins            begin_layer()
    "a", 2 kB               content(sha256, bytes, add)          add("samples", 48 bytes)
    "b", 9 MB               long_content(9437184) -> watcher
      256 kB                watcher.piece(bytes, add)            add("chunks", ...), taken back if
      256 kB ...            watcher.piece(bytes, add)              the content turns out to be cut
      its end               watcher.end(sha256, add)             add("cuts", 40 bytes)

A probe is one file, and a name in `PROBE_CLASSES` or an entry point `hpc_remetrics.probes` of
another package: a class whose constructor takes the setting, a string, and raises `ValueError` if
it can't use it. The built-in ones have flags of their own; `analyze --probe NAME=SETTING` switches
on one of another package. Records of a type that is in `EXTRAS` already need no change elsewhere. A
new type of records needs a place in the dataset too:

- `parts/spill_format.py`: its fields in `EXTRAS`, a digest first, and their values in
  `EXTRA_RANGES`;
- `dataset/schema.py`: columns of `/contents`, named as the fields behind the digest, whose missing
  value is what a content without a record has.

What is between (spill, checks, parts, gather, merge) handles any type of records: of several about
one content the smallest value counts, and at most the size of the content.

What makes a probe run is its name and setting in `analyze/signature.py`, which also keeps parts of
other settings apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Protocol

from ..errors import UsageError
from ..extensions import PROBES, Extensions

AddRecords = Callable[[str, bytes], None]
"""Takes the name of a type of `EXTRAS`, and packed records of it."""

ALL = b"\xff" * 33
"""A bound that every SHA-256 is less than."""

NONE = b""
"""A bound that no SHA-256 is less than."""

PROBE_CLASSES = Extensions(
    PROBES,
    {
        "compression": "profile.compression_sample:CompressionProbe",
        "chunks": "profile.chunking:ChunkProbe",
        "contents": "profile.kept_contents:KeepingProbe",
    },
)


class Probe(Protocol):
    """Measures the contents of one layer after the other, in the child process.

    :ivar bound: contents of at most `HEAD_BYTES` are shown if their SHA-256 is less than these
        bytes: `ALL`, `NONE`, or `bound_of` a share. The others cost the pass nothing.
    """

    bound: bytes

    def begin_layer(self) -> None:
        """Forget what was kept of the previous layer."""

    def content(self, digest: bytes, data: bytes, add: AddRecords, /) -> None:
        """Measure a content of at most `HEAD_BYTES`; a layer may have the same one many times.

        :param digest: its SHA-256, 32 bytes.
        :param data: all of its bytes.
        """

    def long_content(self, size: int, /) -> LongContent | None:
        """Return what measures a content of more than `HEAD_BYTES`, None to pass it over.

        :param size: bytes of the content.
        """


class LongContent(Protocol):
    """Measures one long content piece by piece, in bounded memory."""

    def piece(self, data: bytes, add: AddRecords, /) -> None:
        """Measure the next bytes; records that are added are taken back if the content is cut."""

    def end(self, digest: bytes, add: AddRecords, /) -> None:
        """Finish, after the last byte.

        :param digest: SHA-256 of the content, 32 bytes.
        """


def load_probes(settings: Mapping[str, str]) -> list[Probe]:
    """Return the probes of these names, each made with its setting.

    :raises UsageError: there is no probe of a name, or it refuses its setting.
    :raises MissingComponentError: a probe needs a package that is not installed.
    """
    probes = []
    for name, setting in settings.items():
        probe_class = PROBE_CLASSES.load(name)
        try:
            probes.append(probe_class(setting))
        except ValueError as error:
            raise UsageError(
                f"the probe {name!r} refuses its setting {setting!r}: {error}"
            ) from None
    return probes


def first_beyond(share: Fraction) -> int:
    """Return the number that the first 64 bits of this share of all hashes are less than."""
    return int(share * (1 << 64))


def bound_of(share: Fraction) -> bytes:
    """Return the bytes that this share of all hashes is less than.

    >>> bound_of(Fraction(1, 2)).hex(" "), bytes.fromhex("7fff") < bound_of(Fraction(1, 2))
    ('80 00 00 00 00 00 00 00', True)
    >>> bound_of(Fraction(0)) == NONE, bound_of(Fraction(1)) == ALL
    (True, True)
    """
    number = first_beyond(share)
    if not number:
        return NONE
    return ALL if number >> 64 else number.to_bytes(8, "big")
