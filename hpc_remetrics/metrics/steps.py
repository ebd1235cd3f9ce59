"""Bytes by kind of build step: where the bytes of images come from.

A layer of an image counts under the kind of the step that made it, as the image's config says. So
it may count under several kinds in several images; where it counts once, it does so under the kind
that most of its images give it:

    image   layer   its step                     kind        by image   by layer
    P       A       ADD rootfs.tar / # buildkit  base        base       A  base: two of three
    Q       A       ADD rootfs.tar / # buildkit  base        base
    R       A       bazel build ...              bazel       bazel
    R       B       none                         no_history  no_history B  no_history

Ranks divide the steps to tell their kinds, the images to add up their layers, and the layers to
count what images say of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from ..arrays import counted, distinct, merged, ratio, summed_by
from ..dataset.chunk_cache import ChunkReader
from ..mpi.comm import Comm
from ..records import STEP_KINDS
from ..row_ranges import rank_range
from .inputs import MetricsInputs
from .results import StepResults
from .step_kinds import NO_HISTORY, TEXT_BYTES, step_kind

_KINDS = len(STEP_KINDS)

_BATCH_BYTES = 1 << 22
"""Bytes of texts that are read at a time."""

_COUNT = np.dtype([("pair", "<i8"), ("count", "<i8")])
"""How many image layers give a layer a kind; `pair` is layer * kinds + kind."""

_OF_LAYERS = ("files", "FLS", "CLS")
"""Columns of /layers that are added up."""

_IMAGE_STEP = np.dtype(
    [
        *(("image", "<i8"), ("kind", "u1"), ("layers", "<i8")),
        *((name, "<i8") for name in (*_OF_LAYERS, "hidden_bytes")),
    ]
)
"""A row of the table `image_steps`."""


def step_results(inputs: MetricsInputs, hidden: np.ndarray) -> StepResults:
    """Add up image layers by image and kind of step, and find the kind of each layer. Collective.

    :param hidden: (n,) `HIDDEN`, what the layers of some images hide; each row on one rank.
    :returns: the results on rank 0, empty arrays elsewhere.
    """
    comm = inputs.comm
    # Tell the kinds of this rank's share of the steps, and give them to all ranks.
    shares = comm.allgather(_my_step_kinds(inputs))
    step_kinds = np.concatenate(shares)
    # Take a range of the images, which is a range of /image_layers too.
    bounds = np.append(0, np.cumsum(inputs.dataset.images["layers"]))
    starts = bounds[_first_of_ranks(comm, len(inputs.dataset.images))]
    rows = slice(starts[comm.rank], np.append(starts, bounds[-1])[comm.rank + 1])
    layer = inputs.image_layers[rows]
    kind = _kinds_of(inputs.dataset.image_layers.column("step", rows.start, rows.stop), step_kinds)
    # Add up what these images have of each kind.
    hidden = _sent(comm, hidden, hidden["row"], starts)
    values = {name: inputs.layer(name)[layer] for name in _OF_LAYERS}
    values["hidden_bytes"] = summed_by(hidden["row"] - rows.start, hidden["bytes"], len(layer))
    image_steps = _by_image(inputs.image_of[rows], kind, values)
    # Give the kinds of their layers to the ranks that count them.
    layer_kinds = _most_frequent(comm, layer, kind, len(inputs.was_read))
    return StepResults(
        steps=np.bincount(step_kinds, minlength=_KINDS),
        image_steps=np.concatenate([image_steps[:0], *comm.gather(image_steps)]),
        layer_kinds=np.concatenate([layer_kinds[:0], *comm.gather(layer_kinds)]),
    )


def _first_of_ranks(comm: Comm, items: int) -> np.ndarray:
    """Return the first item of each rank's `rank_range`, (ranks,) int64."""
    return np.array([rank_range(rank, comm.size, items).start for rank in range(comm.size)])


def _sent(comm: Comm, rows: np.ndarray, keys: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Send rows to the ranks that own their keys, and return those for this rank. Collective.

    :param rows: (n,) of any dtype, and `keys` (n,) int64.
    :param starts: (ranks,) int64, the first key that each rank owns, ascending from 0.
    """
    owner = np.searchsorted(starts, keys, "right") - 1
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(comm.size + 1)).tolist()
    rows = rows[order]
    received = comm.alltoall([rows[low:high].tobytes() for low, high in pairwise(bounds)])
    return np.concatenate([np.frombuffer(part, rows.dtype) for part in received])


def _kinds_of(steps: np.ndarray, step_kinds: np.ndarray) -> np.ndarray:
    """Return the kinds of image layers, (n,) uint8.

    :param steps: (n,) int64, the row in /history of each, -1 where it has none.
    :param step_kinds: (steps,) uint8, the kind of each step.
    """
    kinds = np.full(len(steps), NO_HISTORY, np.uint8)
    has_step = steps >= 0
    kinds[has_step] = step_kinds[steps[has_step]]
    return kinds


def _by_image(image: np.ndarray, kind: np.ndarray, values: dict[str, np.ndarray]) -> np.ndarray:
    """Return the distinct pairs of image and kind with their sums, (pairs,) `_IMAGE_STEP`.

    :param image: (n,) int64, of image layers; `kind` (n,) uint8, and `values` (n,) int64 each.
    """
    pair = image * _KINDS + kind
    pairs = distinct(pair)
    place = np.searchsorted(pairs, pair)
    table = np.empty(len(pairs), _IMAGE_STEP)
    table["image"], table["kind"] = np.divmod(pairs, _KINDS)
    table["layers"] = np.bincount(place, minlength=len(pairs))
    for name, column in values.items():
        table[name] = summed_by(place, column, len(pairs))
    return table


def _most_frequent(comm: Comm, layer: np.ndarray, kind: np.ndarray, layers: int) -> np.ndarray:
    """Return the most frequent kind of each layer of this rank's range, as uint8. Collective.

    Of equally frequent kinds it is the first in `STEP_KINDS`; image layers without a history are
    not counted where others have one.

    :param layer: (n,) int64, of some image layers; `kind` (n,) uint8.
    :param layers: number of all layers.
    """
    # Send the counts of pairs to the ranks that own their layers.
    known = kind != NO_HISTORY
    pairs, counts = counted(layer[known] * _KINDS + kind[known])
    sent = np.empty(len(pairs), _COUNT)
    sent["pair"] = pairs
    sent["count"] = counts
    starts = _first_of_ranks(comm, layers)
    mine = _sent(comm, sent, pairs // _KINDS, starts)
    pairs, counts = merged(mine["pair"], mine["count"])
    # Take the pair with the largest count of each layer.
    own_layer, own_kind = np.divmod(pairs, _KINDS)
    order = np.lexsort((own_kind, -counts, own_layer))
    own_layer = own_layer[order] - starts[comm.rank]
    is_first = np.append(True, own_layer[1:] != own_layer[:-1])[: len(order)]
    kinds = np.full(len(rank_range(comm.rank, comm.size, layers)), NO_HISTORY, np.uint8)
    kinds[own_layer[is_first]] = own_kind[order][is_first]
    return kinds


def _my_step_kinds(inputs: MetricsInputs) -> np.ndarray:
    """Return the kinds of this rank's blocks of /history, (n,) uint8."""
    reader = inputs.dataset.chunks_of("history")
    # Find the rows of /image_layers that are the lowest layers of images.
    is_lowest = np.zeros(len(inputs.image_layers) + 1, bool)
    is_lowest[inputs.dataset.images["first_layer"]] = True
    known = _KnownSteps(inputs.memory // 4)
    kinds = bytearray()
    for start, stop in inputs.my_blocks(len(inputs.dataset.history)):
        image_layer = reader.column("image_layer", start, stop)
        is_first = (image_layer >= 0) & is_lowest[image_layer]
        texts = _texts(reader, "created_by", start, stop), _texts(reader, "comment", start, stop)
        kinds.extend(map(known.kind, *texts, is_first.tolist()))
    return np.frombuffer(kinds, np.uint8)


class _KnownSteps:
    """The kinds of steps by their texts, so that equal steps are looked at once.

    :param memory: bytes of texts that are kept, about; beyond that all are dropped.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._bytes = 0
        self._kinds: dict[tuple[bytes, bytes, bool], int] = {}

    def kind(self, created_by: bytes, comment: bytes, is_first: bool) -> int:
        """See `step_kind`."""
        step = created_by, comment, is_first
        found = self._kinds.get(step)
        if found is not None:
            return found
        self._bytes += len(created_by) + len(comment) + _BYTES_A_STEP
        if self._bytes > self._memory:
            self._kinds.clear()
            self._bytes = 0
        self._kinds[step] = kind = step_kind(*step)
        return kind


_BYTES_A_STEP = 300
"""Memory that a known step takes beside its texts."""


def _texts(reader: ChunkReader, name: str, start: int, stop: int) -> Iterator[bytes]:
    """Yield the first `TEXT_BYTES` of a text of each of some rows of /history."""
    for _, data, bounds in reader.text_batches(name, start, stop, _BATCH_BYTES):
        texts = data.tobytes()
        for begin, end in pairwise(bounds.tolist()):
            yield texts[begin : min(end, begin + TEXT_BYTES)]


def step_tables(
    inputs: MetricsInputs, results: StepResults, layers: dict[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    """Return the tables `steps` and `image_steps`.

    :param layers: columns of `/metrics/layers`.
    """
    image_steps = results.image_steps
    of_image = image_steps["kind"]
    of_layer = results.layer_kinds
    table: dict[str, Any] = {"kind": np.arange(_KINDS), "steps": results.steps}
    # Add up by image.
    table["images"] = np.bincount(of_image, minlength=_KINDS)
    for name in ("layers", *_OF_LAYERS):
        table[f"image_{name}"] = summed_by(of_image, image_steps[name], _KINDS)
    table["hidden_bytes"] = summed_by(of_image, image_steps["hidden_bytes"], _KINDS)
    # Add up by layer.
    table["layers"] = np.bincount(of_layer, minlength=_KINDS)
    for name in _OF_LAYERS:
        table[name] = summed_by(of_layer, inputs.layer(name), _KINDS)
    table["redundant_bytes"] = summed_by(of_layer, layers["redundant_bytes"], _KINDS)
    # Divide by the sums, and by the bytes of the kind.
    for name in _SHARES:
        table[f"share_of_{name}"] = ratio(table[name], np.full(_KINDS, table[name].sum()))
    table["hidden_byte_share"] = ratio(table["hidden_bytes"], table["image_FLS"])
    table["redundant_byte_share"] = ratio(table["redundant_bytes"], table["FLS"])
    # Keep the kinds that occur, most bytes first.
    order = np.argsort(-table["image_FLS"], kind="stable")
    occurs = (table["steps"] + table["image_layers"])[order] > 0
    return {
        "steps": {name: values[order[occurs]] for name, values in table.items()},
        "image_steps": {name: image_steps[name] for name in _IMAGE_STEP.names or ()},
    }


_SHARES = ("image_FLS", "image_CLS", "hidden_bytes", "FLS", "CLS", "redundant_bytes")
"""Columns of `steps` whose parts of their sums are in `share_of_…`."""
