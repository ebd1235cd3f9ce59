"""Values that flow through the program: digests, layers, images, failures and their enumerations.

Words follow the OCI image specification; the numbers behind enumerated words are part of the file
format and never change meaning (new words are appended).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import NamedTuple

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}\Z")

FIRST_SECOND = -62_167_219_200
LAST_SECOND = 253_402_300_799
"""First and last second of the years 0 to 9999 UTC, which RFC 3339 can write, since 1970."""


@dataclass(frozen=True, order=True, slots=True)
class Digest:
    """A SHA-256 digest, parsed once.

    :param raw: its 32 bytes; `str()` gives `sha256:…`.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise ValueError(f"a SHA-256 digest has 32 bytes, got {len(self.raw)}")

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Parse `sha256:` and 64 lower-case hex digits.

        :raises ValueError: it is anything else.

        >>> Digest.parse("sha256:" + "0" * 63 + "a").hex[-2:]
        '0a'
        """
        if not isinstance(text, str) or not _SHA256.match(text):
            raise ValueError(f"not a sha256 digest: {str(text)[:100]!r}")
        return cls(bytes.fromhex(text[7:]))

    @property
    def hex(self) -> str:
        """The 64 lower-case hex digits."""
        return self.raw.hex()

    def __str__(self) -> str:
        return f"sha256:{self.raw.hex()}"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as a manifest names it.

    :param digest: of the compressed bytes.
    :param size: bytes of the blob as the descriptor says, -1 where it does not say (schema 1).
    :param media_type: a member of :data:`MEDIA_TYPES`.
    :param diff_id: of the uncompressed tar as the image's config says, or None.
    :param origin: where it is fetched from, `HOST/REPOSITORY` of a registry; "" if it is read in
        place. Layers that differ in it alone are equal.
    """

    digest: Digest
    size: int
    media_type: str
    diff_id: Digest | None = None
    origin: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Image:
    """One image: a manifest under a name, for one platform.

    :param name: `repository:tag`, `repository@sha256:…` or what the source calls it.
    :param digest: of the manifest's bytes.
    :param platform: `os/architecture[/variant]`, "" if unknown.
    :param manifest_type: a member of :data:`MANIFEST_TYPES`.
    :param layers: in order of the manifest, base first; a layer may occur twice.
    :param config: of its config, None if that could not be read or there is none (schema 1).
    :param annotations: key and value of the manifest's annotations, in the order of the manifest;
        secrets are replaced.
    :param pushed: when its tag was pushed last, as its registry told a crawl: seconds since 1970;
        None: not known.
    """

    name: str
    digest: Digest
    platform: str
    manifest_type: str
    layers: tuple[Layer, ...] = ()
    config: Digest | None = None
    annotations: Sequence[tuple[str, str]] = ()
    pushed: int | None = None

    @property
    def repository(self) -> str:
        """The name without tag or digest.

        >>> Image("host:5000/a/b:1", Digest(bytes(32)), "", "oci").repository
        'host:5000/a/b'
        """
        name = self.name.partition("@")[0]
        head, colon, tail = name.rpartition(":")
        return head if colon and "/" not in tail else name


class Step(NamedTuple):
    """One entry of a config's `history`: what made a layer, or changed the config alone.

    Texts hold what the config says, with its control characters, but no lone surrogates.

    :param created: seconds since 1970-01-01 UTC, rounded down; None: no valid date.
    :param created_ns: nanoseconds after these seconds, 0 to 999,999,999.
    :param is_empty: whether it says that it made no layer (`empty_layer`).
    :param secrets: how many secrets were replaced in its texts.
    """

    created: int | None = None
    created_ns: int = 0
    created_by: str = ""
    comment: str = ""
    author: str = ""
    is_empty: bool = False
    secrets: int = 0


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What the config of an image says, without its layers; missing texts are "".

    Texts hold what the config says, with its control characters, but no lone surrogates.
    `entrypoint` to `on_build` hold the value as compact JSON.

    :param size: bytes of the config's blob.
    :param created: seconds since 1970-01-01 UTC, rounded down; None: no valid date.
    :param created_ns: nanoseconds after these seconds, 0 to 999,999,999.
    :param labels: key and value, in the order of the config; so is `environment`.
    :param history: oldest first.
    :param notes: bits of :data:`CONFIG_NOTES`.
    :param secrets: how many secrets were replaced in it, those of its history included.
    """

    digest: Digest
    size: int
    created: int | None = None
    created_ns: int = 0
    os: str = ""
    architecture: str = ""
    variant: str = ""
    os_version: str = ""
    author: str = ""
    user: str = ""
    working_dir: str = ""
    stop_signal: str = ""
    entrypoint: str = ""
    cmd: str = ""
    exposed_ports: str = ""
    volumes: str = ""
    healthcheck: str = ""
    shell: str = ""
    on_build: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    history: tuple[Step, ...] = ()
    notes: int = 0
    secrets: int = 0


class Configs:
    """Configs by digest, each once; iterating yields them in the order of their digests."""

    def __init__(self) -> None:
        self._by_digest: dict[Digest, ImageConfig] = {}
        self._layers: dict[bytes, Layer] = {}
        self._elsewhere: dict[tuple[bytes, str], Layer] = {}

    def __len__(self) -> int:
        return len(self._by_digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Configs) and list(self) == list(other)

    def __iter__(self) -> Iterator[ImageConfig]:
        for digest in sorted(self._by_digest):
            yield self._by_digest[digest]

    def add(self, config: ImageConfig) -> None:
        """Take a config, unless one of the same digest is there."""
        self._by_digest.setdefault(config.digest, config)

    def adopted(self, image: Image) -> Image:
        """Return an image as it is kept in memory: it shares its layers with earlier ones.

        A million images have some twenty million layers, a tenth of them different.
        """
        if not image.layers:
            return image
        return replace(image, layers=tuple(map(self._shared, image.layers)))

    def _shared(self, layer: Layer) -> Layer:
        """Return the first layer that is equal and of the same origin."""
        known = self._layers.setdefault(layer.digest.raw, layer)
        if known is layer:
            return layer
        is_equal = known == layer
        if is_equal and known.origin == layer.origin:
            return known
        # Of another origin the digests at least are shared.
        own = replace(known, origin=layer.origin) if is_equal else layer
        found = self._elsewhere.setdefault((layer.digest.raw, layer.origin), own)
        return found if found == layer else layer

    def no_more_images(self) -> None:
        """Forget which layers can be shared, since all images are there."""
        self._layers.clear()
        self._elsewhere.clear()


@dataclass(frozen=True)
class Skipped:
    """Something in a source that is not profiled as a layer, and is counted separately.

    :param image: name of the image that refers to it.
    :param digest: as the descriptor writes it (it need not be a valid digest).
    :param size: bytes as the descriptor says, -1 where it does not say.
    :param media_type: the media type in full, cut to 255 characters.
    :param cause: a member of :data:`SKIP_CAUSES`.
    :param message: one sentence for users.
    """

    image: str
    digest: str
    size: int
    media_type: str
    cause: str
    message: str = ""


@dataclass(frozen=True)
class Failure:
    """Why a layer is not, or only partly, in the dataset; it never ends the run.

    With the stage `manifest` it is about a false statement of an image about a layer, which may be
    in the dataset all the same.

    :param stage: a member of :data:`STAGES`.
    :param cause: a member of :data:`CAUSES`.
    :param message: one sentence for users, at most 500 characters.
    :param offset: byte of the uncompressed tar where it happened, -1 where there is none.
    """

    digest: Digest
    stage: str
    cause: str
    message: str
    offset: int = -1
    rank: int = -1
    host: str = ""

    @property
    def is_claim(self) -> bool:
        """Whether it is about a statement of an image, and not about the layer itself."""
        return self.stage == "manifest"


@dataclass(frozen=True)
class Popularity:
    """Stars and pulls of a repository, and its role in a sample; from a crawl's list.

    :param stars: -1: unknown; so are `pulls`.
    :param stratum: of the sample in which it was drawn, "" if it was not.
    :param weight: how many repositories it represents, 0: unknown.
    :param drawn: repositories drawn in its stratum, including those without an image; -1: unknown.
    """

    stars: int = -1
    pulls: int = -1
    stratum: str = ""
    weight: float = 0.0
    drawn: int = -1

    def __or__(self, other: Popularity) -> Popularity:
        """Merge two rows about one repository: the greater of two numbers is the later one.

        >>> Popularity(3, -1) | Popularity(2, 10)
        Popularity(stars=3, pulls=10, stratum='', weight=0.0, drawn=-1)
        """
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Popularity(*(max(mine, its) for mine, its in pairs))


@dataclass
class Catalog:
    """What sources contain: images with their layers, skipped things, and facts of repositories.

    :param skipped: what is counted separately and not profiled.
    :param repositories: popularity by `repository` of the images.
    :param passing: whether something is missing that another run may find.
    :param others: platforms of images left out because of `--platform`, not all if there are many.
    :param configs: the configs that images name, each once.
    """

    images: list[Image] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    repositories: dict[str, Popularity] = field(default_factory=dict)
    passing: bool = False
    others: set[str] = field(default_factory=set)
    configs: Configs = field(default_factory=Configs)

    def __add__(self, other: Catalog) -> Catalog:
        configs = Configs()
        for config in (*self.configs, *other.configs):
            configs.add(config)
        repositories = dict(self.repositories)
        for name, popularity in other.repositories.items():
            repositories[name] = repositories.get(name, Popularity()) | popularity
        return Catalog(
            images=self.images + other.images,
            skipped=self.skipped + other.skipped,
            repositories=repositories,
            passing=self.passing or other.passing,
            others=self.others | other.others,
            configs=configs,
        )


def _enum(*words: str) -> dict[str, int]:
    return {word: number for number, word in enumerate(words)}


KINDS = _enum(
    "file",
    "directory",
    "symlink",
    "hardlink",
    "character_device",
    "block_device",
    "fifo",
    "whiteout",
    "opaque",
    "other",
)
"""Kinds of tar entries; `opaque`: the marker `.wh..wh..opq`, `other`: one that no tool extracts."""

STATUSES = _enum("ok", "partial", "failed")
"""Results of profiling a layer; `partial`: the dataset has its entries before the fault."""

COMPRESSIONS = _enum("none", "gzip", "zstd", "bzip2", "xz", "unknown")
"""Compression by the first bytes of a blob; `unknown`: not opened, or in another format."""

MEDIA_TYPES = _enum(
    "unspecified",
    "oci_tar",
    "oci_tar_gzip",
    "oci_tar_zstd",
    "docker_tar",
    "docker_tar_gzip",
    "docker_tar_zstd",
    "docker_archive_tar",
    "oci_nondistributable_tar",
    "oci_nondistributable_tar_gzip",
    "oci_nondistributable_tar_zstd",
    "docker_foreign_tar",
    "docker_foreign_tar_gzip",
    "docker_foreign_tar_zstd",
)
"""Media types of layers that are profiled; see `sources/manifests.py` for the full names."""

MANIFEST_TYPES = _enum("oci", "docker_schema2", "docker_schema1", "docker_archive")

CHUNK_METHODS = _enum("fixed", "cdc")
"""Methods of cutting contents into chunks."""

STEP_KINDS = _enum(
    "base",
    "COPY_from",
    "COPY",
    "ADD",
    "WORKDIR",
    "metadata",
    "buildpacks",
    "bazel",
    "jib",
    "ko",
    "apko",
    "nix",
    "squash",
    "commit",
    "RUN_conda",
    "RUN_pip",
    "RUN_npm",
    "RUN_gem",
    "RUN_php",
    "RUN_R",
    "RUN_go",
    "RUN_cargo",
    "RUN_maven",
    "RUN_dotnet",
    "RUN_spack",
    "RUN_make",
    "RUN_apt",
    "RUN_apk",
    "RUN_dnf",
    "RUN_git",
    "RUN_curl",
    "RUN_chown",
    "RUN_other",
    "other",
    "no_history",
)
"""Kinds of build steps, see `metrics/step_kinds.py`; `other`: one that no rule knows."""

SKIP_CAUSES = _enum(
    "artifact",
    "attestation",
    "foreign",
    "encrypted",
    "unknown_media_type",
    "bad_manifest",
    "missing_manifest",
    "bad_digest",
    "other_platform",
    "too_deep",
    "not_in_archive",
    "too_many",
)

LOST_CAUSES = frozenset({"bad_manifest", "missing_manifest", "bad_digest", "too_deep", "too_many"})
"""Causes for which an image, or part of one, is missing from the dataset."""

STAGES = _enum(
    "open",
    "fetch",
    "verify",
    "decompress",
    "tar",
    "type",
    "child",
    "publish",
    "unpack",
    "exec",
    "manifest",
)
"""Stages of profiling; `manifest`: a manifest states something false about the layer."""

CAUSES = _enum(
    "missing",
    "io_error",
    "size_mismatch",
    "digest_mismatch",
    "bad_compression",
    "truncated",
    "bad_header",
    "limit_header",
    "limit_path",
    "limit_entries",
    "limit_size",
    "limit_ratio",
    "limit_sparse",
    "limit_time",
    "limit_memory",
    "killed",
    "crashed",
    "no_room",
    "unsupported",
    "internal",
    "denied",
    "rate_limited",
    "exec_failed",
)

BASE_CLAIMS = _enum("none", "true", "moved", "false", "absent", "scratch", "invalid")
"""What becomes of an image's claim about its base. `none`: it claims none; `true`: its layers begin
with those of the claimed image; `moved`: they do not begin with those of the image that has the
claimed name now; `false`: they do not begin with those of the image that has the claimed digest;
`absent`: the dataset has no such image; `scratch`: it claims to have no base; `invalid`: what it
claims is no reference or no digest."""

TRANSIENT_CAUSES = frozenset(
    {
        "io_error",
        "limit_time",
        "limit_memory",
        "killed",
        "crashed",
        "no_room",
        "missing",
        "internal",
        "denied",
        "rate_limited",
    }
)
"""Causes that may not occur again: the next run profiles such layers again."""

NOTES = {
    "missing_end_marker": 1 << 0,
    "trailing_data": 1 << 1,
    "many_members": 1 << 2,
    "skippable_frames": 1 << 3,
    "media_type_mismatch": 1 << 4,
    "pax_global_header": 1 << 5,
    "diff_id_mismatch": 1 << 6,
    "unresolved_hardlink": 1 << 7,
    "other_entries": 1 << 8,
}
"""Bits of `/layers/notes`: oddities of layers that are complete all the same."""

CONFIG_NOTES = {
    "malformed": 1 << 0,
    "wrong_type": 1 << 1,
    "repeated_key": 1 << 2,
    "invalid_utf8": 1 << 3,
    "bad_date": 1 << 4,
    "history_mismatch": 1 << 5,
}
"""Bits of a config's notes.

`malformed`: no JSON object, and nothing else of it is known; `wrong_type`: a member of another type
than the specification's was left out; `repeated_key`: the later member holds; `invalid_utf8`: bytes
that are not UTF-8, or half a surrogate pair, became U+FFFD; `bad_date`: no date by RFC 3339;
`history_mismatch`: the steps that made a layer, by the history, are not as many as the layers.
"""
