"""The metrics of a dataset as a section of its text page."""

from __future__ import annotations

import math

from ..dataset.metrics import Metrics
from ..dataset.reader import Dataset
from ..log import escape
from ..wording import counted
from .text import counts
from .values import kinds_with_layers, number, said_by_images, shown

_DISTRIBUTIONS = {
    "layers/CLS": "layer, compressed",
    "layers/TLS": "layer, as tar",
    "layers/FLS_CLS": "layer, FLS / CLS",
    "layers/files": "layer, files",
    "layers/images": "layer, its images",
    "images/CLS": "image, compressed",
    "images/FLS": "image, files' bytes",
    "images/files": "image, files",
    "images/layers": "image, layers",
    "files/size": "file, bytes",
    "contents/copies": "content, copies",
    "repositories/pulls": "repository, pulls",
}


def section(dataset: Dataset) -> list[str]:
    """Return the lines; how to get metrics where there are none."""
    if not dataset.has_metrics:
        return [
            "",
            f"The dataset has no metrics: `hpc-remetrics reduce {escape(str(dataset.path))}` computes them.",
        ]
    metrics = dataset.metrics
    return [
        *_distributions(metrics),
        *_shares(metrics),
        *_steps(metrics),
        *_what_if(metrics),
        *_updates(metrics),
        *_config_values(metrics),
    ]


def _distributions(metrics: Metrics) -> list[str]:
    lines = []
    for name, text in _DISTRIBUTIONS.items():
        one = metrics.distribution(name)
        if one.count:
            values = "".join(
                f"{number(value, one.unit):>13}"
                for value in (one.median, one.p90, one.p99, one.max)
            )
            lines.append(f"  {text:<24}{values}")
    heads = "".join(f"{head:>13}" for head in ("median", "90 %", "99 %", "max"))
    return ["", f"{'distribution':<26}{heads}", *lines] if lines else []


def _shares(metrics: Metrics) -> list[str]:
    """Return shares of the totals, and that of the types which are under no name of their own."""
    table, totals = metrics["totals"], metrics.totals
    if not totals["files"]:
        return []

    # Shares of the totals, as far as the dataset has them.
    texts = {
        "shared_file_share": "of images' files are in another image too",
        "hidden_byte_share": "of images' bytes are hidden by a later layer",
        "base_share": "of images are built on another image of the dataset",
        "inherited_FLS_share": "of images' bytes are in the image that they are built on",
        "outdated_base_share": "of images with a base have one that is outdated",
        "unique_file_share": "of files are distinct contents",
        "redundant_byte_share": "of bytes are redundant",
    }
    lines = ["", "shares"]
    lines += [
        f"  {shown(totals[name], table.form.columns[name]):>10}   {text}"
        for name, text in texts.items()
        if not math.isnan(totals[name])
    ]

    # What the taxonomy has no better name for.
    groups = metrics["groups"]
    columns = (
        groups.readable("class"),
        groups.readable("group"),
        groups["share_of_files"],
        groups["share_of_bytes"],
    )
    for class_, group, files, size in zip(*columns, strict=True):
        if class_ == "other" and group in ("other", "data"):
            share = f"{number(files, 'share'):>10}"
            lines.append(
                f"  {share}   of files are {group!r} to the taxonomy, {number(size, 'share')} of bytes"
            )
    return lines


_MOST_KINDS = 12
_OF_STEPS = {
    "share_of_image_FLS": "of images",
    "share_of_FLS": "of layers",
    "hidden_byte_share": "hidden",
    "redundant_byte_share": "redundant",
}
"""Column of `steps` -> its head."""


def _steps(metrics: Metrics) -> list[str]:
    """Return shares of bytes by kind of step, nothing where no image says its steps."""
    table = metrics["steps"]
    rows = kinds_with_layers(table)[:_MOST_KINDS]
    kinds = [kind.replace("_", " ") for kind in table.readable("kind")[rows]]
    columns = [kinds, *(table[name][rows] for name in _OF_STEPS)]
    lines = [
        f"  {kind:<24}" + "".join(f"{number(share, 'share'):>13}" for share in shares)
        for kind, *shares in zip(*columns, strict=True)
    ]
    heads = "".join(f"{head:>13}" for head in _OF_STEPS.values())
    return ["", f"{'bytes by build step':<26}{heads}", *lines] if lines else []


_STORED = ("bytes", "ratio", "is_estimated", "ci_low", "ci_high")


def _interval(low: float, high: float) -> str:
    return f" (estimate: {number(low, 'byte')} to {number(high, 'byte')})"


def _what_if(metrics: Metrics) -> list[str]:
    table = metrics["what_if"]
    rows = zip(table.readable("description"), *(table[name] for name in _STORED), strict=True)
    lines = [
        f"  {number(size, 'byte'):>10}{number(ratio, '1'):>8} ×   {text}{_interval(low, high) if estimated else ''}"
        for text, size, ratio, estimated, low, high in rows
        if size
    ]
    return ["", "what a registry would store", *lines] if lines else []


def _updates(metrics: Metrics) -> list[str]:
    """Return what the updates of all repositories pull, by method."""
    pairs = len(metrics["updates"])
    if not pairs:
        return []
    table = metrics["update_totals"]
    names = ("bytes", "share", "is_estimated", "ci_low", "ci_high")
    rows = zip(table.readable("description"), *(table[name] for name in names), strict=True)
    lines = []
    for text, size, share, is_estimated, low, high in rows:
        interval = _interval(low, high) if is_estimated else ""
        lines.append(f"  {number(size, 'byte'):>10}{number(share, 'share'):>10}   {text}{interval}")
    return ["", f"what clients pull in {counted(pairs, 'update')} of images", *lines]


_SAID = {
    "year": "images by the year in which they were created",
    "label": "images by key of a label",
    "entrypoint": "images by entrypoint",
    "cmd": "images by command",
    "user": "images by user",
    "port": "images by exposed port",
    "secret": "images with secrets that were replaced, by kind",
}
"""Variable of `config_values` -> its title."""

_MOST_SAID = 5


def _config_values(metrics: Metrics) -> list[str]:
    """Return what images say most often about themselves, and all their years and secrets."""
    lines = []
    for variable, title in _SAID.items():
        found = said_by_images(metrics, variable)
        most = None if variable in ("year", "secret") else _MOST_SAID
        lines += counts(title, dict(list(found.items())[:most]))
    return lines
