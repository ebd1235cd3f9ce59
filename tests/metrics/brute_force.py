"""Work out metrics entry by entry in plain Python, with paths as texts and without hashes."""

from __future__ import annotations

from collections import Counter, defaultdict

from support.made import Entry, clean, links

HOW = ("overwritten", "whiteout", "opaque", "not_a_directory")


def hides(upper: list[Entry], name: bytes) -> int | None:
    """Return how a layer hides a name of a lower one, a place in `HOW`, or None."""
    found = set()
    for entry in upper:
        path = clean(entry.path)
        directory, slash, last = path.rpartition(b"/")
        if entry.kind == "whiteout":
            gone = last[len(b".wh.") :]
            target = directory + slash + gone
            if gone not in (b"", b".", b"..") and (
                name == target or name.startswith(target + b"/")
            ):
                found.add(1)
        elif entry.kind == "opaque":
            if not directory or name.startswith(directory + b"/"):
                found.add(2)
        elif path == name:
            found.add(0)
        elif entry.kind != "directory" and path and name.startswith(path + b"/"):
            found.add(3)
    return min(found, default=None)


def hidden_in(stack: list[list[Entry]]) -> list[tuple[int, int, int, int]]:
    """Return (position, size, hiding position, how) of each hidden file of an image."""
    result = []
    for position, entries in enumerate(stack):
        names = defaultdict(list)
        for place, entry in enumerate(entries):
            if entry.kind == "file":
                names[place].append(clean(entry.path))
        for link, file in links(entries).items():
            names[file].append(clean(entries[link].path))
        for file, paths in names.items():
            ends = []
            for path in paths:
                above = (
                    (upper, hides(stack[upper], path)) for upper in range(position + 1, len(stack))
                )
                ends.append(next(((upper, how) for upper, how in above if how is not None), None))
            if None not in ends:
                last = max(upper for upper, _ in ends)
                how = min(how for upper, how in ends if upper == last)
                result.append((position, entries[file].size, last, how))
    return result


def growth(
    layers: list[list[Entry]], orders: list[list[int]], points: list[int]
) -> list[tuple[int, ...]]:
    """Return (order, layers, files, contents, bytes, content_bytes) of each order and number of
    layers."""
    rows = []
    for number, order in enumerate(orders):
        for point in points:
            files = [e for layer in order[:point] for e in layers[layer] if e.kind == "file"]
            distinct = {entry.digest: entry.size for entry in files}
            sizes = sum(entry.size for entry in files), sum(distinct.values())
            rows.append((number, point, len(files), len(distinct), *sizes))
    return rows


def splitmix64(value: int) -> int:
    mask = (1 << 64) - 1
    value &= mask
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & mask
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & mask
    return value ^ (value >> 31)


def order_of(digests: list[bytes], order: int) -> list[int]:
    """Return the layers in a random order, as docs/metrics.md defines it."""
    keys = [
        splitmix64(int.from_bytes(d[:8], "big") + (order + 1) * 0x9E3779B97F4A7C15) for d in digests
    ]
    return sorted(range(len(digests)), key=lambda layer: (keys[layer], layer))


def amounts(files: list[Entry]) -> tuple[int, int, int, int]:
    """Return files, contents, bytes and content_bytes."""
    distinct = {entry.digest: entry.size for entry in files}
    return len(files), len(distinct), sum(entry.size for entry in files), sum(distinct.values())


def by_directory(files: list[Entry], depth: int) -> dict[bytes, tuple[int, int, int, int]]:
    groups = defaultdict(list)
    for entry in files:
        parts = clean(entry.path).split(b"/")[:-1]
        groups[b"/".join(parts[:depth])].append(entry)
    return {name: amounts(some) for name, some in groups.items()}


def by_extension(files: list[Entry]) -> dict[bytes, tuple[int, int, int, int]]:
    groups = defaultdict(list)
    for entry in files:
        name = clean(entry.path).rpartition(b"/")[2]
        groups[name.rpartition(b".")[2] if b"." in name[1:] else b""].append(entry)
    return {name: amounts(some) for name, some in groups.items()}


def same_path(files: list[Entry]) -> dict[str, tuple[int, int]]:
    """Return what -> (count, files)."""
    pairs = {(clean(entry.path), entry.digest) for entry in files}
    contents, paths = Counter(path for path, _ in pairs), Counter(digest for _, digest in pairs)
    at, copies = (
        Counter(clean(entry.path) for entry in files),
        Counter(entry.digest for entry in files),
    )
    found = {}
    for what, counts, times in (
        ("paths_{}_content", contents, at),
        ("contents_{}_path", paths, copies),
    ):
        one = [key for key, count in counts.items() if count == 1]
        more = [key for key, count in counts.items() if count > 1]
        found[what.format("one")] = len(one), sum(times[key] for key in one)
        found[what.format("several") + "s"] = len(more), sum(times[key] for key in more)
    return found
