"""The tokens and logins of one registry, with a token server that is a function."""

from types import SimpleNamespace

import pytest

from hpc_remetrics.errors import RegistryError
from hpc_remetrics.registry import auth
from hpc_remetrics.registry.access import Access
from hpc_remetrics.registry.auth import Keyring

BEARER = 'Bearer realm="https://host/token",service="registry"'
SCOPE = "repository:a/b:pull"


class TokenServer:
    """Gives a new token to each request, and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[tuple] = []
        self.more: dict = {"expires_in": 100}

    def __call__(self, method, url, headers, data):
        self.requests.append((method, url, headers, data))
        return {"token": f"token{len(self.requests)}", **self.more}


@pytest.fixture
def clock(monkeypatch):
    made = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(auth, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


@pytest.fixture
def server():
    return TokenServer()


def test_a_token_is_used_for_most_of_its_life(clock, server):
    keyring = Keyring("host", Access())
    assert keyring.header(SCOPE, server) == ""
    assert keyring.answer_challenge(SCOPE, [BEARER], server) == "Bearer token1"
    clock.now += 79
    assert keyring.header(SCOPE, server) == "Bearer token1"
    clock.now += 1
    assert keyring.header(SCOPE, server) == "Bearer token2"
    # Another scope has another token, and a refused token is asked for anew
    assert keyring.header("repository:c:pull", server) == "Bearer token3"
    assert keyring.header(SCOPE, server) == "Bearer token2"
    assert keyring.answer_challenge(SCOPE, [BEARER], server) == "Bearer token4"


def test_a_token_is_asked_for_by_its_scope(server):
    keyring = Keyring("host", Access())
    keyring.answer_challenge(SCOPE, [BEARER], server)
    url = "https://host/token?service=registry&scope=repository%3Aa%2Fb%3Apull"
    assert server.requests == [("GET", url, {}, None)]
    # Without a scope of its own a request takes that of the challenge
    keyring.answer_challenge("", [BEARER.replace("token", "token?x=1") + ',scope="s"'], server)
    assert server.requests[1][1] == "https://host/token?x=1&service=registry&scope=s"


def test_a_user_s_login_goes_to_the_token_server(server):
    keyring = Keyring("host", Access(username="me", password="x", login_host="host"))
    keyring.answer_challenge(SCOPE, [BEARER], server)
    assert server.requests[0][2] == {"Authorization": "Basic bWU6eA=="}
    elsewhere = Keyring("host", Access(username="me", password="x", login_host="other"))
    elsewhere.answer_challenge(SCOPE, [BEARER], server)
    assert server.requests[1][2] == {}


def test_basic_is_met_by_a_login(server):
    keyring = Keyring("host", Access(username="me", password="x", login_host="host"))
    offers = ["Negotiate", 'Basic realm="x"']
    assert keyring.answer_challenge(SCOPE, offers, server) == "Basic bWU6eA=="
    assert keyring.header(SCOPE, server) == "Basic bWU6eA=="
    assert server.requests == []


@pytest.mark.parametrize(
    ("offers", "words"),
    [
        ([], "asks for a login of an unnamed kind"),
        (["Basic"], "asks for a login; see"),
        (["Negotiate, NTLM"], "asks for a login of an unsupported kind: negotiate, ntlm; see"),
    ],
)
def test_what_can_not_be_met_is_denied(server, monkeypatch, tmp_path, offers, words):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(RegistryError, match=words) as caught:
        Keyring("host", Access()).answer_challenge(SCOPE, offers, server)
    assert (caught.value.cause, caught.value.status) == ("denied", 401)


@pytest.mark.parametrize(
    ("realm", "problem"),
    [
        ("https://host/t", ""),
        ("https://host:99/t", ""),
        ("https://trusted/t", ""),
        ("https://at-a-port:5/t", ""),
        ("https://at-a-port:6/t", "names the token server at-a-port, which is not its own"),
        ("https://other/t", "names the token server other, which is not its own host"),
        ("https://me@host/t", "names the token server host, which is not its own host"),
        ("http://host/t", "names a token server by http, not https"),
        ("ftp://host/t", "names a token server by ftp, not https"),
        ("/t", "names a token server by a URL without a scheme, not https"),
        ("https://[::1/t", "names a token server by an invalid URL"),
        ("https://host:x/t", "names a token server by an invalid URL"),
    ],
)
def test_a_token_server_is_the_registry_s_own_or_trusted(server, realm, problem):
    keyring = Keyring("host", Access(realms=("trusted", "at-a-port:5")))
    challenge = [f'Bearer realm="{realm}"']
    if not problem:
        assert keyring.answer_challenge(SCOPE, challenge, server) == "Bearer token1"
        return
    with pytest.raises(RegistryError) as caught:
        keyring.answer_challenge(SCOPE, challenge, server)
    assert problem in str(caught.value)
    assert caught.value.cause == "denied"
    assert server.requests == []


def test_a_registry_without_tls_may_have_a_token_server_without_it(server):
    keyring = Keyring("host:5000", Access(plain_http=("host:5000",), realms=("other",)))
    challenge = ['Bearer realm="http://host:5001/t"']
    assert keyring.answer_challenge(SCOPE, challenge, server) == "Bearer token1"
    with pytest.raises(RegistryError, match="by http, not https"):
        keyring.answer_challenge(SCOPE, ['Bearer realm="http://other/t"'], server)


@pytest.mark.parametrize(
    "answer", [{}, {"token": ""}, {"token": 5}, {"token": "a\nb"}, {"token": "ü"}]
)
def test_an_answer_without_a_token_is_denied(answer):
    with pytest.raises(RegistryError, match="the token server of host returned no token"):
        Keyring("host", Access()).answer_challenge(SCOPE, [BEARER], lambda *_: answer)


def test_a_token_may_be_an_access_token():
    keyring = Keyring("host", Access())
    answer = {"access_token": "x"}
    assert keyring.answer_challenge(SCOPE, [BEARER], lambda *_: answer) == "Bearer x"
