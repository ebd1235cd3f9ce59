"""Datasets and tables as an interpreter or a notebook shows them: as text and as HTML."""

from __future__ import annotations

import textwrap
from html import escape
from typing import TYPE_CHECKING

from ..wording import counted

if TYPE_CHECKING:
    from .reader import Dataset
    from .table import Table

_WIDTH = 100
_INDENT = 31
"""Characters before the names of columns."""


def dataset_text(dataset: Dataset) -> str:
    """Return a line for the dataset, and some for each table: its name, rows and columns."""
    lines = [f"<hpc_remetrics dataset {str(dataset.place)!r}>"]
    for name, table in dataset.items():
        head = f"  {name:<14}{len(table):>14,}"
        lines += textwrap.wrap(
            ", ".join(table.columns),
            _WIDTH,
            initial_indent=f"{head:<{_INDENT}}",
            subsequent_indent=" " * _INDENT,
        )
    if not dataset.has_metrics:
        lines.append("  no metrics: `hpc-remetrics reduce` computes them")
    return "\n".join(lines)


def dataset_html(dataset: Dataset) -> str:
    """Return the tables of a dataset as an HTML table; columns open on a click."""
    rows = []
    for name, table in dataset.items():
        summary = f"<summary>{len(table.columns)}</summary>"
        columns = f"<details>{summary}{_columns_html(table)}</details>"
        rows.append(f"<tr><th>{escape(name)}</th><td>{len(table):,}</td><td>{columns}</td></tr>")
    return (
        f"<b>hpc_remetrics dataset</b> <code>{escape(str(dataset.place))}</code>"
        "<table><thead><tr><th>table</th><th>rows</th><th>columns</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def table_text(table: Table) -> str:
    """Return a line for a table, and one for each column: its type, unit and description."""
    lines = [f"<hpc_remetrics table /{table.form.name}, {counted(len(table), 'row')}>"]
    width = max(14, *map(len, table.columns)) + 2
    for name in table.columns:
        column = table.form.columns[name]
        unit = "" if column.unit == "1" else column.unit
        lines.append(f"  {name:<{width}}{column.type:<12}{unit:<6}{column.description}")
    return "\n".join(lines)


def table_html(table: Table) -> str:
    """Return the columns of a table as an HTML table."""
    head = f"<b>hpc_remetrics table</b> <code>/{escape(table.form.name)}</code>"
    return f"{head}, {counted(len(table), 'row')}{_columns_html(table)}"


def _columns_html(table: Table) -> str:
    rows = []
    for name in table.columns:
        column = table.form.columns[name]
        cells = (column.type, "" if column.unit == "1" else column.unit, column.description)
        values = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        rows.append(f"<tr><th>{escape(name)}</th>{values}</tr>")
    return f"<table><tbody>{''.join(rows)}</tbody></table>"
