"""Judge what images claim about their base: annotations and labels, against the layers.

`org.opencontainers.image.base.name` and `.digest` are read from the manifest's annotations, or, if
these have neither, from the config's labels. `BASE_CLAIMS` says what becomes of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ..errors import UsageError
from ..records import BASE_CLAIMS, Digest
from ..registry.reference import HUB, Reference
from .inputs import MetricsInputs
from .key_values import values_of
from .layer_stacks import LayerStacks

_KEYS = (b"org.opencontainers.image.base.name", b"org.opencontainers.image.base.digest")

_FIELDS = ("name", "digest")
"""The field of a `Claim` that each key fills."""

_LONGEST = 512
"""Bytes of a claim beyond which it is no reference: names have 255, tags 128, digests 71."""

_SCRATCH = "scratch"
"""What builders call the base of an image that has none."""

_OFFICIAL = "library/"


@dataclass(frozen=True, slots=True)
class Claim:
    """What one image claims about its base, as it writes it; one of both may be ""."""

    name: str = ""
    digest: str = ""


def read_claims(inputs: MetricsInputs) -> dict[int, Claim]:
    """Return row of an image -> what it claims, for those that claim something; on rank 0.

    Other ranks get nothing. Collective.
    """
    of_images = _values(inputs, "annotations", "image")
    of_configs = _values(inputs, "labels", "config")
    if not of_images and not of_configs:
        return {}
    # The annotations of the manifest come first.
    config = inputs.dataset.images.column("config").tolist()
    found = {image: of_configs[row] for image, row in enumerate(config) if row in of_configs}
    return found | of_images


def _values(inputs: MetricsInputs, table: str, owner: str) -> dict[int, Claim]:
    """Return the claims in a table by its owner's row, on rank 0. Collective.

    :param owner: column that says which image or config a row belongs to.
    """
    comm = inputs.comm
    reader = inputs.dataset.chunks_of(table)
    # Note each value once: most images of one base claim the same.
    rows = array("q")
    places = bytearray()
    numbers = array("q")
    values: dict[bytes, int] = {}
    for start, stop in inputs.my_blocks(len(inputs.dataset[table])):
        owners = reader.column(owner, start, stop)
        for row, place, value in values_of(reader, start, stop, _KEYS, _LONGEST + 1):
            if value:
                rows.append(int(owners[row - start]))
                places.append(place)
                numbers.append(values.setdefault(value, len(values)))
    # Of a key that a document repeats the last value holds.
    claims: dict[int, Claim] = {}
    kept: dict[Claim, Claim] = {}
    for of_rank in comm.gather((rows, places, numbers, list(values))) or ():
        texts = [value.decode("utf-8", "replace") for value in of_rank[3]]
        for row, place, number in zip(*of_rank[:3], strict=True):
            one = replace(claims.get(row, Claim()), **{_FIELDS[place]: texts[number]})
            claims[row] = kept.setdefault(one, one)
    return claims


@dataclass(frozen=True)
class JudgedClaims:
    """What the claims of all images come to.

    :ivar verdict: (images,) uint8, numbers of `BASE_CLAIMS`.
    :ivar image: (images,) int64, the row of the image that each claims as its base, -1 where the
        dataset has no such image.
    """

    verdict: np.ndarray
    image: np.ndarray


def judge(
    claims: Mapping[int, Claim],
    stacks: LayerStacks,
    names: Sequence[bytes],
    digests: Sequence[bytes],
    platform: np.ndarray,
) -> JudgedClaims:
    """Judge the claims of images.

    :param claims: row of an image -> what it claims, for those that claim something.
    :param names: names of all images; `digests`: of their manifests, 32 bytes each.
    :param platform: (images,) int64, numbers of platforms.
    """
    parsed = {row: _parsed(claim) for row, claim in claims.items()}
    by_name = _rows_of(names, {name for one in parsed.values() for name in one.names})
    by_digest = _rows_of(digests, {one.digest for one in parsed.values() if one.digest})
    verdict = np.full(len(names), BASE_CLAIMS["none"], np.uint8)
    image = np.full(len(names), -1)
    for row, claim in parsed.items():
        # A digest means one manifest, whatever its platform; a name the image of the same platform.
        exact = by_digest.get(claim.digest, [])
        named = [other for name in claim.names for other in by_name.get(name, ())]
        meant = exact or [other for other in named if platform[other] == platform[row]]
        others = [other for other in meant if digests[other] != digests[row]]
        true = [other for other in others if stacks.begins_with(row, other)]
        word = claim.word or _word(bool(others), bool(true), bool(exact))
        verdict[row] = BASE_CLAIMS[word]
        image[row] = next(iter(true or others), -1)
    return JudgedClaims(verdict, image)


def _word(is_there: bool, is_true: bool, is_exact: bool) -> str:
    """Return the word of `BASE_CLAIMS` for a claim that can be read."""
    if not is_there:
        return "absent"
    if is_true:
        return "true"
    return "false" if is_exact else "moved"


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A claim that was parsed.

    :ivar word: its verdict, where no image is needed to know it; else "".
    :ivar names: the names under which a dataset may hold the image.
    :ivar digest: 32 bytes, or none.
    """

    word: str = ""
    names: tuple[bytes, ...] = ()
    digest: bytes = b""


@lru_cache(1 << 16)
def _parsed(claim: Claim) -> _Parsed:
    """Parse a claim; images of one base claim the same."""
    if max(len(claim.name.encode()), len(claim.digest)) > _LONGEST:
        return _Parsed("invalid")
    try:
        digest = Digest.parse(claim.digest).raw if claim.digest else b""
        if claim.name in ("", _SCRATCH):
            return _Parsed("scratch" if not digest else "", (), digest)
        reference = Reference.parse(claim.name)
    except (UsageError, ValueError):
        return _Parsed("invalid")
    if reference.digest is not None:
        digest = digest or reference.digest.raw
    return _Parsed("", tuple(_spellings(reference)), digest)


def _spellings(reference: Reference) -> Iterable[bytes]:
    """Yield the names that sources may give to an image: in full, and as docker shortens them.

    >>> [name.decode() for name in _spellings(Reference.parse("redis:7"))]
    ['docker.io/library/redis:7', 'library/redis:7', 'redis:7']
    >>> [name.decode() for name in _spellings(Reference.parse("quay.io/a/b"))]
    ['quay.io/a/b:latest', 'quay.io/a/b']
    """
    names = [str(reference)]
    if reference.host == HUB:
        names += [reference.path, reference.path.removeprefix(_OFFICIAL)]
    for name in dict.fromkeys(names):
        yield name.encode()
        if name.endswith(":latest"):
            yield name.removesuffix(":latest").encode()


def _rows_of(values: Sequence[bytes], wanted: set[bytes]) -> dict[bytes, list[int]]:
    """Return the rows of the wanted values, ascending."""
    rows: dict[bytes, list[int]] = {}
    if wanted:
        for row, value in enumerate(values):
            if value in wanted:
                rows.setdefault(value, []).append(row)
    return rows
