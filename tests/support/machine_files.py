"""Distinct files of the machine that the tests run on, drawn at random, always the same."""

from __future__ import annotations

import hashlib
import os
import random
import sys
import sysconfig
from collections.abc import Iterator

ROOTS = ("/usr", "/etc", sys.prefix, sysconfig.get_path("purelib"))
LARGEST = 4 << 20


def machine_files(count: int) -> Iterator[bytes]:
    """Yield the bytes of so many files."""
    paths = [
        os.path.join(directory, name)
        for root in ROOTS
        for directory, _, names in os.walk(os.fsencode(root))
        for name in names
    ]
    random.Random(2017).shuffle(paths)
    seen: set[bytes] = set()
    for path in paths:
        if len(seen) >= count:
            return
        try:
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            if not 0 < os.path.getsize(path) < LARGEST:
                continue
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            continue
        digest = hashlib.sha256(data).digest()
        if digest not in seen:
            seen.add(digest)
            yield data
