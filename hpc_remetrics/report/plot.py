"""Write figures as files, one for each figure and format."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..dataset.reader import Dataset, reading
from ..errors import DatasetError
from ..files.disk_errors import output_error
from ..files.outputs import check_output_directory, check_replaceable
from ..files.publish import write_whole
from ..files.writing import make_directories
from .figures import FIGURES, images
from .figures.data import figure_data, is_figure_data
from .figures.style import Look, is_figure, style
from .report_data import read_report_data

DATA = "csv"
"""Format of the numbers of a figure; the others are those of the figure itself."""


def plot_command(
    path: Path,
    directory: Path,
    chosen: Sequence[int],
    formats: Sequence[str],
    *,
    look: Look,
    has_data: bool = False,
    force: bool = False,
) -> int:
    """Write figures of a dataset to a directory; return the exit code.

    :param chosen: numbers of figures; all if there is none.
    :param has_data: whether the numbers of each figure are written as CSV, too.
    :param force: replace files that are no figures of this program.
    """
    # List the files, and check that they may be written, before the first one is.
    figures = [FIGURES[number] for number in sorted(set(chosen)) or FIGURES]
    endings = [*formats, *([DATA] if has_data else [])]
    targets = [directory / f"{figure.file}.{ending}" for figure in figures for ending in endings]
    _check(directory, targets, path, force)

    # Read the numbers once, and draw figure by figure.
    with Dataset(path) as dataset, reading(dataset), style(formats, look):
        numbers = read_report_data(dataset)
        try:
            make_directories(directory)
            for figure in figures:
                files = images(figure, numbers, formats)
                if has_data:
                    files[DATA] = figure_data(figure, numbers.metrics)
                for ending, data in files.items():
                    write_whole(directory / f"{figure.file}.{ending}", [data])
                name = f"{directory / figure.file}.{{{','.join(endings)}}}"
                print(f"{name}: {figure.title}", file=sys.stderr)
        except DatasetError:
            raise
        except OSError as error:
            raise output_error(error, directory, "the figures") from error
        if not numbers.totals["images"]:
            print("the dataset is empty: its figures say so, and nothing else", file=sys.stderr)
    return 0


def _check(directory: Path, targets: Sequence[Path], dataset: Path, force: bool) -> None:
    """Check that all files may be written, before the first one is."""
    check_output_directory(directory)
    for target in targets:
        is_own = is_figure_data if target.suffix == f".{DATA}" else is_figure
        check_replaceable(target, "figure", is_own, force, [dataset])
