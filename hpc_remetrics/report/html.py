"""The report as one HTML page, without scripts, fonts or requests to other hosts."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from html import escape as quoted

import numpy as np

from ..dataset.metrics_schema import CONFIG_VALUES
from ..dataset.reader import Dataset
from ..dataset.table import Table
from ..log import escape
from ..wording import counted
from .definitions import DEFINITIONS
from .figures import FIGURES, Figure, images
from .figures.panels import largest
from .figures.style import style
from .hub_2017 import SOURCES, TOTALS
from .page_style import MARK, STYLE
from .report_data import ReportData, read_report_data
from .values import number, said_by_images, shown

_MOST_ROWS = 25
"""Rows of a table on the page; `--json` and `export` have all."""

_LONG = 30
"""Characters of a cell beyond which its text may break anywhere."""

_MOST_SOURCES = 20
"""Sources that the page names."""

_SUMMARY = (
    ("repositories", "repositories"),
    ("images", "images"),
    ("layers", "distinct layers"),
    ("CLS", "their compressed bytes"),
    ("TLS", "their bytes as uncompressed tar"),
    ("FLS", "bytes of their regular files"),
    ("files", "regular files"),
    ("contents", "distinct contents"),
    ("content_bytes", "bytes of distinct contents"),
    ("sharing_ratio", "reduction by layer sharing"),
    ("compression_ratio_FLS", "compression ratio FLS / CLS"),
    ("dedup_ratio_by_count", "deduplication ratio by count"),
    ("dedup_ratio_by_capacity", "deduplication ratio by capacity"),
    ("unique_file_share", "distinct contents / files"),
    ("redundant_byte_share", "redundant bytes / bytes"),
    ("shared_file_share", "share of files that other images have too"),
    ("hidden_byte_share", "hidden share of all images' bytes"),
    ("base_share", "share of images that are built on another one"),
    ("inherited_FLS_share", "share of all images' bytes that their bases have"),
    ("outdated_base_share", "share of images with a base whose base is outdated"),
)
"""Column of the totals, and its label on the page."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Content security policy: the page loads nothing and runs nothing, whatever a name holds."""


def html(dataset: Dataset) -> str:
    """Return the page of an open dataset.

    :raises DatasetError: it has no metrics.
    """
    numbers = read_report_data(dataset)
    name = quoted(escape(numbers.name))

    # Draw the figures, which are part of the page
    with style():
        figures = [_figure(figure, numbers) for figure in FIGURES.values()]
    body = [
        f"<header><h1>{name}</h1>{_about(dataset)}</header>",
        _contents(),
        _section("summary", "Summary", _summary(numbers)),
        *figures,
        _section("configs", "What images say about themselves", _configs(numbers)),
        _section("failures", "Failures", _failures(numbers)),
        _section("definitions", "Definitions", _definitions(DEFINITIONS)),
        _section("sources", "Sources of the published values of 2017", _definitions(SOURCES)),
    ]
    head = (
        f'<meta charset="utf-8">{MARK}<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}</title><style>{STYLE}</style>"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n'
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _about(dataset: Dataset) -> str:
    """Return when, by which version and from which sources the dataset was made."""
    run = dataset.run
    version = run.get("version", "of an unknown version")
    parts = [f"hpc_remetrics {version}", f"sources: {escape(_sources(dataset))}"]
    if "started" in run:
        started = datetime.fromtimestamp(float(run["started"]), timezone.utc)
        parts.insert(0, f"analyzed {started:%Y-%m-%d %H:%M} UTC")
    if not len(dataset.images):
        parts.append("the dataset is empty: its sources held no image")
    return f"<p>{quoted('; '.join(parts))}</p>"


def _sources(dataset: Dataset) -> str:
    """Return the names of the sources, of many the first ones."""
    names = dataset.sources
    more = f" and {len(names) - _MOST_SOURCES:,} more" if len(names) > _MOST_SOURCES else ""
    return " ".join(names[:_MOST_SOURCES]) + more if names else "unknown"


def _contents() -> str:
    """Return the list of contents, with a link to each section."""
    links = [
        ("summary", "Summary"),
        *((_anchor(one), f"{one.number} {one.title}") for one in FIGURES.values()),
    ]
    links += [("configs", "What images say about themselves"), ("failures", "Failures")]
    links += [("definitions", "Definitions"), ("sources", "Sources")]
    items = "".join(f'<li><a href="#{anchor}">{quoted(text)}</a></li>' for anchor, text in links)
    return f"<nav><ul>{items}</ul></nav>"


def _section(anchor: str, title: str, body: str) -> str:
    """Return a section with its heading; `anchor` is what links to it name."""
    return f'<section id="{anchor}"><h2>{quoted(title)}</h2>{body}</section>'


def _anchor(figure: Figure) -> str:
    """Return the anchor of a figure's section."""
    return f"figure-{figure.number}"


def _summary(numbers: ReportData) -> str:
    """Return the table of totals, beside the published values of 2017."""
    table = numbers.metrics["totals"]
    known = {name: reference.text for name, reference in TOTALS.items()}
    rows = [
        (text, shown(numbers.totals[name], table.form.columns[name]), known.get(name, ""))
        for name, text in _SUMMARY
    ]
    return _table(("", "this dataset", "Docker Hub 2017"), rows)


def _figure(figure: Figure, numbers: ReportData) -> str:
    """Return the section of a figure: the picture, its caption, and its numbers as tables."""
    picture = base64.b64encode(images(figure, numbers, ("svg",))["svg"]).decode()
    caption = quoted(figure.caption)
    alternative = quoted(f"Figure {figure.number}: {figure.title}")
    source = f"data:image/svg+xml;base64,{picture}"
    body = (
        f'<figure><div class="wide"><img alt="{alternative}" src="{source}"></div>'
        f"<figcaption>{caption}</figcaption></figure><details><summary>Numbers</summary>"
        f"{_distributions(figure, numbers)}"
        f"{''.join(_metrics(name, numbers.metrics[name]) for name in figure.tables)}</details>"
    )
    return _section(_anchor(figure), f"{figure.number} {figure.title}", body)


def _distributions(figure: Figure, numbers: ReportData) -> str:
    """Return the table of a figure's distributions, "" if it has none."""
    if not figure.distributions:
        return ""
    names = ("min", "median", "mean", "p90", "p99", "max")
    rows = []
    for name in figure.distributions:
        one = numbers.metrics.distribution(name)
        unit = "share" if one.scale == "share" else one.unit
        values = [number(getattr(one, part), unit) for part in names]
        rows.append((f"{one.description} ({name})", number(one.count, "1"), *values))
    return f"<h3>distributions</h3>{_table(('', 'number', *names), rows)}"


def _metrics(name: str, table: Table) -> str:
    """Return rows of a table of the metrics: of files those with most bytes, else the first."""
    columns = [table.form.columns[one] for one in table.columns]
    if "redundant_bytes" in table.columns and "bytes" in table.columns:
        chosen = largest(table, "bytes", _MOST_ROWS)
    else:
        chosen = np.arange(min(len(table), _MOST_ROWS))

    # Show the values with their units; text stands to the left
    values = [table.readable(column.name)[chosen].tolist() for column in columns]
    rows = [
        [shown(value, column) for value, column in zip(row, columns, strict=True)]
        for row in zip(*values, strict=True)
    ]
    heads = [column.name.replace("_", " ") for column in columns]
    texts = [
        place for place, column in enumerate(columns) if column.type in ("text", "digest", "enum")
    ]

    # Say how many rows are left out
    more = len(table) - len(rows)
    left_out = (
        f"<p>{counted(more, 'more row')} in the dataset (--json, export).</p>" if more else ""
    )
    description = f"<p>{quoted(table.form.description)}</p>"
    return f"<h3>{quoted(name)}</h3>{description}{_table(heads, rows, texts)}{left_out}"


def _configs(numbers: ReportData) -> str:
    """Return what the configs of most images say, by variable, and the years of all images."""
    tables = []
    for variable, meaning in CONFIG_VALUES.items():
        found = said_by_images(numbers.metrics, variable)
        if not found:
            continue

        # Show all years, and of other values those of most images
        most = None if variable == "year" else _MOST_ROWS
        rows = [(escape(value), f"{images:,}") for value, images in list(found.items())[:most]]
        more = len(found) - len(rows)
        left_out = f"<p>{counted(more, 'more row')} in the dataset (--json, export).</p>"
        # What an empty value means is said in its row
        heading = meaning.partition(";")[0]
        table = _table((variable, "images"), rows)
        tables.append(f"<h3>{quoted(heading)}</h3>{table}{left_out if more else ''}")
    return "".join(tables) or "<p>No config of an image is in the dataset.</p>"


def _failures(numbers: ReportData) -> str:
    """Return how many layers have which status, notes and failures."""
    counts = numbers.metrics["value_counts"]
    rows = [
        (f"{what}: {word}", f"{count:,}")
        for what, word, count in zip(
            counts.readable("variable"), counts.readable("value"), counts["count"], strict=True
        )
        if what in ("status", "cause", "stage", "skip_cause", "notes")
    ]
    text = (
        "Status and notes of layers; stage and cause of failures; descriptors that are not "
        "profiled as layers."
    )
    return f"<p>{text}</p>{_table(('', 'number'), rows)}"


def _definitions(texts: dict[str, str]) -> str:
    """Return a list of words and what they mean."""
    return (
        "<dl>"
        + "".join(f"<dt>{quoted(word)}</dt><dd>{quoted(text)}</dd>" for word, text in texts.items())
        + "</dl>"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], texts: Sequence[int] = (0,)) -> str:
    """Return a table whose first column names the rows; a wide one scrolls by itself.

    :param texts: places of the columns with text, which stands to the left.
    """
    kinds = [" class=text" if place in texts else "" for place in range(len(heads))]
    head = "".join(
        f'<th scope="col"{kind}>{quoted(text)}</th>'
        for text, kind in zip(heads, kinds, strict=True)
    )
    lines = []
    for first, *others in rows:
        kind = " class=long" if len(first) > _LONG else kinds[0]
        cells = "".join(map(_cell, others, kinds[1:]))
        lines.append(f'<tr><th scope="row"{kind}>{quoted(first)}</th>{cells}</tr>')
    body = "".join(lines) or f'<tr><td colspan="{len(heads)}" class=text>no rows</td></tr>'
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str, kind: str) -> str:
    """Return a cell; a long text may break anywhere."""
    return f"<td{' class=long' if len(text) > _LONG else kind}>{quoted(text)}</td>"
