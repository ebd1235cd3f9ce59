"""Made-up configs: some with everything that a config can have, and some with next to nothing."""

from __future__ import annotations

import json
from random import Random

from hpc_remetrics.records import Digest, ImageConfig, Step
from support.synthetic import digest_of

TEXTS = ("", "a", "ünï \U0001f433", 'echo "back\\slash"\n\tand more', "=1+1", "NA", "x" * 300)
TIMES = (None, 0, -1, 1_700_000_000, -62_135_596_800, 253_402_300_799)
"""Seconds of times: missing, of 1970, 1969 and 2023, of Go's zero time, and the last of 9999."""

GO_ZERO = -62_135_596_800
"""Seconds of the year 1, with which Go's programs write that a time is unknown."""

ODD_STEPS = (
    Step(1_700_000_000, 5, "ADD a.tar /", "", "=me", False, 0),
    Step(None, 0, 'CMD ["a\\b"]', "buildkit\n\t", "", True, 1),
    Step(GO_ZERO, 0, "RUN ünï", "-x", "", False, 0),
)
ODD_PAIRS = (("", "=1+1"), ("name", "line\nline \U0001f433"), ("NA", ""), ("name", '"\\'))
ODD_CONFIG = {
    "created": 1_700_000_000,
    "created_ns": 7,
    "os": "linux",
    "architecture": "arm64",
    "variant": "v8",
    "author": "@me",
    "entrypoint": '["/bin/sh","-c","echo \\"\\""]',
    "labels": ODD_PAIRS,
    "environment": ODD_PAIRS[1:],
    "history": ODD_STEPS,
    "notes": 6,
    "secrets": 1,
}
"""Fields of a config of two layers: with strings that are no plain ones, and values that are."""


def make_step(rng: Random, is_empty: bool) -> Step:
    texts = [rng.choice(TEXTS) for _ in range(3)]
    return Step(rng.choice(TIMES), rng.randrange(10**9), *texts, is_empty, rng.randrange(2))


def make_config(rng: Random, word: object, layers: int) -> ImageConfig:
    """Return a config whose digest comes from a word, with as many steps that made a layer.

    Every third one or so is malformed: nothing else is known of it.
    """
    digest = digest_of("config", word)
    if rng.random() < 0.3:
        return ImageConfig(digest, rng.randrange(100), notes=1)
    made = [False] * layers + [True] * rng.randrange(4)
    rng.shuffle(made)
    names = ("os", "architecture", "variant", "os_version", "author", "user", "working_dir")
    texts = {name: rng.choice(TEXTS) for name in (*names, "stop_signal")}
    values = ("entrypoint", "cmd", "exposed_ports", "volumes", "healthcheck", "shell", "on_build")
    texts |= {name: json.dumps([rng.choice(TEXTS)]) for name in values}
    return ImageConfig(
        digest,
        rng.randrange(5000),
        rng.choice(TIMES),
        rng.randrange(10**9),
        **texts,
        labels=make_pairs(rng),
        environment=make_pairs(rng),
        history=tuple(make_step(rng, is_empty) for is_empty in made),
        notes=rng.choice([0, 6]),
        secrets=rng.randrange(3),
    )


def make_pairs(rng: Random) -> tuple[tuple[str, str], ...]:
    """Return some keys and values; a key may be empty, or occur twice."""
    return tuple((rng.choice(TEXTS), rng.choice(TEXTS)) for _ in range(rng.randrange(4)))


def image_config(word: object, **fields: object) -> ImageConfig:
    """Return a config with the digest of a word and some fields."""
    return ImageConfig(digest_of("config", word), 100, **fields)  # type: ignore[arg-type]


def digest_of_config(word: object) -> Digest:
    return digest_of("config", word)
