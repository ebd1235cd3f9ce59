"""Write the files that the 2017 tool, docker-remetrics, wrote, for the scripts that read them.

    OUTPUT/layer_db_json/sha256-HEX-TIME.json   a profile for each layer: its files by directory
    OUTPUT/image_db_json/HEX.json               a mapper for each image: where its profiles are
    OUTPUT/job_list_dir/*.json, *.out           lists of layers, maps of names to paths, all mappers

Names and shapes are those of the 2017 analyzer, the numbers are this program's:

- `sha256` is a SHA-256, and every directory occurs once. The root of a layer is "/" if it is an
  entry, and "" if it only has files.
- Links, devices and FIFOs are listed, and a hard link has the content of its file.
- `st_atime` and `st_ctime` are null, since a tar has none.
- A blob is named as the 2017 downloader named it, `sha256-HEX-TIME`, with the time of the run.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections import Counter
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
"""List of layers -> their maximum size; the 2017 job divider counted in powers of two."""

_VERSIONS = {"docker_schema1": "schema1"}
"""Manifest type -> version; all other types are `schema2`."""

_STAT_TYPES = {
    "file": "REGTYPE",
    "hardlink": "REGTYPE",
    "symlink": "SYMTYPE",
    "fifo": "FIFOTYPE",
    "character_device": "CHRTYPE",
    "block_device": "BLKTYPE",
    "other": "Unknown",
}
"""Kinds of entries that are listed as files; directories are listed apart, whiteouts are not."""

_KINDS = {number: word for word, number in KINDS.items()}

_DIRECTORIES = ("layer_db_json", "job_list_dir", "image_db_json")

_MARK = ".hpc-remetrics-export"
"""A file beside these directories that says that this program wrote them."""


@dataclass(frozen=True)
class Written:
    """How many profiles of layers and mappers of images were written."""

    layers: int
    images: int


def check(directory: Path, force: bool = False) -> None:
    """Refuse to replace files of the 2017 tool, or of anything else.

    :raises UsageError: one of the directories has files that this program did not write.
    """
    if force or (directory / _MARK).is_file():
        return
    for name in _DIRECTORIES:
        existing = directory / name
        if existing.is_dir() and any(existing.iterdir()):
            raise UsageError(f"{existing} exists and is no export of this program", FORCE)


def write(dataset: Dataset, directory: Path) -> Written:
    """Write all files; memory holds one layer, the names of all layers, and a mapper an image."""
    names = _Names(dataset, directory.resolve())
    # Write the mark first: an export that is killed half way is recognized by it
    write_whole(directory / _MARK, [f"{', '.join(_DIRECTORIES)} are an export of hpc_remetrics\n"])
    for name in _DIRECTORIES:
        make_directories(directory / name)
    _write_layer_lists(dataset, names)
    layers = _write_profiles(dataset, names, directory)
    _write_layer_maps(names)
    return Written(layers, _write_mappers(dataset, names))


class _Names:
    """File names of layers and images as the 2017 tool had them.

    :ivar jobs: the directory of lists and maps; `mappers`: the directory of images.
    :ivar digests: `sha256:HEX` of each row of /layers.
    :ivar profiled: rows of the layers that have a profile, and `failed`: that have none.
    """

    def __init__(self, dataset: Dataset, directory: Path) -> None:
        self._directory = directory
        self._profiles, self.jobs, self.mappers = (directory / name for name in _DIRECTORIES)
        self._time = f"{int(dataset.run.get('started', 0)):010d}"
        self.digests: list[str] = dataset.layers.readable("digest").tolist()
        self.has_failed = dataset.layers.readable("status") == "failed"
        self.profiled: list[int] = np.flatnonzero(~self.has_failed).tolist()
        self.failed: list[int] = np.flatnonzero(self.has_failed).tolist()

    def blob(self, row: int) -> str:
        """Return the name of a layer's blob."""
        return f"{self.digests[row].replace(':', '-')}-{self._time}"

    def tarball(self, row: int) -> str:
        """Return the path of a layer's blob."""
        return str(self._directory / "layers" / self.blob(row))

    def profile(self, row: int) -> Path:
        """Return the path of a layer's profile."""
        return self._profiles / f"{self.blob(row)}.json"

    def manifest(self, image: str) -> tuple[str, str]:
        """Return the name and the path of an image's manifest."""
        name = image.replace("/", "-").replace(":", "-")
        return name, str(self._directory / "manifests" / f"{name}-{self._time}.json")


def _write_layer_lists(dataset: Dataset, names: _Names) -> None:
    """Write lists of layers: by size, and those with and without a profile."""
    sizes = dataset.layers["CLS"]
    limits = [limit for limit in _LISTS.values() if limit]
    list_of = np.searchsorted(limits, sizes)
    for number, name in enumerate(_LISTS):
        rows = np.flatnonzero(list_of == number).tolist()
        _write_json(names.jobs / f"{name}.json", {names.blob(row): int(sizes[row]) for row in rows})
    lists = {
        "analyzed_layer_filename": map(names.blob, names.profiled),
        "bad_nonanalyzed_layer_list": map(names.blob, names.failed),
        "analyzed_absfilename": (names.digests[row] for row in names.profiled),
    }
    for name, lines in lists.items():
        write_whole(names.jobs / f"{name}.out", (f"{line}\n" for line in lines), sync=False)


def _write_layer_maps(names: _Names) -> None:
    """Write the maps from digests to the paths of blobs and of profiles."""
    blobs = {digest: names.tarball(row) for row, digest in enumerate(names.digests)}
    _write_json(names.jobs / "layer_config_map_dir.json", blobs)
    profiles = {names.digests[row]: str(names.profile(row)) for row in names.profiled}
    _write_json(names.jobs / "layer_json_map_dir.json", profiles)


def _write_mappers(dataset: Dataset, names: _Names) -> int:
    """Write the mappers of images, and which images need layers that have no profile.

    :returns: the number of images.
    """
    images = dataset.images
    layers = dataset.image_layers["layer"].tolist()
    columns = [images.readable(name) for name in ("name", "digest", "manifest_type")]
    ends = np.cumsum(images["layers"])
    manifests = {}
    mappers = []
    jobs = []
    for image, digest, kind, first, end in zip(
        *columns, images["first_layer"].tolist(), ends.tolist(), strict=True
    ):
        # Divide the layers into those with a profile and those without
        profiles = {}
        missing = {}
        for row in layers[first:end]:
            if names.has_failed[row]:
                missing[names.digests[row]] = names.tarball(row)
            else:
                profiles[names.digests[row]] = {"json_absfilename": str(names.profile(row))}

        # Write the mapper
        name, path = names.manifest(image)
        manifests[name] = path
        mapper = {
            "version": _VERSIONS.get(kind, "schema2"),
            "manifest": {name: path},
            "config": {},
            "layers": profiles,
            "has_non_analyzed_layer_tarballs": bool(missing),
            "has_non_downloaded_config": False,
        }
        _write_json(names.mappers / f"{digest}.json", mapper)
        mappers.append(mapper)
        if missing:
            jobs.append(missing)

    # Write the lists of all images, and the images whose manifests could not be read
    _write_json(names.jobs / "manifest_map_dir.json", manifests)
    _write_json(names.jobs / "image_mapper.json", mappers)
    _write_json(names.jobs / "layer_analyzer_jobs.json", jobs)
    is_bad = dataset.skipped.readable("cause") == "bad_manifest"
    bad = dataset.skipped.readable("image")[is_bad].tolist()
    _write_json(names.jobs / "bad_manifests.json", [dict([names.manifest(name)]) for name in bad])
    return len(mappers)


def _write_profiles(dataset: Dataset, names: _Names, directory: Path) -> int:
    """Write a profile for each layer that did not fail; return how many."""
    types = dataset.types.readable("description")
    with tempfile.TemporaryDirectory(prefix=".contents-", dir=directory) as scratch:
        contents = FlatContents.write(dataset.contents, Path(scratch, "contents"))
        for row in names.profiled:
            files = _LayerFiles(dataset, row, contents, types)
            profile = _profile(dataset, row, names.digests[row], files)
            _write_json(names.profile(row), profile)
    return len(names.profiled)


def _profile(dataset: Dataset, row: int, digest: str, files: _LayerFiles) -> dict[str, Any]:
    """Return the profile of a layer."""

    def column(name: str) -> int:
        return int(dataset.layers.column(name, row, row + 1)[0])

    directories = [files.directory(path) for path in sorted(files.by_directory)]
    depths = [directory["dir_depth"] for directory in directories]
    return {
        "layer_id": digest,
        "dirs": directories,
        "layer_depth": {
            "dir_max_depth": max(depths, default=0),
            "dir_min_depth": min(depths, default=0),
            "dir_median_depth": statistics.median(depths or [0]),
            "dir_avg_depth": statistics.fmean(depths or [0]),
        },
        "size": {
            "uncompressed_sum_of_files": column("FLS"),
            "compressed_size_with_method_gzip": column("CLS"),
            "archival_size": column("TLS"),
        },
        "repeats": column("images"),
        "file_cnt": sum(directory["file_cnt"] for directory in directories),
    }


class _LayerFiles:
    """The files of one layer by directory.

    :param types: descriptions of types by number.
    :ivar by_directory: path of a directory -> places of its files among the layer's entries.
    """

    def __init__(
        self, dataset: Dataset, layer: int, contents: FlatContents, types: np.ndarray
    ) -> None:
        # Read the entries
        rows = dataset.entries_of(layer)
        self._paths = dataset.paths(rows.start, rows.stop, clean=True)
        self._links = dataset.links(rows.start, rows.stop)
        columns = ("kind", "uid", "gid", "mtime")
        kinds, self._uid, self._gid, self._mtime = (
            dataset.entries.column(name, rows.start, rows.stop).tolist() for name in columns
        )
        self._kinds = [_KINDS[number] for number in kinds]

        # Look up the contents of those that have one
        numbers = dataset.entries.column("content", rows.start, rows.stop)
        places = np.flatnonzero(numbers >= 0)
        found = contents[numbers[places]]
        self._contents = {
            place: (int(content["size"]), content["digest"].tobytes().hex(), types[content["type"]])
            for place, content in zip(places.tolist(), found, strict=True)
        }

        # Count the hard links to each path
        pairs = zip(self._kinds, self._links, strict=True)
        self._hard_links = Counter(clean(link) for kind, link in pairs if kind == "hardlink")
        self._root = ""
        self.by_directory: dict[bytes, list[int]] = {}
        for place, (path, kind) in enumerate(zip(self._paths, self._kinds, strict=True)):
            self._place(place, path, kind)

    def _place(self, place: int, path: bytes, kind: str) -> None:
        """Add an entry to its directory, and the directories above it."""
        parent = path.rpartition(b"/")[0]
        directory = path if kind == "directory" else parent
        while directory and directory not in self.by_directory:
            self.by_directory[directory] = []
            directory = directory.rpartition(b"/")[0]
        if kind in _STAT_TYPES:
            self.by_directory.setdefault(parent, []).append(place)
        elif kind == "directory" and not path:
            self._root = "/"
            self.by_directory.setdefault(path, [])

    def directory(self, path: bytes) -> dict[str, Any]:
        """Return a directory with its files, as a profile has it."""
        files = [self._file(place) for place in self.by_directory[path]]
        return {
            "subdir": f"/{_string(path)}" if path else self._root,
            "dir_depth": path.count(b"/") + 1 if path else 0,
            "file_cnt": len(files),
            "files": files,
            "dir_size": sum(file["file_info"]["stat_size"] for file in files),
        }

    def _file(self, place: int) -> dict[str, Any]:
        kind = self._kinds[place]
        name = _string(self._paths[place].rpartition(b"/")[2])
        has_content = place in self._contents
        size, digest, type_ = self._contents.get(place, (0, None, None))
        return {
            "filename": name,
            "sha256": digest,
            "type": type_,
            "extension": os.path.splitext(name)[1] if has_content else None,
            "file_info": {
                "stat_size": size if kind == "file" else 0,
                "stat_type": _STAT_TYPES[kind],
                "link": self._link(place, kind),
                "st_uid": self._uid[place],
                "st_gid": self._gid[place],
                "st_atime": None,
                "st_mtime": self._mtime[place],
                "st_ctime": None,
            },
        }

    def _link(self, place: int, kind: str) -> dict[str, Any] | None:
        target = self._links[place]
        if kind == "symlink":
            return {"link_type": "symlink", "target_path": _string(target)}
        if kind == "hardlink":
            names = self._hard_links[clean(target)] + 1
            return {
                "link_type": "hardlink",
                "num_hdlinks": names,
                "target_path": _string(target),
            }
        return None


def _string(path: bytes) -> str:
    r"""Return a path as a string; bytes that are not UTF-8 become `\udcNN` in JSON."""
    return path.decode("utf-8", "surrogateescape")


def _write_json(target: Path, value: Any) -> None:
    write_whole(target, [json.dumps(value)], sync=False)
