"""The configs of all images of a run, on scratch: a million of them have some gigabytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ..errors import OutputError
from ..files.sorted_lines import SortedLines
from ..records import Configs, ImageConfig
from .catalogs import config_from_json, config_to_json


class StoredConfigs(Configs):
    """Configs as lines of JSON that begin with the digest; only the digests are in memory.

    :param directory: for a file without a name, which is made once there are many configs.
    :raises OutputError: that can't be written; so does `add`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._digests: set[bytes] = set()
        self._lines = SortedLines(directory)

    def __len__(self) -> int:
        return len(self._digests)

    def __iter__(self) -> Iterator[ImageConfig]:
        for line in self._lines:
            yield config_from_json(json.loads(line))

    def add(self, config: ImageConfig) -> None:
        if config.digest.raw in self._digests:
            return
        try:
            self._lines.add(json.dumps(config_to_json(config), separators=(",", ":")))
        except OSError as error:
            raise OutputError(
                f"can't write the configs of images to {self._directory}: {error.strerror}",
                "make room, or name another directory with --scratch",
            ) from None
        self._digests.add(config.digest.raw)
