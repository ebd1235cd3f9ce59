"""`demo:`: real images assembled from this Python installation, for a first run without a network.

They are written once as an OCI layout, and used again while the installation stays the same. Their
files are those of the standard library and of installed distributions, without compiled ones, which
come and go. Their configs say what a builder would have written: dates, steps, labels, variables.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import io
import json
import os
import platform
import shutil
import stat
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import SourceError
from .local import DirectoryTree
from .oci import OciSource
from .path_source import full_path

if TYPE_CHECKING:
    from ..registry.registries import Registries

_VERSION = 2
_MOST_BYTES = 30 << 20
_MOST_DISTRIBUTIONS = 8
_OCI, _DOCKER = "application/vnd.oci.image", "application/vnd.docker"
_TYPES = {
    ("oci", "none"): f"{_OCI}.layer.v1.tar",
    ("oci", "gzip"): f"{_OCI}.layer.v1.tar+gzip",
    ("oci", "zstd"): f"{_OCI}.layer.v1.tar+zstd",
    ("docker", "gzip"): f"{_DOCKER}.image.rootfs.diff.tar.gzip",
}
_CORE = (
    "collections",
    "encodings",
    "importlib",
    "json",
    "re",
    "os.py",
    "io.py",
    "abc.py",
    "codecs.py",
    "site.py",
)
_MORE = (
    "asyncio",
    "email",
    "http",
    "logging",
    "unittest",
    "xml",
    "urllib",
    "ctypes",
    "html",
    "sqlite3",
)

_PYTHON = ".".join(map(str, sys.version_info[:3]))

_FIRST_DAY = datetime.date(2024, 1, 1)
"""When the first layer is said to have been built; layers of the demo are built a day apart."""


class _BuiltLayer(NamedTuple):
    """A layer that was written.

    :ivar step: what the history of a config says about its making.
    :ivar day: when that was, in days since `_FIRST_DAY`.
    """

    descriptor: dict[str, Any]
    diff_id: str
    step: str
    day: int


class DemoSource(OciSource):
    """The demo images in their OCI layout.

    :param directory: where `prepare` creates the layout; None: a directory in the user's cache.
    """

    form = "demo:[DIR]"
    summary = "real images assembled from this Python installation"
    has_ref = False

    @classmethod
    def from_reference(cls, reference: str, rest: str, registries: Registries) -> DemoSource:
        return cls(reference, Path(full_path(rest)) if rest else None)

    @classmethod
    def recognizes(cls, path: Path) -> bool:
        return False

    def __init__(self, reference: str, directory: Path | None = None) -> None:
        self._directory = directory or _cache() / f"demo-{_fingerprint()}"
        super().__init__(reference, DirectoryTree(self._directory))
        self._is_named = directory is not None

    def prepare(self) -> None:
        """Build the layout unless it exists; of two processes that do so at once one wins."""
        try:
            if not self._is_named:
                _make_private(self._directory.parent)
            if (self._directory / "oci-layout").is_file():
                return
            self._directory.parent.mkdir(parents=True, exist_ok=True)

            # Build aside and rename, so that nobody sees half of it.
            building = Path(tempfile.mkdtemp(prefix=".demo-", dir=self._directory.parent))
            try:
                _build(building)
                _move(building, self._directory)
            finally:
                shutil.rmtree(building, ignore_errors=True)
        except OSError as error:
            raise SourceError(
                f"the demo images can't be written to {self._directory}: {error.strerror or error}",
                "name another directory as demo:DIR",
            ) from None


def _cache() -> Path:
    named = os.environ.get("XDG_CACHE_HOME") or os.environ.get("HOME")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path(named or "/nowhere", ".cache"))
    if named and os.access(next(path for path in (base, *base.parents) if path.exists()), os.W_OK):
        return base / "hpc-remetrics"
    return _of_user_in(Path(tempfile.gettempdir()))


def _of_user_in(shared: Path) -> Path:
    """Return a directory of this user in a shared one, where others may have taken some names."""
    names = [
        f"hpc-remetrics-{os.geteuid()}",
        *(f"hpc-remetrics-{os.geteuid()}-{number}" for number in range(1, 16)),
    ]
    return next(
        (shared / name for name in names if _is_free_or_private(shared / name)), shared / names[0]
    )


def _is_free_or_private(path: Path) -> bool:
    try:
        return _is_private(os.lstat(path))
    except OSError:
        return not os.path.lexists(path)


def _is_private(about: os.stat_result) -> bool:
    """Tell whether a directory is the user's and nobody else can write to it."""
    return (
        stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & 0o022
    )


def _make_private(directory: Path) -> None:
    """Create the user's directory for demo images, which nobody else may own or write to.

    :raises OSError: somebody else owns it or can write to it.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    about = os.lstat(directory)
    if stat.S_ISLNK(about.st_mode) and about.st_uid == os.geteuid():
        # A user may keep caches elsewhere.
        about = os.stat(directory)
    if stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid() and about.st_mode & 0o022:
        # An earlier version created it with the umask.
        os.chmod(directory, about.st_mode & 0o7755)
        about = os.stat(directory)
    if not _is_private(about):
        raise OSError(errno.EPERM, "others own that directory or can write to it", str(directory))


def _fingerprint() -> str:
    """Return a hash of this installation: the interpreter and the installed versions."""
    installed = sorted(f"{one.metadata['Name']} {one.version}" for one in metadata.distributions())
    text = repr((_VERSION, sys.version, sysconfig.get_path("stdlib"), installed))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _move(building: Path, directory: Path) -> None:
    os.chmod(building, 0o755)
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()
    try:
        os.rename(building, directory)
    except OSError:
        if not (directory / "oci-layout").is_file():
            raise


def _build(directory: Path) -> None:
    layout = _LayoutBuilder(directory)

    # The layers, oldest first
    base = layout.layer(_stdlib(_CORE), "gzip", "ADD python-core.tar.xz /", day=0)
    library = layout.layer(
        _stdlib(_MORE), "zstd", _run("apt-get update && apt-get install -y libpython3"), day=1
    )
    extras = ("tkinter", "idlelib", "lib2to3", "pydoc_data", "distutils", "turtle.py")
    plain = layout.layer(_stdlib(extras), "none", "COPY extras/ /usr/lib/", day=2)
    packages = []
    for day, one in enumerate(_distributions(), start=3):
        step = _run(f"pip install --no-cache-dir {one.metadata['Name']}=={one.version}")
        packages.append(layout.layer(_distribution(one), "gzip", step, day))
    day = 3 + len(packages)
    changes = layout.layer(_changes(1), "gzip", "COPY . /app", day)
    again = layout.layer(_changes(2), "zstd", _run("make -C /app install"), day + 1)

    # The images; what some of them claim about their base is true, of demo/app:2 it is outdated
    core = layout.image("demo/python:core", [base])
    latest = layout.image("demo/python:latest", [base, library])
    layout.image("demo/python:full", [base, library, plain])
    for number, package in enumerate(packages):
        layout.image(
            f"demo/package{number}:1",
            [base, library, package],
            "oci" if number % 2 else "docker",
            labels={f"{_LABEL}.base.name": "demo/python:latest"},
        )
    layout.image("demo/all:1", [base, library, *packages])
    claim = {f"{_LABEL}.base.name": "demo/python:latest", f"{_LABEL}.base.digest": latest}
    layout.image("demo/app:1", [base, library, *packages[:2], changes], annotations=claim)
    claim = {f"{_LABEL}.base.name": "demo/python:core", f"{_LABEL}.base.digest": core}
    layout.image("demo/app:2", [base, library, *packages[:2], changes, again], annotations=claim)
    layout.index("demo/multi:1", {"amd64": [base, changes], "arm64": [base, again]})
    layout.artifact("demo/artifact:1")
    layout.finish()


_LABEL = "org.opencontainers.image"
"""Beginning of the names of labels and annotations that the OCI image specification defines."""


def _run(command: str) -> str:
    """Return how BuildKit writes a step that runs a command."""
    return f"RUN /bin/sh -c {command} # buildkit"


def _stdlib(names: tuple[str, ...]) -> Callable[[tarfile.TarFile], None]:
    root = Path(sysconfig.get_path("stdlib"))
    version = f"usr/lib/python{sys.version_info.major}.{sys.version_info.minor}"

    def add(tar: tarfile.TarFile) -> None:
        _add_directories(tar, version)
        for name in sorted(names):
            for path in _files(root / name):
                _add_file(tar, path, f"{version}/{path.relative_to(root)}")

    return add


def _distributions() -> list[metadata.Distribution]:
    """Return the largest distributions that are neither tiny nor huge, sorted by name."""
    sizes = {}
    for one in metadata.distributions():
        size = sum(path.stat().st_size for path in _distributed(one))
        if 50_000 < size < _MOST_BYTES:
            sizes[str(one.metadata["Name"])] = (size, one)
    chosen = sorted(sizes.items(), key=lambda item: -item[1][0])[:_MOST_DISTRIBUTIONS]
    return [one for _, (_, one) in sorted(chosen)]


def _distributed(one: metadata.Distribution) -> list[Path]:
    paths = (Path(str(file.locate())) for file in one.files or () if ".." not in file.parts)
    return sorted(
        path for path in paths if path.suffix != ".pyc" and path.is_file() and not path.is_symlink()
    )


def _distribution(one: metadata.Distribution) -> Callable[[tarfile.TarFile], None]:
    root = Path(str(one.locate_file("")))

    def add(tar: tarfile.TarFile) -> None:
        _add_directories(tar, "usr/local/lib/site-packages")
        for path in _distributed(one):
            _add_file(tar, path, f"usr/local/lib/site-packages/{path.relative_to(root)}")

    return add


def _changes(number: int) -> Callable[[tarfile.TarFile], None]:
    """Return what adds a small layer of links, whiteouts and copies, like a second build step."""

    def add(tar: tarfile.TarFile) -> None:
        # A program and its data, as an application's COPY steps would add them.
        _add_directories(tar, "app/data")
        _add_bytes(tar, "app/VERSION", f"{number}\n".encode())
        _add_bytes(tar, "app/main.py", b"#!/usr/bin/env python3\nprint('hello')\n", 0o755)
        _add_bytes(tar, "app/empty", b"")
        _add_bytes(tar, "app/data/zeros.bin", bytes(100_000 * number))

        # Links of each kind, one of which leads nowhere.
        _add_link(tar, "app/hard.py", "app/main.py", tarfile.LNKTYPE)
        _add_link(tar, "app/run", "main.py", tarfile.SYMTYPE)
        _add_link(tar, "app/dangling", "/nowhere", tarfile.SYMTYPE)

        # Whiteouts of a file and of a directory's content.
        _add_bytes(tar, "usr/lib/.wh.gone" if number == 1 else "app/.wh.empty", b"")
        _add_bytes(tar, f"app/data{number}/.wh..wh..opq", b"")

        # Copies within a layer.
        for copy in range(20):
            _add_bytes(tar, f"app/data/copy{copy}.txt", b"the same text, many times\n" * number)

    return add


def _files(path: Path) -> Iterator[Path]:
    """Yield the regular files at and below a path, sorted, without compiled Python files."""
    if path.is_file():
        yield path
        return
    for directory, subdirectories, names in os.walk(path):
        subdirectories[:] = sorted(
            name
            for name in subdirectories
            if name not in ("__pycache__", "site-packages", "test", "tests")
        )
        for name in sorted(names):
            file = Path(directory, name)
            if not name.endswith(".pyc") and file.is_file() and not file.is_symlink():
                yield file


def _add_directories(tar: tarfile.TarFile, path: str) -> None:
    for end in range(1, path.count("/") + 2):
        entry = tarfile.TarInfo("/".join(path.split("/")[:end]))
        entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, 1_700_000_000
        tar.addfile(entry)


def _add_file(tar: tarfile.TarFile, path: Path, name: str) -> None:
    status = path.stat()
    _add_bytes(tar, name, path.read_bytes(), status.st_mode & 0o7777, int(status.st_mtime))


def _add_bytes(
    tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644, mtime: int = 1_700_000_000
) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(data), mode, mtime
    tar.addfile(entry, io.BytesIO(data))


def _add_link(tar: tarfile.TarFile, name: str, target: str, kind: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode, entry.mtime = kind, target, 0o777, 1_700_000_000
    tar.addfile(entry)


class _LayoutBuilder:
    """Writes the OCI image layout of the demo images."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._index: list[dict[str, Any]] = []
        (directory / "blobs" / "sha256").mkdir(parents=True)

    def layer(
        self, add: Callable[[tarfile.TarFile], None], compression: str, step: str, day: int
    ) -> _BuiltLayer:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
            add(tar)
        data = buffer.getvalue()
        diff_id = "sha256:" + hashlib.sha256(data).hexdigest()
        blob = self._blob(_compressed(data, compression), _TYPES["oci", compression])
        return _BuiltLayer(blob, diff_id, step, day)

    def image(
        self,
        name: str,
        layers: list[_BuiltLayer],
        kind: str = "oci",
        *,
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
    ) -> str:
        """Add an image, and return the digest of its manifest."""
        config = self._config(layers, _machine(), {f"{_LABEL}.title": name, **(labels or {})})
        descriptor = self._manifest(config, layers, kind, annotations)
        self._add(name, descriptor)
        return str(descriptor["digest"])

    def index(self, name: str, platforms: dict[str, list[_BuiltLayer]]) -> None:
        """Add an index of several platforms, with an attestation as build tools add them."""
        # The manifest of each platform.
        manifests = []
        for architecture, layers in platforms.items():
            config = self._config(layers, architecture, {f"{_LABEL}.title": name})
            manifest = self._manifest(config, layers, "oci")
            manifests.append(
                {**manifest, "platform": {"os": "linux", "architecture": architecture}}
            )
        # The attestation of the first one.
        statement = {
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": "https://spdx.dev/Document",
        }
        blob = self._blob(json.dumps(statement).encode(), "application/vnd.in-toto+json")
        nothing = {
            "os": "unknown",
            "architecture": "unknown",
            "rootfs": {"type": "layers", "diff_ids": []},
        }
        config = self._json(nothing, f"{_OCI}.config.v1+json")
        attestation = self._json(_manifest_of(config, [blob]), f"{_OCI}.manifest.v1+json")
        annotations = {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": manifests[0]["digest"],
        }
        unknown = {"os": "unknown", "architecture": "unknown"}
        manifests.append({**attestation, "annotations": annotations, "platform": unknown})
        index = {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": manifests}
        self._add(name, self._json(index, f"{_OCI}.index.v1+json"))

    def artifact(self, name: str) -> None:
        empty = self._blob(b"{}", "application/vnd.oci.empty.v1+json")
        note = self._blob(b"not a layer\n", "text/plain")
        manifest = {**_manifest_of(empty, [note]), "artifactType": "application/vnd.example.note"}
        self._add(name, self._json(manifest, f"{_OCI}.manifest.v1+json"))

    def finish(self) -> None:
        (self._directory / "index.json").write_text(
            json.dumps({"schemaVersion": 2, "manifests": self._index})
        )
        (self._directory / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))

    def _add(self, name: str, descriptor: dict[str, Any]) -> None:
        self._index.append(
            {**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}}
        )

    def _manifest(
        self,
        config: dict[str, Any],
        layers: list[_BuiltLayer],
        kind: str,
        annotations: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        blobs = [layer.descriptor for layer in layers]
        if kind == "oci":
            manifest = _manifest_of(config, blobs)
            if annotations:
                manifest["annotations"] = annotations
            return self._json(manifest, f"{_OCI}.manifest.v1+json")
        config = {**config, "mediaType": f"{_DOCKER}.container.image.v1+json"}
        of_docker = _TYPES["docker", "gzip"]
        blobs = [
            {**one, "mediaType": one["mediaType"].replace(_TYPES["oci", "gzip"], of_docker)}
            for one in blobs
        ]
        media_type = f"{_DOCKER}.distribution.manifest.v2+json"
        return self._json({**_manifest_of(config, blobs), "mediaType": media_type}, media_type)

    def _config(
        self, layers: list[_BuiltLayer], architecture: str, labels: dict[str, str]
    ) -> dict[str, Any]:
        """Write a config as BuildKit does: a step for each layer, and steps that make none."""
        steps = [(layer.day, layer.step, False) for layer in layers]
        steps.insert(1, (layers[0].day, f"ENV PYTHON_VERSION={_PYTHON}", True))
        day = max(layer.day for layer in layers)
        steps.append((day, 'CMD ["python3"]', True))
        value = {
            "created": _date(day),
            "os": "linux",
            "architecture": architecture,
            "config": {
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", f"PYTHON_VERSION={_PYTHON}"],
                "Cmd": ["python3"],
                "WorkingDir": "/app",
                "Labels": labels,
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [
                {
                    "created": _date(when),
                    "created_by": step,
                    "comment": "buildkit.dockerfile.v0",
                    **({"empty_layer": True} if is_empty else {}),
                }
                for when, step, is_empty in steps
            ],
        }
        return self._json(value, f"{_OCI}.config.v1+json")

    def _json(self, value: dict[str, Any], media_type: str) -> dict[str, Any]:
        return self._blob(json.dumps(value).encode(), media_type)

    def _blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        name = hashlib.sha256(data).hexdigest()
        (self._directory / "blobs" / "sha256" / name).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}


def _date(day: int) -> str:
    """Return noon of a day as configs write it."""
    return f"{_FIRST_DAY + datetime.timedelta(day)}T12:00:00Z"


def _manifest_of(config: dict[str, Any], layers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": config,
        "layers": layers,
    }


def _machine() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _compressed(data: bytes, compression: str) -> bytes:
    if compression == "gzip":
        from isal import igzip

        return bytes(igzip.compress(data, 1, mtime=0))
    if compression == "zstd":
        try:
            from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # Python 3.14
        except ImportError:
            from backports import zstd
        return bytes(zstd.compress(data, 3))
    return data
