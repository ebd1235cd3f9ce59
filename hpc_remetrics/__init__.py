"""Profile every layer and file of many container images, in parallel, into one HDF5 dataset."""

from typing import TYPE_CHECKING, Any

from .errors import DatasetError as DatasetError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from .dataset.reader import Dataset

__version__ = "0.1.0"


def open(where: "str | Path | BinaryIO") -> "Dataset":
    """Open a dataset for reading: tables as numpy, pandas or Arrow, read when they are asked for.

    >>> with open("remetrics.h5") as data:
    ...     names = data.images.readable("name")
    ...     sizes = data.layers["CLS"]
    ...     first = data.entries.frame(["layer", "kind", "path"], stop=2)
    ...     contents = data.contents.arrow(["digest", "size"])
    ...     totals = data.metrics.totals
    >>> names[0], sizes.dtype, bool(sizes.sum() == totals["CLS"])
    ('demo/all:1', dtype('int64'), True)
    >>> first.kind.tolist()
    ['directory', 'directory']
    >>> contents.column_names, contents["digest"][0].as_py()[:7]
    (['digest', 'size'], 'sha256:')

    :param where: a path, a file object that can seek, or a URL that fsspec knows, such as
        `s3://BUCKET/hub.h5` or `https://…`; of a URL only what is asked for is fetched.
    :raises DatasetError: the file is missing, damaged, or no dataset of this version.
    :raises MissingComponentError: what reads such a URL is not installed.
    """
    from .dataset.reader import Dataset

    return Dataset(where)


def plot(data: "Dataset", figure: int, ax: Any = None, letters: bool = False) -> Any:
    """Draw a figure of docs/figures.md with matplotlib, and return the figure.

    >>> with open("remetrics.h5") as data:
    ...     drawn = plot(data, 14)
    >>> drawn.savefig("dedup.pdf")

    :param figure: its number.
    :param ax: axes of a figure of yours, made with `subplots(layout="constrained")`: the figure
        takes their place, and the subfigure that it has become is returned.
    :param letters: call the panels (a), (b), …
    :raises ValueError: there is no such figure, or `ax` stands in no grid.
    :raises DatasetError: the dataset has no metrics.
    """
    from .report.figures import FIGURES, draw_in_place, drawn
    from .report.figures.style import Look, style
    from .report.report_data import read_report_data

    if figure not in FIGURES:
        raise ValueError(f"there is no figure {figure}, there are {min(FIGURES)} to {max(FIGURES)}")
    numbers = read_report_data(data)
    if ax is not None:
        return draw_in_place(figure, numbers, ax, letters)
    with style(look=Look(has_title=False, has_letters=letters)):
        return drawn(FIGURES[figure], numbers)


def path_bytes(text: str) -> bytes:
    r"""Return the bytes of a path that frames, Arrow tables and exports show as a string.

    >>> path_bytes(r"caf\xe9\\n")
    b'caf\xe9\\n'
    """
    from .dataset.text_values import path_bytes

    return path_bytes(text)
