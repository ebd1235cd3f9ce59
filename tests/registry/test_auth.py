"""Logins: found where docker and podman keep them, given to their own registry, and to nobody
else."""

import base64
import contextlib
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support import faulty_proxy as faults
from support.certificates import self_signed
from support.faulty_proxy import FaultyProxy
from support.registry import PASSWORD, USER
from support.tools import need

from hpc_remetrics.errors import RegistryError, UsageError
from hpc_remetrics.records import Digest
from hpc_remetrics.registry import credentials
from hpc_remetrics.registry.access import Access
from hpc_remetrics.registry.auth import Challenge, Keyring
from hpc_remetrics.registry.destinations import Bounds
from hpc_remetrics.registry.endpoint import Registry
from hpc_remetrics.registry.registries import Registries

from .conftest import SOON

AUTH = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture(autouse=True)
def canary_sings_nowhere(capfd, caplog):
    """Whatever a test does, the password is in nothing that was printed or logged."""
    caplog.set_level("DEBUG")
    yield
    printed = capfd.readouterr()
    for text in (printed.out, printed.err, caplog.text):
        assert PASSWORD not in text and AUTH not in text


def config(home: Path, value: dict, name: str = ".docker/config.json") -> Path:
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


@pytest.fixture
def home() -> Path:
    return Path(os.environ["HOME"])


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """Return a function that puts a credential helper into PATH: a program that answers as shell
    code says."""

    def make(code: str) -> Path:
        directory = tmp_path / "bin"
        directory.mkdir()
        path = directory / "docker-credential-canary"
        path.write_text(f'#!/bin/sh\nread -r key; printf %s "$key" > {tmp_path}/key\n{code}\n')
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
        return tmp_path / "key"

    return make


ANSWER = f"""printf '{{"ServerURL":"x","Username":"{USER}","Secret":"{PASSWORD}"}}'"""


def can_read(registry, access=None) -> bool:
    return Registry(registry.host, access or Access()).manifest("one", "1").size > 0


@pytest.mark.slow
def test_the_entry_of_docker_login(locked_registry, home):
    config(home, {"auths": {locked_registry.host: {"auth": AUTH}}})
    assert can_read(locked_registry)


@pytest.mark.slow
def test_what_skopeo_login_writes(locked_registry, home, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    path = home / "run/containers/auth.json"
    path.parent.mkdir(parents=True)
    command = [
        need("skopeo"),
        "login",
        "--tls-verify=false",
        "--authfile",
        str(path),
        "-u",
        USER,
        "--password-stdin",
    ]
    subprocess.run(
        [*command, locked_registry.host], input=PASSWORD, text=True, check=True, capture_output=True
    )
    assert can_read(locked_registry)


@pytest.mark.parametrize("key", ["https://{}/v2/", "http://{}", "{}/one", "{}/one/"])
def test_other_names_of_the_entry(locked_registry, home, key):
    config(
        home,
        {"auths": {key.format(locked_registry.host): {"username": USER, "password": PASSWORD}}},
    )
    assert can_read(locked_registry)


def test_the_longest_name_wins(locked_registry, home):
    wrong = {"auth": base64.b64encode(b"a:b").decode()}
    host = locked_registry.host
    config(home, {"auths": {host: wrong, f"{host}/one": {"auth": AUTH}, f"{host}/on": wrong}})
    assert can_read(locked_registry)
    with pytest.raises(RegistryError) as caught:
        Registry(host).manifest("two", "1")
    assert caught.value.cause == "denied" and caught.value.status == 401


@pytest.mark.parametrize(
    "how", ["file", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "DOCKER_AUTH_CONFIG", "name"]
)
def test_flags_and_variables(locked_registry, tmp_path, monkeypatch, how):
    host = locked_registry.host
    path = config(tmp_path, {"auths": {host: {"auth": AUTH}}}, "config.json")
    if how == "file":
        assert can_read(locked_registry, Access(auth_file=path))
    elif how == "name":
        assert can_read(locked_registry, Access(username=USER, password=PASSWORD, login_host=host))
    else:
        values = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_AUTH_CONFIG": path.read_text()}
        monkeypatch.setenv(how, values.get(how, str(path)))
        assert can_read(locked_registry)


@pytest.mark.parametrize("kind", ["credHelpers", "credsStore"])
def test_credential_helpers(locked_registry, home, helper, kind):
    key = helper(ANSWER)
    host = locked_registry.host
    value = {"credHelpers": {host: "canary"}} if kind == "credHelpers" else {"credsStore": "canary"}
    config(home, {"auths": {host: {}}, **value})
    assert can_read(locked_registry)
    assert key.read_text() == host


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (f"echo {PASSWORD} >&2; exit 3", "exit code 3"),
        (f"echo '{PASSWORD}'", "is not JSON"),
        ("echo credentials not found in native keychain; exit 1", "asks for a login"),
    ],
)
def test_helpers_that_fail(locked_registry, home, helper, code, words):
    helper(code)
    config(home, {"credHelpers": {locked_registry.host: "canary"}})
    with pytest.raises((UsageError, RegistryError), match=words) as caught:
        can_read(locked_registry)
    assert PASSWORD not in str(caught.value)


def test_helpers_are_started_without_the_secrets_of_the_process(
    home, helper, tmp_path, monkeypatch
):
    """A helper inherits what it needs to find its store, and no login of this process."""
    helper(f"env > {tmp_path}/environment; {ANSWER}")
    path = config(home, {"credHelpers": {"quay.io": "canary"}})
    monkeypatch.setenv("REMETRICS_PASSWORD", "secret of the run")
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", "{}")
    monkeypatch.setenv("CANARY_STORE", "/store")
    found = credentials.find("quay.io", "a/b", path)
    assert found == credentials.Credentials(USER, PASSWORD)
    names = (tmp_path / "environment").read_text()
    assert "CANARY_STORE=/store" in names and f"HOME={home}" in names
    assert "REMETRICS_PASSWORD" not in names and "DOCKER_AUTH_CONFIG" not in names


def test_files_that_are_wrong(locked_registry, home, tmp_path):
    with pytest.raises(UsageError, match="can't be read"):
        can_read(locked_registry, Access(auth_file=tmp_path / "nothing"))
    path = config(home, {})
    for text, words in [
        (PASSWORD, "is not JSON"),
        (json.dumps({"auths": {locked_registry.host: {"auth": PASSWORD}}}), "base64"),
        (
            json.dumps({"credHelpers": {locked_registry.host: "../canary"}}),
            "not the name of a credential helper",
        ),
        (json.dumps({"credHelpers": {locked_registry.host: "missing"}}), "not in PATH"),
        (json.dumps({"auths": {"elsewhere": {"auth": AUTH}}}), "asks for a login"),
        (json.dumps({"auths": [1]}), "asks for a login"),
    ]:
        path.write_text(text)
        with pytest.raises((UsageError, RegistryError), match=words) as caught:
            can_read(locked_registry)
        assert PASSWORD not in str(caught.value)


def test_a_wrong_password(locked_registry):
    wrong = Access(username=USER, password=PASSWORD + "x", login_host=locked_registry.host)
    with pytest.raises(RegistryError) as caught:
        can_read(locked_registry, wrong)
    assert caught.value.status == 401 and PASSWORD not in str(caught.value)


@pytest.mark.slow
def test_tokens_are_asked_for_once_a_scope(token_registry, tokens):
    client = Registry(token_registry.host)
    before = len(tokens.asked)
    for _ in range(3):
        client.manifest("one", "1")
        client.manifest("two", "1")
    asked = tokens.asked[before:]
    assert [query["scope"] for query, _ in asked] == [
        ["repository:one:pull"],
        ["repository:two:pull"],
    ]
    assert not any(known for _, known in asked)


@pytest.mark.slow
def test_a_token_that_ends_is_asked_for_anew(token_registry, tokens, monkeypatch):
    monkeypatch.setattr(tokens, "seconds", 0.01)
    client, before = Registry(token_registry.host), len(tokens.asked)
    for _ in range(3):
        client.manifest("one", "1")
        time.sleep(0.02)
    assert len(tokens.asked) - before == 3


@pytest.mark.parametrize("how", ["name", "identity token", "helper with a token"])
def test_tokens_for_a_user(token_registry, tokens, home, helper, how):
    host, access = token_registry.host, Access()
    if how == "name":
        access = Access(username=USER, password=PASSWORD, login_host=host)
    elif how == "identity token":
        config(home, {"auths": {host: {"auth": "", "identitytoken": PASSWORD}}})
    else:
        helper(ANSWER.replace(USER, "<token>"))
        config(home, {"credsStore": "canary"})
    assert Registry(host, access).manifest("secret/one", "1").size > 0
    assert tokens.asked[-1][1]


def test_no_token_without_a_login(token_registry):
    with pytest.raises(RegistryError) as caught:
        Registry(token_registry.host).manifest("secret/one", "1")
    assert caught.value.cause == "denied"


def known(host) -> Access:
    return Access(
        username=USER, password=PASSWORD, login_host=host, patience=replace(SOON, tries=2)
    )


def heard(*proxies) -> list[str]:
    """Return the Authorization headers that came."""
    return [
        one.headers["Authorization"]
        for proxy in proxies
        for one in proxy.exchanges
        if "Authorization" in one.headers
    ]


CHALLENGE = ("WWW-Authenticate", 'Basic realm="x"')


@pytest.mark.slow
@pytest.mark.parametrize(
    "target", ["http://localhost:{port}", "http://127.0.0.2:{port}", "https://127.0.0.1:{own}"]
)
def test_a_redirect_takes_no_login_along(registry, target):
    """To another name of the host, to another address with another port, to another scheme."""
    with FaultyProxy(registry.host) as proxy, FaultyProxy(registry.host) as other:
        own, port = (one.host.rpartition(":")[2] for one in (proxy, other))
        proxy.on("/blobs/", faults.status(401, CHALLENGE))
        client = Registry(proxy.host, known(proxy.host))
        blob = json.loads(client.manifest("one", "1").data)["config"]
        proxy.on("/blobs/", faults.redirect(target.format(port=port, own=own) + "{path}"), times=9)
        # Where nobody answers, or not by TLS, the blob can't be had; where somebody does, it can.
        with contextlib.nullcontext() if "localhost" in target else pytest.raises(RegistryError):
            client.read_blob("one", Digest.parse(blob["digest"]), 1 << 20)
        assert heard(proxy) and set(heard(proxy)) == {f"Basic {AUTH}"}
        assert heard(other) == []


@pytest.mark.slow
def test_a_foreign_host_gets_no_login_even_if_it_sends_back_or_asks(registry):
    """Once away, a login stays away: a redirect home, and a challenge of the other host."""
    with FaultyProxy(registry.host) as proxy, FaultyProxy(registry.host, name="localhost") as other:
        client = Registry(proxy.host, known(proxy.host))
        proxy.on("/manifests/", faults.status(401, CHALLENGE))
        client.manifest("one", "1")
        count = len(heard(proxy))
        assert count
        proxy.on("/tags/", faults.redirect(f"http://{other.host}{{path}}"))
        other.on("/tags/", faults.redirect(f"http://{proxy.host}{{path}}"))
        assert "1" in list(client.tags("one"))
        assert len(heard(proxy)) == count + 1  # that which was redirected
        proxy.on("/tags/", faults.redirect(f"http://{other.host}{{path}}"), times=9)
        other.on("/tags/", faults.status(401, CHALLENGE), times=9)
        with pytest.raises(RegistryError):
            list(client.tags("one"))
        assert heard(other) == []


@pytest.mark.slow
def test_a_link_to_another_host_is_asked_for_at_the_registry_itself(registry):
    with FaultyProxy(registry.host) as proxy, FaultyProxy(registry.host, name="localhost") as other:
        proxy.on("/_catalog", faults.status(401, CHALLENGE))
        proxy.on(
            "/_catalog",
            faults.with_header("Link", f'<http://{other.host}/v2/_catalog>; rel="next"'),
        )
        assert "one" in list(Registry(proxy.host, known(proxy.host)).catalog())
        assert heard(proxy) and other.exchanges == []


HOSTILE = [
    "http://localhost:{port}/token",
    "https://evil.example/token",
    "http://169.254.169.254/token",
    "http://me@127.0.0.1:{port}/token",
    "ftp://127.0.0.1/token",
    "file:///etc/passwd",
    "//127.0.0.1:{port}/token",
    "",
]


@pytest.mark.parametrize("realm", HOSTILE)
def test_hostile_realms_get_nothing(registry, realm):
    with FaultyProxy(registry.host) as proxy, FaultyProxy(registry.host) as evil:
        realm = realm.format(port=evil.host.rpartition(":")[2])
        header = (
            "WWW-Authenticate",
            f'Bearer realm="{realm}",service="s",scope="repository:one:pull"',
        )
        proxy.on("/manifests/", faults.status(401, header), times=9)
        with pytest.raises(RegistryError) as caught:
            Registry(proxy.host, known(proxy.host)).manifest("one", "1")
        assert caught.value.cause == "denied"
        assert evil.exchanges == [] and heard(proxy) == []


def test_a_realm_of_another_host_is_not_taken_by_plain_http(tokens, token_registry):
    port = tokens.host.rpartition(":")[2]
    with FaultyProxy(token_registry.host) as proxy:
        header = f'Bearer realm="http://localhost:{port}/token",service="the registry of the tests"'
        proxy.on("/manifests/", faults.status(401, ("WWW-Authenticate", header)))
        with pytest.raises(RegistryError, match="by http, not https"):
            Registry(proxy.host).manifest("one", "1")


@pytest.mark.parametrize(
    "fault",
    [
        faults.redirect("http://127.0.0.1:1/"),
        faults.status(200, body=b"[1]"),
        faults.status(200, body=b'{"token": 1}'),
        faults.status(200, body=b'{"token": "a\\r\\nX: y"}'),
        faults.status(200, body=b"{" * 100_000),
        faults.status(200, body=b'{"token":"' + b"x" * (1 << 20) + b'"}'),
        faults.status(403, body=PASSWORD.encode()),
    ],
)
def test_token_servers_that_lie(registry, fault):
    with FaultyProxy(registry.host) as proxy:
        proxy.on("/token", fault, times=9)
        realm = f'Bearer realm="http://{proxy.host}/token",service="s"'
        proxy.on("/manifests/", faults.status(401, ("WWW-Authenticate", realm)), times=9)
        with pytest.raises(RegistryError) as caught:
            Registry(proxy.host, known(proxy.host)).manifest("one", "1")
        assert PASSWORD not in str(caught.value)
        assert len(proxy.asked("/token")) == 1


def test_words_of_a_server_are_not_repeated(registry):
    """An error page may hold what the server was sent."""
    with FaultyProxy(registry.host) as proxy:
        body = json.dumps(
            {"errors": [{"code": PASSWORD}, {"code": "DENIED", "message": PASSWORD}]}
        ).encode()
        proxy.on("/manifests/", faults.status(403, ("X-Told", PASSWORD), body=body))
        with pytest.raises(RegistryError, match=r"403 \(DENIED\)"):
            Registry(proxy.host, known(proxy.host)).manifest("one", "1")


def test_netrc_is_not_read(locked_registry, home):
    (home / ".netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    (home / ".netrc").chmod(0o600)
    with pytest.raises(RegistryError):
        can_read(locked_registry)


def test_what_may_be_asked():
    bounds = Bounds("192.0.2.7")
    for address in (
        "127.0.0.1",
        "169.254.169.254",
        "::1",
        "fe80::1",
        "0.0.0.0",
        "::ffff:127.0.0.1",
        "localhost",
    ):
        with pytest.raises(RegistryError, match="not followed"):
            bounds.check(address)
    bounds.check("198.51.100.1")
    Bounds("127.0.0.1").check("localhost")
    with pytest.raises(RegistryError):
        Bounds("127.0.0.1").check("169.254.1.1")


def test_a_name_that_leads_elsewhere_when_it_is_connected_is_seen(registry, monkeypatch):
    """A name server that answers twice: the look at the name passes, the connection goes to
    loopback."""
    from hpc_remetrics.registry import destinations

    real = socket.getaddrinfo
    monkeypatch.setattr(destinations, "_addresses", lambda name: ["198.51.100.1"])
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest: real("127.0.0.1" if "example" in str(host) else host, *rest),
    )
    with FaultyProxy(registry.host) as proxy, FaultyProxy(registry.host) as inner:
        port = inner.host.rpartition(":")[2]
        proxy.on("/tags/", faults.redirect(f"http://rebound.example:{port}{{path}}"))
        client = Registry(proxy.host)
        client.client._bounds._own = frozenset({""})
        with pytest.raises(RegistryError, match="loopback"):
            list(client.tags("one"))
        assert inner.exchanges == []


BASIC = 'Basic realm="x"'
BEARER = 'Bearer realm="https://tokens.example/token",service="x"'
OFFERS = {
    "Negotiate in a header before": ["Negotiate", BASIC],
    "Negotiate in a header behind": [BASIC, "Negotiate"],
    "Negotiate in the same header": [f"Negotiate, {BASIC}"],
    "NTLM with data": [f"NTLM TlRMTVNTUAAC==, {BASIC}"],
    "all there is": [
        "Negotiate",
        "NTLM",
        'Digest realm="x", qop="auth, auth-int", nonce="y"',
        BASIC,
    ],
    "no realm": ["Basic"],
    "no realm among others": ["Negotiate, Basic, NTLM"],
    "Basic in another case": ["BASIC Realm=x"],
    "a token server that is not trusted": [f"{BEARER}, {BASIC}"],
    "a token server that is none": ['Bearer realm="http://[::1"', BASIC],
    "a header that is cut": ['Digest realm="x', BASIC],
}


@pytest.mark.slow
@pytest.mark.parametrize("offers", OFFERS.values(), ids=OFFERS)
def test_a_login_is_given_where_basic_is_among_the_offers(locked_registry, offers):
    with FaultyProxy(locked_registry.host) as proxy:
        headers = [("WWW-Authenticate", offer) for offer in offers]
        proxy.on("/manifests/", faults.status(401, *headers))
        assert Registry(proxy.host, known(proxy.host)).manifest("one", "1").size
        assert heard(proxy) == [f"Basic {AUTH}"]


@pytest.mark.parametrize(
    ("offers", "words"),
    [
        (["Negotiate", "NTLM"], "unsupported kind: negotiate, ntlm"),
        ([BEARER], "not its own host"),
        ([], "an unnamed kind"),
        ([""], "an unnamed kind"),
        (['Bearer realm="http://[::1"'], "an invalid URL"),
        (["Bearer"], "a URL without a scheme"),
    ],
)
def test_what_cannot_be_met_is_named(registry, offers, words):
    with FaultyProxy(registry.host) as proxy:
        proxy.on(
            "/manifests/",
            faults.status(401, *(("WWW-Authenticate", offer) for offer in offers)),
            times=9,
        )
        with pytest.raises(RegistryError, match=words) as caught:
            Registry(proxy.host, known(proxy.host)).manifest("one", "1")
        assert caught.value.cause == "denied" and heard(proxy) == []


def test_a_bearer_beside_basic_is_asked_for_a_token(token_registry, tokens):
    access = Access(username=USER, password=PASSWORD, login_host="elsewhere.example")
    with FaultyProxy(token_registry.host) as proxy:
        bearer = f'Bearer realm="http://{tokens.host}/token",service="the registry of the tests"'
        realm = f'Basic realm="x", {bearer}'
        proxy.on(
            "/manifests/",
            faults.status(401, ("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", realm)),
        )
        assert Registry(proxy.host, access).manifest("one", "1").size


def test_a_token_server_may_be_trusted_with_its_port(token_registry, tokens):
    port = tokens.host.rpartition(":")[2]
    keyring = Keyring("registry.example", Access(realms=("tokens.example:5001",)))
    keyring._check_realm("https://tokens.example:5001/token")
    for realm in (
        f"https://tokens.example:{port}/token",
        "https://tokens.example/token",
        "https://[::1]:5001/",
    ):
        with pytest.raises(RegistryError, match="not its own host"):
            keyring._check_realm(realm)


def test_challenges_are_read_as_they_are_written():
    header = (
        'Basic realm="a, b=\\"c", Bearer realm="https://a/t",service=reg, '
        'scope="repository:x/y:pull,push", error="e"'
    )
    basic, bearer = Challenge.parse(header)
    assert (basic.scheme, bearer.scheme) == ("basic", "bearer")
    assert (bearer.realm, bearer.service, bearer.scope) == (
        "https://a/t",
        "reg",
        "repository:x/y:pull,push",
    )
    assert Challenge.parse("") == [] and Challenge.parse('"nonsense"') == []


@pytest.fixture
def secure(registry, tmp_path):
    """A TLS front of the registry, whose certificate only `SSL_CERT_FILE` knows; its port."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    self_signed(key, certificate, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with FaultyProxy(registry.host, name="localhost") as proxy:
        proxy._http.socket = context.wrap_socket(proxy._http.socket, server_side=True)
        yield proxy, certificate


@pytest.mark.slow
def test_tls(secure, access, monkeypatch):
    proxy, certificate = secure
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    client = Registry(proxy.host, replace(access, patience=replace(access.patience, tries=2)))
    client.client.endpoint = f"https://{proxy.host}"
    with pytest.raises(RegistryError, match="SSL_CERT_FILE") as caught:
        client.manifest("one", "1")
    assert caught.value.cause == "denied"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert client.manifest("one", "1").size
    proxy.on("/manifests/", faults.drip_headers, times=99)
    with pytest.raises(RegistryError) as caught:
        client.manifest("one", "1")
    assert caught.value.cause == "limit_time"


def test_threads_ask_for_one_token(token_registry, tokens):
    pool, before, found = Registries(), len(tokens.asked), []
    pool.get(token_registry.host).manifest("one", "1")
    threads = [
        threading.Thread(
            target=lambda: found.append(pool.get(token_registry.host).manifest("one", "1").size)
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(tokens.asked) - before == 1
