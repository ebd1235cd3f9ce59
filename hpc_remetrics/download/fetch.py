"""`fetch`: write one manifest, blob or config of a registry to a file."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from ..errors import OutputError, SourceError, UsageError
from ..files.file_digest import file_sha256
from ..files.outputs import check_replaceable, real_name
from ..files.publish import publish_whole, write_whole
from ..files.writing import make_directories
from ..limits import MANIFEST_BYTES
from ..records import Digest
from ..registry.blobs import missing_room
from ..registry.endpoint import Manifest, Registry
from ..registry.reference import Reference
from ..sources import documents, platforms
from ..sources.documents import Descriptor, Malformed
from ..sources.manifests import kind_of
from ..wording import counted, verb
from .options import STDOUT, FetchOptions


def fetch_command(options: FetchOptions) -> int:
    """Fetch one manifest, blob or config, print its digest and size, and return the exit code.

    :raises RegistryError: it is not available.
    :raises OutputError: the file can't be written.
    """
    reference = Reference.parse(options.reference)
    registry = Registry(reference.host, options.access)
    if options.kind == "blob":
        return _fetch_blob(registry, reference, options)

    # A manifest or an index is written as the registry has it.
    manifest = registry.manifest(reference.repository, reference.version, MANIFEST_BYTES)
    if options.kind == "manifest":
        _write(manifest.data, options)
        _say(manifest.digest, manifest.size, manifest.media_type)
        return 0

    # A config is small, so it is verified in memory.
    config = _config_of(registry, reference, manifest, options.platforms)
    digest = _digest(config)
    _write(registry.read_blob(reference.repository, digest, MANIFEST_BYTES), options)
    _say(digest, config.size, config.media_type)
    return 0


def _fetch_blob(registry: Registry, reference: Reference, options: FetchOptions) -> int:
    """Fetch a blob into a file, which gets its name when it is complete; a restart resumes."""
    # Refuse what can't be meant, and outputs that may not be replaced.
    if reference.digest is None:
        raise UsageError(f"{reference} names no blob", "write HOST/NAME@sha256:DIGEST")
    if options.output == STDOUT:
        raise UsageError("a blob is not written to the standard output", "name a file with -o")
    output = real_name(options.output)
    digest = reference.digest
    check_replaceable(
        output,
        "copy of that blob",
        lambda path: file_sha256(path)[1] == digest.raw,
        options.force,
    )

    # Fetch into a hidden file beside the output, whose bytes the next try continues.
    partial = output.with_name(f".{output.name}.{reference.digest.hex[:12]}.part")
    size = registry.blob_size(reference.repository, reference.digest)
    try:
        make_directories(output.parent)
        if lacking := missing_room(partial, size):
            text = f"{reference} has {size} bytes, {lacking} more than are free"
            raise OutputError(f"{text} at {output}", "free some space, or choose another -o")
        size = registry.fetch_blob(reference.repository, reference.digest, size, partial)
        publish_whole(partial, output)
    except OSError as error:
        raise OutputError(f"can't write {output}: {error.strerror}") from None
    _say(reference.digest, size, "")
    return 0


def _config_of(
    registry: Registry, reference: Reference, manifest: Manifest, wanted: tuple[str, ...]
) -> Descriptor:
    try:
        document = documents.parse(manifest.data)
        kind = kind_of(document, manifest.media_type)
        # Of an index, go on with the one manifest that is meant.
        if kind == "index":
            child = _digest(_child(document, platforms.check(wanted), reference))
            manifest = registry.manifest(reference.repository, str(child), MANIFEST_BYTES)
            document = documents.parse(manifest.data)
            kind = kind_of(document, manifest.media_type)
        if kind == "docker_schema1":
            raise SourceError(f"{reference} is a manifest of schema 1, which has no config")
        return Descriptor.parse(documents.get_object(document, "config"))
    except Malformed as error:
        raise SourceError(f"{reference}: {error}") from None


def _child(index: dict[str, Any], wanted: tuple[str, ...], reference: Reference) -> Descriptor:
    """Return the only image of an index for the platforms asked for.

    :raises UsageError: there is none, or there are several.
    """
    children = [Descriptor.parse(child) for child in documents.get_list(index, "manifests")]
    # Leave out statements about images, which are for no platform.
    images = [
        child
        for child in children
        if not child.is_reference and child.platform != "unknown/unknown"
    ]
    found = [child for child in images if platforms.matches(child.platform, wanted)]
    if len(found) != 1:
        there = ", ".join(child.platform or "?" for child in images[:20])
        raise UsageError(
            f"{reference} is an index of {counted(len(images), 'image')} ({there})",
            "choose one with --platform",
        )
    return found[0]


def _digest(descriptor: Descriptor) -> Digest:
    try:
        return Digest.parse(descriptor.digest)
    except ValueError as error:
        raise SourceError(str(error)) from None


def _write(data: bytes, options: FetchOptions) -> None:
    output = options.output
    if output == STDOUT:
        sys.stdout.buffer.write(data)
        return
    check_replaceable(output, "copy of that", lambda path: path.read_bytes() == data, options.force)
    try:
        make_directories(output.parent)
        write_whole(output, [data])
    except OSError as error:
        raise OutputError(f"can't write {output}: {error.strerror}") from None


def _say(digest: Digest | None, size: int, media_type: str) -> None:
    with contextlib.suppress(OSError):
        print(
            f"{digest}  {size} {verb(size, 'byte', 'bytes')}  {media_type}".rstrip(),
            file=sys.stderr,
        )
