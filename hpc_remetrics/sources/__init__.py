"""Where images come from: `open_source("oci:DIR")` and its kin, `resolve(source)` for what they
hold."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..errors import RemetricsError, SourceError, UsageError
from ..registry.pool import Registries
from ..registry.reference import Reference
from .absolute import divide
from .archive import Archive
from .base import Extent, Root, Source
from .demo import DemoSource
from .directory import DirectorySource
from .docker_archive import DockerArchiveSource
from .local import Folder
from .manifests import merge, resolve, resolve_root
from .oci import OciSource
from .remote import DockerSource, ReposSource
from .seed2017 import Seed2017Source

__all__ = ["Extent", "Root", "Source", "merge", "open_source", "resolve", "resolve_root"]

FORMS = (
    "docker://HOST/NAME[:TAG|@DIGEST], repos:FILE.csv, oci:DIR[:REF], oci-archive:FILE[:REF], "
    "docker-archive:FILE[:REF], dir:DIR, seed2017:DIR, demo:[DIR]"
)
"""The references that there are, for messages and help."""


def open_source(reference: str, registries: Registries | None = None) -> Source:
    """Open the place that a reference names; nothing is read before it is asked for.

    :param registries: by which registries are asked.
    :raises UsageError: if there is no such transport, or the reference is none.
    :raises SourceError: if there is nothing of the right kind at its path.
    """
    transport, colon, rest = reference.partition(":")
    opener = _OPENERS.get(transport) if colon else None
    if opener is None:
        raise UsageError(f"not a source: {reference!r}", _suggest(reference))
    return opener(reference, rest, registries or Registries())


_FILE_ENDINGS = (".tar", ".tgz", ".gz", ".zst", ".csv", ".h5", ".json")


def _open_docker(reference: str, rest: str, registries: Registries) -> Source:
    if not rest.startswith("//"):
        # The reference may hold a password, and is not repeated unless it can be read.
        hint = _image(rest.lstrip("/")) or "docker://HOST/NAME[:TAG|@DIGEST]"
        raise UsageError("what follows docker: is no image", f"write {hint}")
    return DockerSource(reference, registries, Reference.parse(reference))


def _open_repos(reference: str, rest: str, registries: Registries) -> Source:
    return ReposSource(reference, registries, _file(reference, rest))


def _local(opener: Callable[[str, str], Source]) -> Callable[[str, str, Registries], Source]:
    return lambda reference, rest, _: opener(reference, rest)


def _open_oci(reference: str, rest: str) -> Source:
    path, ref = divide(rest)
    return OciSource(reference, Folder(_folder(reference, path)), ref)


def _open_oci_archive(reference: str, rest: str) -> Source:
    path, ref = divide(rest)
    return OciSource(reference, Archive(_file(reference, path)), ref)


def _open_docker_archive(reference: str, rest: str) -> Source:
    path, ref = divide(rest)
    return DockerArchiveSource(reference, Archive(_file(reference, path)), ref)


def _open_directory(reference: str, rest: str) -> Source:
    return DirectorySource(reference, Folder(_folder(reference, rest)))


def _open_seed2017(reference: str, rest: str) -> Source:
    return Seed2017Source(reference, _folder(reference, rest))


def _open_demo(reference: str, rest: str) -> Source:
    return DemoSource(reference, Path(_expand(rest)) if rest else None)


_OPENERS: dict[str, Callable[[str, str, Registries], Source]] = {
    "docker": _open_docker,
    "repos": _open_repos,
    "oci": _local(_open_oci),
    "oci-archive": _local(_open_oci_archive),
    "docker-archive": _local(_open_docker_archive),
    "dir": _local(_open_directory),
    "seed2017": _local(_open_seed2017),
    "demo": _local(_open_demo),
}


def _expand(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _folder(reference: str, path: str) -> Path:
    return _place(reference, path, "folder", os.path.isdir)


def _file(reference: str, path: str) -> Path:
    return _place(reference, path, "file", os.path.isfile)


def _place(reference: str, path: str, what: str, is_right: Callable[[str], bool]) -> Path:
    """Return the absolute path; an error says whether it is missing or of the other kind."""
    if not path:
        raise UsageError(f"{reference!r} names no {what}", f"write one of {FORMS}")
    full = _expand(path)
    if not os.path.exists(full):
        raise SourceError(f"{reference}: there is no {full}")
    if not is_right(full):
        raise SourceError(f"{reference}: {full} is no {what}", _suggest(path))
    return Path(full)


def _suggest(text: str) -> str:
    """Return what to write instead of a reference that is none."""
    transport = _guess(_expand(text)) if text else ""
    if transport:
        return f"write {transport}:{text}"
    if text in _OPENERS:
        return f"write {text}: and what follows it"
    if image := _image(text):
        return f"write {image} for an image at a registry"
    return f"write one of {FORMS}"


def _image(text: str) -> str:
    """Return the reference of an image whose bare name was given, "" if it can't be one.

    >>> _image("nginx"), _image("quay.io/a/b:1"), _image("/tmp/x"), _image("file.tar")
    ('docker://nginx:latest', 'docker://quay.io/a/b:1', '', '')
    """
    is_path = text.startswith((".", "/", "~")) or text.endswith(_FILE_ENDINGS)
    if is_path or os.path.exists(_expand(text)):
        return ""
    try:
        image = Reference.parse(f"docker://{text}")
    except UsageError:
        return ""
    is_whole = text.endswith(f":{image.tag}") or "@" in text
    return f"docker://{text}" if is_whole else f"docker://{text}:{image.tag}"


def _guess(path: str) -> str:
    """Return the transport that a path is clearly for, "" if there is none."""

    def has(*names: str) -> bool:
        return all(os.path.exists(os.path.join(path, name)) for name in names)

    if has("oci-layout") or has("index.json", "blobs"):
        return "oci"
    if has("version", "manifest.json"):
        return "dir"
    if has("manifests", "layers"):
        return "seed2017"
    return _guess_archive(Path(path)) if os.path.isfile(path) else ""


def _guess_archive(path: Path) -> str:
    try:
        members = Archive(path).members
    except RemetricsError:
        return ""
    # What docker saves has both since its version 25.
    return (
        "docker-archive"
        if "manifest.json" in members
        else "oci-archive"
        if "oci-layout" in members
        else ""
    )
