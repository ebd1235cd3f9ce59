"""Write figures as files, one for each figure and format."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..dataset.reader import Dataset, reading
from ..files.disk_errors import output_error
from ..files.outputs import check_output_directory, check_replaceable
from ..files.publish import write_whole
from ..files.writing import make_directories
from .figures import FIGURES, images
from .figures.style import is_figure, style
from .report_data import read_report_data


def plot_command(
    path: Path, directory: Path, chosen: Sequence[int], formats: Sequence[str], force: bool = False
) -> int:
    """Write figures of a dataset to a directory; return the exit code.

    :param chosen: numbers of figures; all if there is none.
    :param force: replace files that are no figures of this program.
    """
    figures = [FIGURES[number] for number in sorted(set(chosen)) or FIGURES]
    _check(
        directory,
        [directory / f"{figure.file}.{form}" for figure in figures for form in formats],
        path,
        force,
    )
    with Dataset(path) as dataset, reading(dataset):
        numbers = read_report_data(dataset)
        try:
            make_directories(directory)
            with style(formats):
                for figure in figures:
                    for form, data in images(figure, numbers, formats).items():
                        write_whole(directory / f"{figure.file}.{form}", [data])
                    endings = ",".join(formats)
                    print(
                        f"{directory / figure.file}.{{{endings}}}: {figure.title}", file=sys.stderr
                    )
        except OSError as error:
            raise output_error(error, directory, "the figures") from error
        if not numbers.totals["images"]:
            print("the dataset is empty: its figures say so, and nothing else", file=sys.stderr)
    return 0


def _check(directory: Path, targets: Sequence[Path], dataset: Path, force: bool) -> None:
    """Check that all files may be written, before the first one is."""
    check_output_directory(directory)
    for target in targets:
        check_replaceable(target, "figure", is_figure, force, [dataset])
