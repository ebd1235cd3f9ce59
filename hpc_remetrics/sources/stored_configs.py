"""The configs and annotations of all images of a run, on scratch: a million have some gigabytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..files.sorted_lines import SortedLines
from ..files.stored_texts import StoredTexts
from ..records import Configs, Image, ImageConfig
from .catalogs import config_from_json, config_to_json


class StoredConfigs(Configs):
    """Configs as lines of JSON that begin with the digest; only the digests are in memory.

    :param directory: for files without a name, which are made once there is much to store.
    :raises OutputError: that can't be written; so do `add` and `adopted`.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self._digests: set[bytes] = set()
        self._lines = SortedLines(directory)
        self._annotations = StoredTexts(directory)

    def __len__(self) -> int:
        return len(self._digests)

    def __iter__(self) -> Iterator[ImageConfig]:
        for line in self._lines:
            yield config_from_json(json.loads(line))

    def add(self, config: ImageConfig) -> None:
        if config.digest.raw in self._digests:
            return
        with self._writing("configs"):
            self._lines.add(json.dumps(config_to_json(config), separators=(",", ":")))
        self._digests.add(config.digest.raw)

    def adopted(self, image: Image) -> Image:
        image = super().adopted(image)
        if not isinstance(image.annotations, tuple) or not image.annotations:
            return image
        with self._writing("annotations"):
            stored = StoredPairs(self._annotations, image.annotations)
        return replace(image, annotations=stored)

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"can't write the {what} of images to {self._directory}: {error.strerror}",
                "make room, or name another directory with --scratch",
            ) from None


class StoredPairs(Sequence[tuple[str, str]]):
    """Keys and values that are read from scratch each time somebody looks at them.

    :param texts: where they are stored.
    """

    __slots__ = ("_place", "_texts")

    def __init__(self, texts: StoredTexts, pairs: Sequence[tuple[str, str]]) -> None:
        self._texts = texts
        self._place = texts.add(json.dumps(pairs, separators=(",", ":")))

    def _read(self) -> tuple[tuple[str, str], ...]:
        pairs = json.loads(self._texts.read(*self._place))
        return tuple((key, value) for key, value in pairs)

    def __len__(self) -> int:
        return len(self._read())

    def __getitem__(self, place: Any) -> Any:
        return self._read()[place]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._read())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._read() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._read())

    def __repr__(self) -> str:
        return repr(self._read())
