"""`compare`: what changed between two datasets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..config import json_option
from ..options import PATH, Options, argument
from . import Command

_EXAMPLES = """
Layers and contents are matched by digest, images by name and platform: an image has moved if its
name has another manifest than before. --json lists all images that came, went or moved, with the
layers and bytes that came or went with each, and the fields of their configs that differ: the
columns of /configs, labels and environment in any order, and history without its dates. Values that
were replaced as secrets are compared by kind and length alone.

examples:
  hpc-remetrics compare hub-2025.h5 hub-2026.h5
  hpc-remetrics compare hub-2025.h5 hub-2026.h5 --json | jq .layers.added
  hpc-remetrics compare last-week.h5 hub.h5 --json | jq '.image_changes[] | select(.CLS > 1e9)'
  hpc-remetrics compare last-week.h5 hub.h5 --json | jq .config_changes
"""


@dataclass(frozen=True, kw_only=True)
class CompareOptions(Options):
    """The options of `compare`."""

    first: Path = argument("A.h5", value=PATH, help="the earlier dataset")
    second: Path = argument("B.h5", value=PATH, help="the later dataset")
    json: bool = json_option()


def _run(options: CompareOptions) -> int:
    from ..report.compare_page import compare_command

    return compare_command(options.first, options.second, options.json)


COMMAND = Command(
    "show the images, layers, contents and bytes that came, went and stayed between two datasets",
    CompareOptions,
    _run,
    _EXAMPLES,
)
