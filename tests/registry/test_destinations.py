"""Proxies of requests: as Go's programs choose them, and never for this machine."""

import base64
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from support import faulty_proxy as faults
from support.faulty_proxy import FaultyProxy
from support.raw_server import RawServer, answer
from support.registry import PASSWORD, USER
from support.tools import need

from hpc_remetrics.errors import RegistryError
from hpc_remetrics.registry.access import Access, is_loopback_name
from hpc_remetrics.registry.destinations import is_this_machine, proxies_for
from hpc_remetrics.registry.endpoint import Registry

from .conftest import SOON

HOSTS = [
    *(
        "a.example",
        "b.a.example",
        "xa.example",
        "10.1.2.3",
        "10.2.0.1",
        "192.0.2.7",
        "[2001:db8::7]",
    ),
    *(
        "[2001:db8:1::7]",
        "localhost",
        "127.0.0.1",
        "127.8.9.1",
        "[::1]",
        "registry",
        "localhost.example",
    ),
]
PORTS = ["", ":5000", ":80", ":443"]
EXCEPTIONS = [
    *(
        "",
        "*",
        "a.example",
        ".a.example",
        "*.a.example",
        "A.Example",
        "a.example:5000",
        ".a.example:5000",
        ":5000",
    ),
    *(
        "a.example:443",
        "a.example:80",
        "10.1.2.3",
        "10.1.2.3:5000",
        "10.1.0.0/16",
        "10.1.2.3/8",
        "0.0.0.0/0",
        "::/0",
    ),
    *("2001:db8::7", "[2001:db8::7]:5000", "2001:db8::/48", "example", "registry", "registry:5000"),
    *(
        " a.example , 10.1.2.3 ",
        "a.example,,b",
        "nothing.example",
        "10.1.2",
        "a.example/x",
        ".",
        "*:5000",
        "x*",
        "*example",
    ),
    *("192.0.2.7,*", "*,x", "2001:DB8:0::7", "a.example:"),
]


@pytest.fixture(scope="module")
def go_program(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("goproxy")
    source = Path(__file__).parents[1] / "support" / "goproxy" / "main.go"
    places = {"GOCACHE": str(directory / "cache"), "GO111MODULE": "off", "CGO_ENABLED": "0"}
    command = [need("go"), "build", "-o", str(directory / "goproxy"), str(source)]
    subprocess.run(
        command, check=True, env={**os.environ, **places}, capture_output=True, text=True
    )
    return directory / "goproxy"


def of_go(program: Path, urls: list[str], variables: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [program], input="\n".join(urls), env=variables, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def of_this_program(urls: list[str], variables: dict[str, str]) -> list[str]:
    return [next(iter(proxies_for(url, variables).values()), "-") for url in urls]


@pytest.mark.slow
def test_proxies_are_chosen_as_go_chooses_them(go_program):
    urls = [
        f"{scheme}://{host}{port}/v2/"
        for scheme in ("http", "https")
        for host in HOSTS
        for port in PORTS
    ]
    for exceptions in EXCEPTIONS:
        for names in (
            ("http_proxy", "https_proxy", "no_proxy"),
            ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
        ):
            variables = dict(
                zip(names, ("http://p.example:3128", "q.example:3129", exceptions), strict=True)
            )
            got, right = of_this_program(urls, variables), of_go(go_program, urls, variables)
            differing = [
                (url, one, two)
                for url, one, two in zip(urls, got, right, strict=True)
                if one != two
            ]
            assert not differing, exceptions
    variables = {"http_proxy": "http://p.example:3128"}
    assert of_this_program(urls, variables) == of_go(go_program, urls, variables)


@pytest.mark.parametrize(
    ("host", "exception", "is_excepted"),
    [
        ("192.0.2.7", "192.0.2.0/24", True),
        ("192.0.3.7", "192.0.2.0/24", False),
        ("192.0.2.7", "192.0.2.0/99", False),
        ("a.example", "192.0.2.0/24", False),
        ("[2001:db8::7]", "2001:db8::/32", True),
        ("[2001:db9::7]", "2001:db8::/32", False),
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.77", "192.0.2.7", False),
        ("192.0.2.7", "192.0.2.7:5000", True),
        ("192.0.2.7", "192.0.2.7:5001", False),
        ("a.example", "192.0.2.7", False),
        ("192.0.2.7", "a.example", False),
        ("a.example", "a.example:5000", True),
        ("a.example", "a.example:5001", False),
        ("b.a.example", "a.example", True),
        ("ba.example", "a.example", False),
        ("a.example", ".a.example", False),
        ("b.a.example", ".a.example", True),
        ("a.example", "*.a.example", False),
        ("b.a.example", "*.a.example", True),
        ("A.Example", "x.example, a.EXAMPLE", True),
        ("a.example", "x.example,*", True),
    ],
)
def test_hosts_that_no_proxy_names_by_the_rules_of_go(host, exception, is_excepted):
    variables = {"http_proxy": "http://p:1", "no_proxy": exception}
    found = proxies_for(f"http://{host}:5000/", variables)
    assert found == ({} if is_excepted else {"http": "http://p:1"})


def test_what_go_does_not_know_holds_too():
    """`all_proxy`, blanks between exceptions, and addresses of this machine in other forms."""
    variables = {"all_proxy": "http://p:1", "no_proxy": "a.example b.example"}
    assert proxies_for("https://c.example/", variables) == {"https": "http://p:1"}
    assert proxies_for("https://b.example/", variables) == {}
    for host, exception in (
        ("[2001:db8::7]", "[2001:db8::7]"),
        ("a.example", "a.example."),
        ("a.example.", "a.example"),
    ):
        assert (
            proxies_for(f"http://{host}:5000/", {"http_proxy": "http://p:1", "no_proxy": exception})
            == {}
        )
    for name in (
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "a.localhost",
        "::",
    ):
        assert is_this_machine(name)
        assert (
            proxies_for(
                f"http://{f'[{name}]' if ':' in name else name}:5000/", {"http_proxy": "http://p:1"}
            )
            == {}
        )
    assert not any(
        map(
            is_this_machine,
            ("localhost.example", "127.example", "126.0.0.1", "", "12.7.0.0.1", "::2"),
        )
    )
    assert (
        is_loopback_name("127.0.0.1:5000")
        and is_loopback_name("[::1]")
        and not is_loopback_name("a.example:5000")
    )


@pytest.fixture
def network(monkeypatch):
    """A proxy that all variables name; what it is asked is kept, and each request gets a 502."""
    with RawServer(lambda head: answer(502)) as server:
        for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{server.host}")
        yield server


AUTH = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "127.1"])
def test_a_registry_on_this_machine_is_asked_without_a_proxy(network, locked_registry, name):
    with FaultyProxy(locked_registry.host, name=name) as proxy:
        access = Access(username=USER, password=PASSWORD, login_host=proxy.host, patience=SOON)
        assert Registry(proxy.host, access).manifest("one", "1").size
    assert network.heads == []


@pytest.mark.slow
def test_so_are_its_token_server_and_what_it_redirects_to(network, token_registry):
    access = Access(username=USER, password=PASSWORD, login_host=token_registry.host, patience=SOON)
    assert Registry(token_registry.host, access).manifest("secret/one", "1").size
    with FaultyProxy(token_registry.host) as proxy:
        proxy.on("/manifests/", faults.redirect(f"http://{token_registry.host}{{path}}"))
        assert Registry(proxy.host).manifest("one", "1").size
    assert network.heads == []


def test_a_registry_elsewhere_goes_through_the_proxy_unless_it_is_excepted(
    network, registry, monkeypatch
):
    access = Access(plain_http=("a.example:5000",), patience=replace(SOON, tries=1))
    for host, line in (
        ("a.example:5000", "GET http://a.example:5000/v2/"),
        ("b.example", "CONNECT b.example:443"),
    ):
        with pytest.raises(RegistryError):
            Registry(host, access).manifest("one", "1")
        assert network.heads.pop().startswith(line)
    monkeypatch.setenv("no_proxy", "a.example:5000,b.example")
    for host in ("a.example:5000", "b.example"):
        with pytest.raises(RegistryError):
            Registry(host, access).manifest("one", "1")
    assert network.heads == []


def test_a_registry_elsewhere_does_not_lead_to_this_machine_behind_a_proxy(
    network, registry, locked_registry
):
    """The proxy stands for a registry that redirects: the address is judged, and nobody is
    asked."""
    access = Access(plain_http=("a.example",), patience=replace(SOON, tries=1))
    for target in (
        f"http://{registry.host}/",
        f"http://localhost:{registry.host.rpartition(':')[2]}/",
        "http://[::1]/",
    ):
        network.answer = lambda head: answer(307, ("Location", f"{target}v2/one/manifests/1"))  # noqa: B023
        with pytest.raises(RegistryError, match="not followed"):
            Registry("a.example", access).manifest("one", "1")


def test_a_login_is_not_given_to_a_host_that_a_proxy_answers_for(network):
    """Behind a proxy, too, a redirect takes no login along."""
    access = Access(
        plain_http=("a.example",),
        username=USER,
        password=PASSWORD,
        login_host="a.example",
        patience=replace(SOON, tries=1),
    )

    def give(head: str) -> bytes:
        if "b.example" in head.splitlines()[0]:
            return answer(401, ("WWW-Authenticate", "Basic"))
        if "authorization" not in head.lower():
            return answer(401, ("WWW-Authenticate", "Basic"))
        return answer(307, ("Location", "http://b.example/x"))

    network.answer = give
    with pytest.raises(RegistryError):
        Registry("a.example", access).manifest("one", "1")
    told = [head for head in network.heads if AUTH in head]
    assert len(told) == 1 and told[0].startswith("GET http://a.example/v2/")
    assert any(head.startswith("GET http://b.example/") for head in network.heads)
