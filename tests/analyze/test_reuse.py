"""Which layers of earlier datasets a run takes, and which datasets it refuses."""

from pathlib import Path

import numpy as np
import pytest

from hpc_remetrics.analyze.reuse import reusable
from hpc_remetrics.analyze.signature import (
    check_recorded_signature,
    recorded_signature,
    signature_of,
)
from hpc_remetrics.config import AnalyzeOptions
from hpc_remetrics.errors import UsageError
from hpc_remetrics.parts.part_format import LAYER, PartIndex
from hpc_remetrics.profile.compression_sample import codecs
from hpc_remetrics.records import NOTES, STATUSES, Digest, Failure

OPTIONS = AnalyzeOptions(types="none")
PATH = Path("earlier.h5")


def digest(name: str) -> Digest:
    return Digest(name.encode().ljust(32, b"."))


def index_of(*layers: tuple[str, str, str, str]) -> PartIndex:
    """Return the index of layers of 10 bytes: name, status, and stage and cause of the failure."""
    rows = np.zeros(len(layers), LAYER)
    failures = []
    for row, (name, status, stage, cause) in zip(rows, layers, strict=True):
        row["digest"] = np.void(digest(name).raw)
        row["status"] = STATUSES[status]
        row["CLS"] = 10
        row["notes"] = 0xFFFF
        if cause:
            failures.append(Failure(digest(name), stage, cause, "x"))
    return PartIndex(PATH, rows, ["empty"], failures, {"a": "b"}, {}, {})


def taken(index: PartIndex, wanted: dict[str, int], **options) -> list[str]:
    sizes = {digest(name).raw: size for name, size in wanted.items()}
    found = reusable(index, sizes, **options)
    assert (found.path, found.types, found.extras) == (PATH, ["empty"], {})
    names = [raw.rstrip(b".").decode() for raw in found.layers["digest"].tolist()]
    assert {one.digest for one in found.failures} <= {digest(name) for name in names}
    return names


@pytest.mark.parametrize(
    ("status", "stage", "cause", "is_taken"),
    [
        ("ok", "", "", True),
        ("partial", "tar", "bad_header", True),
        ("partial", "decompress", "truncated", True),
        ("failed", "decompress", "unsupported", True),
        ("failed", "tar", "limit_memory", False),
        ("failed", "child", "crashed", False),
        ("failed", "fetch", "missing", False),
        ("failed", "verify", "size_mismatch", False),
        ("failed", "verify", "digest_mismatch", False),
        ("partial", "exec", "exec_failed", False),
        ("partial", "", "", False),
    ],
)
def test_what_another_run_would_find_again_is_taken(status, stage, cause, is_taken):
    index = index_of(("one", status, stage, cause), ("other", "ok", "", ""))
    assert taken(index, {"one": 10, "other": 10}) == ["one", "other"][not is_taken :]


def test_retry_failed_takes_no_failed_layer():
    index = index_of(
        ("ok", "ok", "", ""),
        ("partial", "partial", "tar", "bad_header"),
        ("failed", "failed", "decompress", "unsupported"),
    )
    wanted = dict.fromkeys(("ok", "partial", "failed"), 10)
    assert taken(index, wanted, retry_failed=True) == ["ok", "partial"]


def test_layers_of_another_size_than_images_state_are_left_to_fail():
    index = index_of(*((name, "ok", "", "") for name in ("same", "other", "unknown", "gone")))
    assert taken(index, {"same": 10, "other": 11, "unknown": -1}) == ["same", "unknown"]


def test_what_images_state_is_forgotten():
    index = index_of(("a", "partial", "tar", "bad_header"), ("b", "ok", "", ""))
    claims = [Failure(digest(name), "manifest", "size_mismatch", "y") for name in "ab"]
    index.failures.extend(claims)
    found = reusable(index, {digest(name).raw: 10 for name in "ab"})
    assert [failure.stage for failure in found.failures] == ["tar"]
    of_images = NOTES["diff_id_mismatch"] | NOTES["media_type_mismatch"]
    assert found.layers["notes"].tolist() == [0xFFFF & ~of_images] * 2
    assert index.layers["notes"].tolist() == [0xFFFF] * 2


def test_a_claim_about_a_layer_does_not_make_its_failure_last():
    index = index_of(("a", "failed", "manifest", "size_mismatch"))
    assert taken(index, {"a": 10}) == []


def test_the_recorded_signature_names_what_compressed():
    recorded = recorded_signature(OPTIONS)
    assert recorded == {**signature_of(OPTIONS), "compress_with": codecs()}
    without = AnalyzeOptions(types="none", compress_sample=0)
    assert recorded_signature(without) == signature_of(without)


def test_datasets_of_other_options_are_refused():
    signature = recorded_signature(OPTIONS)
    check_recorded_signature(signature, signature, PATH)
    check_recorded_signature({**signature, "unknown": "today"}, signature, PATH)
    other = {**signature, "entries": "7"}
    with pytest.raises(
        UsageError, match=r"earlier\.h5 can't be reused: it was made with entries=7"
    ):
        check_recorded_signature(other, signature, PATH)
    with pytest.raises(
        UsageError, match=r"use the same versions of zlib and zstd, or leave it out"
    ):
        check_recorded_signature({**signature, "compress_with": "x"}, signature, PATH)
    with pytest.raises(UsageError, match="with --probe a='1', this run has no --probe a"):
        check_recorded_signature({**signature, "--probe a": "'1'"}, signature, PATH)
    with pytest.raises(UsageError, match="does not say how its layers were profiled"):
        check_recorded_signature({}, signature, PATH)
