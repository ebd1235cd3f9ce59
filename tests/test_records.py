"""The values that flow: digests, repositories, merged catalogs, and numbers that are the format."""

import pickle

import pytest

from hpc_remetrics import records
from hpc_remetrics.records import (
    Catalog,
    Digest,
    Failure,
    Image,
    ImageConfig,
    Layer,
    Popularity,
    Skipped,
)

A, B = Digest(bytes(32)), Digest(bytes(31) + b"\xab")


def test_a_digest_is_parsed_once():
    text = "sha256:" + "00" * 31 + "ab"
    assert Digest.parse(text) == B
    assert str(B) == text and B.hex == text[7:]
    assert A < B and pickle.loads(pickle.dumps(B)) == B


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "sha256:" + "A" * 64,
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 64 + "\n",
        "sha512:" + "a" * 64,
        "a" * 64,
        None,
        5,
    ],
)
def test_what_is_no_digest(text):
    with pytest.raises(ValueError, match="not a sha256 digest"):
        Digest.parse(text)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_digest_has_32_bytes(size):
    with pytest.raises(ValueError, match=f"32 bytes, got {size}"):
        Digest(bytes(size))


def test_where_a_layer_comes_from_is_no_part_of_it():
    assert Layer(A, 1, "oci_tar", origin="x/y") == Layer(A, 1, "oci_tar")
    assert len({Layer(A, 1, "oci_tar", origin="x"), Layer(A, 1, "oci_tar")}) == 1
    assert Layer(A, 1, "oci_tar") != Layer(A, 2, "oci_tar")


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("a:1", "a"),
        ("a/b:1", "a/b"),
        ("host:5000/a", "host:5000/a"),
        ("host:5000/a:1", "host:5000/a"),
        ("a@sha256:00", "a"),
        ("host:5000/a:1@sha256:00", "host:5000/a"),
        ("a", "a"),
    ],
)
def test_the_repository_of_an_image(name, repository):
    assert Image(name, A, "", "oci").repository == repository


def test_a_failure_about_a_claim():
    assert Failure(A, "manifest", "size_mismatch", "").is_claim
    assert not Failure(A, "verify", "size_mismatch", "").is_claim


def test_catalogs_add_up():
    one = Catalog(
        [Image("a", A, "", "oci")],
        [Skipped("a", "x", 1, "t", "artifact")],
        {"a": Popularity(1, 5), "b": Popularity(2)},
        others={"linux/arm64"},
    )
    two = Catalog(
        [Image("c", B, "", "oci")],
        [Skipped("c", "y", 1, "t", "foreign")],
        {"a": Popularity(3, 4), "c": Popularity(stratum="s", weight=2.0, drawn=7)},
        passing=True,
        others={"linux/386"},
    )
    one.configs.add(ImageConfig(A, 100))
    two.configs.add(ImageConfig(B, 200))
    both = one + two
    assert [image.name for image in both.images] == ["a", "c"]
    assert [one.cause for one in both.skipped] == ["artifact", "foreign"]
    assert both.repositories == {
        "a": Popularity(3, 5),
        "b": Popularity(2),
        "c": Popularity(stratum="s", weight=2.0, drawn=7),
    }
    assert both.passing and (two + one).passing and not (one + Catalog()).passing
    assert both.others == {"linux/arm64", "linux/386"}
    assert {config.digest: config.size for config in both.configs} == {A: 100, B: 200}
    assert one.repositories["a"] == Popularity(1, 5)


def test_numbers_of_the_file_format_never_change():
    """First and last of each enumeration, and its length; new words are appended."""
    numbers = {
        "KINDS": ("file", "other", 10),
        "STATUSES": ("ok", "failed", 3),
        "COMPRESSIONS": ("none", "unknown", 6),
        "MEDIA_TYPES": ("unspecified", "docker_foreign_tar_zstd", 14),
        "MANIFEST_TYPES": ("oci", "docker_archive", 4),
        "CHUNK_METHODS": ("fixed", "cdc", 2),
        "SKIP_CAUSES": ("artifact", "too_many", 12),
        "STAGES": ("open", "manifest", 11),
        "CAUSES": ("missing", "exec_failed", 23),
    }
    for name, (first, last, count) in numbers.items():
        words = getattr(records, name)
        assert list(words.values()) == list(range(count)), name
        assert (words[first], words[last]) == (0, count - 1), name
    assert records.NOTES["missing_end_marker"] == 1 and records.NOTES["other_entries"] == 256
    assert list(records.NOTES.values()) == [1 << bit for bit in range(9)]
    assert set(records.CAUSES) > records.TRANSIENT_CAUSES
    assert set(records.SKIP_CAUSES) > records.LOST_CAUSES
