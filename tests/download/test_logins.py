"""Crawls and downloads behind a login: with it all is had, without it nothing, and the password
turns up nowhere."""

import pytest
from support.registry import PASSWORD, USER, Registry, htpasswd_auth
from support.token_server import TokenServer

from .conftest import gzip_images

NAME = "secret/amd64:1"


@pytest.fixture(params=["htpasswd", "token"])
def locked(request, tmp_path):
    """A registry that shows an image to one user alone."""
    tokens = TokenServer(tmp_path / "tokens") if request.param == "token" else None
    directory = tmp_path / "registry"
    registry = Registry(directory, tokens.auth() if tokens else htpasswd_auth(directory))
    registry.copy(f"oci:{gzip_images(tmp_path / 'images')}:amd64", NAME, login=True)
    yield registry
    registry.stop()
    if tokens:
        tokens.stop()


@pytest.mark.slow
def test_a_login_opens_and_its_password_is_kept(locked, mirror, monkeypatch):
    name, runs = f"{locked.host}/{NAME}", mirror.runs
    said = mirror(name, code=3).stderr
    assert mirror.names() == set()
    monkeypatch.setenv("REMETRICS_PASSWORD", PASSWORD)
    login = ["--username", USER, "--login-host", locked.host]
    for ranks in (0, 2):
        said += mirror(name, *login, "-vv", "--update", ranks=ranks).stderr
    assert mirror.names() == {name}
    catalog = runs.command(
        "crawl", f"catalog:{locked.host}", "-o", runs.directory / "repos.csv", *login
    )
    said += runs.run(catalog).stderr
    assert NAME.partition(":")[0] in (runs.directory / "repos.csv").read_text()
    assert PASSWORD not in said
    for path in runs.directory.rglob("*"):
        if path.is_file() and (mirror.directory in path.parents or path.parent == runs.directory):
            assert PASSWORD.encode() not in path.read_bytes()
