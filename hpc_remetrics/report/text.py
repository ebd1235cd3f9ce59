"""The totals of a dataset as a page of 80 columns."""

from __future__ import annotations

from ..log import escape
from ..metrics.totals import Totals, TypeTotal

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def page(totals: Totals, name: str) -> str:
    """Return the page."""
    ledger = totals.ledger
    lines = [
        escape(name),
        "",
        _line("images", f"{totals.images:,}", f"of {totals.repositories:,} repositories"),
        _line(
            "layers", f"{ledger.layers:,}", f"{ledger.ok:,} ok, {ledger.partial:,} partial, {ledger.failed:,} failed"
        ),
        _line("compressed", size(totals.CLS), f"{size(totals.bytes_without_sharing)} if images shared no layers"),
        _line("uncompressed", size(totals.TLS), "as tar"),
        _line("files", f"{totals.files:,}", f"{size(totals.FLS)} in {totals.directories:,} directories"),
        _line("contents", f"{totals.contents:,}", f"{size(totals.content_bytes)}, each once"),
        "",
        _line("layer sharing", f"{totals.sharing_ratio:.2f}", "times fewer bytes than without"),
        _line("dedup, count", f"{totals.dedup_ratio_by_count:.2f}", "files for each distinct content"),
        _line(
            "dedup, capacity",
            f"{totals.dedup_ratio_by_capacity:.2f}",
            f"{totals.redundant_share_of_bytes:.1%} redundant",
        ),
    ]
    lines += _counts("entries by kind", totals.kinds)
    lines += _types("classes by bytes", totals.classes)
    lines += _types("types by copies", totals.types_by_copies)
    lines += _types("types by bytes", totals.types_by_bytes)
    lines += _counts("failed and partial layers by cause", totals.failures)
    lines += _counts("counted apart by cause", totals.skipped)
    if not totals.images:
        lines += ["", "The dataset is empty: its sources held no image."]
    return "\n".join(lines)


def size(value: int) -> str:
    """Return bytes with an SI unit.

    >>> size(999), size(1_250_000), size(0)
    ('999 B', '1.25 MB', '0 B')
    """
    number, unit = float(value), 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.0f} B" if not unit else f"{number:.3g} {_UNITS[unit]}"


def _line(name: str, value: str, remark: str) -> str:
    return f"  {name:<18}{value:>14}   {remark}"


def _counts(title: str, counts: dict[str, int]) -> list[str]:
    if not counts:
        return []
    return ["", title, *(f"  {escape(name)[:52]:<54}{count:>14,}" for name, count in counts.items())]


def _types(title: str, types: list[TypeTotal]) -> list[str]:
    if not types:
        return []
    head = f"{title:<44}{'copies':>12}{'':>8}{'bytes':>14}"
    return ["", head, *(_type(one) for one in types)]


def _type(one: TypeTotal) -> str:
    name = escape(one.name)[:41]
    shares = f"{one.share_of_copies:>7.1%} ", f"{one.share_of_bytes:>7.1%}"
    return f"  {name:<42}{one.copies:>11,}{shares[0]}{size(one.bytes):>9}{shares[1]}"
