"""Whether a run or a merge may replace a dataset: what would be lost with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ..config import DEMO
from ..dataset.schema import storable
from ..errors import RemetricsError, UsageError
from ..files.outputs import FORCE, check_replaceable
from ..sources.absolute import absolute, whole
from ..wording import counted

_NAMED = 3
"""Sources that a message names; it counts the others."""


def source_names(references: Iterable[str]) -> list[str]:
    """Return sources as `/run/sources` keeps them: absolute, each once, in the order given."""
    return list(dict.fromkeys(storable(absolute(one)) for one in references))


def check_dataset_output(
    output: Path,
    sources: Sequence[str],
    held: Callable[[], set[bytes]],
    force: bool = False,
    inputs: Iterable[Path] = (),
) -> None:
    """Refuse to replace an output that holds something that the run would lose.

    A dataset is replaced if it was made of the demo alone, if all its sources are sources of this
    run, or if all its layers are stored elsewhere; anything else only with `force`.

    :param sources: of this run, as `source_names` gives them.
    :param held: returns the digests of the layers that are stored outside of the dataset; called
        only where it matters.
    :param inputs: files and directories that the run reads.
    :raises UsageError: it may not be replaced; the message says what would be lost.
    """
    # Only rank 0 looks, so only it loads h5py for this.
    from ..dataset.reader import Dataset, is_dataset

    check_replaceable(output, "dataset", is_dataset, force, inputs)
    if force or not os.path.exists(output) or not os.path.getsize(output):
        return
    try:
        with Dataset(output) as dataset:
            made_of = dataset.sources
            digests = set(dataset.layers["digest"].tolist())
    except RemetricsError as error:
        # It is damaged or of another version, so its layers and sources are unknown
        message = f"{output} exists, and what it holds can't be told: {error.args[0]}"
        raise UsageError(message, FORCE) from None
    if is_covered(made_of, sources) or not digests or digests <= held():
        return
    lost = len(digests - held())
    message = f"{output} holds {counted(lost, 'layer')} of {_named(made_of)} that would be lost"
    raise UsageError(message, FORCE)


def is_covered(made_of: Sequence[str], sources: Iterable[str]) -> bool:
    """Return whether a run of `sources` finds again what a dataset of `made_of` holds.

    >>> is_covered(["oci:/a:x"], ["oci:/a", "oci:/b"])
    True
    >>> is_covered(["oci:/a"], ["oci:/b"]), is_covered([], [])
    (False, False)
    """
    covering = set(sources)
    if not made_of:
        return False
    if all(one.startswith(DEMO) for one in made_of):
        return True
    return all(one in covering or whole(one) in covering for one in made_of)


def _named(sources: Sequence[str]) -> str:
    if not sources:
        return "unknown sources"
    rest = len(sources) - _NAMED
    names = ", ".join(sources[:_NAMED])
    return f"{names} and {counted(rest, 'more source')}" if rest > 0 else names
