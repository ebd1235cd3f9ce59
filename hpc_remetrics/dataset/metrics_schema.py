"""The layout of `/metrics`: every figure's numbers, ready to draw, in tables as those of
`schema.py`.

A table is a group in `/metrics`; its columns are datasets of one value a row. Types as in
`schema.py`, and `f8`: IEEE double, NaN where a ratio has no denominator. Ratios and shares are
plain numbers (0.5, not 50). Nothing here depends on the number of ranks; what does is in `/run`.

A distribution over billions of values is three things, all of them exact: one row of
`distributions` (count, sum, least, median, …), its rows of `quantiles` (the value at chosen
probabilities by nearest rank: the least value that at least this share of all values does not
exceed, which draws the CDF), and its rows of `histograms` (values in each bin, low <= value < high;
the last bin of a share holds 1 too).

Within a version tables, columns and distributions may be added. Anything else is a new version.
"""

from __future__ import annotations

from dataclasses import dataclass

from .schema import Table, parse

METRICS_VERSION = 1
"""Attribute `version` of `/metrics`."""

AMOUNTS = """
    contents        i8                  1       distinct contents
    files           i8                  1       regular files (copies)
    content_bytes   i8                  byte    bytes of the distinct contents
    bytes           i8                  byte    bytes of the regular files
    redundant_bytes i8                  byte    bytes - content_bytes
    mean_size       f8                  byte    bytes / files
    dedup_count     f8                  1       files / contents
    dedup_capacity  f8                  1       bytes / content_bytes
    share_of_files  f8                  1       files / all regular files
    share_of_bytes  f8                  1       bytes / bytes of all regular files
    share_of_redundant_bytes f8         1       redundant_bytes / those of all
"""
"""The columns that stand for `…amounts`: what there is of some files, and how much of it twice."""

METRICS_SCHEMA = """
totals: what there is of everything, and how much of it twice; one row
    repositories            i8              1       repositories
    images                  i8              1       rows of /images
    image_layers            i8              1       rows of /image_layers: layers as the manifests list them
    layers                  i8              1       distinct layers
    layers_ok               i8              1       layers that were read whole
    layers_partial          i8              1       layers with the entries before a fault
    layers_failed           i8              1       layers of which nothing could be read
    CLS                     i8              byte    compressed bytes of the distinct layers
    TLS                     i8              byte    their bytes as uncompressed tar
    FLS                     i8              byte    bytes of the regular files in them
    entries                 i8              1       entries
    files                   i8              1       regular files
    directories             i8              1       directories, each layer's for itself
    symlinks                i8              1       symbolic links
    hardlinks               i8              1       hard links
    devices                 i8              1       devices and FIFOs
    whiteouts               i8              1       whiteouts and opaque markers
    others                  i8              1       entries of a type that no tool extracts
    empty_files             i8              1       regular files of no bytes
    contents                i8              1       distinct contents
    content_bytes           i8              byte    bytes of the distinct contents
    paths                   i8              1       distinct paths of regular files, cleaned
    path_contents           i8              1       distinct pairs of path and content
    image_CLS               i8              byte    sum of CLS over image_layers: compressed bytes with no sharing
    image_TLS               i8              byte    sum of TLS over image_layers
    image_FLS               i8              byte    sum of FLS over image_layers
    image_files             i8              1       sum of files over image_layers
    shared_files            i8              1       of image_files, those whose content is in another image too
    shared_bytes            i8              byte    of image_FLS, those of files whose content is in another image too
    hidden_files            i8              1       of image_files, those that a later layer of their image hides
    hidden_bytes            i8              byte    of image_FLS, those of files that a later layer of their image hides
    sharing_ratio           f8              1       image_CLS / CLS
    compression_FLS         f8              1       FLS / CLS
    compression_TLS         f8              1       TLS / CLS
    dedup_count             f8              1       files / contents
    dedup_capacity          f8              1       FLS / content_bytes
    unique_share            f8              1       contents / files
    redundant_share         f8              1       (FLS - content_bytes) / FLS
    shared_share            f8              1       shared_files / image_files
    hidden_share            f8              1       hidden_bytes / image_FLS

distributions: what is spread over layers, images, contents and so on, in the order of DISTRIBUTIONS
    name            text 64             1       what, as in `layers/CLS`
    of              text 32             1       what is counted: layers, images, repositories, contents, files, paths
    unit            text 16             1       unit of the values
    scale           text 8              1       its bins: log, linear (each one wide) or share (fifty from 0 to 1)
    description     text 255            1       a sentence for people
    count           i8                  1       number of values
    sum             f8                  unit    sum of the values, exact for whole numbers up to 2**53
    mean            f8                  unit    sum / count
    least           f8                  unit    the least value
    median          f8                  unit    quantile at 0.5
    p90             f8                  unit    quantile at 0.9
    p99             f8                  unit    quantile at 0.99
    greatest        f8                  unit    the greatest value
    first_quantile  i8                  row     first of its rows in quantiles
    quantiles       i4                  1       rows in quantiles, 0 where there is no value
    first_bin       i8                  row     first of its rows in histograms
    bins            i4                  1       rows in histograms, from the first bin with a value to the last

quantiles: the values of the distributions at chosen probabilities
    probability     f8                  1       share of the values that do not exceed `value`, rising
    value           f8                  unit    the least value of which that is true; the unit is the distribution's

histograms: the values of the distributions in bins
    low             f8                  unit    least value of the bin; the unit is the distribution's
    high            f8                  unit    upper bound of the bin, not in it but for the last bin of a share
    count           i8                  1       values in the bin
    sum             f8                  unit    their sum

words: how often each word of a closed list occurs, those that do; by `what`, most frequent first
    what            text 32             1       what has it, one of WORDS
    word            text 255            1       the word, as in the dataset's enums
    count           i8                  1       entries, layers, images, failures or things skipped
    bytes           i8                  byte    bytes of what has it, one of WORDS; -1 where that makes no sense

classes: files by class of the taxonomy, most bytes first
    class           text 64             1       class
    …amounts

groups: the same by group within its class, by class as above, most bytes first
    class           text 64             1       class
    group           text 64             1       group
    …amounts

types: the same by type within its group, by class and group as above, most bytes first
    class           text 64             1       class
    group           text 64             1       group
    type            text 1024           1       type
    …amounts

extensions: files by the extension of their name, most files first, then the rest in one row
    extension       text 255            1       what follows the last dot of the name, not the first byte; empty: none
    rest            u1                  1       1 for the row that holds all other extensions
    …amounts

directories: files by the first 1 to 4 parts of their directory; each depth has every file; most first, then the rest
    depth           u1                  1       greatest number of parts
    directory       text 1024           1       the parts, all where a directory has fewer; empty: the root
    rest            u1                  1       1 for the row that holds all other directories of this depth
    …amounts

same_path: same path, different content, and same content, different path
    what            text 32             1       paths_one_content, paths_more_contents, contents_one_path, …
    count           i8                  1       paths or contents
    files           i8                  1       regular files at them, or copies of them
    share           f8                  1       count / all paths or all contents
    share_of_files  f8                  1       files / all regular files

dedup_levels: where duplicates of files are: within one layer, across layers, and both
    level           text 32             1       within_layers, across_layers, all
    files           i8                  1       files that could go
    bytes           i8                  byte    bytes that could go
    share_of_files  f8                  1       files / all regular files
    share_of_bytes  f8                  1       bytes / bytes of all regular files

growth: deduplication of the first layers of several random orders; for each order a row at each number of layers
    order           i4                  1       number of the order, from 0
    layers          i8                  1       the first layers of the order that are looked at
    files           i8                  1       regular files in them
    contents        i8                  1       distinct contents in them
    bytes           i8                  byte    bytes of the files
    content_bytes   i8                  byte    bytes of the distinct contents
    dedup_count     f8                  1       files / contents
    dedup_capacity  f8                  1       bytes / content_bytes

growth_spread: the same over all orders
    layers          i8                  1       number of layers
    count_mean      f8                  1       mean of dedup_count over the orders, as is the rest
    count_least     f8                  1       least dedup_count
    count_greatest  f8                  1       greatest dedup_count
    count_deviation f8                  1       standard deviation of dedup_count (of the sample, n - 1)
    capacity_mean   f8                  1       mean of dedup_capacity
    capacity_least  f8                  1       least dedup_capacity
    capacity_greatest f8                1       greatest dedup_capacity
    capacity_deviation f8               1       standard deviation of dedup_capacity (of the sample, n - 1)

what_if: the bytes that a registry would store, step by step
    scenario        text 32             1       one of SCENARIOS, in their order
    description     text 255            1       a sentence for people
    bytes           f8                  byte    bytes stored, or the estimate of them
    ratio           f8                  1       bytes of no_sharing, or of no_sharing_uncompressed, / bytes
    compressed      u1                  1       1 where bytes are compressed bytes
    estimated       u1                  1       1 where bytes come from a sample
    low             f8                  byte    lower end of the 95 % confidence interval; bytes if exact
    high            f8                  byte    upper end
    sample          text 255            1       what the estimate comes from, empty where nothing is estimated

pulls: what was pulled; a repository's pulls are divided evenly among its images, as a registry counts no more
    what            text 32             1       CLS, FLS, shared_bytes, hidden_bytes: as in totals, by image
    bytes           f8                  byte    sum over the images, each once
    share           f8                  1       bytes / FLS (of CLS: 1)
    pulled_bytes    f8                  byte    sum over the images, each times its pulls
    pulled_share    f8                  1       pulled_bytes / those of FLS (of CLS: 1)

hidden: files that images ship and hide, by what hides them: the lowest layer above that does, first match of HOW
    how             text 32             1       one of HOW
    files           i8                  1       files, each image's for itself
    bytes           i8                  byte    bytes of the files
    share_of_bytes  f8                  1       bytes / image_FLS

top_layers: the layers that most images use
    layer           i8                  row     row in /layers
    digest          digest              1       digest of the layer
    images          i8                  1       rows of /images that use it
    CLS             i8                  byte    compressed layer size
    FLS             i8                  byte    files layer size
    files           i8                  1       regular files
    image           text 1024           1       name of the first image that uses it

top_contents: the contents that most files carry, and those of the most redundant bytes
    by              text 16             1       copies or bytes: which of the two lists
    content         i8                  row     row in /contents
    digest          digest              1       digest of the content
    size            i8                  byte    bytes of it
    copies          i8                  1       regular files that carry it
    layers          i8                  1       layers with it
    images          i8                  1       images with it
    redundant_bytes i8                  byte    (copies - 1) * size
    type            text 1024           1       type
    path            text 1024           1       path of the first file in /entries that carries it

top_paths: the paths with the most different contents
    path            text 1024           1       path
    contents        i8                  1       distinct contents
    files           i8                  1       regular files

top_repositories: the repositories with the most pulls, those with none known left out
    repository      i8                  row     row in /repositories
    name            text 1024           1       name
    pulls           i8                  1       pulls
    stars           i8                  1       stars, -1 unknown
    images          i8                  1       rows of /images

top_hidden: the images that hide the most bytes
    image           i8                  row     row in /images
    name            text 1024           1       name
    FLS             i8                  byte    bytes of the files of its layers
    hidden_files    i8                  1       files that a later layer hides
    hidden_bytes    i8                  byte    bytes of them
    hidden_share    f8                  1       hidden_bytes / FLS

layers: one row a layer, as in /layers
    contents        i8                  1       distinct contents
    content_bytes   i8                  byte    bytes of the distinct contents
    shared_files    i8                  1       regular files whose content is in more than one image
    shared_bytes    i8                  byte    bytes of them
    alone_contents  i8                  1       distinct contents that no other layer has
    alone_bytes     i8                  byte    bytes of those contents: what deleting the layer would free
    hidden_least    i8                  byte    bytes of its files that are hidden in the image where the fewest are
    hidden_most     i8                  byte    bytes of its files that are hidden in the image where the most are
    hides_most      i8                  byte    bytes below that it is first to hide, in the image where the most are

images: one row an image, as in /images; sums over its layers as the manifest lists them
    CLS             i8                  byte    sum of CLS
    TLS             i8                  byte    sum of TLS
    FLS             i8                  byte    sum of FLS
    files           i8                  1       regular files
    directories     i8                  1       directories, each layer's for itself
    shared_files    i8                  1       regular files whose content is in another image too
    shared_bytes    i8                  byte    bytes of them
    hidden_files    i8                  1       files that a later layer hides
    hidden_bytes    i8                  byte    bytes of them

samples: contents that were compressed one by one during the pass; empty where there was no sample
    codec           text 16             1       gzip or zstd
    level           i4                  1       level of compression
    contents        i8                  1       contents in the sample
    bytes           i8                  byte    their bytes
    compressed      i8                  byte    their bytes compressed, each by itself, never more than plain

chunks: what `analyze --chunks` found; empty without it
    method          text 16             1       fixed or cdc
    mean_size       i8                  byte    size of a chunk, for cdc the one aimed at
    chunks          i8                  1       chunks of the distinct contents
    distinct        i8                  1       distinct chunks
    bytes           i8                  byte    bytes of the distinct contents that were cut
    distinct_bytes  i8                  byte    bytes of the distinct chunks

estimates: totals of all repositories, where the crawl was a sample of them; empty where it was none
    name            text 64             1       a column of totals
    sample          f8                  unit    the value in this dataset
    estimate        f8                  unit    the estimate for all
    low             f8                  unit    lower end of the 95 % confidence interval
    high            f8                  unit    upper end
    method          text 255            1       how it was estimated
"""

DISTRIBUTIONS_TEXT = """
layers/CLS              log     byte    compressed layer size
layers/TLS              log     byte    size of the layer as uncompressed tar
layers/FLS              log     byte    size of the layer's regular files
layers/FLS_CLS          log     1       compression ratio FLS / CLS of a layer
layers/TLS_CLS          log     1       compression ratio TLS / CLS of a layer
layers/files            log     1       regular files in a layer
layers/directories      log     1       directories in a layer
layers/depth            linear  1       greatest depth of a path in a layer
layers/images           log     1       images that use a layer
layers/dedup_count      log     1       files / contents within a layer
layers/hidden_most      log     byte    bytes of a layer that are hidden in the image where the most are
images/CLS              log     byte    compressed size of an image's layers
images/TLS              log     byte    size of an image's layers as uncompressed tar
images/FLS              log     byte    size of an image's regular files
images/FLS_CLS          log     1       compression ratio FLS / CLS of an image
images/TLS_CLS          log     1       compression ratio TLS / CLS of an image
images/layers           linear  1       layers of an image
images/files            log     1       regular files in an image's layers
images/directories      log     1       directories in an image's layers
images/shared_files     share   1       share of an image's files that are in another image too
images/shared_bytes     share   1       share of an image's bytes that are in files of another image too
images/hidden_bytes     log     byte    bytes that an image ships and hides
images/hidden_share     share   1       share of an image's bytes that it hides
repositories/pulls      log     1       pulls of a repository
repositories/stars      log     1       stars of a repository
repositories/images     log     1       images of a repository
files/size              log     byte    size of a file, every copy counted
contents/size           log     byte    size of a distinct content
contents/size_once      log     byte    size of a content that one file carries
contents/size_repeated  log     byte    size of a content that more than one file carries
contents/copies         log     1       files that carry a content
contents/layers         log     1       layers that carry a content
contents/images         log     1       images that carry a content
contents/paths          log     1       distinct paths of a content
paths/contents          log     1       distinct contents at a path
paths/files             log     1       files at a path
"""
"""Name, scale, unit, description. Layers that failed are left out of `layers/…`, ratios without a
denominator and unknown pulls and stars of theirs."""


WORDS = {
    "kind": "entries; bytes of regular files",
    "status": "layers; CLS",
    "compression": "layers; CLS",
    "media_type": "layers; CLS",
    "notes": "layers, one for each note they have; CLS",
    "manifest_type": "images; their CLS",
    "platform": "images; their CLS",
    "stage": "failures",
    "cause": "failures",
    "skipped": "things that images hold and that are no layers, by cause; what their descriptors say",
}
"""Values of `what` in `words`: what is counted, and whose bytes."""

SCENARIOS = {
    "no_sharing": "every image stores its layers, compressed",
    "layer_sharing": "every layer is stored once, compressed: what a registry does",
    "no_sharing_uncompressed": "every image stores its regular files, uncompressed",
    "layer_sharing_uncompressed": "every layer's regular files are stored once, uncompressed",
    "file_dedup": "every content is stored once, uncompressed",
    "file_dedup_gzip": "every content is stored once, each compressed by gzip",
    "file_dedup_zstd": "every content is stored once, each compressed by zstd",
    "chunks_fixed": "every chunk of a fixed size is stored once, uncompressed",
    "chunks_cdc": "every content-defined chunk is stored once, uncompressed",
}
"""Values of `scenario` in `what_if`; those that the dataset has no numbers for are left out."""

HOW = {
    "overwritten": "a later layer has an entry at the same path",
    "whiteout": "a later layer has a whiteout of the path or of a directory above it",
    "opaque": "a later layer has an opaque marker in a directory above it",
    "not_a_directory": "a later layer has something else where a directory above it was",
}
"""Values of `how` in `hidden`. A file with hard links in its layer is hidden when the last of its
names is, and by what hides that one."""


@dataclass(frozen=True)
class Kind:
    """A distribution that is stored: `scale` is log, linear (bins of one) or share (fifty bins from
    0 to 1)."""

    name: str
    scale: str
    unit: str
    description: str

    @property
    def of(self) -> str:
        """Return what is counted.

        >>> DISTRIBUTIONS["layers/CLS"].of
        'layers'
        """
        return self.name.partition("/")[0]


_TEXT = METRICS_SCHEMA.replace("    …amounts", AMOUNTS.strip("\n"))
METRICS: dict[str, Table] = {table.name: table for table in parse(_TEXT)}
"""The tables of `/metrics` by name."""

DISTRIBUTIONS = {
    kind.name: kind
    for line in DISTRIBUTIONS_TEXT.strip().splitlines()
    for kind in [Kind(*line.split(maxsplit=3))]
}
"""The distributions by name."""
