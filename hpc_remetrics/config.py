"""What a run is asked to do: options from flags, the environment, a file, and the defaults, in this order.

The file is `remetrics.toml`: `--config FILE`, `$REMETRICS_CONFIG`, the current folder, or
`~/.config/hpc-remetrics/`, the first that is there. Paths in it are relative to the current folder, as
on the command line.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

from .errors import OutputError, UsageError
from .limits import NODE_LAYERS, Limits
from .registry.access import Access

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "remetrics.toml"
MEMORY = 1000.0
"""MB that a rank may take for rows on their way, by default."""

TYPES = ("exact", "plain", "none")
DEMO = "demo:"
MOST_SHARES = 1_000_000
SAMPLE = Fraction(1, 256)
"""Share of the contents that are compressed, by default."""


@dataclass(frozen=True)
class AnalyzeOptions:
    """What `analyze` is asked to do.

    :param sources: references; none named: the caller takes `demo:`.
    :param scratch: node-local folders, fastest first, and `scratch_rooms`: most bytes of those that have a limit.
    :param node_layers: layers of each size bucket that take scratch on a node at once.
    :param publish_seconds: how long a whole layer may wait for its part; None: by the number of ranks.
    :param warm_types: a dataset whose contents' types are taken over.
    :param memory: MB that each rank may take for rows on their way while the metrics are computed.
    :param compress_sample: share of the contents that are compressed, one by one, to estimate what all would take.
    :param chunks: cut the contents into chunks, and keep this share of them, `chunk_sample`.
    :param extract: unpack each layer on scratch and profile what was unpacked.
    :param exec: a command for the shell that is run on each unpacked layer, with `{dir}` and `{digest}` in it.
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
    """What `reduce` and `merge` are asked to do; `memory` and `force` as for `analyze`."""

    dataset: Path
    scratch: tuple[Path, ...] = ()
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


def settings(
    flags: Mapping[str, Any], config: Path | None = None, environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Return the settings that are made anywhere, by name; those of `limits` are merged one by one.

    :param flags: name -> value; None and empty lists count as not given.
    :raises UsageError: a name or a value is wrong; it says where.
    """
    file, environment = _from_file(_find(config, environ)), _from_environment(environ)
    given = {name: value for name, value in flags.items() if value not in (None, [], ())}
    limits = {**file.pop("limits", {}), **environment.pop("limits", {}), **given.pop("limits", {})}
    merged = {**file, **environment, **given, "limits": Limits.from_options(limits)}
    for name in (*_NUMBERS, *_SHARES):
        if name in given:
            merged[name] = _checked(name, given[name], f"--{name.replace('_', '-')}")
    return merged


def analyze_options(flags: Mapping[str, Any], config: Path | None, quiet: bool = False) -> AnalyzeOptions:
    """Return the options of `analyze`."""
    merged = settings(flags, config)
    for name in ("sources", "platforms"):
        merged[name] = tuple(map(str, merged.get(name, ())))
    tiers = [parse_tier(text) for text in merged.get("scratch", ())]
    merged["scratch"] = tuple(path for path, _ in tiers)
    merged["scratch_rooms"] = {path: room for path, room in tiers if room is not None}
    if merged.get("node_layers") is not None:
        merged["node_layers"] = _node_layers(merged["node_layers"])
    for name in ("output", "warm_types", "keep"):
        if merged.get(name) is not None:
            merged[name] = _path(merged[name])
    if merged.get("exec") and "{dir}" not in merged["exec"]:
        raise UsageError(f"--exec {merged['exec']!r} names no {{dir}}", "for example --exec 'du -s {dir}'")
    if merged.get("chunk_sample") == 0:
        raise UsageError("--chunk-sample is 0, which keeps no chunk", "leave --chunks out to cut nothing")
    if "output" in merged and not merged["output"].name:
        raise OutputError(f"{merged['output']} is a folder", "name a file with -o, such as dataset.h5")
    known = {f.name for f in fields(AnalyzeOptions)}
    return AnalyzeOptions(**{name: value for name, value in merged.items() if name in known}, quiet=quiet)


def reduce_options(
    dataset: Path, flags: Mapping[str, Any], config: Path | None, quiet: bool = False, force: bool = False
) -> ReduceOptions:
    """Return the options of `reduce` and `merge`."""
    merged = settings(flags, config)
    scratch = tuple(map(_path, merged.get("scratch", ())))
    return ReduceOptions(dataset, scratch, merged.get("memory", MEMORY), quiet, force)


def access_settings(
    flags: Mapping[str, Any], base: Access, config: Path | None = None, environ: Mapping[str, str] = os.environ
) -> Access:
    """Return how registries are asked: `base`, changed by the file's table `registries`, the environment, the flags.

    The password is in REMETRICS_PASSWORD alone: command lines are seen by others, and are kept in datasets.
    """
    file, environment = _from_file(_find(config, environ)), _from_environment(environ)
    given = {name: value for name, value in flags.items() if value not in (None, [])}
    options = {**file.get("registries", {}), **environment["registries"], **given}
    return base.changed({**options, "password": environ.get("REMETRICS_PASSWORD", "")}).checked()


def parse_limits(texts: list[str] | None) -> dict[str, str]:
    """Split the values of `--limit`."""
    return parse_pairs("--limit", texts, "entries=1000000")


def parse_pairs(flag: str, texts: list[str] | None, example: str) -> dict[str, str]:
    """Split the `NAME=VALUE` values of a flag."""
    pairs = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{flag} {text!r} is not NAME=VALUE", f"for example {flag} {example}")
        pairs[name] = value
    return pairs


def parse_share(text: str | None) -> tuple[int, int] | None:
    """Read `K/N`, the K-th of N shares.

    >>> parse_share("2/8")
    (2, 8)
    """
    if text is None:
        return None
    k, slash, n = text.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n) <= MOST_SHARES):
        raise UsageError(f"--share {text!r} is not K/N with 1 <= K <= N <= {MOST_SHARES}", "for example --share 2/8")
    return int(k), int(n)


def parse_tier(text: str | Path) -> tuple[Path, int | None]:
    """Read `DIR` or `DIR=SIZE`, a scratch folder and the most bytes that layers may take there.

    >>> parse_tier("/dev/shm=8G")[1], parse_tier("/local")[1]
    (8000000000, None)
    """
    folder, _, size = str(text).rpartition("=")
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kMGT]?)B?", size)
    if not folder or not found:
        return _path(text), None
    return _path(folder), int(float(found[1]) * 1000 ** " kMGT".index(found[2] or " "))


def _node_layers(text: str) -> tuple[int, ...]:
    numbers = tuple(int(word) if word.strip().isdecimal() else 0 for word in text.split(","))
    if len(numbers) != len(NODE_LAYERS) or min(numbers) < 1:
        default = ",".join(map(str, NODE_LAYERS))
        raise UsageError(f"node layers {text!r} are not four numbers above 0", f"for example {default}")
    return numbers


_LISTS, _NUMBERS = ("sources", "scratch", "platforms"), ("publish_seconds", "memory")
_SHARES = ("compress_sample", "chunk_sample")
_TEXTS = ("output", "types", "node_layers")
_TABLES: dict[str, Callable[[Any], object]] = {"limits": Limits.from_options, "registries": Access().changed}
_KEYS = (*_LISTS, *_TEXTS, *_NUMBERS, *_SHARES, *_TABLES)


def _find(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    if config is None and environ.get("REMETRICS_CONFIG"):
        config = Path(environ["REMETRICS_CONFIG"])
    if config is not None:
        return config
    home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/"), ".config"))
    return next((path for path in (Path(FILE_NAME), home / "hpc-remetrics" / FILE_NAME) if path.is_file()), None)


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    for name, value in values.items():
        _check(name, value, path)
        values[name] = _checked(name, value, f"{path}: {name}")
    return values


def _checked(name: str, value: Any, where: str) -> Any:
    """Return a value that is not a flag's, or say where it is wrong."""
    if name == "types" and value not in TYPES:
        raise UsageError(f"{where} is {value!r}", f"choose from {', '.join(TYPES)}")
    if name in _TABLES:
        try:
            _TABLES[name](value)
        except UsageError as error:
            raise UsageError(f"{where}: {error.args[0]}", error.hint) from None
    if name in _SHARES:
        return _share(where, value)
    return _positive(where, value) if name in _NUMBERS else value


def _check(name: str, value: Any, path: Path) -> None:
    if name not in _KEYS:
        raise UsageError(f"{path}: nothing is called {name!r}", f"known are {', '.join(_KEYS)}")
    if name in _LISTS and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        raise UsageError(f"{path}: {name} must be a list of texts", f'for example {name} = ["…"]')
    if name in _TEXTS and not isinstance(value, str):
        raise UsageError(f"{path}: {name} must be a text")
    if name in _NUMBERS and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise UsageError(f"{path}: {name} must be a number")
    if name in _TABLES and not isinstance(value, dict):
        raise UsageError(f"{path}: {name} must be a table", f"begin it with [{name}]")


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, separator in (("sources", None), ("platforms", None), ("scratch", os.pathsep)):
        if text := environ.get(f"REMETRICS_{name.upper()}"):
            values[name] = text.split(separator)
    for name in (*_TEXTS, *_NUMBERS, *_SHARES):
        variable = f"REMETRICS_{name.upper()}"
        if text := environ.get(variable):
            values[name] = _checked(name, text, variable)
    for name, prefix in (("limits", "REMETRICS_LIMIT_"), ("registries", "REMETRICS_REGISTRY_")):
        table = {key[len(prefix) :].lower(): value for key, value in environ.items() if key.startswith(prefix)}
        values[name] = _checked(name, table, f"{prefix}…")
    return values


def _path(text: str | Path) -> Path:
    # Not Path.expanduser, which raises where there is no such home.
    return Path(os.path.expanduser(text))


def _share(where: str, value: Any) -> Fraction:
    try:
        number = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        number = Fraction(-1)
    if isinstance(value, bool) or not 0 <= number <= 1:
        raise UsageError(f"{where} is {value!r}, not a number from 0 to 1", "for example 1/128 or 0.01")
    return number


def _positive(where: str, value: Any) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise UsageError(f"{where} is {value!r}, not a number above 0")
    return number
