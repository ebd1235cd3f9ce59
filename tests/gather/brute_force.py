"""Work out a dataset entry by entry in plain Python."""

from __future__ import annotations

from datetime import datetime, timedelta

from support.synthetic import TYPES, Row, SyntheticLayer

from hpc_remetrics.dataset.schema import WEAK_TYPES
from hpc_remetrics.parts.spill_format import EXTRA_STRUCTS, NO_CONTENT, NO_TYPE
from hpc_remetrics.records import CHUNK_METHODS, NOTES, Catalog, Failure

PACKED = {"oci_tar": "none", "oci_tar_gzip": "gzip", "docker_tar_zstd": "zstd"}


def packed(digest: bytes, size: int) -> tuple[int, int]:
    """Return the compressed sizes of a content, (-1, -1) for every other one: not in the sample.

    One codec makes every third content longer.
    """
    return (size // 2, size + digest[1] % 3 - 1) if digest[0] % 2 else (-1, -1)


def chunks_of(digest: bytes, size: int) -> list[tuple[int, bytes, int]]:
    """Return method, fingerprint and size of the chunks of a content; others share some."""
    shared = bytes([digest[1]] * 16)
    return [(1, digest[:16], size), (0, shared, digest[1])] if digest[0] % 3 == 0 else []


def extras_of(rows: list[Row]) -> dict[str, bytes]:
    """Return what probes add to the spill of a layer."""
    extras = {"samples": b"", "cuts": b"", "chunks": b""}
    for row in rows:
        if row.kind == "file":
            if (sizes := packed(row.digest, row.size)) != (-1, -1):
                extras["samples"] += EXTRA_STRUCTS["samples"].pack(row.digest, *map(abs, sizes))
            if chunks := chunks_of(row.digest, row.size):
                extras["cuts"] += EXTRA_STRUCTS["cuts"].pack(row.digest, len(chunks))
            for method, fingerprint, size in chunks:
                extras["chunks"] += EXTRA_STRUCTS["chunks"].pack(fingerprint, size, method)
    return extras


def expected(
    layers: list[SyntheticLayer], lone: list[Failure], catalog: Catalog, chunk_share: float = 1
) -> dict[str, dict[str, list]]:
    """Return table -> column -> values of a dataset of these layers (the best copy of each) and
    images.

    :param chunk_share: the share of the chunks, by fingerprint, that the dataset has.
    """
    chosen = {layer.digest: layer for layer in layers}
    images = sorted(
        set(catalog.images), key=lambda image: (image.name, image.digest, image.platform)
    )
    digests = sorted({layer.digest for image in images for layer in image.layers})
    users = {
        digest: [n for n, i in enumerate(images) if digest in {one.digest for one in i.layers}]
        for digest in digests
    }
    found: dict[bytes, dict] = {}
    for number, digest in enumerate(digests):
        for row in chosen[digest].rows if digest in chosen else ():
            if row.size == NO_CONTENT:
                continue
            content = found.setdefault(
                row.digest, {"size": row.size, "types": set(), "copies": 0, "layers": set()}
            )
            content["types"].add("untyped" if row.type == NO_TYPE else TYPES[row.type])
            content["copies"] += row.kind == "file"
            content["layers"].add(number)
    order = sorted(found)
    for content in found.values():
        content["type"] = min(content["types"], key=lambda text: (text in WEAK_TYPES, text))
        content["images"] = len(
            {image for layer in content["layers"] for image in users[digests[layer]]}
        )
    types = sorted({content["type"] for content in found.values()})
    rows = [row for digest in digests if digest in chosen for row in chosen[digest].rows]
    files = {row.digest: row.size for row in rows if row.kind == "file"}
    return {
        **_images(images, digests, [*catalog.configs]),
        "layers": _layers(digests, chosen, lone, images, users),
        "entries": {
            "content": [order.index(row.digest) if row.size != NO_CONTENT else -1 for row in rows],
            "kind": [row.kind for row in rows],
            "mode": [row.mode for row in rows],
            "uid": [row.uid for row in rows],
            "gid": [row.gid for row in rows],
            "mtime": [row.mtime for row in rows],
            "mtime_ns": [row.mtime_ns for row in rows],
            "path": [row.path for row in rows],
            "link": [row.link for row in rows],
        },
        "contents": {
            **_probed(files, found, order),
            "digest": [f"sha256:{digest.hex()}" for digest in order],
            "size": [found[digest]["size"] for digest in order],
            "type": [types.index(found[digest]["type"]) for digest in order],
            "copies": [found[digest]["copies"] for digest in order],
            "layers": [len(found[digest]["layers"]) for digest in order],
            "images": [found[digest]["images"] for digest in order],
        },
        "types": {"description": types},
        "chunks": _chunks(files, chunk_share),
        "failures": _failures(digests, chosen, lone),
    }


def _probed(files: dict, found: dict, order: list) -> dict[str, list]:
    """Return the columns of contents that come from probes."""
    sizes = [packed(digest, files[digest]) if digest in files else (-1, -1) for digest in order]
    pairs = list(zip(order, sizes, strict=True))
    return {
        "gzip": [
            min(abs(gzip), found[digest]["size"]) if gzip >= 0 else -1
            for digest, (gzip, _) in pairs
        ],
        "zstd": [
            min(abs(zstd), found[digest]["size"]) if gzip >= 0 else -1
            for digest, (gzip, zstd) in pairs
        ],
        "cdc_chunks": [
            min(len(chunks), found[digest]["size"]) if digest in files and chunks else -1
            for digest in order
            for chunks in [chunks_of(digest, 0)]
        ],
    }


def _chunks(files: dict, share: float) -> dict[str, list]:
    chunks = {chunk for digest, size in files.items() for chunk in chunks_of(digest, size)}
    kept = sorted(chunk for chunk in chunks if chunk[1][0] < 256 * share)
    words = list(CHUNK_METHODS)
    return {
        "method": [words[method] for method, _, _ in kept],
        "fingerprint": [fingerprint.hex() for _, fingerprint, _ in kept],
        "size": [size for _, _, size in kept],
    }


def _images(images: list, digests: list, configs: list) -> dict[str, dict[str, list]]:
    """Return the tables of images, of their layers, and of what configs and annotations say."""
    repositories = sorted({image.repository for image in images})
    users: dict = {}
    for number, image in enumerate(images):
        if image.config:
            users.setdefault(image.config, []).append(number)
    configs = [config for config in configs if config.digest in users]
    rows = {config.digest: row for row, config in enumerate(configs)}
    histories = {row: [*config.history] for row, config in enumerate(configs)}
    first_step = {row: sum(len(histories[one]) for one in range(row)) for row in histories}
    first, step = [], []
    for image in images:
        first.append(len(step))
        row = rows.get(image.config, -1)
        made = [first_step[row] + n for n, one in enumerate(histories.get(row, [])) if not one[5]]
        step += made if len(made) == len(image.layers) else [-1] * len(image.layers)
    history = [(row, one) for row in histories for one in histories[row]]
    layer_of = {
        made: place
        for used in users.values()
        for place, made in enumerate(step)
        if first[used[0]] <= place < first[used[0]] + len(images[used[0]].layers)
    }
    names = ("size", "created_ns", "notes", "secrets", "os", "author", "entrypoint", "on_build")
    texts = ("created_ns", "created_by", "comment", "author", "secrets")
    config_of = [rows.get(image.config, -1) for image in images]
    created = [_time(config.created) for config in configs]
    return {
        "image_layers": {
            "layer": [digests.index(layer.digest) for image in images for layer in image.layers],
            "step": step,
        },
        "configs": {
            "digest": [str(config.digest) for config in configs],
            "created": created,
            "labels": [len(config.labels) for config in configs],
            "variables": [len(config.environment) for config in configs],
            "steps": [len(config.history) for config in configs],
            "first_step": list(first_step.values()),
            "images": [len(users[config.digest]) for config in configs],
            **{name: [getattr(config, name) for config in configs] for name in names},
        },
        "labels": _pairs("config", [config.labels for config in configs]),
        "environment": _pairs("config", [config.environment for config in configs]),
        "annotations": _pairs("image", [image.annotations for image in images]),
        "history": {
            "config": [row for row, _ in history],
            "created": [_time(one.created) for _, one in history],
            "is_empty_layer": [int(one.is_empty) for _, one in history],
            "image_layer": [layer_of.get(row, -1) for row in range(len(history))],
            **{name: [getattr(one, name) for _, one in history] for name in texts},
        },
        "images": {
            **_image_columns(images, repositories, first),
            "config": config_of,
            "created": [None if row < 0 else created[row] for row in config_of],
            "pushed": [_time(image.pushed) for image in images],
        },
    }


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime(1970, 1, 1) + timedelta(seconds=seconds)


def _pairs(owner: str, owned: list) -> dict[str, list]:
    rows = [(row, key, value) for row, pairs in enumerate(owned) for key, value in pairs]
    return {
        name: [row[place] for row in rows] for place, name in enumerate((owner, "key", "value"))
    }


def _image_columns(images: list, repositories: list, first: list) -> dict[str, list]:
    return {
        "name": [image.name for image in images],
        "repository": [repositories.index(image.repository) for image in images],
        "digest": [str(image.digest) for image in images],
        "platform": [image.platform for image in images],
        "manifest_type": [image.manifest_type for image in images],
        "layers": [len(image.layers) for image in images],
        "first_layer": first,
    }


def _layers(
    digests: list, chosen: dict, lone: list[Failure], images: list, users: dict
) -> dict[str, list]:
    names = [
        "status",
        "CLS",
        "TLS",
        "FLS",
        "entries",
        "files",
        "directories",
        "symlinks",
        "hardlinks",
    ]
    names += ["devices", "whiteouts", "others", "depth"]
    table: dict[str, list] = {
        name: [] for name in ["digest", "first_entry", "media_type", "images", "notes", *names]
    }
    at = 0
    for digest in digests:
        profile = chosen[digest].profile if digest in chosen else None
        named = [layer for image in images for layer in image.layers if layer.digest == digest]
        media = min(
            (layer.media_type for layer in named), key=lambda word: list(_MEDIA).index(word)
        )
        table["digest"].append(str(digest))
        table["first_entry"].append(at)
        table["media_type"].append(media)
        table["images"].append(len(users[digest]))
        for name in names:
            table[name].append(
                getattr(profile, name) if profile else "failed" if name == "status" else 0
            )
        notes = profile.notes if profile else 0
        if profile and media in PACKED and PACKED[media] != profile.compression:
            notes |= NOTES["media_type_mismatch"]
        if (
            profile
            and profile.diff_id
            and any(one.diff_id and one.diff_id.hex != profile.diff_id for one in named)
        ):
            notes |= NOTES["diff_id_mismatch"]
        table["notes"].append(notes)
        at += profile.entries if profile else 0
    return table


def _failures(digests: list, chosen: dict, lone: list[Failure]) -> dict[str, list]:
    rows = [
        (failure.digest, failure.cause, failure.offset)
        for failure in lone
        if failure.digest in digests
    ]
    bad = [
        chosen[digest]
        for digest in digests
        if digest in chosen and chosen[digest].profile.status != "ok"
    ]
    rows = sorted(
        rows + [(layer.digest, layer.profile.cause, layer.profile.offset) for layer in bad]
    )
    return {
        "digest": [str(digest) for digest, _, _ in rows],
        "cause": [cause for _, cause, _ in rows],
        "offset": [offset for _, _, offset in rows],
    }


_MEDIA = (
    "unspecified",
    "oci_tar",
    "oci_tar_gzip",
    "oci_tar_zstd",
    "docker_tar",
    "docker_tar_gzip",
    "docker_tar_zstd",
)
