"""The comparison of two datasets, as a page of 80 columns or as JSON."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

from ..dataset.reader import Dataset, reading
from ..filetype.typed_by import typed_differently
from ..log import escape
from ..summaries.compare import Changes, Comparison, TypeChange, compare
from ..summaries.image_changes import ImageChange
from ..wording import counted
from .text import size

log = logging.getLogger(__name__)

_MOST = 12
_WIDTH = 80
_NAME = 52
"""Characters of a name that are shown."""

_TITLES = {
    "added": "images that came, and layers that came with them",
    "removed": "images that went, and layers that went with them",
    "moved": "images that moved, and layers that came with them",
}
_BYTES = frozenset({"CLS", "TLS", "FLS", "content_bytes"})
_NAMES = {
    "CLS": "compressed",
    "TLS": "uncompressed",
    "FLS": "bytes of files",
    "content_bytes": "each content once",
    "sharing_ratio": "layer sharing",
    "compression_ratio_FLS": "FLS / CLS",
    "compression_ratio_TLS": "TLS / CLS",
    "dedup_ratio_by_count": "dedup, count",
    "dedup_ratio_by_capacity": "dedup, capacity",
}


def compare_command(first: Path, second: Path, as_json: bool) -> int:
    """Print the changes from one dataset to another; return the exit code."""
    with Dataset(first) as one, Dataset(second) as other, reading(one, other):
        found = compare(one, other)
        names = {"first": str(first), "second": str(second)}
        as_text = (
            json.dumps(names | dataclasses.asdict(found), indent=2)
            if as_json
            else page(found, *names.values())
        )
    if warning := typed_differently(found.typed):
        log.warning(warning)
    print(as_text)
    return 0


def page(found: Comparison, first: str, second: str) -> str:
    """Return the page."""
    images = found.images
    lines = [
        f"{escape(first)} → {escape(second)}",
        "",
        f"{'':<10}{'added':>22}{'removed':>22}{'unchanged':>22}",
        _moved("layers", found.layers),
        _moved("files", found.files),
        _moved("contents", found.contents),
        f"{'images':<10}{images.added:>22,}{images.removed:>22,}{images.unchanged:>22,}",
        f"{counted(images.moved, 'image')} moved: the same name and platform as before, another manifest",
        "layers with their compressed bytes, files with each copy, contents once",
        "",
        f"{'':<24}{'before':>16}{'after':>16}",
        *(_number(name, *pair) for name, pair in found.numbers.items()),
    ]
    for word, title in _TITLES.items():
        lines += _images(title, [one for one in found.image_changes if one.change == word])
    lines += _configs(found.config_changes)
    lines += _types("classes that changed", found.classes)
    lines += _types("groups that changed", found.groups)
    lines += _types("types that changed", found.types)
    if found.retyped:
        lines += [
            "",
            f"{counted(found.retyped, 'content')} of another type than before: another libmagic, or other options",
        ]
    return "\n".join(lines)


def _moved(name: str, moved: Changes) -> str:
    parts = (moved.added, moved.removed, moved.unchanged)
    return f"{name:<10}" + "".join(f"{part.count:>13,}{size(part.bytes):>9}" for part in parts)


def _images(title: str, images: list[ImageChange]) -> list[str]:
    """Return the lines on images of one kind, those with most bytes first."""
    if not images:
        return []
    lines = ["", f"{title:<56}{'layers':>10}{'compressed':>14}"]
    for one in sorted(images, key=lambda one: -one.CLS)[:_MOST]:
        name = escape(f"{one.name} {one.platform}".rstrip())
        # The end of a long name tells more: it has the tag
        shown = name if len(name) <= _NAME else f"…{name[1 - _NAME :]}"
        lines.append(f"  {shown:<54}{one.layers:>10,}{size(one.CLS):>14}")
        if one.config:
            lines.append(_fields(one.config))
    if len(images) > _MOST:
        lines.append(f"  … and {len(images) - _MOST:,} more (--json shows all)")
    return lines


def _fields(names: tuple[str, ...]) -> str:
    """Return the line on the fields of a config that changed, of 80 columns at most."""
    line = f"      config: {', '.join(names)}"
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 2]} …"


def _configs(changes: dict[str, int]) -> list[str]:
    """Return the lines on the fields of configs that changed, most images first."""
    if not changes:
        return []
    lines = ["", f"{'fields of configs that changed':<66}{'images':>14}"]
    for name, number in sorted(changes.items(), key=lambda item: -item[1]):
        lines.append(f"  {name:<64}{number:>14,}")
    return lines


def _number(name: str, before: float, after: float) -> str:
    shown = [
        size(int(v)) if name in _BYTES else f"{v:,.2f}" if isinstance(v, float) else f"{v:,}"
        for v in (before, after)
    ]
    return f"  {_NAMES.get(name, name):<22}{shown[0]:>16}{shown[1]:>16}"


def _types(title: str, types: list[TypeChange]) -> list[str]:
    if not types:
        return []
    lines = ["", f"{title:<40}{'files':>19}{'bytes':>21}"]
    for one in types[:_MOST]:
        files, before, after = f"{one.files[0]:,} → {one.files[1]:,}", *map(size, one.bytes)
        lines.append(f"  {escape(one.name)[:36]:<38}{files:>19}{f'{before} → {after}':>21}")
    if len(types) > _MOST:
        lines.append(f"  … and {len(types) - _MOST:,} more (--json shows all)")
    return lines
