"""The sources of a dataset, and whether a run may replace it by its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ..errors import DatasetError, RemetricsError, UsageError
from ..files.outputs import FORCE, check_replaceable
from ..sources.absolute import absolute, whole
from ..wording import counted
from .hdf5 import storable
from .reader import Dataset
from .schema import FORMAT
from .stored_file import StoredFile

DEMO = "demo:"
_NAMED = 3


def source_names(references: Iterable[str]) -> list[str]:
    """Return sources as `/run/sources` keeps them: absolute, each once, in the order given."""
    return list(dict.fromkeys(storable(absolute(one)) for one in references))


def sources_of(dataset: Dataset) -> list[str]:
    """Return the sources of a dataset; none where the file has no such table."""
    try:
        names = dataset.run_table("sources").get("source", ())
        return [name.decode("utf-8", "replace") for name in names]
    except (KeyError, AttributeError, OSError):
        return []


def is_dataset(path: Path) -> bool:
    """Return whether a file is a dataset of this program, of any version."""
    try:
        file = StoredFile(path)
    except DatasetError:
        return False
    try:
        return str(file.root.attributes.get("format")) == FORMAT
    except DatasetError:
        return False
    finally:
        file.close()


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
    check_replaceable(output, "dataset", is_dataset, force, inputs)
    if force or not os.path.exists(output) or not os.path.getsize(output):
        return
    try:
        with Dataset(output) as dataset:
            made_of = sources_of(dataset)
            digests = _digests(dataset)
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

    >>> is_covered(["oci:/a:x"], ["oci:/a", "oci:/b"]), is_covered(["oci:/a"], ["oci:/b"]), is_covered([], [])
    (True, False, False)
    """
    covering = set(sources)
    if not made_of:
        return False
    if all(one.startswith(DEMO) for one in made_of):
        return True
    return all(one in covering or whole(one) in covering for one in made_of)


def layer_digests(path: Path) -> set[bytes]:
    """Return the digests of a dataset's layers; none if it can't be read."""
    try:
        with Dataset(path) as dataset:
            return _digests(dataset)
    except DatasetError:
        return set()


def _digests(dataset: Dataset) -> set[bytes]:
    return set(dataset.layers["digest"].tolist())


def _named(sources: Sequence[str]) -> str:
    if not sources:
        return "unknown sources"
    rest = len(sources) - _NAMED
    names = ", ".join(sources[:_NAMED])
    return f"{names} and {counted(rest, 'more source')}" if rest > 0 else names
