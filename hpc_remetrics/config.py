"""The options of commands: groups that commands share, and the commands whose options others read.

A command's options are a dataclass that derives from the groups that it takes (`options.py` has the
machinery). Every option that can be set outside the command line is defined here, since a settings
file is checked as a whole, whichever command reads it.

    AnalyzeOptions ← SourceOptions, OutputOptions, PlatformOptions, LimitOptions, …
                 └ sources: argument SOURCE, REMETRICS_SOURCES, key `sources`

:func:`read_options` makes such a dataclass for every command: flags win over variables, these over
the settings file, and this over the defaults.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypeVar

from .errors import OutputError, UsageError
from .limits import EMPTY_PAGES, NODE_LAYERS, START_SECONDS, Limits
from .options import (
    COUNT,
    PATH,
    PATHS,
    POSITIVE,
    SHARE,
    STRINGS,
    SWITCH,
    Options,
    OptionTable,
    ValueType,
    argument,
    build,
    choice_of,
    flag_values,
    list_of,
    option,
    options_of,
    path_of,
    table,
    tables_of,
)
from .registry.access import Access
from .settings import FILE_NAME, KnownSettings, find, read_settings, unknown_variables

MEMORY = 1000.0
"""MB that each rank may take for rows while metrics are computed, by default."""

DEMO = "demo:"

SAMPLE = Fraction(1, 256)
"""Share of the contents that are compressed, by default."""

UPDATE_SAMPLE = Fraction(1, 16)
"""Share of the changed files and of the chunks that `updates` measures, by default."""

TYPE_MEMORY = Fraction(1, 128)
"""Share of a node's memory for the table of types, by default."""

_MAX_SHARES = 1_000_000

_MAX_THREADS = 64

Tier: TypeAlias = tuple[Path, int | None]
"""A scratch directory, and the bytes that layers may take there; None: what is free decides."""


# How the values of some options are read.


def parse_tier(text: str) -> Tier:
    """Read `DIR` or `DIR=SIZE`, a scratch directory and the most bytes that layers may take there.

    What follows the last `=` is a size, unless there is a directory of the whole name.

    >>> parse_tier("/dev/shm=8G")[1], parse_tier("/dev/shm=1.5GiB")[1], parse_tier("/local")[1]
    (8000000000, 1610612736, None)

    :raises UsageError: no directory is named, or the size is none.
    """
    directory, equals, size = text.rpartition("=")
    parsed = re.fullmatch(
        r"(\d{1,18}(?:\.\d{1,18})?)\s*(?:([kmgtp])(i?))?b?", size.strip(), re.IGNORECASE
    )
    if directory and parsed:
        base = 1024 if parsed[3] else 1000
        exponent = " kmgtp".index((parsed[2] or " ").lower())
        return path_of(directory), int(float(parsed[1]) * base**exponent)
    path = path_of(text)
    if equals and not path.is_dir():
        raise UsageError(f"{text!r}: {size!r} is not a size", "for example /dev/shm=8G")
    if not text:
        raise UsageError("no directory is named", "for example /dev/shm")
    return path, None


def parse_share(text: str) -> tuple[int, int]:
    """Read `K/N`, the K-th of N shares.

    >>> parse_share("2/8")
    (2, 8)

    :raises ValueError: it is none.
    """
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal()):
        raise ValueError
    share = int(number), int(count)
    if not 1 <= share[0] <= share[1] <= _MAX_SHARES:
        raise ValueError
    return share


def _node_layers(text: str) -> tuple[int, ...]:
    numbers = tuple(int(word) for word in text.split(","))
    if len(numbers) != len(NODE_LAYERS) or min(numbers) < 1:
        raise ValueError
    return numbers


def _output_file(text: str) -> Path:
    path = path_of(text)
    if not path.name:
        raise OutputError(f"{path} is a directory", "name a file with -o, such as dataset.h5")
    return path


def _shell_command(text: str) -> str:
    if "{dir}" not in text:
        raise UsageError(f"{text!r} has no {{dir}}", "for example --exec 'du -s {dir}'")
    return text


def _chunk_sample(value: Any) -> Fraction:
    share: Fraction = SHARE.convert(value)
    if share == 0:
        raise UsageError("0 keeps no chunk", "leave --chunks out to cut nothing")
    return share


def _update_sample(value: Any) -> Fraction:
    share: Fraction = SHARE.convert(value)
    if share == 0:
        raise UsageError("0 measures nothing", "`reduce` compares images by layer and by file")
    return share


def parse_probes(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Read `NAME=SETTING` of each probe; return the names and settings in order of the names.

    >>> parse_probes(["licences=MIT,GPL", "entropy"])
    (('entropy', ''), ('licences', 'MIT,GPL'))

    :raises UsageError: one has no name, or one name stands there twice.
    """
    settings: dict[str, str] = {}
    for text in texts:
        name, _, setting = text.partition("=")
        if not name or name in settings:
            problem = "is set twice" if name else "has no name"
            raise UsageError(f"the probe {text!r} {problem}", "for example --probe entropy=1/16")
        settings[name] = setting
    return tuple(sorted(settings.items()))


def _threads(value: Any) -> int:
    number: int = COUNT.convert(value)
    if number > _MAX_THREADS:
        raise ValueError
    return number


_TIERS = list_of(ValueType("a directory", (str,), parse_tier), separator=os.pathsep)
_SHARE_OF_JOBS = ValueType(
    f"K/N with 1 <= K <= N <= {_MAX_SHARES}", (str,), parse_share, hint="for example --share 2/8"
)
_FOUR_NUMBERS = ValueType(
    "four numbers above 0",
    (str,),
    _node_layers,
    hint=f"for example {','.join(map(str, NODE_LAYERS))}",
)


# Groups of options that commands share.


@dataclass(frozen=True, kw_only=True)
class TalkOptions(Options):
    """How much a command prints."""

    TITLE: ClassVar[str] = "messages"

    verbose: int = option(
        "-v",
        "--verbose",
        value=COUNT,
        default=0,
        is_counted=True,
        key=False,
        help="print what is done (-vv: more)",
    )
    quiet: bool = option(
        "-q", "--quiet", value=SWITCH, default=False, key=False, help="print errors only"
    )


@dataclass(frozen=True, kw_only=True)
class SettingsOptions(Options):
    """A command that reads settings."""

    config: Path | None = option(
        "--config",
        value=PATH,
        key=False,
        metavar="FILE",
        help="settings file",
        default_text=f"{FILE_NAME}, if it is there",
    )


@dataclass(frozen=True, kw_only=True)
class JobOptions(Options):
    """A command that all ranks of a job run together."""

    start_seconds: float = option(
        "--start-seconds",
        value=POSITIVE,
        default=START_SECONDS,
        metavar="S",
        help="seconds that the ranks may take until MPI starts",
    )


@dataclass(frozen=True, kw_only=True)
class SourceOptions(Options):
    """Where images are."""

    sources: tuple[str, ...] = argument(
        "SOURCE",
        value=STRINGS,
        default=(),
        is_required=False,
        key=True,
        help="where the images are; analyze without any takes demo:",
        example='["oci:/data/layout", "seed2017:/data/hub"]',
    )


@dataclass(frozen=True, kw_only=True)
class OutputOptions(Options):
    """The dataset that `analyze` makes."""

    output: Path = option(
        "-o",
        "--output",
        value=ValueType("a string", (str,), _output_file),
        default=Path("remetrics.h5"),
        metavar="DATASET.h5",
        help="the dataset to write",
    )


@dataclass(frozen=True, kw_only=True)
class PlatformOptions(Options):
    """Which images of an index are meant."""

    platforms: tuple[str, ...] = option(
        "--platform",
        value=STRINGS,
        default=(),
        metavar="OS/ARCH[/VARIANT]",
        help="take the images for this platform only",
        default_text="all",
        example='["linux/amd64"]',
    )


@dataclass(frozen=True, kw_only=True)
class ReuseOptions(Options):
    """Which earlier datasets give layers."""

    reuse: tuple[Path, ...] = option(
        "--reuse",
        value=PATHS,
        default=(),
        key=False,
        metavar="EARLIER.h5",
        help="take layers of the same digest from this earlier dataset, and neither fetch nor "
        "profile them; may be repeated",
        default_text="none",
    )


@dataclass(frozen=True, kw_only=True)
class LimitOptions(Options):
    """What hostile or broken input may cost."""

    limits: Limits = table(
        Limits,
        key="limits",
        prefix="REMETRICS_LIMIT_",
        flag="--limit",
        help="change a limit",
        noun="limit",
    )


@dataclass(frozen=True, kw_only=True)
class AccessOptions(Options):
    """How registries are reached."""

    access: Access = table(
        Access,
        key="registries",
        prefix="REMETRICS_REGISTRY_",
        noun="registry setting",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.access.check_login()


@dataclass(frozen=True, kw_only=True)
class ScratchOptions(Options):
    """Where temporary files of a job are."""

    tiers: tuple[Tier, ...] = option(
        "--scratch",
        value=_TIERS,
        default=(),
        key="scratch",
        metavar="DIR[=SIZE]",
        help="node-local directory, fastest first, and the bytes that layers may take there",
        default_text="/dev/shm, $TMPDIR",
        example='["/dev/shm=8G", "/tmp"]',
    )

    @property
    def scratch(self) -> tuple[Path, ...]:
        """The scratch directories, fastest first; none: the caller takes the usual ones."""
        return tuple(path for path, _ in self.tiers)

    @property
    def scratch_rooms(self) -> dict[Path, int]:
        """The most bytes that layers may take in those scratch directories that have a limit."""
        return {path: room for path, room in self.tiers if room is not None}


@dataclass(frozen=True, kw_only=True)
class MemoryOptions(Options):
    """How much memory the metrics take."""

    memory: float = option(
        "--memory",
        value=POSITIVE,
        default=MEMORY,
        metavar="MB",
        help="memory of each rank for rows while metrics are computed",
    )


@dataclass(frozen=True, kw_only=True)
class ExtractOptions(Options):
    """Whether layers are unpacked."""

    extract: bool = option(
        "--extract",
        value=SWITCH,
        default=False,
        help="unpack each layer on scratch and profile what was unpacked",
    )


@dataclass(frozen=True, kw_only=True)
class ThreadOptions(Options):
    """How many downloads a rank makes at once."""

    threads: int = option(
        "--threads",
        value=ValueType(f"a whole number from 1 to {_MAX_THREADS}", (int,), _threads),
        default=4,
        metavar="N",
        help="downloads of each rank at once",
    )


@dataclass(frozen=True, kw_only=True)
class ListingOptions(Options):
    """How long a listing without anything new is followed."""

    empty_pages: int = option(
        "--empty-pages",
        value=COUNT,
        default=EMPTY_PAGES,
        metavar="N",
        help="give a listing up after N pages in a row without anything new",
    )


def force_option(what: str) -> Any:
    """Define `--force`, which replaces `what` a command would not replace by itself.

    It has no key: only whoever types a command can know that nothing is lost.
    """
    return option("--force", value=SWITCH, default=False, key=False, help=f"replace {what}")


def directory_option(default_text: str) -> Any:
    """Define `--output` of a command that writes a directory of files beside a dataset."""
    return option(
        "-o",
        "--output",
        value=PATH,
        key=False,
        metavar="DIR",
        help="directory to write to",
        default_text=default_text,
    )


def json_option(help: str = "print JSON") -> Any:
    """Define `--json`."""
    return option("--json", value=SWITCH, default=False, key=False, help=help)


_DATASETS_LOST = "an output that is not a dataset, or one whose layers would be lost"


# The options of commands that other packages read.


@dataclass(frozen=True, kw_only=True)
class AnalyzeOptions(
    SourceOptions,
    OutputOptions,
    PlatformOptions,
    ReuseOptions,
    ExtractOptions,
    ScratchOptions,
    MemoryOptions,
    LimitOptions,
    AccessOptions,
    JobOptions,
    SettingsOptions,
    TalkOptions,
):
    """The options of `analyze`; without sources the caller takes `demo:`."""

    types: str = option(
        "--types",
        value=choice_of("exact", "plain", "none"),
        default="exact",
        help="types of files: as libmagic gives them, in a fraction of its time (exact) or by "
        "libmagic alone (plain), or no types (none)",
    )
    warm_types: Path | None = option(
        "--warm-types",
        value=PATH,
        metavar="DATASET.h5",
        help="take over the types of contents from this dataset",
        example='"earlier.h5"',
    )
    type_memory: Fraction = option(
        "--type-memory",
        value=SHARE,
        default=TYPE_MEMORY,
        metavar="SHARE",
        help="share of a node's memory that the table of types may take; below 16 MB it takes that",
    )
    compress_sample: Fraction = option(
        "--compress-sample",
        value=SHARE,
        default=SAMPLE,
        metavar="SHARE",
        help="share of the contents that are compressed, to estimate what all would take; 0: none",
    )
    chunks: bool = option(
        "--chunks",
        value=SWITCH,
        default=False,
        help="cut contents into chunks, of fixed size and by content, and count duplicates",
    )
    chunk_sample: Fraction = option(
        "--chunk-sample",
        value=ValueType(SHARE.noun, SHARE.types, _chunk_sample, SHARE.hint),
        default=Fraction(1),
        metavar="SHARE",
        help="share of the chunks that --chunks keeps, to estimate how many there are",
    )
    probes: tuple[tuple[str, str], ...] = option(
        "--probe",
        value=ValueType("a list of strings", (list,), parse_probes),
        default=(),
        in_any_file=False,
        metavar="NAME=SETTING",
        help="measure contents by this probe of another installed package, too",
        default_text="none",
        example='["entropy=1/16"]',
    )
    exec: str | None = option(
        "--exec",
        value=ValueType("a string", (str,), _shell_command),
        in_any_file=False,
        metavar="'CMD {dir}'",
        help="run this shell command on each unpacked layer; {digest} is the layer's digest",
        example='"du -s {dir}"',
    )
    keep: Path | None = option(
        "--keep",
        value=PATH,
        metavar="DIR",
        help="keep what is fetched from registries in this OCI image layout",
        example='"mirror"',
    )
    keep_secrets: bool = option(
        "--keep-secrets",
        value=SWITCH,
        default=False,
        in_any_file=False,
        help="keep what looks like a secret in environments, labels and histories of images",
    )
    node_layers: tuple[int, ...] = option(
        "--node-layers",
        value=_FOUR_NUMBERS,
        default=NODE_LAYERS,
        metavar="A,B,C,D",
        help="layers up to 50 MB, 1 GB, 2 GB and above on a node's scratch at once",
        example=f'"{",".join(map(str, NODE_LAYERS))}"',
    )
    publish_seconds: float | None = option(
        "--publish-seconds",
        value=POSITIVE,
        metavar="S",
        help="seconds that a profiled layer may wait to be published in a part",
        default_text="30 to 1200, by the number of ranks",
        example="30.0",
    )
    retry_failed: bool = option(
        "--retry-failed", value=SWITCH, default=False, help="profile every failed layer again"
    )
    share: tuple[int, int] | None = option(
        "--share",
        value=_SHARE_OF_JOBS,
        key=False,
        metavar="K/N",
        help="profile only the K-th of N shares of the layers, beside other jobs; a run without "
        "--share gathers them",
        default_text="all layers",
    )
    force: bool = force_option(_DATASETS_LOST)


@dataclass(frozen=True, kw_only=True)
class ReduceOptions(MemoryOptions, ScratchOptions, JobOptions, SettingsOptions, TalkOptions):
    """The options of `reduce`."""

    dataset: Path = argument("DATASET.h5", value=PATH, help="the dataset to compute metrics of")


@dataclass(frozen=True, kw_only=True)
class UpdatesOptions(
    ScratchOptions,
    MemoryOptions,
    LimitOptions,
    AccessOptions,
    JobOptions,
    SettingsOptions,
    TalkOptions,
):
    """The options of `updates`."""

    dataset: Path = argument("DATASET.h5", value=PATH, help="the dataset whose images are compared")
    sources: tuple[str, ...] = argument(
        "SOURCE",
        value=STRINGS,
        default=(),
        is_required=False,
        help="where the layers are read again",
        default_text="the sources of the dataset",
    )
    pairs: Path | None = option(
        "--pairs",
        value=PATH,
        key=False,
        metavar="FILE.csv",
        help="compare the images that the columns old and new name, by name or digest",
        default_text="each image of a repository with the one before it",
    )
    sample: Fraction = option(
        "--sample",
        value=ValueType(SHARE.noun, SHARE.types, _update_sample, SHARE.hint),
        default=UPDATE_SAMPLE,
        key=False,
        metavar="SHARE",
        help="share of the changed files and of the chunks that is measured",
    )


@dataclass(frozen=True, kw_only=True)
class MergeOptions(MemoryOptions, ScratchOptions, JobOptions, SettingsOptions, TalkOptions):
    """The options of `merge`."""

    datasets: tuple[Path, ...] = argument("DATASET.h5", value=PATHS, help="a dataset to merge")
    output: Path = option(
        "-o",
        "--output",
        value=PATH,
        is_required=True,
        key=False,
        metavar="DATASET.h5",
        help="the new dataset",
    )
    force: bool = force_option(_DATASETS_LOST)


@dataclass(frozen=True, kw_only=True)
class PlanOptions(
    SourceOptions,
    PlatformOptions,
    ReuseOptions,
    ExtractOptions,
    LimitOptions,
    AccessOptions,
    SettingsOptions,
):
    """The options of `plan`."""

    ranks: int = option(
        "--ranks",
        value=COUNT,
        default=4,
        key=False,
        metavar="N",
        help="ranks, rank 0 included",
    )
    nodes: int = option(
        "--nodes", value=COUNT, default=1, key=False, metavar="M", help="nodes that they run on"
    )
    time: bool = option(
        "--time",
        value=SWITCH,
        default=False,
        key=False,
        help="predict hours, scratch and memory, and print how to submit the job",
    )
    calibration: Path | None = option(
        "--calibration",
        value=PATH,
        key=False,
        metavar="DATASET.h5",
        help="dataset of an earlier run, by whose times --time predicts",
        default_text="remetrics.h5",
    )
    json: bool = json_option()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sources:
            hint = "for example `hpc-remetrics plan oci:/data/layout`, or `plan demo:`"
            raise UsageError("no source named", hint)
        if self.nodes > self.ranks:
            raise UsageError(f"--nodes {self.nodes} is more than there are ranks, {self.ranks}")

    @classmethod
    def defaults_for(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the usual dataset as the calibration of `--time`."""
        return {"calibration": OutputOptions().output} if values.get("time") else {}


_GROUPS = (
    SourceOptions,
    OutputOptions,
    PlatformOptions,
    ScratchOptions,
    MemoryOptions,
    JobOptions,
    ExtractOptions,
    AnalyzeOptions,
    ThreadOptions,
    ListingOptions,
)
"""Classes that have all options with a key or a variable, in the order of the example file."""


def known_settings() -> KnownSettings:
    """Return all options that can be set outside the command line."""
    options = [one for group in _GROUPS for one in options_of(group)]
    tables: dict[str, OptionTable] = {}
    for one in (one for group in _GROUPS for one in tables_of(group)):
        # A table within a table has the same key, and comes after it.
        tables.setdefault(one.key, one)
    return KnownSettings({one.name: one for one in options if one.key or one.variable}, tables)


OptionsT = TypeVar("OptionsT", bound=Options)


def read_options(
    options: type[OptionsT],
    arguments: argparse.Namespace,
    environ: Mapping[str, str] = os.environ,
) -> OptionsT:
    """Return the options of a command: flags win over variables, these over the settings file.

    :param options: the dataclass to make.
    :param arguments: as a parser with `options.add_flags` gives them.
    :raises UsageError: a name or a value is wrong; the error says where.
    """
    values: dict[str, Any] = {}
    if issubclass(options, SettingsOptions):
        config = flag_values(SettingsOptions, arguments).get("config")
        everything = read_settings(known_settings(), config, environ)
        own = [one.name for one in options_of(options) if one.key or one.variable]
        values = {name: everything[name] for name in own if name in everything}
    values |= flag_values(options, arguments)
    return build(options, {**options.defaults_for(values), **values})


def remarks(
    options: type[Options], config: Path | None, environ: Mapping[str, str] = os.environ
) -> Iterator[str]:
    """Yield what the user should know about the settings before a command begins.

    :param options: of the command; one that reads settings says itself what is wrong with them.
    :param config: the settings file that the user named.
    """
    known = known_settings()
    yield from unknown_variables(known, environ)
    if issubclass(options, SettingsOptions):
        place = find(config, environ)
        if place is not None and not place.is_chosen:
            yield f"settings are taken from {FILE_NAME} in the current directory"
        return
    try:
        read_settings(known, config, environ)
    except UsageError as error:
        yield f"{error} (this command needs no settings, and goes on)"
