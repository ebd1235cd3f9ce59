"""What the same numbers were for Docker Hub in 2017, each with its source; drawn as marks beside a
dataset's own."""

from __future__ import annotations

from dataclasses import dataclass

PAPER = "CLUSTER 2019"
CODE = "the original's code"
README = "the original's README"
DUPHUNTER = "USENIX ATC 2020"

SOURCES = {
    PAPER: "Zhao et al., Large-Scale Analysis of the Docker Hub Dataset, IEEE CLUSTER 2019",
    CODE: "docker-remetrics, the tool behind that paper: constants in its code",
    README: "docker-remetrics, the tool behind that paper: its README",
    DUPHUNTER: "Zhao et al., DupHunter, USENIX ATC 2020 (abstract)",
}


@dataclass(frozen=True)
class Reference:
    """One value of 2017.

    :ivar value: in the unit of what it stands beside.
    :ivar share: on a CDF the share of layers, images or contents that do not exceed it; NaN
    elsewhere.
    """

    text: str
    value: float
    share: float = float("nan")
    source: str = PAPER


DISTRIBUTIONS: dict[str, tuple[Reference, ...]] = {
    "layers/CLS": (
        Reference("half of the layers under 4 MB", 4e6, 0.5),
        Reference("90 % under 63 MB compressed", 63e6, 0.9),
    ),
    "layers/TLS": (Reference("90 % under 177 MB uncompressed", 177e6, 0.9),),
    "layers/FLS_CLS": (Reference("median 2.6", 2.6, 0.5),),
    "layers/images": (Reference("most shared layer: in 184,171 images", 184_171, 1.0, CODE),),
    "images/CLS": (
        Reference("median 17 MB compressed", 17e6, 0.5),
        Reference("90 % under 0.48 GB compressed", 0.48e9, 0.9),
    ),
    "images/TLS": (
        Reference("median 94 MB uncompressed", 94e6, 0.5),
        Reference("90 % under 1.3 GB uncompressed", 1.3e9, 0.9),
    ),
    "images/files": (Reference("median 1,090 files", 1090, 0.5),),
    "images/layers": (
        Reference("half under 8 layers", 8, 0.5),
        Reference("90 % under 18", 18, 0.9),
        Reference("most: 120", 120, 1.0),
    ),
    "images/shared_file_share": (
        Reference("90 % of images: over 99.4 % of their files", 0.994, 0.1),
    ),
    "contents/copies": (
        Reference("most repeated content: 53,654,306 copies", 53_654_306, 1.0, CODE),
    ),
}
"""By distribution."""

TOTALS: dict[str, Reference] = {
    "repositories": Reference("457,627", 457_627),
    "layers": Reference("1,792,609", 1_792_609),
    "files": Reference("5.28 G", 5.28e9),
    "CLS": Reference("47 TB", 47e12),
    "TLS": Reference("167 TB", 167e12),
    "unique_file_share": Reference("3 %", 0.03),
    "redundant_byte_share": Reference("85.69 %", 0.8569),
}
"""By column of the totals."""

CLASS_BYTES = {
    "executables": Reference("37 % of bytes", 0.37),
    "documents": Reference("14 % of bytes", 0.14),
    "archives": Reference("23 % of bytes", 0.23),
}
CLASS_FILES = {
    "executables": Reference("11 % of files", 0.11),
    "documents": Reference("44 % of files", 0.44),
}

DUPHUNTER_RATIO = Reference("up to 6.9 times less storage", 6.9, source=DUPHUNTER)
DOWNLOAD_RATE = Reference("downloader: about 20 MB/s", 20e6, source=README)
ANALYZE_RATE = Reference("analyzer: about 1 s a layer", 1.0, source=README)
