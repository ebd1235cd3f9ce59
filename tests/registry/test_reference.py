"""Names of images as docker reads them."""

import pytest

from hpc_remetrics.errors import UsageError
from hpc_remetrics.registry.reference import Reference


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("docker:dind", "docker.io/library/docker:dind"),
        ("docker:27-cli", "docker.io/library/docker:27-cli"),
        ("docker://docker:dind", "docker.io/library/docker:dind"),
        ("library/docker:dind", "docker.io/library/docker:dind"),
        ("docker", "docker.io/library/docker:latest"),
        (f"docker@sha256:{'5' * 64}", f"docker.io/library/docker@sha256:{'5' * 64}"),
        ("docker:5000/a/b:1", "docker:5000/a/b:1"),
        ("docker://docker:5000/a", "docker:5000/a:latest"),
        ("docker/dind", "docker.io/docker/dind:latest"),
        ("oci:1", "docker.io/library/oci:1"),
        ("repos:latest", "docker.io/library/repos:latest"),
    ],
)
def test_a_name_is_never_a_transport(text, meant):
    assert str(Reference.parse(text)) == meant
    assert str(Reference.parse(meant)) == meant


def test_names_of_a_registry_that_is_given_apart():
    assert str(Reference.parse("docker:dind", "localhost:5000")) == "localhost:5000/docker:dind"


@pytest.mark.parametrize(
    "text", ["//redis", "docker:", "docker:/a", "docker://", "docker:///a", "docker:docker://a"]
)
def test_what_is_no_name_is_refused(text):
    with pytest.raises(UsageError):
        Reference.parse(text)
