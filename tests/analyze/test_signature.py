"""The signature: which options rows depend on, and parts that were made with others."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpc_remetrics.analyze.signature import (
    check_probes,
    check_signatures,
    chunk_share,
    fingerprint_of,
    probe_settings,
    signature_of,
)
from hpc_remetrics.config import AnalyzeOptions
from hpc_remetrics.errors import UsageError
from hpc_remetrics.limits import Limits
from hpc_remetrics.records import Catalog, Digest, Image, Skipped

OPTIONS = AnalyzeOptions(types="none")
IMAGE = Image("a:1", Digest(bytes(32)), "linux/amd64", "oci")


def test_it_holds_types_samples_and_the_limits_that_rows_depend_on():
    signature = signature_of(replace(OPTIONS, compress_sample=Fraction(1, 16)))
    assert signature.keys() == {
        "types",
        "compress_sample",
        "chunk_sample",
        "header_bytes",
        "path_bytes",
        "entries",
        "layer_bytes",
        "ratio",
        "ratio_grace",
        "sparse_bytes",
        "manifest_bytes",
        "index_depth",
    }
    assert signature["compress_sample"] == "1/16"
    assert signature["chunk_sample"] == "0"
    assert signature["entries"] == str(Limits().entries)


def test_time_limits_change_nothing():
    slow = Limits(layer_seconds=1, type_seconds=1, child_bytes=1, image_layers=1)
    assert signature_of(replace(OPTIONS, limits=slow)) == signature_of(OPTIONS)


def test_the_sample_of_chunks_counts_only_if_contents_are_cut():
    sampled = replace(OPTIONS, chunk_sample=Fraction(1, 10))
    assert chunk_share(sampled) == 0
    assert chunk_share(replace(sampled, chunks=True)) == Fraction(1, 10)
    assert signature_of(replace(sampled, chunks=True))["chunk_sample"] == "1/10"


def test_probes_of_other_packages_stand_beside_the_built_in_ones():
    probing = replace(OPTIONS, probes=(("a", "1/2"), ("b", "")))
    assert probe_settings(OPTIONS) == {"compression": "1/256"}
    assert probe_settings(probing) == {"compression": "1/256", "a": "1/2", "b": ""}
    added = signature_of(probing).items() - signature_of(OPTIONS).items()
    assert added == {("--probe a", "'1/2'"), ("--probe b", "''")}


def test_parts_of_other_probes_are_refused():
    probing = signature_of(replace(OPTIONS, probes=(("a", "1"),)))
    check_signatures([SimpleNamespace(signature=probing)], probing, Path("x"))
    with pytest.raises(
        UsageError, match="parts made without --probe a, this run has --probe a='1'"
    ):
        check_signatures(parts_with(), probing, Path("x"))
    with pytest.raises(
        UsageError, match="parts made with --probe a='1', this run has no --probe a;"
    ):
        check_signatures([SimpleNamespace(signature=probing)], signature_of(OPTIONS), Path("x"))


def test_a_probe_that_is_built_in_or_unknown_is_refused_before_anything_is_made():
    check_probes(OPTIONS)
    with pytest.raises(UsageError, match=r"'chunks' is built in .* use --compress-sample or"):
        check_probes(replace(OPTIONS, probes=(("chunks", "1"),)))
    with pytest.raises(UsageError, match="unknown probe 'x'"):
        check_probes(replace(OPTIONS, probes=(("x", "1"),)))


def parts_with(**changes):
    return [SimpleNamespace(signature={**signature_of(OPTIONS), **changes})]


def test_parts_of_the_same_options_are_taken():
    check_signatures(parts_with(), signature_of(OPTIONS), Path("x"))
    check_signatures([], signature_of(OPTIONS), Path("x"))


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("types", "libmagic and --types"),
        ("compress_sample", "--compress-sample"),
        ("chunk_sample", "--chunks and --chunk-sample"),
        ("entries", "options"),
    ],
)
def test_parts_of_other_options_are_refused_with_both_values(name, flag):
    signature = signature_of(OPTIONS)
    parts = [*parts_with(), *parts_with(**{name: "other"})]
    with pytest.raises(UsageError) as raised:
        check_signatures(parts, signature, Path("d/x.parts"))
    message = str(raised.value)
    assert f"d/x.parts holds parts made with {name}=other" in message
    assert f"this run has {name}={signature[name]}" in message
    assert f"use the same {flag}, or another output" in message


def test_parts_from_before_samples_had_none():
    signature = signature_of(replace(OPTIONS, compress_sample=Fraction(0)))
    old = {name: signature[name] for name in signature if not name.endswith("_sample")}
    check_signatures([SimpleNamespace(signature=old)], signature, Path("x"))
    with pytest.raises(UsageError, match="compress_sample=0, this run has compress_sample=1/256"):
        check_signatures([SimpleNamespace(signature=old)], signature_of(OPTIONS), Path("x"))


def test_the_fingerprint_depends_on_options_images_and_what_is_skipped_in_any_order():
    other = replace(IMAGE, name="b:1")
    skipped = Skipped("c:1", "x", -1, "", "artifact")
    catalogs = [Catalog(), Catalog([IMAGE]), Catalog([IMAGE, other]), Catalog([IMAGE], [skipped])]
    fingerprints = [fingerprint_of(OPTIONS, catalog) for catalog in catalogs]
    fingerprints.append(fingerprint_of(replace(OPTIONS, chunks=True), catalogs[0]))
    fingerprints.append(fingerprint_of(replace(OPTIONS, keep_secrets=True), catalogs[0]))
    assert len(set(fingerprints)) == 6
    assert all(len(fingerprint) == 64 for fingerprint in fingerprints)
    assert fingerprint_of(OPTIONS, Catalog([other, IMAGE])) == fingerprints[2]
