"""Print the numbers of datasets and plans: as pages, as figures and as JSON."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..dataset.reader import Dataset


_NO_RUN = "when, on what and by which version it was made is unknown: the file has no /run"


def report_command(path: Path, as_json: bool, html: Path | None = None, force: bool = False) -> int:
    """Print the numbers of a dataset as a page or as JSON; return the exit code.

    Of a dataset without metrics only totals are shown.

    :param html: write them to this file instead, with the figures, as an HTML page.
    :param force: replace a file that is no such page.
    """
    from ..dataset.reader import Dataset, reading

    if html is not None:
        _check_html(html, path, force)
    with Dataset(path) as dataset, reading(dataset):
        if html is not None:
            _write_html(dataset, html)
        elif as_json:
            print(json.dumps(_numbers(dataset), indent=2, allow_nan=False))
        else:
            print(_page(dataset, str(path)))
    return 0


def _check_html(target: Path, dataset: Path, force: bool) -> None:
    from ..files.outputs import check_replaceable
    from .page_style import is_page

    check_replaceable(target, "page", is_page, force, [dataset])


def _write_html(dataset: Dataset, target: Path) -> None:
    from ..files.disk_errors import output_error
    from ..files.publish import write_whole
    from ..files.writing import make_directories
    from .html import html

    page = html(dataset)
    try:
        make_directories(target.parent)
        write_whole(target, [page.encode("utf-8", "backslashreplace")])
    except OSError as error:
        raise output_error(error, target, "the page") from error
    print(f"{target}: {len(page) / 1e6:.1f} MB", file=sys.stderr)


def _numbers(dataset: Dataset) -> dict[str, Any]:
    from ..summaries.jobs import run_totals
    from ..summaries.totals import totals
    from .as_json import metrics_as_json

    jobs = run_totals(dataset)
    # Null, not zeros, where nothing is known of the jobs
    run = dataclasses.asdict(jobs) if jobs.jobs else None
    found = {**dataclasses.asdict(totals(dataset)), "run": run}
    return found | ({"metrics": metrics_as_json(dataset.metrics)} if dataset.has_metrics else {})


def _page(dataset: Dataset, name: str) -> str:
    from ..summaries.jobs import run_totals
    from ..summaries.totals import totals
    from . import run_section, summary
    from .text import page

    return "\n".join(
        [
            page(totals(dataset), name),
            *summary.section(dataset),
            *run_section.section(run_totals(dataset)),
            *([] if dataset.has_run else ["", _NO_RUN]),
        ]
    )
