"""`Link` and `WWW-Authenticate` as servers write them, by examples of the RFCs and of servers that
are careless."""

import random

import pytest

from hpc_remetrics.registry.header_fields import next_page, parse_challenges, parse_links

BASE = "http://127.0.0.1:5000/v2/_catalog?n=4"

NEXT = [
    ['</p?last=a>; rel="next"'],
    ["</p?last=a>; rel=next"],
    ["</p?last=a>;rel=next;"],
    ['</p?last=a>; title="x"; rel="next"'],
    ['</p?last=a>; title="x; y, <z>; rel=prev"; rel="next"'],
    ['</p?last=a>; title="a \\" b"; rel="next"'],
    ['</p?last=a>; Rel="Next"'],
    ['</p?last=a>; REL = "NEXT"'],
    ['</p?last=a>; rel="prev next"'],
    ["</p?last=a>; rel='next'"],
    ["</p?last=a>; rel=next; rel=prev"],
    ["</p?last=a>; crossorigin; rel=next"],
    ["</p?last=a>; title*=UTF-8''%e2%82%ac; rel=next"],
    ['<prev>; rel="previous", </p?last=a>; rel="next"'],
    ['<prev>; rel="previous"', '</p?last=a>; rel="next"'],
    ["<prev>; rel=prev; title=next, </p?last=a>; rel=next"],
    ['<q>; rel="prev"; title="unfinished', "</p?last=a>; rel=next"],
    [", ,</p?last=a>; rel=next,"],
    ["<../p?last=a>; rel=next"],
    ["<http://127.0.0.1:5000/p?last=a#x>; rel=next"],
    ["<https://elsewhere.example/p?last=a>; rel=next"],
    ["<//elsewhere.example/p?last=a>; rel=next"],
    ["<http://user:word@elsewhere.example/p?last=a>; rel=next"],
    ['</p?last=a>; rel=next; anchor="/v2/_catalog?n=4"'],
    ["</p?last=a>"],
    ["/p?last=a; rel=next"],
]


@pytest.mark.parametrize("lines", NEXT, ids=" + ".join)
def test_the_next_page_is_found_however_it_is_written(lines):
    assert next_page(lines, BASE) == "/p?last=a"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [""],
        [" , "],
        ["</p>; rel=prev"],
        ['</p>; rel="nextish"'],
        ['</p>; title="rel=next"; rel=first'],
        ['</p>; rel="prev"; rel="next"'],
        ["</p>; rel=next; anchor=/another"],
        ["</p>; rev=next; rel=up"],
    ],
)
def test_a_page_that_names_no_next_is_the_last(lines):
    assert next_page(lines, BASE) == ""


@pytest.mark.parametrize(
    "line", ["<", ";;", "<http://[::1>; rel=next", "<mailto:x>; rel=next", "<data:,x>; rel=next"]
)
def test_links_that_lead_nowhere_are_an_error_and_not_an_end(line):
    with pytest.raises(ValueError, match=r"Link header|IPv6"):
        next_page([line], BASE)


def test_a_cursor_of_any_name_is_kept_byte_by_byte():
    for query in (
        "next_page=gAAAAABk%3D%3D",
        "last=a%2Fb&n=4",
        "marker=a+b",
        "k=ä".encode().decode("latin-1"),
    ):
        found = next_page([f"</v2/_catalog?{query}>; rel=next"], BASE)
        assert found.partition("?")[2] == query.replace("Ã¤", "%C3%A4")


CHALLENGES = [
    (["Negotiate", 'Basic realm="x"'], ["negotiate", "basic"]),
    (['Negotiate, Basic realm="x"'], ["negotiate", "basic"]),
    (['Basic realm="x", Negotiate'], ["basic", "negotiate"]),
    (['NTLM TlRMTVNTUAAC==, Basic realm="x, y", Negotiate'], ["ntlm", "basic", "negotiate"]),
    (["Basic"], ["basic"]),
    (["BASIC , bearer realm=x"], ["basic", "bearer"]),
    (['Basic realm="a \\"b\\", Bearer realm=c"'], ["basic"]),
    (
        ['Digest realm="x", qop="auth, auth-int", algorithm=MD5, Basic realm="y"'],
        ["digest", "basic"],
    ),
    (['Basic realm="unfinished', 'Bearer realm="x"'], ["basic", "bearer"]),
    (['"", =, Basic'], ["basic"]),
    (['Basic realm="x" Bearer realm="y"'], ["basic", "bearer"]),
    ([""], []),
]


@pytest.mark.parametrize(("lines", "schemes"), CHALLENGES)
def test_every_challenge_of_every_line_is_found(lines, schemes):
    assert [one.scheme for one in parse_challenges(lines)] == schemes


def test_parameters_belong_to_their_own_challenge():
    line = 'Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"'
    first, second = parse_challenges([line])
    assert first.parameters == {"realm": "apps", "type": "1", "title": 'Login to "apps"'}
    assert second.parameters == {"realm": "simple"}
    (bearer,) = parse_challenges(["Bearer realm=https://a.example/token?x=1 , SERVICE = b"])
    assert bearer.parameters == {"realm": "https://a.example/token?x=1", "service": "b"}


@pytest.mark.slow
def test_no_header_raises_anything_else_or_takes_long():
    rng = random.Random(20261127)
    pieces = [
        *(
            "<a>",
            ";",
            ",",
            '"',
            "\\",
            "=",
            " ",
            "\t",
            "rel",
            "next",
            "Basic",
            "Bearer",
            "realm",
            "http://[::1",
            "*",
        ),
        *("<", ">", "\x00", "\xff", "anchor", "title*", "//", "x" * 50),
    ]
    for _ in range(20_000):
        line = "".join(rng.choices(pieces, k=rng.randrange(30)))
        parse_links([line])
        parse_challenges([line])
        try:
            assert next_page([line], BASE)[:1] in ("", "/")
        except ValueError:
            pass
    for piece in pieces:
        parse_links([piece * 30_000])
        parse_challenges([piece * 30_000])


def test_a_challenge_with_a_token_has_no_parameters():
    negotiate, basic = parse_challenges(["Negotiate  TlRM==, Basic  realm=x"])
    assert (negotiate.scheme, negotiate.parameters) == ("negotiate", {})
    assert (basic.scheme, basic.parameters) == ("basic", {"realm": "x"})
