"""Hard links take the content of the entry they name, when that entry is in the layer."""

from __future__ import annotations

from itertools import islice

from ..parts.spill_writer import NOTHING, Spill
from ..records import KINDS
from ..tar.paths import clean, key_of

_AT_ONCE = 200_000
"""Hard links resolved in one pass over the entries; it bounds the memory for their names."""

_FILE, _HARDLINK = KINDS["file"], KINDS["hardlink"]
_NOT_THERE = frozenset((KINDS["whiteout"], KINDS["opaque"]))


def resolve_hardlinks(spill: Spill) -> int:
    """Give every hard link of a flushed spill its content; return how many name nothing in the
    layer.

    What is named is the latest entry of that path before the link (as an extraction in order finds
    it), or else the next file of that path after it. A link to a link takes what that one took.
    """
    unresolved = 0
    done = -1
    while batch := _batch(spill, done):
        for row, target in _targets(spill, batch):
            content = spill.content(target) if target >= 0 else NOTHING
            unresolved += target < 0
            spill.set_content(row, content)
        done = max(batch)
    return unresolved


def _batch(spill: Spill, after: int) -> dict[int, bytes]:
    """Return the next hard links behind row `after`: row -> the key of the path that it names."""
    links = (
        (row, key_of(clean(link)))
        for row, kind, _, link in spill.entries()
        if kind == _HARDLINK and row > after
    )
    return dict(islice(links, _AT_ONCE))


def _targets(spill: Spill, batch: dict[int, bytes]) -> list[tuple[int, int]]:
    """Return (row, row that it names or -1) for each link of the batch, in an order in which chains
    resolve."""
    wanted = set(batch.values())
    latest: dict[bytes, int] = {}
    targets: dict[int, int] = {}
    waiting: dict[bytes, list[int]] = {}
    last = max(batch)
    for row, kind, path, _ in spill.entries():
        if row > last and not waiting:
            break
        if row in batch:
            name = batch[row]
            targets[row] = latest.get(name, -1)
            if targets[row] < 0:
                waiting.setdefault(name, []).append(row)
        if kind in _NOT_THERE or (path := key_of(clean(path))) not in wanted:
            continue
        latest[path] = row
        if kind == _FILE:
            for link in waiting.pop(path, ()):
                targets[link] = row
    # First those that name a later file, whose content is there already, then the rest from front
    # to back.
    return sorted(targets.items(), key=lambda pair: (pair[1] < pair[0], pair[0]))
