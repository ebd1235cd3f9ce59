"""The totals of a dataset as a page of 80 columns."""

from __future__ import annotations

from ..log import escape
from ..summaries.totals import Totals, TypeTotal
from ..wording import counted

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def page(totals: Totals, name: str) -> str:
    """Return the page."""
    ledger = totals.ledger
    lines = [
        escape(name),
        "",
        line(
            "images",
            f"{totals.images:,}",
            f"of {counted(totals.repositories, 'repository', 'repositories')}",
        ),
        line(
            "layers",
            f"{ledger.layers:,}",
            f"{ledger.ok:,} ok, {ledger.partial:,} partial, {ledger.failed:,} failed",
        ),
        line(
            "compressed",
            size(totals.CLS),
            f"{size(totals.bytes_without_sharing)} if images shared no layers",
        ),
        line("uncompressed", size(totals.TLS), "as tar"),
        line(
            "files",
            f"{totals.files:,}",
            f"{size(totals.FLS)} in {counted(totals.directories, 'directory', 'directories')}",
        ),
        line(
            "contents", f"{totals.contents:,}", f"{size(totals.content_bytes)}, each counted once"
        ),
        "",
        line("layer sharing", f"{totals.sharing_ratio:.2f}", "times fewer bytes than without"),
        line(
            "dedup, count", f"{totals.dedup_ratio_by_count:.2f}", "files for each distinct content"
        ),
        line(
            "dedup, capacity",
            f"{totals.dedup_ratio_by_capacity:.2f}",
            f"{totals.redundant_share_of_bytes:.1%} redundant",
        ),
    ]
    lines += counts("entries by kind", totals.kinds)
    lines += _types("classes by bytes", totals.classes)
    lines += _types("types by copies", totals.types_by_copies)
    lines += _types("types by bytes", totals.types_by_bytes)
    lines += counts("failed and partial layers by cause", totals.failures)
    lines += counts("not profiled, by cause", totals.skipped)
    if not totals.images:
        lines += ["", "The dataset is empty: its sources held no image."]
    return "\n".join(lines)


def size(value: int) -> str:
    """Return bytes with an SI unit.

    >>> size(999), size(1_250_000), size(999_900)
    ('999 B', '1.25 MB', '1 MB')
    """
    number = float(value)
    unit = 0
    # Three digits of 999.5 are 1000, which has the next unit
    while number >= 999.5 and unit < len(_UNITS) - 1:
        number /= 1000
        unit += 1
    return f"{number:.3g} {_UNITS[unit]}"


def line(name: str, value: str, remark: str) -> str:
    """Return one number with its name and a remark."""
    return f"  {name:<18}{value:>14}   {remark}"


def counts(title: str, numbers: dict[str, int]) -> list[str]:
    """Return lines of counts by name under a title; none where there are none."""
    if not numbers:
        return []
    return [
        "",
        title,
        *(f"  {escape(name)[:52]:<54}{number:>14,}" for name, number in numbers.items()),
    ]


def _types(title: str, types: list[TypeTotal]) -> list[str]:
    if not types:
        return []
    head = f"{title:<44}{'copies':>12}{'':>8}{'bytes':>14}"
    return ["", head, *(_type(one) for one in types)]


def _type(one: TypeTotal) -> str:
    name = escape(one.name)[:41]
    shares = f"{one.share_of_copies:>7.1%} ", f"{one.share_of_bytes:>7.1%}"
    return f"  {name:<42}{one.copies:>11,}{shares[0]}{size(one.bytes):>9}{shares[1]}"
