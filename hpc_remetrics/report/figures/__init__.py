"""The figures of a dataset, drawn from its metrics alone.

Matplotlib is loaded when the first one is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...log import escape
from ..report_data import ReportData
from . import (
    of_bases,
    of_dedup,
    of_files,
    of_images,
    of_layers,
    of_run,
    of_steps,
    of_updates,
)


@dataclass(frozen=True)
class Figure:
    """One figure.

    :ivar number: number in the documentation; `slug` is part of the file name.
    :ivar caption: explanation for readers who see the figure for the first time.
    :ivar draw: function that draws it on a matplotlib figure.
    :ivar tables: tables of `/metrics` that it shows; `distributions` likewise.
    :ivar height: inches.
    """

    number: int
    slug: str
    title: str
    caption: str
    draw: Callable[[Any, ReportData], None]
    height: float = 3.4
    distributions: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Return the file's name without its format.

        >>> FIGURES[14].file
        'figure-14-file-deduplication'
        """
        return f"figure-{self.number:02d}-{self.slug}"


_SIZES = ("CLS", "TLS", "FLS")

_ALL = (
    Figure(
        1,
        "layer-sizes",
        "Sizes of layers",
        "CDF and histogram of the size of a layer: its blob (CLS), its uncompressed tar (TLS), and the regular files "
        "in it (FLS). Every layer counts once, however many images use it.",
        of_layers.sizes,
        distributions=tuple(f"layers/{name}" for name in _SIZES),
    ),
    Figure(
        2,
        "layer-compression",
        "Compression of layers",
        "CDF and histogram of the compression ratio of a layer, for the bytes of its files (FLS / CLS) and of its tar "
        "(TLS / CLS). Small files make the second larger, since a tar pads each to 512 bytes.",
        of_layers.ratios,
        distributions=("layers/FLS_CLS", "layers/TLS_CLS"),
    ),
    Figure(
        3,
        "layer-files",
        "Files, directories and depth of layers",
        "CDF and histogram of the regular files and of the distinct directories in a layer, and of the number of parts "
        "of its deepest path.",
        of_layers.files,
        6.4,
        distributions=("layers/files", "layers/directories", "layers/depth"),
    ),
    Figure(
        4,
        "layer-references",
        "How many images use a layer",
        "CDF of the number of images that use a layer, and the layers that most images use, by the first image that "
        "has them.",
        of_layers.references,
        3.8,
        distributions=("layers/images",),
        tables=("top_layers",),
    ),
    Figure(
        5,
        "image-sizes",
        "Sizes of images",
        "CDF and histogram of the sums over an image's layers: compressed (CLS), as tar (TLS), regular files (FLS), "
        "and of both compression ratios.",
        of_images.sizes,
        6.6,
        distributions=(*(f"images/{name}" for name in _SIZES), "images/FLS_CLS", "images/TLS_CLS"),
    ),
    Figure(
        6,
        "image-layers",
        "Layers, files and directories of images",
        "CDF and histogram of the layers of an image as its manifest lists them, and of the files and directories in "
        "them.",
        of_images.layers,
        6.4,
        distributions=("images/layers", "images/files", "images/directories"),
    ),
    Figure(
        7,
        "manifests",
        "Manifests, platforms, media types",
        "How many images have which version of manifest and which platform, and how many layers which media type "
        "and which compression (by their first bytes).",
        of_images.kinds,
        4.6,
        tables=("value_counts",),
    ),
    Figure(
        8,
        "popularity",
        "Popularity of repositories",
        "CDF of the pulls, stars and images of a repository, and the most pulled ones. Pulls and stars are those of "
        "the crawl; a registry other than Docker Hub has none.",
        of_images.popularity,
        3.8,
        distributions=("repositories/pulls", "repositories/stars", "repositories/images"),
        tables=("top_repositories",),
    ),
    Figure(
        9,
        "file-sizes",
        "Sizes of files",
        "CDF and histogram of the size of a regular file: of all files, of contents that one file carries, and of "
        "contents that several carry.",
        of_files.sizes,
        distributions=("files/size", "contents/size_once", "contents/size_repeated"),
    ),
    Figure(
        10,
        "file-copies",
        "Copies of contents",
        "CDF of the number of files, layers and images that carry a content, and the contents that most files carry.",
        of_files.copies,
        3.8,
        distributions=("contents/copies", "contents/layers", "contents/images"),
        tables=("top_contents",),
    ),
    Figure(
        11,
        "file-types",
        "Types of files",
        "Shares of files and of bytes by class, group and type of content and by extension of the name, the mean size "
        "by class, and the kinds of entries. At most twelve rows are drawn.",
        of_files.types,
        9.6,
        tables=("classes", "groups", "types", "extensions", "value_counts"),
    ),
    Figure(
        12,
        "paths",
        "Paths and contents",
        "How many different contents stand at one path over all layers, and at how many paths one content stands: "
        "CDFs, their shares, and the paths with the most contents.",
        of_files.paths,
        6.2,
        distributions=("paths/contents", "contents/paths"),
        tables=("same_path", "top_paths"),
    ),
    Figure(
        13,
        "layer-sharing",
        "Layer sharing",
        "Compressed bytes that a registry stores if every image has its layers for itself, and if each layer is there "
        "once.",
        of_dedup.sharing,
        2.4,
        tables=("what_if",),
    ),
    Figure(
        14,
        "file-deduplication",
        "Deduplication of files",
        "How many files are distinct and how many bytes redundant; the ratio by count (files / contents) and by "
        "capacity (bytes of files / bytes of contents); how much of it lies within one layer and how much between "
        "layers; and for each image the share of its files and bytes that are in another image too.",
        of_dedup.levels,
        6.0,
        distributions=("images/shared_file_share", "images/shared_byte_share"),
        tables=("dedup_levels",),
    ),
    Figure(
        15,
        "deduplication-growth",
        "Growth of deduplication",
        "The deduplication ratio of the first layers of several random orders against their number: each order, "
        "the mean, and the range. Where a curve still rises, a larger crawl would find a higher ratio.",
        of_dedup.growth,
        tables=("growth_summary",),
    ),
    Figure(
        16,
        "deduplication-by-type",
        "Deduplication by type",
        "The ratio by count and by capacity of each class, group and type, and what share of all redundant bytes it "
        "carries. At most twelve rows are drawn.",
        of_dedup.by_type,
        8.4,
        tables=("classes", "groups", "types"),
    ),
    Figure(
        17,
        "deduplication-by-directory",
        "Deduplication by directory",
        "Shares of all redundant bytes and of all bytes by the first one to four parts of a file's directory.",
        of_dedup.by_directory,
        6.4,
        tables=("directories",),
    ),
    Figure(
        18,
        "run",
        "The run",
        "Layers and compressed bytes per second of each rank while it had work, where its time went, and why "
        "layers failed.",
        of_run.run,
        5.6,
        tables=("value_counts",),
    ),
    Figure(
        19,
        "hidden-bytes",
        "Hidden bytes",
        "Bytes that images ship and that nobody sees, because a later layer overwrites or removes the file: their "
        "share of an image, their number, what hides them, and the images with most of them.",
        of_dedup.hidden,
        6.0,
        distributions=(
            "images/hidden_byte_share",
            "images/hidden_bytes",
            "layers/hidden_bytes_max",
        ),
        tables=("hidden", "top_hidden"),
    ),
    Figure(
        20,
        "what-if",
        "What a registry would store",
        "Bytes stored with no sharing, with layers shared, and with each content or chunk once; estimates have their "
        "95 % confidence interval. Compressed bytes are compared with compressed ones, plain with plain.",
        of_dedup.what_if,
        3.6,
        tables=("what_if", "pulls", "samples", "chunks", "estimates"),
    ),
    Figure(
        21,
        "bases",
        "What images have from their bases",
        "The base of an image is the nearest other image of the dataset whose layers its own begin with. CDF of the "
        "share of an image that its base has, the share of all images, the bases of the most images, and whether it is "
        "true what annotations and labels claim about the base.",
        of_bases.inherited,
        6.0,
        distributions=tuple(
            f"images/inherited_{name}_share" for name in ("layers", "files", "FLS", "CLS")
        ),
        tables=("top_bases", "bases"),
    ),
    Figure(
        22,
        "base-ages",
        "How old bases are",
        "CDF of the days from the making of the base to that of its image, and to that of the newest image of the "
        "base's repository, where both dates are known; and how many images stand on a base whose repository has a "
        "newer image in the dataset (outdated), has none (current), or that has no date (undated).",
        of_bases.ages,
        3.6,
        distributions=("images/base_age", "images/base_behind"),
        tables=("value_counts",),
    ),
    Figure(
        23,
        "build-steps",
        "Bytes by build step",
        "Where the bytes of images come from: compressed bytes and bytes of files by the kind of the step that made "
        "the layer, in each image and of each layer once; the bytes that later layers of the image hide; and those "
        "that another file has already.",
        of_steps.steps,
        6.8,
        tables=("steps",),
    ),
    Figure(
        24,
        "updates",
        "What updates pull",
        "Bytes that a client pulls which has the image before, over all pairs of neighbouring images of a repository: "
        "whole images, layers or files that the older image lacks, with the 95 % confidence interval of estimates; and "
        "how these bytes add up over the first updates of all repositories. Layers are compressed, files are not.",
        of_updates.updates,
        3.6,
        tables=("update_totals", "update_growth", "updates"),
    ),
)

FIGURES = {figure.number: figure for figure in _ALL}
"""All figures by number; 1 to 18 are those of the papers."""


def drawn(figure: Figure, numbers: ReportData) -> Any:
    """Draw a figure; draw and save it within `style.style()`."""
    from .style import new_figure

    title = f"{figure.number} · {figure.title}"
    canvas = new_figure(figure.height, title, escape(numbers.name))
    _draw(figure, numbers, canvas)
    return canvas


def _draw(figure: Figure, numbers: ReportData, canvas: Any) -> None:
    """Draw the panels of a figure on a figure or subfigure of matplotlib, as `style.look()` says."""
    from .panels import fit_column, letter
    from .style import look

    figure.draw(canvas, numbers)
    if look().is_narrow:
        fit_column(canvas)
    if look().has_letters:
        letter(canvas)


def draw_in_place(number: int, numbers: ReportData, ax: Any, letters: bool = False) -> Any:
    """Draw a figure where an axes of the user's figure stands, and return its subfigure.

    :param letters: whether panels are called (a), (b), …
    :raises ValueError: the axes are in no grid, so that nothing can take their place.
    """
    from .style import Look, style

    spec = ax.get_subplotspec()
    if spec is None:
        raise ValueError("ax stands in no grid; make it with pyplot.subplots or Figure.subplots")
    parent = ax.figure
    ax.remove()
    part = parent.add_subfigure(spec)
    width = part.bbox.width / parent.dpi
    with style(look=Look(width=width, has_title=False, has_letters=letters)):
        _draw(FIGURES[number], numbers, part)
    return part


def images(figure: Figure, numbers: ReportData, formats: Sequence[str]) -> dict[str, bytes]:
    """Return a figure as files: format (png, svg, pdf) -> bytes; call it within `style.style()`."""
    from .style import encode

    return encode(drawn(figure, numbers), formats)
