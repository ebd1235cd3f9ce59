"""The layout of `/metrics`: its tables, columns and distributions, as one text.

A table is a group in `/metrics`; its columns are datasets of one value a row. Types are those of
`schema.py`; `f8` is NaN where a ratio has no denominator. Ratios and shares are
plain numbers (0.5, not 50). Nothing here depends on the number of ranks; what does is in `/run`.

A distribution over billions of values is three things, all of them exact:

- one row of `distributions`: count, sum, mean, min, median, …, max;
- its rows of `quantiles`: the values at chosen probabilities by nearest rank, which draw the CDF;
- its rows of `histograms`: the values in each bin, low <= value < high. The last bin of a share
  holds 1 too.

Names follow one pattern: `X_min`, `X_max`, `X_mean` and `X_std` summarize X; `is_X` is 0 or 1;
`X_share` is a part of a whole, from 0 to 1; `ci_low` and `ci_high` are the ends of a 95 %
confidence interval.

Within a version tables, columns and distributions may be added. Anything else is a new version.
"""

from __future__ import annotations

from dataclasses import dataclass

from .schema import TableFormat, parse

METRICS_VERSION = 1
"""Attribute `version` of `/metrics`."""

AMOUNTS = """
    contents                 i8                 1       none    distinct contents
    files                    i8                 1       none    regular files (copies)
    content_bytes            i8                 byte    none    bytes of the distinct contents
    bytes                    i8                 byte    none    bytes of the regular files
    redundant_bytes          i8                 byte    none    bytes - content_bytes
    mean_size                f8                 byte    NaN     bytes / files
    dedup_ratio_by_count     f8                 1       NaN     files / contents
    dedup_ratio_by_capacity  f8                 1       NaN     bytes / content_bytes
    share_of_files           f8                 1       NaN     files / all regular files
    share_of_bytes           f8                 1       NaN     bytes / bytes of all regular files
    share_of_redundant_bytes f8                 1       NaN     redundant_bytes / redundant bytes of all regular files
"""
"""The columns that `…amounts` stands for: files, contents, and how much of them is redundant."""

METRICS_SCHEMA = """
totals: counts, bytes and ratios of the whole dataset; one row
    repositories            i8                 1       none    repositories
    images                  i8                 1       none    rows of /images
    undated_images          i8                 1       none    images that say not when they were made, or name a constant before 2013
    image_layers            i8                 1       none    rows of /image_layers: layers as the manifests list them
    layers                  i8                 1       none    distinct layers
    layers_ok               i8                 1       none    layers that were read whole
    layers_partial          i8                 1       none    layers with the entries before a fault
    layers_failed           i8                 1       none    layers of which nothing could be read
    CLS                     i8                 byte    none    compressed bytes of the distinct layers
    TLS                     i8                 byte    none    their bytes as uncompressed tar
    FLS                     i8                 byte    none    bytes of the regular files in them
    entries                 i8                 1       none    entries
    files                   i8                 1       none    regular files
    directories             i8                 1       none    directories, counted in each layer
    symlinks                i8                 1       none    symbolic links
    hardlinks               i8                 1       none    hard links
    devices                 i8                 1       none    devices and FIFOs
    whiteouts               i8                 1       none    whiteouts and opaque markers
    others                  i8                 1       none    entries of a type that no tool extracts
    empty_files             i8                 1       none    regular files without a byte
    contents                i8                 1       none    distinct contents
    content_bytes           i8                 byte    none    bytes of the distinct contents
    paths                   i8                 1       none    distinct paths of regular files, cleaned
    path_contents           i8                 1       none    distinct pairs of path and content
    image_CLS               i8                 byte    none    sum of CLS over image_layers: compressed bytes with no sharing
    image_TLS               i8                 byte    none    sum of TLS over image_layers
    image_FLS               i8                 byte    none    sum of FLS over image_layers
    image_files             i8                 1       none    sum of files over image_layers
    shared_files            i8                 1       none    of image_files, those whose content is in another image too
    shared_bytes            i8                 byte    none    of image_FLS, those of files whose content is in another image too
    hidden_files            i8                 1       none    of image_files, those that a later layer of their image hides
    hidden_bytes            i8                 byte    none    of image_FLS, those of files that a later layer of their image hides
    sharing_ratio           f8                 1       NaN     image_CLS / CLS
    compression_ratio_FLS   f8                 1       NaN     FLS / CLS
    compression_ratio_TLS   f8                 1       NaN     TLS / CLS
    dedup_ratio_by_count    f8                 1       NaN     files / contents
    dedup_ratio_by_capacity f8                 1       NaN     FLS / content_bytes
    unique_file_share       f8                 1       NaN     contents / files
    redundant_byte_share    f8                 1       NaN     (FLS - content_bytes) / FLS
    shared_file_share       f8                 1       NaN     shared_files / image_files
    hidden_byte_share       f8                 1       NaN     hidden_bytes / image_FLS
    images_with_base        i8                 1       none    images whose layers begin with all layers of another image
    images_on_outdated_base i8                 1       none    of these, those whose base's repository has a newer image
    base_images             i8                 1       none    images that are the nearest base of another one
    outdated_bases          i8                 1       none    of these, those whose repository has a newer image
    inherited_layers        i8                 1       none    layers that images have from their bases
    own_layers              i8                 1       none    layers of images above their bases, or of those without one
    inherited_files         i8                 1       none    regular files that images have from their bases
    own_files               i8                 1       none    regular files of images above their bases, or of those without one
    inherited_FLS           i8                 byte    none    bytes of regular files that images have from their bases
    own_FLS                 i8                 byte    none    bytes of regular files of images above their bases, or of those without one
    inherited_CLS           i8                 byte    none    compressed bytes that images have from their bases
    own_CLS                 i8                 byte    none    compressed bytes of images above their bases, or of those without one
    base_share              f8                 1       NaN     images_with_base / images
    outdated_base_share     f8                 1       NaN     images_on_outdated_base / images_with_base
    inherited_CLS_share     f8                 1       NaN     inherited_CLS / image_CLS
    inherited_FLS_share     f8                 1       NaN     inherited_FLS / image_FLS

distributions: summaries of values over layers, images, contents and so on, in the order of DISTRIBUTIONS
    name            text 64                  1       none    name, such as `layers/CLS`
    population      text 32                  1       none    what has one value each: layers, images, repositories, contents, files, paths
    unit            text 16                  1       none    unit of the values
    scale           text 8                   1       none    kind of bins: log, linear (one wide) or share (fifty from 0 to 1)
    description     text 255                 1       none    a sentence for readers
    count           i8                       1       none    number of values
    sum             f8                       unit    NaN     sum of the values, exact for whole numbers up to 2**53
    mean            f8                       unit    NaN     sum / count
    min             f8                       unit    NaN     smallest value
    median          f8                       unit    NaN     quantile at 0.5
    p90             f8                       unit    NaN     quantile at 0.9
    p99             f8                       unit    NaN     quantile at 0.99
    max             f8                       unit    NaN     largest value
    first_quantile  first metrics/quantiles  1       none    first of its rows in quantiles
    quantiles       i4                       1       none    rows in quantiles, 0 where there is no value
    first_bin       first metrics/histograms 1       none    first of its rows in histograms
    bins            i4                       1       none    rows in histograms, from the first bin with a value to the last

quantiles: the values of the distributions at chosen probabilities
    probability     f8                 1       NaN     share of the values that do not exceed `value`, ascending
    value           f8                 unit    NaN     the smallest value that this share does not exceed; the distribution's unit

histograms: the values of the distributions in bins
    low             f8                 unit    NaN     lower bound of the bin, inclusive; the distribution's unit
    high            f8                 unit    NaN     upper bound of the bin, exclusive but for the last bin of a share
    count           i8                 1       none    values in the bin
    sum             f8                 unit    NaN     their sum

value_counts: how often each value of a categorical variable occurs; by `variable`, most frequent first
    variable        text 32            1       none    the variable, one of VALUE_COUNTS
    value           text 255           1       ""      its value, a word of the dataset's enums
    count           i8                 1       none    entries, layers, images, failures or skipped descriptors with it
    bytes           i8                 byte    -1      their bytes, as VALUE_COUNTS says, where that makes sense

config_values: what images say most often about themselves; by `variable`, most images first, years ascending
    variable        text 32            1       none    the variable, one of CONFIG_VALUES
    value           text 1024          1       ""      its value, without what follows its first 1,024 bytes
    images          i8                 1       none    images that have it

classes: files by class of the taxonomy, most bytes first
    class           text 64            1       none    class
    …amounts

groups: files by group within its class, classes in the order above, most bytes first
    class           text 64            1       none    class
    group           text 64            1       none    group
    …amounts

types: files by type within its group, classes and groups in the order above, most bytes first
    class           text 64            1       none    class
    group           text 64            1       none    group
    type            text 1024          1       none    type
    …amounts

extensions: files by the extension of their name, most files first; the last row holds all other extensions
    extension       text 255           1       none    what follows the last dot of the name, unless it begins there; empty: none
    is_other        u1                 1       none    1 for the row that holds all other extensions
    …amounts

directories: files by the first 1 to 4 parts of their directory; each depth has every file, most files first
    depth           u1                 1       none    parts that are kept, 1 to 4
    directory       text 1024          1       none    the parts, all where a directory has fewer; empty: the root
    is_other        u1                 1       none    1 for the last row of a depth, which holds all other directories
    …amounts

same_path: paths with one content or several, and contents at one path or several
    category        text 32            1       none    paths_one_content, paths_several_contents, contents_one_path, …
    count           i8                 1       none    paths or contents
    files           i8                 1       none    regular files at these paths, or copies of these contents
    share           f8                 1       NaN     count / all paths or all contents
    share_of_files  f8                 1       NaN     files / all regular files

dedup_levels: redundant copies of files within one layer, across layers, and in all
    level           text 32            1       none    within_layers, across_layers, all
    files           i8                 1       none    redundant files
    bytes           i8                 byte    none    redundant bytes
    share_of_files  f8                 1       NaN     files / all regular files
    share_of_bytes  f8                 1       NaN     bytes / bytes of all regular files

growth: deduplication of the first n layers of several random orders; a row for each order and n
    order                   i4                 1       none    number of the order, from 0
    layers                  i8                 1       none    number of layers, n
    files                   i8                 1       none    regular files in them
    contents                i8                 1       none    distinct contents in them
    bytes                   i8                 byte    none    bytes of the files
    content_bytes           i8                 byte    none    bytes of the distinct contents
    dedup_ratio_by_count    f8                 1       NaN     files / contents
    dedup_ratio_by_capacity f8                 1       NaN     bytes / content_bytes

growth_summary: deduplication of the first n layers, summarized over the random orders
    layers                       i8                 1       none    number of layers, n
    dedup_ratio_by_count_mean    f8                 1       NaN     mean over the orders
    dedup_ratio_by_count_min     f8                 1       NaN     minimum over the orders
    dedup_ratio_by_count_max     f8                 1       NaN     maximum over the orders
    dedup_ratio_by_count_std     f8                 1       NaN     sample standard deviation over the orders (n - 1)
    dedup_ratio_by_capacity_mean f8                 1       NaN     mean over the orders
    dedup_ratio_by_capacity_min  f8                 1       NaN     minimum over the orders
    dedup_ratio_by_capacity_max  f8                 1       NaN     maximum over the orders
    dedup_ratio_by_capacity_std  f8                 1       NaN     sample standard deviation over the orders (n - 1)

what_if: the bytes that a registry would store in several scenarios
    scenario        text 32            1       none    one of SCENARIOS, in their order
    description     text 255           1       none    a sentence for readers
    bytes           f8                 byte    NaN     bytes stored, or an estimate of them
    ratio           f8                 1       NaN     bytes of no_sharing, or of no_sharing_uncompressed, / bytes
    is_compressed   u1                 1       none    1 where bytes are compressed bytes
    is_estimated    u1                 1       none    1 where bytes are estimated from a sample
    ci_low          f8                 byte    NaN     lower end of the 95 % confidence interval; bytes if exact
    ci_high         f8                 byte    NaN     upper end of the 95 % confidence interval; bytes if exact
    estimated_from  text 255           1       ""      the sample that the estimate comes from, where it is one

pulls: totals weighted by pulls; each image gets an equal part of the pulls of its repository
    quantity        text 32            1       none    CLS, FLS, shared_bytes, hidden_bytes: as in totals, by image
    bytes           f8                 byte    NaN     sum over the images
    share           f8                 1       NaN     bytes / FLS (of CLS: 1)
    pulled_bytes    f8                 byte    NaN     sum over the images, each times its pulls
    pulled_share    f8                 1       NaN     pulled_bytes / pulled_bytes of FLS (of CLS: 1)

hidden: files that images ship and hide, by cause: the lowest layer above that hides the file, first match of HIDDEN_BY
    cause           text 32            1       none    one of HIDDEN_BY
    files           i8                 1       none    files, counted in each image
    bytes           i8                 byte    none    bytes of the files
    share_of_bytes  f8                 1       NaN     bytes / image_FLS

top_layers: the layers that most images use
    layer           row layers         1       none    the layer
    digest          digest             1       none    digest of the layer
    images          i8                 1       none    rows of /images that use it
    CLS             i8                 byte    none    compressed layer size
    FLS             i8                 byte    none    files layer size
    files           i8                 1       none    regular files
    image           text 1024          1       none    name of the first image that uses it

top_contents: the contents with the most copies, and those with the most redundant bytes
    ranked_by       text 16            1       none    copies or redundant_bytes: which of the two lists
    content         row contents       1       none    the content
    digest          digest             1       none    digest of the content
    size            i8                 byte    none    bytes of the content
    copies          i8                 1       none    regular files that have it
    layers          i8                 1       none    layers that have it
    images          i8                 1       none    images that have it
    redundant_bytes i8                 byte    none    (copies - 1) * size
    type            text 1024          1       none    type
    path            text 1024          1       ""      path of the first file in /entries that has it

top_paths: the paths with the most different contents
    path            text 1024          1       none    path
    contents        i8                 1       none    distinct contents
    files           i8                 1       none    regular files

top_repositories: the repositories with the most pulls; those whose pulls are unknown are left out
    repository      row repositories   1       none    the repository
    name            text 1024          1       none    name
    pulls           i8                 1       none    pulls
    stars           i8                 1       -1      stars, where they are known
    images          i8                 1       none    rows of /images

top_hidden: the images that hide the most bytes
    image             row images         1       none    the image
    name              text 1024          1       none    name
    FLS               i8                 byte    none    bytes of the files of its layers
    hidden_files      i8                 1       none    files that a later layer hides
    hidden_bytes      i8                 byte    none    bytes of these files
    hidden_byte_share f8                 1       NaN     hidden_bytes / FLS

layers: one row a layer, as in /layers
    contents           i8                 1       none    distinct contents
    content_bytes      i8                 byte    none    bytes of the distinct contents
    shared_files       i8                 1       none    regular files whose content is in more than one image
    shared_bytes       i8                 byte    none    bytes of these files
    exclusive_contents i8                 1       none    distinct contents that no other layer has
    exclusive_bytes    i8                 byte    none    bytes of these contents: what deleting the layer would free
    redundant_files    i8                 1       none    regular files but one of each content that no layer before this one has
    redundant_bytes    i8                 byte    none    bytes of these files
    hidden_bytes_min   i8                 byte    none    bytes of its files that are hidden, in the image where the fewest are
    hidden_bytes_max   i8                 byte    none    bytes of its files that are hidden, in the image where the most are
    hides_bytes_max    i8                 byte    none    bytes of lower layers that it hides first, in the image with the most

images: one row an image, as in /images; sums over its layers as the manifest lists them
    CLS             i8                 byte    none    sum of CLS
    TLS             i8                 byte    none    sum of TLS
    FLS             i8                 byte    none    sum of FLS
    files           i8                 1       none    regular files
    directories     i8                 1       none    directories, counted in each layer
    shared_files    i8                 1       none    regular files whose content is in another image too
    shared_bytes    i8                 byte    none    bytes of these files
    hidden_files    i8                 1       none    files that a later layer hides
    hidden_bytes    i8                 byte    none    bytes of these files

steps: images and layers by the kind of the step that made them; sums are those of totals, most bytes of images first
    kind                     enum step_kind 1       none    kind of step, one of STEP_KINDS
    steps                    i8             1       none    rows of /history, with and without a layer
    images                   i8             1       none    images with such a layer
    image_layers             i8             1       none    layers of images
    image_files              i8             1       none    regular files in them
    image_FLS                i8             byte    none    bytes of these files
    image_CLS                i8             byte    none    compressed bytes of these layers
    hidden_bytes             i8             byte    none    of image_FLS, those of files that a later layer of their image hides
    layers                   i8             1       none    distinct layers, each under the kind that most of its images give it
    files                    i8             1       none    regular files in them
    FLS                      i8             byte    none    bytes of these files
    CLS                      i8             byte    none    compressed bytes of these layers
    redundant_bytes          i8             byte    none    of FLS, what an earlier layer or the same one has already, see layers
    share_of_image_FLS       f8             1       NaN     image_FLS / image_FLS of all kinds
    share_of_image_CLS       f8             1       NaN     image_CLS / image_CLS of all kinds
    share_of_hidden_bytes    f8             1       NaN     hidden_bytes / hidden_bytes of all kinds
    share_of_FLS             f8             1       NaN     FLS / FLS of all kinds
    share_of_CLS             f8             1       NaN     CLS / CLS of all kinds
    share_of_redundant_bytes f8             1       NaN     redundant_bytes / redundant_bytes of all kinds
    hidden_byte_share        f8             1       NaN     hidden_bytes / image_FLS
    redundant_byte_share     f8             1       NaN     redundant_bytes / FLS

image_steps: the layers of each image by the kind of the step that made them; by image, then by kind
    image           row images         1       none    the image
    kind            enum step_kind     1       none    kind of step
    layers          i4                 1       none    rows in /image_layers
    files           i8                 1       none    regular files in them
    FLS             i8                 byte    none    bytes of these files
    CLS             i8                 byte    none    compressed bytes of these layers
    hidden_bytes    i8                 byte    none    of FLS, those of files that a later layer of the image hides

samples: contents that were compressed one by one while layers were read; empty where there was no sample
    codec            text 16            1       none    gzip or zstd
    level            i4                 1       none    level of compression
    contents         i8                 1       none    contents in the sample
    bytes            i8                 byte    none    their bytes
    compressed_bytes i8                 byte    none    their bytes compressed, each by itself, never more than uncompressed

chunks: chunks that `analyze --chunks` cut contents into; empty without it
    method          text 16            1       none    fixed or cdc
    target_size     i8                 byte    none    size of a chunk; for cdc the mean that it aims at
    chunks          i8                 1       none    chunks of the distinct contents
    distinct_chunks i8                 1       none    distinct chunks
    bytes           i8                 byte    none    bytes of the distinct contents that were cut
    distinct_bytes  i8                 byte    none    bytes of the distinct chunks

bases: images with a base, the nearest other image whose layers theirs begin with, and those that claim one; in the order of /images
    image            row images         1       none    the image
    base             row images         1       -1      its base
    inherited_layers i8                 1       none    layers that it has from its base
    own_layers       i8                 1       none    its other layers
    inherited_files  i8                 1       none    regular files that it has from its base
    own_files        i8                 1       none    its other regular files
    inherited_FLS    i8                 byte    none    bytes of regular files that it has from its base
    own_FLS          i8                 byte    none    its other bytes of regular files
    inherited_CLS    i8                 byte    none    compressed bytes that it has from its base
    own_CLS          i8                 byte    none    its other compressed bytes
    age              f8                 day     NaN     days from `created` of the base to that of the image; negative where the base is younger
    newer            row images         1       -1      the newest image of the base's repository and platform, if it is newer than the base
    behind           f8                 day     NaN     days from `created` of the base to that of `newer`
    claim            enum base_claim    1       none    what becomes of its claim, by annotations or labels, to be built on an image
    claimed          row images         1       -1      the image that it claims as its base
    claimed_name     text 512           1       ""      name of the base that it claims, unless that is invalid
    claimed_digest   text 512           1       ""      digest of the base that it claims, unless that is invalid

top_bases: the images that are the nearest base of most images
    base             row images         1       none    the base
    name             text 1024          1       none    its name
    images           i8                 1       none    images that have it as their nearest base
    inherited_files  i8                 1       none    regular files that these have from it
    inherited_FLS    i8                 byte    none    bytes of these files
    inherited_CLS    i8                 byte    none    compressed bytes that these have from it
    behind           f8                 day     NaN     days from its `created` to that of the newest image of its repository

updates: pairs of an older and a newer image, and what a client with the older one pulls for the newer one
    repository       row repositories   1       none    repository of the newer image
    old              row images         1       none    the image that the client has
    new              row images         1       none    the image that it pulls
    update           i8                 1       none    number of the pair among those of its repository and platform, from 1
    layers           i8                 1       none    distinct layers of the newer image that the older one lacks
    layer_bytes      i8                 byte    none    CLS of these layers: what a pull by layer transfers, without manifest and config
    image_layers     i8                 1       none    distinct layers of the newer image
    image_bytes      i8                 byte    none    CLS of these: what a client without any image pulls
    image_FLS        i8                 byte    none    FLS of these: the same by file, uncompressed
    unread_layers    i8                 1       none    layers of both images that were not read whole; their contents are not known, or not all
    contents         i8                 1       none    distinct contents in the layers of the newer image that no layer of the older one has
    content_bytes    i8                 byte    none    bytes of these contents: what a pull by file transfers uncompressed
    sampled_contents i8                 1       none    of these contents, those that were compressed one by one
    gzip             f8                 byte    NaN     bytes of these contents compressed by gzip, each by itself; NaN where too few were
    gzip_ci_low      f8                 byte    NaN     lower end of the 95 % confidence interval; gzip if exact
    gzip_ci_high     f8                 byte    NaN     upper end of the 95 % confidence interval; gzip if exact
    zstd             f8                 byte    NaN     bytes of these contents compressed by zstd, each by itself; NaN where too few were
    zstd_ci_low      f8                 byte    NaN     lower end of the 95 % confidence interval; zstd if exact
    zstd_ci_high     f8                 byte    NaN     upper end of the 95 % confidence interval; zstd if exact
    sampled_chunks   i8                 1       none    chunks in the sample of the command `updates` that the newer image has and the older one lacks
    chunks           f8                 byte    NaN     bytes of all such chunks; NaN without `updates`, or where too few are in the sample
    chunks_ci_low    f8                 byte    NaN     lower end of the 95 % confidence interval; chunks if exact
    chunks_ci_high   f8                 byte    NaN     upper end of the 95 % confidence interval; chunks if exact
    sampled_deltas   i8                 1       none    of the contents, those that `updates` compressed as a difference
    delta            f8                 byte    NaN     bytes of the contents as zstd patches; NaN without `updates`, or where too few are in the sample
    delta_ci_low     f8                 byte    NaN     lower end of the 95 % confidence interval; delta if exact
    delta_ci_high    f8                 byte    NaN     upper end of the 95 % confidence interval; delta if exact

update_totals: what all pairs of `updates` pull together, by method
    method           text 32            1       none    one of UPDATE_METHODS, in their order
    description      text 255           1       none    a sentence for readers
    bytes            f8                 byte    NaN     bytes pulled, or an estimate of them
    share            f8                 1       NaN     bytes / bytes of images, or of images_uncompressed
    is_compressed    u1                 1       none    1 where bytes are compressed bytes
    ci_low           f8                 byte    NaN     lower end of the 95 % confidence interval; bytes if exact
    ci_high          f8                 byte    NaN     upper end of the 95 % confidence interval; bytes if exact
    is_estimated     u1                 1       none    1 where bytes are estimated from a sample

update_growth: what the first n updates of every repository and platform pull together; a row for each n
    updates          i8                 1       none    number of updates, n
    pairs            i8                 1       none    pairs of `updates` among the first n
    image_bytes      i8                 byte    none    sum of image_bytes over them
    layer_bytes      i8                 byte    none    sum of layer_bytes
    content_bytes    i8                 byte    none    sum of content_bytes

estimates: totals of all repositories, where the crawl was a sample of them; else empty
    name            text 64            1       none    a column of totals
    sample_value    f8                 unit    NaN     the value in this dataset
    estimate        f8                 unit    NaN     the estimate for all repositories
    ci_low          f8                 unit    NaN     lower end of the 95 % confidence interval
    ci_high         f8                 unit    NaN     upper end of the 95 % confidence interval
    method          text 255           1       none    how it was estimated
"""

DISTRIBUTIONS_TEXT = """
layers/CLS                  log     byte    compressed layer size
layers/TLS                  log     byte    size of the layer as uncompressed tar
layers/FLS                  log     byte    size of the layer's regular files
layers/FLS_CLS              log     1       compression ratio FLS / CLS of a layer
layers/TLS_CLS              log     1       compression ratio TLS / CLS of a layer
layers/files                log     1       regular files in a layer
layers/directories          log     1       directories in a layer
layers/depth                linear  1       maximum depth of a path in a layer
layers/images               log     1       images that use a layer
layers/dedup_ratio_by_count log     1       files / contents within a layer
layers/hidden_bytes_max     log     byte    hidden bytes of a layer, in the image where the most are
images/CLS                  log     byte    compressed size of an image's layers
images/TLS                  log     byte    size of an image's layers as uncompressed tar
images/FLS                  log     byte    size of an image's regular files
images/FLS_CLS              log     1       compression ratio FLS / CLS of an image
images/TLS_CLS              log     1       compression ratio TLS / CLS of an image
images/layers               linear  1       layers of an image
images/files                log     1       regular files in an image's layers
images/directories          log     1       directories in an image's layers
images/shared_file_share    share   1       share of an image's files that are in another image too
images/shared_byte_share    share   1       share of an image's bytes that are in files of another image too
images/hidden_bytes         log     byte    bytes of an image that later layers hide
images/hidden_byte_share    share   1       share of an image's bytes that later layers hide
images/inherited_layers_share share   1       share of an image's layers that its base has
images/inherited_files_share  share   1       share of an image's files that its base has
images/inherited_FLS_share    share   1       share of an image's bytes of files that its base has
images/inherited_CLS_share    share   1       share of an image's compressed bytes that its base has
images/base_age             log     day     age of the base when the image was made
images/base_behind          log     day     from the base to the newest image of its repository
repositories/pulls          log     1       pulls of a repository
repositories/stars          log     1       stars of a repository
repositories/images         log     1       images of a repository
files/size                  log     byte    size of a file, every copy counted
contents/size               log     byte    size of a distinct content
contents/size_once          log     byte    size of a content that one file has
contents/size_repeated      log     byte    size of a content that more than one file has
contents/copies             log     1       files that have a content
contents/layers             log     1       layers that have a content
contents/images             log     1       images that have a content
contents/paths              log     1       distinct paths of a content
paths/contents              log     1       distinct contents at a path
paths/files                 log     1       files at a path
"""
"""Name, scale, unit, description. Failed layers are left out of `layers/…`, ratios without a
denominator and unknown pulls and stars of the others. Those about bases are of the images that have
one; a base that is younger than its image has no age."""


VALUE_COUNTS = {
    "kind": "entries; bytes of regular files",
    "status": "layers; CLS",
    "compression": "layers; CLS",
    "media_type": "layers; CLS",
    "notes": "layers, one for each note they have; CLS",
    "manifest_type": "images; their CLS",
    "platform": "images; their CLS",
    "stage": "failures",
    "cause": "failures",
    "base": "images by their base: current, outdated, undated or none; their CLS",
    "base_claim": "images by what becomes of their claim about their base; their CLS",
    "skip_cause": "descriptors in images that are not profiled as layers; sizes that they state",
}
"""Values of `variable` in `value_counts`: what is counted, and whose bytes are summed."""

CONFIG_VALUES = {
    "year": "years in which images were created; empty where an image has no date",
    "label": "keys of labels",
    "entrypoint": "entrypoints as JSON; empty: none",
    "cmd": "commands as JSON; empty: none",
    "user": "users that the process runs as; empty: root",
    "port": "exposed ports",
    "secret": "kinds of secrets that were replaced in the config",
}
"""Values of `variable` in `config_values`, in their order: what their values are. The 100 that most
images have are listed, and all years; of equals that of the first config or label comes first."""

SCENARIOS = {
    "no_sharing": "every image stores its layers, compressed",
    "layer_sharing": "every layer is stored once, compressed, as registries do",
    "no_sharing_uncompressed": "every image stores its regular files, uncompressed",
    "layer_sharing_uncompressed": "every layer's regular files are stored once, uncompressed",
    "file_dedup": "every content is stored once, uncompressed",
    "file_dedup_gzip": "every content is stored once, each compressed by gzip",
    "file_dedup_zstd": "every content is stored once, each compressed by zstd",
    "chunks_fixed": "every chunk of a fixed size is stored once, uncompressed",
    "chunks_cdc": "every content-defined chunk is stored once, uncompressed",
}
"""Values of `scenario` in `what_if`; a scenario that the dataset has no data for is left out."""

UPDATE_METHODS = {
    "images": "every layer of the newer image is pulled, compressed",
    "layers": "layers that the older image lacks are pulled, compressed, as registries do",
    "images_uncompressed": "every file of the newer image is pulled, uncompressed",
    "files": "contents that the older image lacks are pulled, uncompressed",
    "files_gzip": "contents that the older image lacks are pulled, each compressed by gzip",
    "files_zstd": "contents that the older image lacks are pulled, each compressed by zstd",
    "chunks": "chunks that the older image lacks are pulled, cut by content, uncompressed",
    "delta": "contents that the older image lacks are pulled as patches of the file at their path",
}
"""Values of `method` in `update_totals`; a method that the dataset has no data for is left out."""

HIDDEN_BY = {
    "overwritten": "a later layer has an entry at the same path",
    "whiteout": "a later layer has a whiteout of the path or of a directory above it",
    "opaque": "a later layer has an opaque marker in a directory above it",
    "not_a_directory": "a later layer has something else where a directory above it was",
}
"""Values of `cause` in `hidden`. A file with hard links in its layer is hidden when the last of its
names is, and the cause is that of this name."""


@dataclass(frozen=True)
class DistributionForm:
    """A distribution that is stored.

    :ivar scale: log, linear (bins of one) or share (fifty bins from 0 to 1).
    """

    name: str
    scale: str
    unit: str
    description: str

    @property
    def population(self) -> str:
        """Return what is counted.

        >>> DISTRIBUTIONS["layers/CLS"].population
        'layers'
        """
        return self.name.partition("/")[0]


_TEXT = METRICS_SCHEMA.replace("    …amounts", AMOUNTS.strip("\n"))
METRICS: dict[str, TableFormat] = {table.name: table for table in parse(_TEXT)}
"""The tables of `/metrics` by name."""

DISTRIBUTIONS = {
    form.name: form
    for line in DISTRIBUTIONS_TEXT.strip().splitlines()
    for form in [DistributionForm(*line.split(maxsplit=3))]
}
"""The distributions by name."""
