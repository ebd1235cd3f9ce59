"""The style sheet of the HTML page: light and dark, on wide and narrow screens, on paper."""

from __future__ import annotations

from pathlib import Path

from .. import __version__

_MARK = '<meta name="generator" content="hpc_remetrics'
MARK = f'{_MARK} {__version__}">'
"""Element of a page by which this program knows its pages."""

_MARK_WITHIN = 4096
"""Bytes at the beginning of a page that hold the mark."""


def is_page(path: Path) -> bool:
    """Return whether this program made a file as a page."""
    with open(path, "rb") as file:
        return _MARK.encode() in file.read(_MARK_WITHIN)


STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --ground: #ffffff; --soft: #f2f2f2; --line: #cccccc;
  --link: #00539f; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --ground: #121212; --soft: #1f1f1f; --line: #444444; --link: #8ab8ff; }
  figure img { filter: invert(1) hue-rotate(180deg); }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; color: var(--text); background: var(--ground);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; } h3 { font-size: 1rem; margin-bottom: 0.3rem; }
a { color: var(--link); }
nav { background: var(--soft); padding: 0.5rem 1rem; }
nav ul { columns: 16rem; margin: 0; padding-left: 1rem; }
section { border-top: 1px solid var(--line); margin-top: 2rem; }
figure { margin: 0; }
figure img { display: block; width: 100%; height: auto; }
figcaption, dd { max-width: 45rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.6rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th, td { overflow-wrap: normal; }
td { white-space: nowrap; }
.text, .long { text-align: left; }
.long { overflow-wrap: anywhere; white-space: normal; min-width: 14rem; }
th[scope=row] { font-weight: normal; min-width: 9rem; }
thead th { background: var(--soft); }
dt { font-weight: bold; margin-top: 0.5rem; }
summary { cursor: pointer; color: var(--link); padding: 0.5rem 0; }
@media print { nav, details { display: none; } section { break-inside: avoid; } }
"""
