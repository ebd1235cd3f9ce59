"""Secrets in texts of strangers: each form and name of the table, and what looks like one only."""

import re

import pytest

from hpc_remetrics.sources import secrets
from hpc_remetrics.sources.secrets import FORMS, NAMES, Redactor, kind_of_name, placeholder

WORD = "aB3" * 20
"""Enough letters and digits for any token."""

BY_FORM = [
    (
        "private_key",
        "x -----BEGIN RSA PRIVATE KEY-----\nMI-IE=\n-----END RSA PRIVATE KEY----- y",
        "",
    ),
    ("private_key", "x -----BEGIN PGP PRIVATE KEY BLOCK-----\\nabc", ""),
    ("password", "git clone https://me:S@ecret@host:80/a", "S@ecret"),
    ("password", "amqp://:pa55@host/%2f", "pa55"),
    ("token", f"git clone https://{WORD}@host/a", WORD),
    ("authorization", 'curl -H "Authorization: Bearer abc.def"', "abc.def"),
    ("authorization", "authorization=basic bWU6", "bWU6"),
    ("authorization", '{"auths":{"h":{"auth":"bWU6c2VjcmV0"}}}', "bWU6c2VjcmV0"),
    ("authorization", "//host/:_auth = bWU6c2VjcmV0IQ==", "bWU6c2VjcmV0IQ=="),
    ("jwt", "x eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0 y", "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0"),
    ("aws_key_id", "x AKIAIOSFODNN7EXAMPLE y", "AKIAIOSFODNN7EXAMPLE"),
    ("aws_key_id", "x=ASIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"),
    ("azure_key", f"AccountName=a;AccountKey={WORD}==;x", f"{WORD}=="),
    ("azure_signature", f"https://h/x?sv=1&sig={WORD}%3D&x=1", f"{WORD}%3D"),
    ("docker_token", f"dckr_pat_{WORD}", ""),
    ("github_token", f"ghp_{WORD}", ""),
    ("github_token", f"github_pat_{WORD}", ""),
    ("gitlab_token", f"glpat-{WORD}", ""),
    ("google_key", f"AIza{WORD[:35]}", ""),
    ("google_token", f"GOCSPX-{WORD}", ""),
    ("huggingface_token", f"hf_{WORD}", ""),
    ("npm_token", f"npm_{WORD[:36]}", ""),
    ("pypi_token", f"pypi-AgE{WORD}", ""),
    ("sendgrid_key", f"SG.{WORD[:22]}.{WORD[:43]}", ""),
    ("api_key", f"sk-{WORD}", ""),
    ("slack_token", "xoxb-123456789012-abc", ""),
    ("slack_token", f"https://hooks.slack.com/services/T0/B0/{WORD}", f"T0/B0/{WORD}"),
    ("stripe_key", f"sk_live_{WORD}", ""),
    ("password", "curl -u me:geheim https://h", "geheim"),
    ("password", "wget --user='me:geheim' https://h", "geheim"),
    ("password", "echo 'root:geheim' | sudo chpasswd", "geheim"),
    ("password", "sshpass -p 'geheim' ssh h", "geheim"),
]


@pytest.mark.parametrize(("kind", "text", "secret"), BY_FORM)
def test_secrets_by_their_form(kind, text, secret):
    redactor = Redactor()
    found = redactor.text(text)
    assert redactor.count == 1
    if not secret:
        secret = text.removeprefix("x ").removesuffix(" y")
    assert found == text.replace(secret, placeholder(kind, secret))
    # A second look changes nothing.
    assert redactor.text(found) == found and redactor.count == 1


def test_every_form_has_an_example():
    found = {form for form in FORMS for _, text, _ in BY_FORM if re.search(form.pattern, text)}
    assert found == set(FORMS)
    for form in FORMS:
        assert all(hint == hint.lower() for hint in form.hints)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ENV DB_PASSWORD=geheim A=b", "ENV DB_PASSWORD=<redacted:password:6> A=b"),
        ("|2 TOKEN=a B=c /bin/sh -c x", "|2 TOKEN=<redacted:token:1> B=c /bin/sh -c x"),
        ('ENV SECRET="a \\"b c" X=1', 'ENV SECRET="<redacted:secret:7>" X=1'),
        ("export API_KEY='a b';x", "export API_KEY='<redacted:api_key:3>';x"),
        ('{"password": "a,b", "x": 1}', '{"password": "<redacted:password:3>", "x": 1}'),
        ('{\\"token\\":\\"a b\\",\\"x\\":1}', '{\\"token\\":\\"<redacted:token:3>\\",\\"x\\":1}'),
        ("{password: abc, x: 1}", "{password: <redacted:password:3>, x: 1}"),
        ("tool --password geheim -v", "tool --password <redacted:password:6> -v"),
        ("tool --token=geheim", "tool --token=<redacted:token:6>"),
        ('CMD ["a" "--passwd" "b c"]', 'CMD ["a" "--passwd" "<redacted:password:3>"]'),
        ("${PASSWORD:-geheim}", "${PASSWORD:<redacted:password:7>}"),
        ('TOKEN="never closed', 'TOKEN="<redacted:token:12>'),
        ("PASSWORD=ü€\nX=1", "PASSWORD=<redacted:password:5>\nX=1"),
        ("PASSWORD=1234 ", "PASSWORD=<redacted:password:4> "),
        ("TOKEN=$2y$10$abc", "TOKEN=<redacted:token:10>"),
    ],
)
def test_secrets_by_their_name(text, found):
    redactor = Redactor()
    assert redactor.text(text) == found
    assert redactor.count == 1


@pytest.mark.parametrize(
    "text",
    [
        "ENV GPG_KEY=E3FF2839C048B25C084DEBE9B26995E310250568",
        "apt-key adv --keyserver hkp://keys.gnupg.net:80 --recv-keys 1234",
        "RUN --mount=type=secret,id=token cat /run/secrets/token",
        "docker build --secret id=token,src=x .",
        "docker run -u 1000:1000 x; curl https://h/a",
        "ENV PASSWORD=$OTHER TOKEN=${X} SECRET=$(cat x) API_KEY=%KEY%",
        "ENV POSTGRES_PASSWORD_FILE=/run/secrets/x PWD=/srv OLDPWD=/ TOKEN_TTL=5",
        "ENV MYSQL_ALLOW_EMPTY_PASSWORD=yes TOKEN=false SECRET= ",
        "passwd -d root; echo password; rm -f /etc/passwd",
        "https://host:8080/a@b https://host/?q=someone.with.a.long.name@example.org",
        "https://$USER:$TOKEN@host/ ",
        "http://user@host",
        "sk-short eyJ.eyJ. AKIA ghp_ hf_home npm_config_cache=/x xoxb- SG.a.b",
        "curl -H 'Authorization: Bearer $TOKEN'",
        "tokenizers_parallelism=false author: somebody keyboard=us",
        "",
    ],
)
def test_what_is_no_secret_stays(text):
    redactor = Redactor()
    assert redactor.text(text) == text
    assert redactor.count == 0


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("DB_PASSWORD", "a b;c", "<redacted:password:5>"),
        ("api.key", "x", "<redacted:api_key:1>"),
        ("sessionToken", "x", "<redacted:token:1>"),
        ("dbpassword", "x", "<redacted:password:1>"),
        ("MYSQL_PWD", "x", "<redacted:password:1>"),
        ("TOKEN", f"ghp_{WORD}", "<redacted:github_token:64>"),
        ("TOKEN", f"x ghp_{WORD}", "<redacted:token:66>"),
        (
            "OPTIONS",
            "--password a --token b",
            "--password <redacted:password:1> --token <redacted:token:1>",
        ),
        ("PASSWORD", "no way", "<redacted:password:6>"),
        ("PASSWORD", "no", "no"),
        ("PASSWORD", "", ""),
        ("PASSWORD", "${X}", "${X}"),
        ("PATH", "/bin", "/bin"),
    ],
)
def test_values_of_variables_and_labels(name, value, found):
    redactor = Redactor()
    assert redactor.value(name, value) == found
    assert redactor.count == found.count("<redacted")
    assert Redactor(keep=True).value(name, value) == value


def test_names_of_secrets():
    for words, kind in NAMES.items():
        for name in (words.replace(" ", "_"), f"my-{words.lower().replace(' ', '.')}2"):
            assert kind_of_name(name) == ("" if name == "PWD" else kind), name
        assert kind_of_name(f"{words.replace(' ', '_')}_FILE") == ""
    assert kind_of_name("x" * 10**6 + "_TOKEN") == "token"
    assert kind_of_name("") == kind_of_name("KEY") == kind_of_name("_._") == ""


def test_words_of_a_command():
    redactor = Redactor()
    words = [
        "serve",
        "--password",
        "a",
        "b",
        "--token",
        "--port",
        "80",
        "--secret=c",
        "d",
        "-p",
        "e",
    ]
    assert redactor.words(words) == [
        *["serve", "--password", "<redacted:password:1>", "b", "--token", "--port", "80"],
        *["--secret=<redacted:secret:1>", "d", "-p", "e"],
    ]
    assert redactor.count == 2
    assert Redactor(keep=True).words(words) == words
    assert Redactor().words([]) == []


def test_whoever_keeps_secrets_counts_none():
    redactor = Redactor(keep=True)
    assert redactor.text("PASSWORD=geheim") == "PASSWORD=geheim"
    assert redactor.count == 0


def test_a_table_has_a_version():
    assert re.fullmatch("[0-9a-f]{16}", secrets.table_version())


@pytest.mark.slow
@pytest.mark.parametrize("filler", ["", " ", '"', "="])
def test_hostile_texts_are_searched_in_one_pass(filler):
    """Each would take hours if a search began anew within what it has passed over."""
    beginnings = [
        *["token=$token=", "password: ", '"token":"', "--password ", "passwordA", "token\\"],
        *["://a:", "eyJaaaaaaaa.", " -u a:", "chpasswd a:b", " root:x | ", "auth=", "sshpass -p "],
        *["SG.aaaaaaaaaaaaaaaa", "ghp_", "sk-", "-----BEGIN PRIVATE KEY-----a-"],
        "authorization: bearer ",
    ]
    for beginning in beginnings:
        piece = beginning + filler
        text = "chpasswd " + piece * (100_000 // len(piece))
        assert len(Redactor().text(text)) > 5
    redactor = Redactor()
    redactor.text(("token" + " " * 1000) * 100 + ("Aa" + filler) * 50_000)
    redactor.value(("Aa" + filler) * 50_000, "x")
