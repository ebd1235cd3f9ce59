"""The files that the 2017 tool, docker-remetrics, wrote, for the scripts that read them.

Shapes and names are its analyzer's; the numbers are this program's, without its faults: `sha256` is
a SHA-256; every directory stands once (the layer's root as "/" if it is an entry, as "" if it only
has files); links, devices and FIFOs are there, hard links have their content. `st_atime` and
`st_ctime` are null, since a tar has none. A blob is named as its downloader named it,
`sha256-HEX-TIME`, with the time of the run.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset.flat_contents import FlatContents
from ..dataset.reader import Dataset
from ..errors import UsageError
from ..files.outputs import FORCE
from ..files.publish import write_whole
from ..files.writing import make_directories
from ..records import KINDS
from ..tar.paths import clean

_LISTS = {
    "list_less_50m": 50 << 20,
    "list_less_1g": 1 << 30,
    "list_less_2g": 2 << 30,
    "list_bigger_2g": None,
}
"""Name -> greatest size; its job divider counted in powers of two."""

_VERSIONS = {"docker_schema1": "schema1"}
_STAT_TYPES = {
    "file": "REGTYPE",
    "hardlink": "REGTYPE",
    "symlink": "SYMTYPE",
    "fifo": "FIFOTYPE",
    "character_device": "CHRTYPE",
    "block_device": "BLKTYPE",
    "other": "Unknown",
}
"""Kinds that are listed; directories have entries of their own, whiteouts are no files."""

_KIND = {number: word for word, number in KINDS.items()}


_DIRECTORIES = ("layer_db_json", "job_list_dir", "image_db_json")
_MARK = ".hpc-remetrics-export"
"""File beside those directories that says who wrote them: the files themselves are as the 2017
tool's."""


@dataclass(frozen=True)
class Written:
    """What was written: profiles of layers, mappers of images."""

    layers: int
    images: int


def check(folder: Path, force: bool = False) -> None:
    """Refuse to write where files of the 2017 tool, or of anything else, have the same names.

    :raises UsageError: there are some, and this program did not write them.
    """
    if force or (folder / _MARK).is_file():
        return
    for name in _DIRECTORIES:
        there = folder / name
        if there.is_dir() and any(there.iterdir()):
            raise UsageError(f"{there} exists and is no export of this program", FORCE)


def write(dataset: Dataset, folder: Path) -> Written:
    """Write all files; memory holds one layer, the names of all layers, and one mapper an image."""
    names = _Names(dataset, folder.resolve())
    # The mark first: what a kill leaves half done is known by it.
    write_whole(folder / _MARK, [f"{', '.join(_DIRECTORIES)} are an export of hpc_remetrics\n"])
    for name in _DIRECTORIES:
        make_directories(folder / name)
    _write_lists(dataset, names)
    layers = _write_profiles(dataset, names, folder)
    _write_maps(names)
    return Written(layers, _write_mappers(dataset, names))


class _Names:
    """File names of layers and images as the 2017 tool had them; a failed layer has no profile."""

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        self.profiles, self.jobs, self.mappers = (folder / name for name in _DIRECTORIES)
        self._folder = folder
        self._stamp = f"{int(dataset.run.get('started', 0)):010d}"
        self.digests = [f"sha256:{digest}" for digest in dataset.layers.readable("digest")]
        self.failed = dataset.layers.readable("status") == "failed"

    def blob(self, row: int) -> str:
        return f"{self.digests[row].replace(':', '-')}-{self._stamp}"

    def tarball(self, row: int) -> str:
        return str(self._folder / "layers" / self.blob(row))

    def profile(self, row: int) -> Path:
        return self.profiles / f"{self.blob(row)}.json"

    def manifest(self, image: str) -> tuple[str, str]:
        """Return the name and the path of an image's manifest."""
        name = image.replace("/", "-").replace(":", "-")
        return name, str(self._folder / "manifests" / f"{name}-{self._stamp}.json")


def _write_lists(dataset: Dataset, names: _Names) -> None:
    """Write the job divider's lists, and the layers that have a profile and that have none."""
    sizes = dataset.layers["CLS"]
    bucket = np.searchsorted([limit for limit in _LISTS.values() if limit], sizes)
    for number, name in enumerate(_LISTS):
        rows = np.flatnonzero(bucket == number).tolist()
        _json(names.jobs / f"{name}.json", {names.blob(row): int(sizes[row]) for row in rows})
    for name, rows in (
        ("analyzed_layer_filename", np.flatnonzero(~names.failed)),
        ("bad_nonanalyzed_layer_list", np.flatnonzero(names.failed)),
    ):
        _lines(names.jobs / f"{name}.out", [names.blob(row) for row in rows.tolist()])
    _lines(
        names.jobs / "analyzed_absfilename.out",
        [names.digests[row] for row in np.flatnonzero(~names.failed)],
    )


def _write_maps(names: _Names) -> None:
    rows = range(len(names.digests))
    _json(
        names.jobs / "layer_config_map_dir.json",
        {names.digests[row]: names.tarball(row) for row in rows},
    )
    profiles = {
        names.digests[row]: str(names.profile(row)) for row in rows if not names.failed[row]
    }
    _json(names.jobs / "layer_json_map_dir.json", profiles)


def _write_mappers(dataset: Dataset, names: _Names) -> int:
    """Write the images: one file of all, one a piece, and which need layers that have no profile;
    return how many."""
    manifests, jobs, mappers = {}, [], []
    for image, digest, rows, version in _images(dataset):
        name, path = names.manifest(image)
        manifests[name] = path
        missing = {names.digests[row]: names.tarball(row) for row in rows if names.failed[row]}
        layers = {
            names.digests[r]: {"json_absfilename": str(names.profile(r))}
            for r in rows
            if not names.failed[r]
        }
        mapper = {
            "version": version,
            "manifest": {name: path},
            "config": {},
            "layers": layers,
            "has_non_analyzed_layer_tarballs": bool(missing),
            "has_non_downloaded_config": False,
        }
        _json(names.mappers / f"{digest}.json", mapper)
        mappers.append(mapper)
        if missing:
            jobs.append(missing)
    _json(names.jobs / "manifest_map_dir.json", manifests)
    _json(names.jobs / "image_mapper.json", mappers)
    _json(names.jobs / "layer_analyzer_jobs.json", jobs)
    bad = dataset.skipped.readable("image")[dataset.skipped.readable("cause") == "bad_manifest"]
    _json(
        names.jobs / "bad_manifests.json", [dict([names.manifest(image)]) for image in bad.tolist()]
    )
    return len(mappers)


def _images(dataset: Dataset) -> Iterator[tuple[str, str, list[int], str]]:
    """Yield name, digest, layers and manifest version of each image."""
    images, layers = dataset.images, dataset.image_layers["layer"]
    texts = (images.readable(name) for name in ("name", "digest", "manifest_type"))
    for name, digest, kind, first, count in zip(
        *texts, images["first_layer"], images["layers"], strict=True
    ):
        yield name, digest, layers[first : first + count].tolist(), _VERSIONS.get(kind, "schema2")


def _write_profiles(dataset: Dataset, names: _Names, folder: Path) -> int:
    """Write a file a layer; return how many."""
    with tempfile.TemporaryDirectory(prefix=".contents-", dir=folder) as scratch:
        contents = FlatContents.write(dataset.contents, Path(scratch, "contents"))
        types = dataset.types.readable("description")
        rows = np.flatnonzero(~names.failed).tolist()
        for row in rows:
            files = _LayerFiles(dataset, row, contents, types)
            _json(names.profile(row), _profile(dataset, row, names.digests[row], files))
    return len(rows)


def _profile(dataset: Dataset, row: int, digest: str, files: _LayerFiles) -> dict[str, Any]:
    CLS, TLS, FLS, images = (
        int(dataset.layers.column(n, row, row + 1)[0]) for n in ("CLS", "TLS", "FLS", "images")
    )
    dirs = [files.directory(path) for path in sorted(files.of)]
    depths = [one["dir_depth"] for one in dirs]
    return {
        "layer_id": digest,
        "dirs": dirs,
        "layer_depth": {
            "dir_max_depth": max(depths, default=0),
            "dir_min_depth": min(depths, default=0),
            "dir_median_depth": statistics.median(depths or [0]),
            "dir_avg_depth": statistics.fmean(depths or [0]),
        },
        "size": {
            "uncompressed_sum_of_files": FLS,
            "compressed_size_with_method_gzip": CLS,
            "archival_size": TLS,
        },
        "repeats": images,
        "file_cnt": sum(one["file_cnt"] for one in dirs),
    }


class _LayerFiles:
    """The files of one layer by directory: `of[path]` are their rows."""

    def __init__(
        self, dataset: Dataset, layer: int, contents: FlatContents, types: np.ndarray
    ) -> None:
        part = dataset.entries_of(layer)
        self._paths = [clean(path) for path in dataset.paths(part.start, part.stop)]
        self._links = dataset.links(part.start, part.stop)
        columns = ("kind", "uid", "gid", "mtime")
        self._kind, self._uid, self._gid, self._mtime = (
            dataset.entries.column(name, part.start, part.stop).tolist() for name in columns
        )
        numbers = dataset.entries.column("content", part.start, part.stop)
        self._has = (numbers >= 0).tolist()
        found = (
            contents[np.maximum(numbers, 0)] if any(self._has) else np.empty(0, [("size", "i8")])
        )
        self._size = found["size"].tolist()
        self._digest = found["digest"].tobytes() if len(found) else b""
        self._type = types[found["type"]].tolist() if len(found) else []
        hard = (
            link
            for link, kind in zip(self._links, self._kind, strict=True)
            if _KIND[kind] == "hardlink"
        )
        self._hard_links = Counter(clean(link) for link in hard)
        self.of = self._by_directory()

    def _by_directory(self) -> dict[bytes, list[int]]:
        """Return the rows of each directory; the root is one if it is an entry or has files."""
        of: dict[bytes, list[int]] = {}
        self._root = ""
        for row, (path, kind) in enumerate(zip(self._paths, self._kind, strict=True)):
            parent = path.rpartition(b"/")[0]
            if _KIND[kind] in _STAT_TYPES:
                of.setdefault(parent, []).append(row)
            if _KIND[kind] == "directory" and not path:
                self._root = "/"
                of.setdefault(path, [])
            directory = path if _KIND[kind] == "directory" else parent
            while directory and directory not in of:
                of[directory] = []
                directory = directory.rpartition(b"/")[0]
        return of

    def directory(self, path: bytes) -> dict[str, Any]:
        files = [self._file(row) for row in self.of[path]]
        return {
            "subdir": f"/{_text(path)}" if path else self._root,
            "dir_depth": path.count(b"/") + 1 if path else 0,
            "file_cnt": len(files),
            "files": files,
            "dir_size": sum(file["file_info"]["stat_size"] for file in files),
        }

    def _file(self, row: int) -> dict[str, Any]:
        kind, name = _KIND[self._kind[row]], _text(self._paths[row].rpartition(b"/")[2])
        has = self._has[row]
        return {
            "filename": name,
            "sha256": self._digest[32 * row : 32 * row + 32].hex() if has else None,
            "type": self._type[row] if has else None,
            "extension": os.path.splitext(name)[1] if has else None,
            "file_info": {
                "stat_size": self._size[row] if kind == "file" else 0,
                "stat_type": _STAT_TYPES[kind],
                "link": self._link(row, kind),
                "st_uid": self._uid[row],
                "st_gid": self._gid[row],
                "st_atime": None,
                "st_mtime": self._mtime[row],
                "st_ctime": None,
            },
        }

    def _link(self, row: int, kind: str) -> dict[str, Any] | None:
        if kind == "symlink":
            return {"link_type": "symlink", "target_path": _text(self._links[row])}
        if kind == "hardlink":
            links = self._hard_links[clean(self._links[row])] + 1
            return {
                "link_type": "hardlink",
                "num_hdlinks": links,
                "target_path": _text(self._links[row]),
            }
        return None


def _text(path: bytes) -> str:
    """Return a name as Python has it: bytes that are no UTF-8 are lone surrogates, in JSON
    `\\udcNN`."""
    return path.decode("utf-8", "surrogateescape")


def _json(target: Path, value: Any) -> None:
    write_whole(target, [json.dumps(value)], sync=False)


def _lines(target: Path, lines: list[str]) -> None:
    write_whole(target, (f"{line}\n" for line in lines), sync=False)
