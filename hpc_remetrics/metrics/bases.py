"""Bases: which image each image is built on, what it inherits, how old that is, what it claims.

`find_bases` finds the bases on all ranks (`layer_stacks.py`) and reads the claims; rank 0 makes the
tables of them. A date before 2013 is none: reproducible builds write the years 1, 1970 and 1980.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arrays import numbered
from ..records import MANIFEST_TYPES
from ..sources import platforms
from .base_claims import Claim, read_claims
from .image_pairs import FIRST_DATE
from .inputs import MetricsInputs
from .layer_stacks import LayerStacks, nearest_bases

NO_DATE = np.iinfo(np.int64).min
"""In place of a time that is not known."""

_DAY = 86_400

_EMPTY_TAR = bytes.fromhex("5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef")
"""SHA-256 of 1,024 zero bytes: the layer of steps that change no file, in manifests of schema 1."""


@dataclass(frozen=True)
class BaseResults:
    """The bases of all images; the same on every rank, but for the claims.

    :ivar stacks: the layers of images, those of schema 1 without empty ones.
    :ivar rows: (n,) int64, the row of /layers at each place of `stacks`.
    :ivar platform: (images,) int64, numbers of platforms.
    :ivar created: (images,) int64, seconds since 1970, `NO_DATE` where it is not known.
    :ivar base: (images,) int64, row of each image's base, -1 where there is none.
    :ivar claims: row of an image -> what it claims, on rank 0 alone.
    """

    stacks: LayerStacks
    rows: np.ndarray
    platform: np.ndarray
    created: np.ndarray
    base: np.ndarray
    claims: dict[int, Claim]

    @cached_property
    def based(self) -> np.ndarray:
        """The images with a base, (n,) int64, ascending."""
        return np.flatnonzero(self.base >= 0)


def find_bases(inputs: MetricsInputs) -> BaseResults:
    """Find the base of every image. Collective."""
    stacks, rows = _stacks(inputs)
    platform = _platforms(inputs)
    created = _created(inputs)
    # The older image first, an undated one last; of equals the first by name, as /images is sorted.
    order = np.argsort(np.where(created == NO_DATE, np.iinfo(np.int64).max, created), kind="stable")
    priority = np.empty(len(order), np.int64)
    priority[order] = np.arange(len(order))
    base = nearest_bases(inputs.comm, stacks, platform, priority)
    return BaseResults(stacks, rows, platform, created, base, read_claims(inputs))


def _stacks(inputs: MetricsInputs) -> tuple[LayerStacks, np.ndarray]:
    """Return the layers of all images as numbers, and as rows of /layers, (n,) int64."""
    images = inputs.dataset.images
    number, is_empty = _layer_numbers(inputs)
    # Leave out the layers by which schema 1 stands for steps that changed no file.
    is_schema1 = images["manifest_type"] == MANIFEST_TYPES["docker_schema1"]
    is_kept = ~(is_schema1[inputs.image_of] & is_empty[inputs.image_layers])
    rows = inputs.image_layers[is_kept]
    count = np.bincount(inputs.image_of[is_kept], minlength=len(images))
    return LayerStacks(number[rows], np.cumsum(count) - count, count), rows


def _layer_numbers(inputs: MetricsInputs) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers of all layers, equal for equal ones, and whether each is an empty tar.

    Layers are equal by diff_id where it is known, else by digest.

    :returns: (layers,) int64, and (layers,) bool.
    """
    layers = inputs.dataset.layers
    digest = _words(layers["digest"])
    diff_id = _words(layers["diff_id"])
    keys = np.where(diff_id.any(axis=1, keepdims=True), diff_id, digest)
    # Sort all 32 bytes: no two layers are taken for one.
    order = np.lexsort(keys.T)
    is_new = np.ones(len(order), bool)
    is_new[1:] = (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
    number = np.empty(len(order), np.int64)
    number[order] = np.cumsum(is_new) - 1
    return number, (keys == np.frombuffer(_EMPTY_TAR, np.uint64)).all(axis=1)


def _words(digests: np.ndarray) -> np.ndarray:
    """Return digests of 32 bytes as (n, 4) uint64."""
    return np.frombuffer(digests.tobytes(), np.uint64).reshape(-1, 4)


def _platforms(inputs: MetricsInputs) -> np.ndarray:
    """Return the numbers of the images' platforms in normal form, (images,) int64."""
    numbers: dict[str, int] = {}
    texts = inputs.dataset.images.readable("platform").tolist()
    normal = {text: platforms.normal(text) for text in dict.fromkeys(texts)}
    found = [numbers.setdefault(normal[text], len(numbers)) for text in texts]
    return np.array(found, np.int64)


def _created(inputs: MetricsInputs) -> np.ndarray:
    """Return the times of creation that are dates of an image, else `NO_DATE`, (images,) int64."""
    images = inputs.dataset.images
    created = images.column("created")
    return np.where(created < FIRST_DATE, NO_DATE, created)


def newer_images(results: BaseResults, repository: np.ndarray) -> np.ndarray:
    """Return for each image the newest one of its base's repository and platform.

    The image itself does not count, nor one that is not newer than the base.

    :param repository: (images,) int64.
    :returns: (images,) int64, row of the newer image, -1 where there is none.
    """
    created = results.created
    group = numbered(repository * (results.platform.max(initial=0) + 1) + results.platform)[0]
    # Sort the dated images by group, the newest last, of equals the first by name.
    dated = np.flatnonzero(created != NO_DATE)
    dated = dated[np.lexsort((-dated, created[dated], group[dated]))]
    groups = group[dated]
    newer = np.full(len(created), -1)
    image = results.based[created[results.base[results.based]] != NO_DATE]
    base = results.base[image]
    # The base is dated, so its group has a last one; if that is the image, take the one before.
    last = np.searchsorted(groups, group[base], "right") - 1
    last -= dated[last] == image
    found = dated[last]
    is_newer = created[found] > created[base]
    newer[image[is_newer]] = found[is_newer]
    return newer
