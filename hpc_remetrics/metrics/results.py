"""Results of the passes over a dataset: one frozen record a pass, the same on every rank.

Exceptions are distributions and steps, which rank 0 alone has, and hidden bytes by image layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .chunk_dedup import ChunkTotals
from .distribution import Summary

Tables = dict[str, dict[str, Any]]
"""Table of `/metrics` -> column -> values."""

Sums = dict[str, np.ndarray]
"""files, contents, bytes, content_bytes -> (n,) int64."""


@dataclass(frozen=True)
class ContentResults:
    """Results of the pass over /contents.

    :ivar distributions: by name, on rank 0 alone.
    :ivar by_type: sums by row of /types.
    :ivar dedup_levels: (2, 2) int64; rows: redundant copies within layers and across layers;
        columns: files, bytes.
    :ivar empty_files: regular files without a byte.
    :ivar compression: sums of a `CompressionTally`.
    :ivar chunks: totals of the contents that were cut into chunks.
    :ivar top: copies, redundant_bytes -> rows of /contents, those with the most first.
    """

    distributions: dict[str, Summary]
    by_type: Sums
    dedup_levels: np.ndarray
    empty_files: int
    compression: np.ndarray
    chunks: ChunkTotals
    top: dict[str, np.ndarray]


@dataclass(frozen=True)
class FileResults:
    """Results of the pass over /entries and of the joins of its files by path and by content.

    :ivar distributions: by name, on rank 0 alone.
    :ivar kinds: (kinds,) int64, entries of each kind.
    :ivar path_contents: distinct pairs of path and content.
    :ivar same_path: (4, 2) int64; rows: paths with one content and with several, contents at one
        path and at several; columns: how many of them, and their files.
    :ivar layers: name -> (layers,) int64, see `ContentJoin`.
    :ivar top_paths: the paths with the most contents, see `path_join`.
    :ivar first_file: row of /contents -> row of /entries of the first file that has it; for the
        contents of the top lists.
    :ivar names: sums by code of a name, see `common_names`.
    :ivar name_texts: (kind, number) -> the name, on rank 0 alone.
    :ivar growth: table `growth`, on rank 0 alone.
    """

    distributions: dict[str, Summary]
    kinds: np.ndarray
    path_contents: int
    same_path: np.ndarray
    layers: dict[str, np.ndarray]
    top_paths: np.ndarray
    first_file: dict[int, int]
    names: Sums
    name_texts: dict[tuple[int, int], bytes]
    growth: dict[str, np.ndarray]


@dataclass(frozen=True)
class HiddenResults:
    """Results of the pass over the images.

    :ivar images: (images, 2) int64, files and bytes that each image hides.
    :ivar causes: (4, 2) int64, files and bytes by cause, as in `HIDDEN_BY`.
    :ivar layers: column of `/metrics/layers` -> (layers,) int64, bytes.
    :ivar image_layers: (n,) `HIDDEN`, hidden bytes of layers in images; of the images that this
        rank worked out, in no order.
    """

    images: np.ndarray
    causes: np.ndarray
    layers: dict[str, np.ndarray]
    image_layers: np.ndarray


@dataclass(frozen=True)
class StepResults:
    """Results of the pass over /history and /image_layers; rank 0 alone has them.

    :ivar steps: (kinds,) int64, rows of /history by kind.
    :ivar image_steps: the rows of the table `image_steps`, a structured array.
    :ivar layer_kinds: (layers,) uint8, the kind of step that each layer counts under.
    """

    steps: np.ndarray
    image_steps: np.ndarray
    layer_kinds: np.ndarray
