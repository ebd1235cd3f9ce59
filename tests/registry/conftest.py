"""Real registries with real images, and clients of them that lose patience soon."""

import json
import shutil
from pathlib import Path

import pytest
from support.registry import Registry, htpasswd_auth
from support.token_server import TokenServer

from hpc_remetrics.registry.access import Access, Patience

NAMES = ("one:1", "two:1", "three:latest")
"""The images of `small_images`."""

SOON = Patience(connect=2, idle=1.0, least_rate=100_000, deadline=20, blob_deadline=20, tries=5)


@pytest.fixture(autouse=True)
def without_logins(no_login_of_this_machine):
    """All tests of this directory are kept from logins."""


@pytest.fixture
def access() -> Access:
    return Access(patience=SOON)


def fill(registry: Registry, layout: Path, login: bool = False) -> None:
    for name in NAMES:
        registry.copy(f"oci:{layout}:{name}", name, "--preserve-digests", login=login)


@pytest.fixture(scope="session")
def registry(tmp_path_factory, layout):
    """An open registry with the images of the layout."""
    server = Registry(tmp_path_factory.mktemp("registry"))
    fill(server, layout)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def locked_registry(tmp_path_factory, layout):
    """The same behind a user name and a password."""
    directory = tmp_path_factory.mktemp("locked-registry")
    server = Registry(directory, htpasswd_auth(directory))
    fill(server, layout, login=True)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def tokens(tmp_path_factory):
    server = TokenServer(tmp_path_factory.mktemp("tokens"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def token_registry(tmp_path_factory, layout, tokens):
    """The same behind a token server; `secret/one` is for the user alone."""
    server = Registry(tmp_path_factory.mktemp("token-registry"), tokens.auth())
    fill(server, layout, login=True)
    server.copy(f"oci:{layout}:one:1", "secret/one:1", "--preserve-digests", login=True)
    yield server
    server.stop()


def renamed(layout: Path, directory: Path, names: dict[str, str]) -> Path:
    """Write a layout with the same blobs, whose images have other names; return its directory."""
    directory.mkdir()
    (directory / "blobs").symlink_to(layout / "blobs")
    shutil.copy(layout / "oci-layout", directory)
    index = json.loads((layout / "index.json").read_text())
    for entry in index["manifests"]:
        annotations = entry["annotations"]
        name = annotations["org.opencontainers.image.ref.name"]
        annotations["org.opencontainers.image.ref.name"] = names.get(name, name)
    (directory / "index.json").write_text(json.dumps(index))
    return directory
