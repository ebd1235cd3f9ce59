"""Resolve hard links: each takes the content of the entry that it names, if the layer has it.

row   kind      path    link        the link takes the content of
0     file      a
1     hardlink  b       a           row 0: the latest "a" before it
2     file      a                   (another content)
3     hardlink  c       a           row 2: the latest "a" before it
4     hardlink  d       b           row 1, a link itself, which has the content of row 0
5     hardlink  e       later       row 7: the next file "later" behind it, as none is before
6     hardlink  f       nowhere     nothing: the note `unresolved_hardlink`
7     file      later
"""

from __future__ import annotations

from itertools import islice

from ..parts.spill_writer import NOTHING, Spill
from ..records import KINDS
from ..tar.paths import clean, key_of

_MOST_LINKS = 200_000
"""Hard links that are resolved in one pass over the entries; it bounds the memory for names."""

_FILE = KINDS["file"]
_HARDLINK = KINDS["hardlink"]
_WHITEOUTS = frozenset((KINDS["whiteout"], KINDS["opaque"]))


def resolve_hardlinks(spill: Spill) -> int:
    """Give every hard link of a flushed spill its content; return how many name nothing.

    A link names the latest entry of its path before it, as an extraction in order finds it, or else
    the next file of that path behind it. A link to a link takes the content of the latter.
    """
    unresolved = 0
    done = -1
    while batch := _next_links(spill, done):
        for row, target in _targets(spill, batch):
            if target < 0:
                unresolved += 1
                spill.set_content(row, NOTHING)
            else:
                spill.set_content(row, spill.content(target))
        done = max(batch)
    return unresolved


def _next_links(spill: Spill, after: int) -> dict[int, bytes]:
    """Return the next hard links behind row `after`: row -> key of the path that the link names."""
    links = (
        (row, key_of(clean(link)))
        for row, kind, _, link in spill.entries()
        if kind == _HARDLINK and row > after
    )
    return dict(islice(links, _MOST_LINKS))


def _targets(spill: Spill, batch: dict[int, bytes]) -> list[tuple[int, int]]:
    """Return (row of a link, row that it names or -1) in an order in which chains resolve.

    :param batch: row -> key of the path that the link names.
    """
    wanted = set(batch.values())
    latest: dict[bytes, int] = {}
    targets: dict[int, int] = {}
    waiting: dict[bytes, list[int]] = {}
    last = max(batch)
    for row, kind, path, _ in spill.entries():
        if row > last and not waiting:
            break

        # Take the latest entry of the path that a link names, or wait for a file of that path
        if row in batch:
            name = batch[row]
            targets[row] = latest.get(name, -1)
            if targets[row] < 0:
                waiting.setdefault(name, []).append(row)

        # Remember entries that links name; a whiteout is only a mark for lower layers
        if kind in _WHITEOUTS:
            continue
        key = key_of(clean(path))
        if key not in wanted:
            continue
        latest[key] = row
        if kind == _FILE:
            for link in waiting.pop(key, ()):
                targets[link] = row
    # First the links to later files, whose contents are there already; then from front to back
    return sorted(targets.items(), key=lambda pair: (pair[1] < pair[0], pair[0]))
