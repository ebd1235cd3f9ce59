"""Claims of images about their base, judged by layers."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from hpc_remetrics.metrics.base_claims import Claim, judge
from hpc_remetrics.records import BASE_CLAIMS
from hpc_remetrics.registry.reference import Reference
from hpc_remetrics.sources.remote import name_of

from .test_layer_stacks import stacked

# An image of each kind: what others stand on, a moved tag, another platform, and one that claims.
NAMES = [
    b"docker.io/library/debian:12",
    b"docker.io/library/debian:latest",
    b"quay.io/a/b:1",
    b"docker.io/library/debian:12",
    b"example.org/app:1",
    b"example.org/app:again",
]
LAYERS = [[1], [9], [1, 2], [7], [1, 2, 3], [1, 2, 3]]
PLATFORM = [0, 0, 0, 1, 0, 0]
APP = 4


def digest(row: int) -> bytes:
    """Return the digest of a manifest; the two names of the app are one manifest."""
    return hashlib.sha256(b"%d" % (APP if row == APP + 1 else row)).digest()


def judged(name: str = "", exact: str = "", row: int = APP) -> tuple[str, int]:
    claims = {row: Claim(name, exact)}
    found = judge(
        claims,
        stacked(LAYERS),
        NAMES,
        [digest(one) for one in range(len(NAMES))],
        np.array(PLATFORM),
    )
    others = np.delete(found.verdict, row)
    assert (others == BASE_CLAIMS["none"]).all()
    assert (np.delete(found.image, row) == -1).all()
    words = {number: word for word, number in BASE_CLAIMS.items()}
    return words[int(found.verdict[row])], int(found.image[row])


def of(row: int) -> str:
    return f"sha256:{digest(row).hex()}"


@pytest.mark.parametrize(
    ("name", "exact", "word", "image"),
    [
        pytest.param("docker.io/library/debian:12", "", "true", 0, id="its full name"),
        pytest.param("debian:12", "", "true", 0, id="docker's short name"),
        pytest.param("index.docker.io/library/debian:12", "", "true", 0, id="the Hub's other name"),
        pytest.param("docker://debian:12", "", "true", 0, id="a reference of skopeo"),
        pytest.param("quay.io/a/b:1", "", "true", 2, id="another registry"),
        pytest.param("debian", "", "moved", 1, id="a tag that is another image now"),
        pytest.param("debian:12", of(2), "true", 2, id="the digest comes before the name"),
        pytest.param("debian:12", of(99), "true", 0, id="the name serves, the digest does not"),
        pytest.param("debian", of(99), "moved", 1, id="the tag has moved from that digest"),
        pytest.param("", of(1), "false", 1, id="other layers at the digest"),
        pytest.param("", of(3), "false", 3, id="a digest of another platform"),
        pytest.param("debian:11", "", "absent", -1, id="a name that is not there"),
        pytest.param("a/b:1", "", "absent", -1, id="the name at another registry"),
        pytest.param("", of(99), "absent", -1, id="a digest that is not there"),
        pytest.param(f"debian@{of(0)}", "", "true", 0, id="a digest in the name"),
        pytest.param(f"debian@{of(1)}", "", "false", 1, id="a false digest in the name"),
        pytest.param("example.org/app:again", "", "absent", -1, id="the same manifest"),
        pytest.param("scratch", "", "scratch", -1, id="no base"),
        pytest.param("scratch", of(0), "true", 0, id="scratch, and a digest all the same"),
        pytest.param("Debian!", "", "invalid", -1, id="no reference"),
        pytest.param("debian:12", "sha256:12", "invalid", -1, id="no digest"),
        pytest.param("", "md5:" + "0" * 32, "invalid", -1, id="another algorithm"),
        pytest.param("d" * 600, "", "invalid", -1, id="a name of 600 characters"),
        pytest.param("debian:12", "s" * 600, "invalid", -1, id="a digest of 600 characters"),
        pytest.param("user:password@host/a", "", "invalid", -1, id="a password"),
        pytest.param("debian\0:12", "", "invalid", -1, id="a byte of zero"),
    ],
)
def test_verdicts(name, exact, word, image):
    assert judged(name, exact) == (word, image)


def test_a_name_means_the_image_of_the_same_platform():
    assert judged("debian:12", row=3) == ("absent", -1)
    assert judged("quay.io/a/b:1", row=3) == ("absent", -1)


def test_equal_layers_make_a_claim_true():
    assert judged("quay.io/a/b:1", row=2) == ("absent", -1)
    LAYERS_EQUAL = judge(
        {1: Claim("b:1")},
        stacked([[1, 2], [1, 2]]),
        [b"b:1", b"c:1"],
        [digest(0), digest(1)],
        np.zeros(2, np.int64),
    )
    assert LAYERS_EQUAL.verdict.tolist() == [BASE_CLAIMS["none"], BASE_CLAIMS["true"]]
    assert LAYERS_EQUAL.image.tolist() == [-1, 0]


@pytest.mark.parametrize(
    "name",
    ["redis", "redis:latest", "library/redis", "library/redis:latest", "docker.io/library/redis"],
)
def test_a_source_may_shorten_names(name):
    found = judge(
        {1: Claim("docker.io/library/redis:latest")},
        stacked([[1], [1, 2]]),
        [name.encode(), b"c:1"],
        [digest(0), digest(1)],
        np.zeros(2, np.int64),
    )
    assert found.verdict[1] == BASE_CLAIMS["true"]


def test_names_are_compared_as_those_of_a_dataset_from_a_registry():
    """A source at a registry leaves out the host of Docker Hub alone."""
    names = [name_of(Reference.parse(text)).encode() for text in ("debian:12", "quay.io/a/b")]
    for row, name in enumerate(["docker.io/library/debian:12", "quay.io/a/b:latest"]):
        found = judge(
            {2: Claim(name)},
            stacked([[1], [1], [1, 2]]),
            [*names, b"c:1"],
            [digest(one) for one in range(3)],
            np.zeros(3, np.int64),
        )
        assert found.image[2] == row


def test_no_claims():
    found = judge({}, stacked([[1]]), [b"a"], [digest(0)], np.zeros(1, np.int64))
    assert found.verdict.tolist() == [BASE_CLAIMS["none"]]
    assert found.image.tolist() == [-1]
