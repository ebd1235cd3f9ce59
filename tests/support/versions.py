"""Builds an OCI layout of versions of one image, whose files change a little each time."""

import json
import random
from pathlib import Path

from support.layouts import Layout
from support.small_images import tar_of_files

Files = dict[str, bytes]
"""Path -> what stands there."""

LONG = 7_500_000
"""Bytes of the longest file."""


class DatedLayout(Layout):
    """A layout whose images have a date.

    :ivar date: of the next image.
    """

    date = ""

    def blob(self, data: bytes, media_type: str) -> dict:
        if media_type.endswith("config.v1+json"):
            data = json.dumps(json.loads(data) | {"created": self.date}).encode()
        return super().blob(data, media_type)


def build(directory: Path, versions: int) -> list[list[Files]]:
    """Write a layout of images `app:1`, `app:2`, …; return the layers of each, base first."""
    rng = random.Random(7)
    layout = DatedLayout(directory)
    base = {f"base/{number}": _text(rng) for number in range(20)}
    base_layer = layout.layer(tar_of_files(base), "gzip")
    files = {f"app/{number}": _text(rng) for number in range(40)}
    files["app/long"] = rng.randbytes(LONG)
    images = []
    for version in range(1, versions + 1):
        layout.date = f"2024-01-{version:02}T00:00:00Z"
        if version > 1:
            files = _changed(rng, files, version)
        layout.image(f"app:{version}", [base_layer, layout.layer(tar_of_files(files), "plain")])
        images.append([base, files])
    layout.finish()
    return images


def _changed(rng: random.Random, files: Files, version: int) -> Files:
    """Return the files of the next version: some differ, some are new, moved or repeated."""
    changed = dict(files)
    for name in [*rng.sample(sorted(files), 20), "app/long"]:
        data = bytearray(files[name])
        for _ in range(1 + len(data) // 1_000_000):
            at = rng.randrange(len(data) + 1)
            data[at : at + rng.randrange(40)] = rng.randbytes(rng.randrange(40))
        changed[name] = bytes(data)
    changed[f"app/new{version}"] = _text(rng)
    changed[f"app/twice{version}"] = changed[f"app/new{version}"]
    changed[f"app/moved{version}"] = changed.pop(f"app/{version}")
    return changed


def _text(rng: random.Random) -> bytes:
    words = [b"%x" % rng.randrange(4096) for _ in range(rng.randrange(12_000))]
    return b" ".join(words)
