"""Published values for Docker Hub in 2017, each with its source, drawn beside a dataset's own."""

from __future__ import annotations

from dataclasses import dataclass

PAPER = "CLUSTER 2019"
CODE = "code of docker-remetrics"
README = "README of docker-remetrics"
DUPHUNTER = "USENIX ATC 2020"

SOURCES = {
    PAPER: "Zhao et al., Large-Scale Analysis of the Docker Hub Dataset, IEEE CLUSTER 2019",
    CODE: "docker-remetrics, the tool behind that paper: constants in its code",
    README: "docker-remetrics, the tool behind that paper: its README",
    DUPHUNTER: "Zhao et al., DupHunter, USENIX ATC 2020 (abstract)",
}


@dataclass(frozen=True)
class PublishedValue:
    """One published value of 2017.

    :ivar value: in the unit of the metric that it is drawn beside.
    :ivar share: on a CDF, the share of layers, images or contents that do not exceed it; else NaN.
    """

    text: str
    value: float
    share: float = float("nan")
    source: str = PAPER


DISTRIBUTIONS: dict[str, tuple[PublishedValue, ...]] = {
    "layers/CLS": (
        PublishedValue("half of the layers under 4 MB", 4e6, 0.5),
        PublishedValue("90 % under 63 MB compressed", 63e6, 0.9),
    ),
    "layers/TLS": (PublishedValue("90 % under 177 MB uncompressed", 177e6, 0.9),),
    "layers/FLS_CLS": (PublishedValue("median 2.6", 2.6, 0.5),),
    "layers/images": (PublishedValue("maximum 184,171 images", 184_171, 1.0, CODE),),
    "images/CLS": (
        PublishedValue("median 17 MB compressed", 17e6, 0.5),
        PublishedValue("90 % under 0.48 GB compressed", 0.48e9, 0.9),
    ),
    "images/TLS": (
        PublishedValue("median 94 MB uncompressed", 94e6, 0.5),
        PublishedValue("90 % under 1.3 GB uncompressed", 1.3e9, 0.9),
    ),
    "images/files": (PublishedValue("median 1,090 files", 1090, 0.5),),
    "images/layers": (
        PublishedValue("half under 8 layers", 8, 0.5),
        PublishedValue("90 % under 18", 18, 0.9),
        PublishedValue("maximum 120", 120, 1.0),
    ),
    "images/shared_file_share": (
        PublishedValue("90 % of images share over 99.4 % of their files", 0.994, 0.1),
    ),
    "contents/copies": (PublishedValue("maximum 53,654,306 copies", 53_654_306, 1.0, CODE),),
}
"""By distribution."""

TOTALS: dict[str, PublishedValue] = {
    "repositories": PublishedValue("457,627", 457_627),
    "layers": PublishedValue("1,792,609", 1_792_609),
    "files": PublishedValue("5.28 G", 5.28e9),
    "CLS": PublishedValue("47 TB", 47e12),
    "TLS": PublishedValue("167 TB", 167e12),
    "unique_file_share": PublishedValue("3 %", 0.03),
    "redundant_byte_share": PublishedValue("85.69 %", 0.8569),
}
"""By column of the totals."""

CLASS_BYTES = {
    "executables": PublishedValue("37 % of bytes", 0.37),
    "documents": PublishedValue("14 % of bytes", 0.14),
    "archives": PublishedValue("23 % of bytes", 0.23),
}
CLASS_FILES = {
    "executables": PublishedValue("11 % of files", 0.11),
    "documents": PublishedValue("44 % of files", 0.44),
}

DUPHUNTER_RATIO = PublishedValue("up to 6.9 times less storage", 6.9, source=DUPHUNTER)
DOWNLOAD_RATE = PublishedValue("downloader: about 20 MB/s", 20e6, source=README)
ANALYZE_RATE = PublishedValue("analyzer: about 1 s a layer", 1.0, source=README)
