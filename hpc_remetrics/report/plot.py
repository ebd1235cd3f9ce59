"""Figures as files, one a figure and format."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import OutputError
from ..files.publish import replacing
from ..store.dataset import Dataset
from ..store.hdf5 import output_error
from .figures import FIGURES, images
from .numbers import numbers_of


def plot_command(path: Path, folder: Path, chosen: Sequence[int], formats: Sequence[str]) -> int:
    """Draw figures of a dataset into a folder and say which; return the exit code.

    :param chosen: numbers of figures; all if there is none.
    """
    with Dataset(path) as dataset:
        numbers = numbers_of(dataset)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for number in sorted(set(chosen)) or FIGURES:
                figure = FIGURES[number]
                for form, data in images(figure, numbers, formats).items():
                    with replacing(folder / f"{figure.file}.{form}") as temporary:
                        temporary.write_bytes(data)
                print(f"{folder / figure.file}.{{{','.join(formats)}}}: {figure.title}", file=sys.stderr)
        except FileExistsError:
            raise OutputError(f"{folder} is a file", "name a folder with -o") from None
        except OSError as error:
            raise output_error(error, folder, "the figures") from error
        if not numbers.totals["images"]:
            print("the dataset is empty: its figures say so, and nothing else", file=sys.stderr)
    return 0
