"""Definitions of the terms in reports; docs/metrics.md has all of them."""

from __future__ import annotations

DEFINITIONS = {
    "layer": "One blob, named by the SHA-256 of its compressed bytes. A layer counts once, however many images use it.",
    "CLS": "Compressed layer size: bytes of the blob.",
    "TLS": "Tar layer size: bytes of the uncompressed tar.",
    "FLS": "Files layer size: sum of the sizes of the regular files in it.",
    "entry": "One member of a layer's tar: file, directory, link, device, whiteout or opaque marker.",
    "file": "An entry that is a regular file. A hard link counts no bytes; whiteouts are no files.",
    "content": "The bytes of a file, known by their SHA-256. Its copies are the file entries that carry it, over all "
    "layers; all copies but one are redundant.",
    "deduplication ratio": "By count: files / contents. By capacity: bytes of all files / bytes of each content once.",
    "depth": "Parts of an entry's path: ./usr/bin/env has three.",
    "type, group, class": "What libmagic says of a content, reduced to its stable head; types are gathered in groups, "
    "and those in classes, by one table. Every type is in exactly one.",
    "hidden bytes": "Bytes of files that an image ships and that a later layer of it overwrites or removes.",
    "base": "The nearest other image of the dataset, for the same platform, whose layers are the first layers of an image. "
    "It is outdated where the dataset has a newer image of its repository.",
    "step": "An entry of the history in an image's config: the command that made a layer. Its kind follows from its text "
    "by one table of rules. A layer counts once under the kind that most of its images give it.",
    "quantiles": "By nearest rank: the smallest value that at least this share of all values does not exceed.",
}
"""Term -> a sentence."""
