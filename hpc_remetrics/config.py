"""What a run is asked to do: the options of commands, out of flags and settings (`settings.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

from .errors import OutputError, UsageError
from .limits import NODE_LAYERS, Limits
from .registry.access import Access
from .settings import Tier, path_of, settings

MEMORY = 1000.0
"""MB that a rank may take for rows on their way, by default."""

DEMO = "demo:"
MOST_SHARES = 1_000_000
SAMPLE = Fraction(1, 256)
"""Share of the contents that are compressed, by default."""


@dataclass(frozen=True)
class AnalyzeOptions:
    """What `analyze` is asked to do.

    :param sources: references; none named: the caller takes `demo:`.
    :param scratch: node-local folders, fastest first, and `scratch_rooms`: most bytes of those that
        have a limit.
    :param node_layers: layers of each size bucket that take scratch on a node at once.
    :param publish_seconds: how long a whole layer may wait for its part; None: by the number of
        ranks.
    :param warm_types: a dataset whose contents' types are taken over.
    :param memory: MB that each rank may take for rows on their way while the metrics are computed.
    :param compress_sample: share of the contents that are compressed, one by one, to estimate what
        all would take.
    :param chunks: cut the contents into chunks, and keep this share of them, `chunk_sample`.
    :param extract: unpack each layer on scratch and profile what was unpacked.
    :param exec: a command for the shell that is run on each unpacked layer, with `{dir}` and
        `{digest}` in it.
    :param keep: an OCI layout that keeps what is fetched from registries; None: nothing is kept.
    :param force: replace an output that is none of this program, or whose layers would be lost.
    :param share: (k, n): only the k-th of n shares of the layers, from 1, and no gather; None: all.
    """

    sources: tuple[str, ...] = ()
    output: Path = Path("remetrics.h5")
    platforms: tuple[str, ...] = ()
    types: str = "exact"
    limits: Limits = field(default_factory=Limits)
    scratch: tuple[Path, ...] = ()
    scratch_rooms: Mapping[Path, int] = field(default_factory=dict)
    node_layers: tuple[int, ...] = NODE_LAYERS
    publish_seconds: float | None = None
    retry_failed: bool = False
    warm_types: Path | None = None
    compress_sample: Fraction = SAMPLE
    chunks: bool = False
    chunk_sample: Fraction = Fraction(1)
    keep: Path | None = None
    share: tuple[int, int] | None = None
    extract: bool = False
    exec: str | None = None
    access: Access = field(default_factory=Access)
    memory: float = MEMORY
    force: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class ReduceOptions:
    """What `reduce` and `merge` are asked to do; all as for `analyze`."""

    dataset: Path
    scratch: tuple[Path, ...] = ()
    scratch_rooms: Mapping[Path, int] = field(default_factory=dict)
    memory: float = MEMORY
    quiet: bool = False
    force: bool = False


@dataclass(frozen=True)
class PlanOptions:
    """What `plan` is asked to do.

    :param nodes: on which the ranks run.
    :param calibration: a dataset by whose times the run's are predicted; None: they are not.
    :param extract: with the room that unpacked layers take.
    """

    sources: tuple[str, ...]
    ranks: int = 4
    json: bool = False
    platforms: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    access: Access = field(default_factory=Access)
    nodes: int = 1
    calibration: Path | None = None
    extract: bool = False


def analyze_options(
    flags: Mapping[str, Any], config: Path | None, quiet: bool = False
) -> AnalyzeOptions:
    """Return the options of `analyze`."""
    merged = {**settings(flags, config)}
    merged["scratch"], merged["scratch_rooms"] = _folders_and_rooms(merged)
    for name in ("warm_types", "keep"):
        if merged.get(name) is not None:
            merged[name] = path_of(merged[name])
    if merged.get("exec") and "{dir}" not in merged["exec"]:
        raise UsageError(
            f"--exec {merged['exec']!r} names no {{dir}}", "for example --exec 'du -s {dir}'"
        )
    if merged.get("chunk_sample") == 0:
        raise UsageError(
            "--chunk-sample is 0, which keeps no chunk", "leave --chunks out to cut nothing"
        )
    if "output" in merged and not merged["output"].name:
        raise OutputError(
            f"{merged['output']} is a folder", "name a file with -o, such as dataset.h5"
        )
    known = {f.name for f in fields(AnalyzeOptions)}
    return AnalyzeOptions(
        **{name: value for name, value in merged.items() if name in known}, quiet=quiet
    )


def reduce_options(
    dataset: Path,
    flags: Mapping[str, Any],
    config: Path | None,
    quiet: bool = False,
    force: bool = False,
) -> ReduceOptions:
    """Return the options of `reduce` and `merge`."""
    merged = settings(flags, config)
    return ReduceOptions(
        dataset, *_folders_and_rooms(merged), merged.get("memory", MEMORY), quiet, force
    )


def _folders_and_rooms(merged: Mapping[str, Any]) -> tuple[tuple[Path, ...], dict[Path, int]]:
    """Return the scratch directories, and the most bytes of those that have a limit."""
    tiers: tuple[Tier, ...] = merged.get("scratch", ())
    return tuple(path for path, _ in tiers), {
        path: room for path, room in tiers if room is not None
    }


def parse_share(text: str | None) -> tuple[int, int] | None:
    """Read `K/N`, the K-th of N shares.

    >>> parse_share("2/8")
    (2, 8)
    """
    if text is None:
        return None
    k, slash, n = text.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n) <= MOST_SHARES):
        raise UsageError(
            f"--share {text!r} is not K/N with 1 <= K <= N <= {MOST_SHARES}",
            "for example --share 2/8",
        )
    return int(k), int(n)
