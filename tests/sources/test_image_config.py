"""Configs of images: every field, wrong ones with a note, judged by Go and skopeo."""

import json
import random
import re
import tracemalloc

import pytest

from hpc_remetrics.records import CONFIG_NOTES, Digest, ImageConfig, Step
from hpc_remetrics.sources.image_config import annotations_of, read_image_config

DIGEST = Digest(bytes(32))

WHOLE = {
    "created": "2024-02-29T12:00:00.5+01:00",
    "author": "Ä. Body",
    "architecture": "arm64",
    "variant": "v8",
    "os": "windows",
    "os.version": "10.0.20348.2402",
    "config": {
        "User": "1000:1000",
        "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
        "Env": ["PATH=/bin:/usr/bin", "EMPTY=", "BARE", "A=b=c", "PATH=again"],
        "Entrypoint": ["/bin/sh", "-c"],
        "Cmd": ["echo \u00e9"],
        "Volumes": {"/data": {}},
        "WorkingDir": "/srv",
        "Labels": {"b": "2", "a": "1", "A": "3", "": ""},
        "StopSignal": "SIGINT",
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 30000000000},
        "Shell": ["pwsh"],
        "OnBuild": ["RUN make"],
        "ArgsEscaped": True,
    },
    "rootfs": {"type": "layers", "diff_ids": ["x", "y"]},
    "history": [
        {"created": "1970-01-01T00:00:01Z", "created_by": "ADD x /", "comment": "first"},
        {"created_by": "CMD sh", "author": "me", "empty_layer": True},
        {"created_by": "RUN make"},
    ],
    "docker_version": "27.0",
}


def read(value, **options):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return read_image_config(DIGEST, data, **options)[1]


def notes(config):
    return [name for name, bit in CONFIG_NOTES.items() if config.notes & bit]


def test_every_field_is_read():
    data = json.dumps(WHOLE).encode()
    document, config = read_image_config(DIGEST, data)
    assert document == WHOLE
    assert config == ImageConfig(
        DIGEST,
        len(data),
        1709204400,
        500_000_000,
        os="windows",
        architecture="arm64",
        variant="v8",
        os_version="10.0.20348.2402",
        author="Ä. Body",
        user="1000:1000",
        working_dir="/srv",
        stop_signal="SIGINT",
        entrypoint='["/bin/sh","-c"]',
        cmd='["echo é"]',
        exposed_ports='{"80/tcp":{},"443/tcp":{}}',
        volumes='{"/data":{}}',
        healthcheck='{"Test":["CMD","true"],"Interval":30000000000}',
        shell='["pwsh"]',
        on_build='["RUN make"]',
        labels=(("b", "2"), ("a", "1"), ("A", "3"), ("", "")),
        environment=(
            ("PATH", "/bin:/usr/bin"),
            ("EMPTY", ""),
            ("BARE", ""),
            ("A", "b=c"),
            ("PATH", "again"),
        ),
        history=(
            Step(1, 0, "ADD x /", "first"),
            Step(created_by="CMD sh", author="me", is_empty=True),
            Step(created_by="RUN make"),
        ),
    )


@pytest.mark.parametrize(
    "value",
    [
        {},
        dict.fromkeys(WHOLE),
        {"config": dict.fromkeys(WHOLE["config"])},
    ],
)
def test_what_is_missing_or_null_is_empty_and_no_fault(value):
    assert read(value) == ImageConfig(DIGEST, len(json.dumps(value)))


def test_empty_lists_and_objects_are_not_missing():
    config = read({"config": {"Cmd": [], "Volumes": {}, "Entrypoint": "make all"}})
    assert (config.cmd, config.volumes, config.shell) == ("[]", "{}", "")
    # Docker takes a text in place of a list, too.
    assert config.entrypoint == '"make all"'


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b"{", b"\xff", b'"x"', b"{}{}", b"[" * 9999])
def test_what_is_no_object_says_nothing(data):
    document, config = read_image_config(DIGEST, data)
    assert document == {}
    assert config == ImageConfig(DIGEST, len(data), notes=CONFIG_NOTES["malformed"])


@pytest.mark.parametrize("wrong", [7, True, 1.5, ["x", 1], {"a": 1}])
def test_values_of_wrong_types_cost_their_field_alone(wrong):
    texts = {"author", "architecture", "variant", "os", "os.version", "created"}
    assert_alone(dict.fromkeys(texts, wrong), {})
    container = {"User", "WorkingDir", "StopSignal"} | {"Shell", "OnBuild", "Entrypoint", "Cmd"}
    assert_alone({"config": dict.fromkeys(container, wrong)}, {})
    # A list is no wrong history, and an object no wrong config.
    if not isinstance(wrong, list):
        assert_alone({"history": wrong}, {})
    if not isinstance(wrong, dict):
        assert_alone({"rootfs": wrong}, {})
        assert_alone({"config": wrong}, {})


def assert_alone(value, fields):
    config = read({**value, "docker_version": 5})
    expected = {"notes": CONFIG_NOTES["wrong_type"], **fields}
    assert config == ImageConfig(DIGEST, config.size, **expected)


def test_one_wrong_member_of_many_is_left_out():
    container = {
        "Labels": {"a": 1, "b": "2", "c": ["x"], "d": None},
        "Env": [1, "A=1", {}, None],
    }
    labels = (("b", "2"), ("d", ""))
    assert_alone({"config": container}, {"labels": labels, "environment": (("A", "1"), ("", ""))})
    for key in ("Labels", "ExposedPorts", "Volumes", "Healthcheck"):
        assert_alone({"config": {key: "text"}}, {})
        assert_alone({"config": {key: ["text"]}}, {})
    # Steps keep their places.
    history = [
        7,
        {"created_by": 1, "comment": "c", "empty_layer": "yes"},
        {"created_by": "x"},
        None,
    ]
    config = read({"history": history, "rootfs": {"diff_ids": ["a"] * 4}})
    assert config.history == (Step(), Step(comment="c"), Step(created_by="x"), Step())
    assert notes(config) == ["wrong_type"]
    # A null is a step that says nothing.
    assert notes(read({"history": [None], "rootfs": {"diff_ids": ["a"]}})) == []


@pytest.mark.parametrize(
    ("data", "field", "value"),
    [
        (b'{"os": "a", "OS": "b"}', "os", "b"),
        (b'{"os": "a", "os": "b"}', "os", "b"),
        (b'{"config": {"User": "a"}, "config": {"WorkingDir": "/"}}', "user", "a"),
        (b'{"config": {"User": "a"}, "Config": null}', "user", "a"),
        (b'{"config": {"User": "a", "user": "b"}}', "user", "b"),
        (b'{"config": {"Labels": {"a": "1", "a": "2"}}}', "labels", (("a", "2"),)),
        (b'{"config": {"Volumes": {"/a": {}, "/a": {}}}}', "volumes", '{"/a":{}}'),
        (b'{"rootfs": {"x": 1, "x": 2}}', "os", ""),
        (
            b'{"history": [{"comment": "a", "comment": "b"}], "rootfs": {"diff_ids": ["x"]}}',
            "history",
            (Step(comment="b"),),
        ),
    ],
)
def test_the_later_of_two_members_holds(data, field, value):
    config = read(data)
    assert getattr(config, field) == value
    assert notes(config) == ["repeated_key"]


def test_labels_differ_by_case_and_are_not_repeated():
    config = read({"config": {"Labels": {"a": "1", "A": "2"}, "Volumes": {"/a": {}, "/A": {}}}})
    assert config.labels == (("a", "1"), ("A", "2")) and notes(config) == []
    # Members are found in any case.
    config = read({"Config": {"labels": {"a": "1"}, "ENV": ["A=1"]}, "HISTORY": [{"COMMENT": "x"}]})
    assert config.labels == (("a", "1"),) and config.environment == (("A", "1"),)
    assert config.history == (Step(comment="x"),)


def test_bytes_that_are_no_utf_8_are_replaced_one_by_one_as_in_go():
    # A sequence that is cut short has a replacement for each byte.
    config = read(b'{"author": "a\xf0\x9f\x98b", "config": {"Labels": {"\xff": "\xc3"}}}')
    assert config.author == "a\ufffd\ufffd\ufffdb"
    assert config.labels == (("\ufffd", "\ufffd"),)
    assert notes(config) == ["invalid_utf8"]
    # Halves of surrogate pairs are replaced, whole pairs are not.
    config = read(b'{"author": "\\ud83d\\ude00 \\ud83d \\ude00", "os": "\\ufffd"}')
    assert (config.author, config.os) == ("\U0001f600 \ufffd \ufffd", "\ufffd")
    assert notes(config) == ["invalid_utf8"]
    assert notes(read(b'{"config": {"Env": ["\\udfff=1"]}}')) == ["invalid_utf8"]
    assert notes(read(b'{"config": {"Healthcheck": {"\\udfff": {"a": ["\\ud800"]}}}}')) == [
        "invalid_utf8"
    ]
    assert notes(read("{'author': 'ü\ufffd'}".replace("'", '"').encode())) == []


@pytest.mark.parametrize("date", ["10000-01-01T00:00:00Z", "yesterday", "", "2024-01-01"])
def test_bad_dates_are_none(date):
    config = read({"created": date})
    assert (config.created, config.created_ns, notes(config)) == (None, 0, ["bad_date"])
    config = read({"history": [{"created": date}], "rootfs": {"diff_ids": ["x"]}})
    assert (config.history, notes(config)) == ((Step(),), ["bad_date"])


@pytest.mark.parametrize(
    ("made", "diff_ids", "noted"),
    [(2, 2, []), (2, 1, ["history_mismatch"]), (1, 2, ["history_mismatch"]), (0, 0, [])],
)
def test_steps_and_layers_that_disagree_are_noted(made, diff_ids, noted):
    history = [{"created_by": "RUN"}] * made + [{"empty_layer": True}] * 3
    assert notes(read({"history": history, "rootfs": {"diff_ids": ["x"] * diff_ids}})) == noted
    # Without a history nothing disagrees.
    assert notes(read({"history": [], "rootfs": {"diff_ids": ["x"] * diff_ids}})) == []


def test_secrets_are_replaced_everywhere_and_counted():
    key = "AKIAIOSFODNN7EXAMPLE"
    value = {
        "author": f"me {key}",
        "config": {
            "Env": ["DB_PASSWORD=geheim", f"X={key}", "PATH=/bin"],
            "Labels": {"api.token": "geheim"},
            "Cmd": ["serve", "--password", "geheim"],
            "Entrypoint": f"run {key}",
            "OnBuild": ["ENV TOKEN=geheim"],
            "Shell": [key],
            "Healthcheck": {"Test": ["CMD", "curl", "http://a:geheim@b"], "x": {"y": [1, key]}},
            "User": key,
        },
        "history": [
            {"created_by": "ENV TOKEN=geheim PASSWORD=geheim", "comment": key, "author": key},
            {"created_by": "RUN make"},
        ],
        "rootfs": {"diff_ids": ["x", "y"]},
    }
    config = read(value)
    assert "geheim" not in repr(config) and key not in repr(config)
    assert [step.secrets for step in config.history] == [4, 0]
    assert config.environment[0] == ("DB_PASSWORD", "<redacted:password:6>")
    assert config.environment[2] == ("PATH", "/bin")
    assert config.cmd == '["serve","--password","<redacted:password:6>"]'
    assert config.healthcheck == (
        '{"Test":["CMD","curl","http://a:<redacted:password:6>@b"],'
        '"x":{"y":[1,"<redacted:aws_key_id:20>"]}}'
    )
    assert config.secrets == repr(config).count("<redacted:") == 15
    kept = read(value, keep_secrets=True)
    assert kept.secrets == 0 and "<redacted" not in repr(kept)
    assert repr(kept).count("geheim") == 7 and repr(kept).count(key) == 8


def test_annotations_are_texts_without_secrets():
    value = {"annotations": {"a": "1", "token": "geheim", "n": None, "w": 5, "\ud800": "x"}}
    pairs = (("a", "1"), ("token", "<redacted:token:6>"), ("n", ""), ("\ufffd", "x"))
    assert annotations_of(value, False) == pairs
    assert annotations_of(value, True)[1] == ("token", "geheim")
    for wrong in (None, [], "x", 7):
        assert annotations_of({"annotations": wrong}, False) == ()
    assert annotations_of({}, False) == ()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Healthcheck", '{"a":' * 900 + "1" + "}" * 900),
        ("Volumes", '{"a": 1e999}'),
        ("ExposedPorts", '{"a": ' + "[" * 900 + "]" * 900 + "}"),
    ],
)
def test_json_that_others_can_not_read_or_that_is_very_deep(key, value):
    config = read(f'{{"config": {{"{key}": {value}, "User": "me"}}}}'.encode())
    assert config.user == "me"
    assert notes(config) in ([], ["wrong_type"])
    for text in (config.healthcheck, config.volumes, config.exposed_ports):
        assert text == "" or json.loads(text)


def with_steps(count):
    """Return a config with many steps and a label of megabytes."""
    steps = [{"created": "2024-01-01T00:00:00Z", "created_by": f"RUN {n}"} for n in range(count)]
    labels = {"x" * 10**6: "y" * 10**6}
    return json.dumps({"history": steps, "config": {"Labels": labels}}).encode()


@pytest.mark.slow
def test_a_config_with_very_many_steps_and_long_labels():
    config = read(with_steps(100_000))
    assert len(config.history) == 100_000 and config.history[-1].created_by == "RUN 99999"
    assert list(map(len, config.labels[0])) == [10**6, 10**6]
    assert notes(config) == ["history_mismatch"]


@pytest.mark.slow
def test_a_config_takes_some_times_its_size_in_memory():
    data = with_steps(10_000)
    read(data)
    tracemalloc.start()
    try:
        config = read(data)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(config.history) == 10_000
    assert most < 10 * len(data)


# Judged by other programs.

LENIENT = re.compile(r"[+-](2[4-9]|[3-9]\d):\d\d$|[+-]\d\d:[6-9]\d$|,|T\d:| |[+-][+-]\d:|:[+-]\d$")
"""Zones of more than a day or with a second sign, commas before fractions, hours of one digit."""


class Writer:
    """Writes configs as Go can read them: names in any case, some of them twice, nulls, dates."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def text(self):
        return self.random.choice(
            [
                '"one"',
                '"\\ud83d\\ude00"',
                '"\\ud800x"',
                "null",
                '"a\xff\xe2\x82b"',
                '""',
                '"\\u00e9"',
            ]
        )

    def word(self):
        """Return a text, not null, which Go lets be what an earlier list had in its place."""
        return self.text().replace("null", '"two"')

    def date(self):
        choose = self.random.randint
        zone = self.random.choice(
            ["Z", f"{self.random.choice('+-')}{choose(0, 23):02}:{choose(0, 59):02}"]
        )
        fraction = self.random.choice(["", f".{choose(0, 10 ** self.random.choice([1, 9, 12]))}"])
        day = f"{choose(0, 9999):04}-{choose(1, 12):02}-{choose(1, 28):02}"
        return f'"{day}T{choose(0, 23):02}:{choose(0, 59):02}:{choose(0, 59):02}{fraction}{zone}"'

    def list(self, member):
        return "[" + ",".join(member() for _ in range(self.random.randint(0, 3))) + "]"

    def map(self, member):
        keys = self.random.choices(["a", "A", "b", "\\u00e9"], k=self.random.randint(0, 3))
        return "{" + ",".join(f'"{key}":{member()}' for key in keys) + "}"

    def object(self, members):
        names = self.random.choices(list(members), k=self.random.randint(0, len(members)))
        names = [name for n, name in enumerate(names) if names[:n].count(name) < 2]
        spelled = [self.random.choice([name, name, name.upper(), name.lower()]) for name in names]
        pairs = zip(spelled, names, strict=True)
        return "{" + ",".join(f'"{one}":{members[name]()}' for one, name in pairs) + "}"

    def step(self):
        texts = dict.fromkeys(("created_by", "comment", "author"), self.text)
        empty = {"empty_layer": lambda: self.random.choice(["true", "false", "null"])}
        return self.object({**texts, **empty, "created": self.date})

    def container(self):
        texts = dict.fromkeys(("User", "WorkingDir", "StopSignal"), self.text)
        words = ("Env", "Entrypoint", "Cmd", "Shell", "OnBuild")
        lists = dict.fromkeys(words, lambda: self.list(self.word))
        maps = dict.fromkeys(("Volumes", "ExposedPorts"), lambda: self.map(lambda: "{}"))
        return self.object({**texts, **lists, **maps, "Labels": lambda: self.map(self.text)})

    def config(self):
        names = ("author", "architecture", "variant", "os", "os.version")
        return self.object(
            {
                **dict.fromkeys(names, self.text),
                "created": self.date,
                "config": self.container,
                "rootfs": lambda: self.random.choice(['{"diff_ids":["x"]}', "null"]),
                "history": lambda: self.list(self.step),
            }
        )


def as_go_says_it(config):
    """Return a config as the Go program prints it; what is empty is missing."""
    steps = [
        plain(
            {
                "created_by": step.created_by,
                "author": step.author,
                "comment": step.comment,
                "empty_layer": step.is_empty,
            }
        )
        for step in config.history
    ]
    container = {
        "User": config.user,
        "WorkingDir": config.working_dir,
        "StopSignal": config.stop_signal,
        "Labels": dict(config.labels),
        "Env": ["=".join(filter(None, pair)) for pair in config.environment],
    }
    for key, text in (
        ("Entrypoint", config.entrypoint),
        ("Cmd", config.cmd),
        ("Shell", config.shell),
        ("OnBuild", config.on_build),
        ("ExposedPorts", config.exposed_ports),
        ("Volumes", config.volumes),
    ):
        container[key] = json.loads(text) if text else None
    whole = {
        "author": config.author,
        "architecture": config.architecture,
        "variant": config.variant,
        "os": config.os,
        "os.version": config.os_version,
        "config": plain(container),
    }
    dates = [one.created and [one.created, one.created_ns] for one in (config, *config.history)]
    return [plain(whole), steps, dates]


def plain(members):
    """Leave out members that are empty, which Go tells apart from missing ones and nobody else."""
    return {key: value for key, value in members.items() if value or key == "config"}


def from_go(found):
    document, dates = found
    steps = document.pop("history", None) or []
    for one in (document, *steps):
        one.pop("created", None)
    document.pop("rootfs", None)
    steps = list(map(plain, steps))
    document["config"] = plain(document["config"])
    return [
        plain(document),
        steps,
        [date if date and date[0] else date and date[0] for date in dates],
    ]


@pytest.mark.slow
def test_configs_are_read_as_go_reads_them(go):
    writer = Writer(19)
    texts = [writer.config().encode("latin-1") for _ in range(3000)]
    found = go(texts, "configs")
    assert None not in found
    differing = [
        (text, from_go(expected), as_go_says_it(read(text)))
        for text, expected in zip(texts, found, strict=True)
        if from_go(expected) != as_go_says_it(read(text))
    ]
    assert differing == []


@pytest.mark.slow
def test_dates_are_read_as_go_reads_them(go):
    writer = Writer(20)
    dates = [json.loads(writer.date()) for _ in range(2000)]
    # Change one character, so that most are no dates.
    for date in list(dates):
        place = writer.random.randrange(len(date))
        dates.append(
            date[:place] + writer.random.choice("0123456789:-+.,TtZz ") + date[place + 1 :]
        )
    found = go([json.dumps({"created": date}).encode() for date in dates], "configs")
    assert sum(one is None for one in found) > 500
    for date, expected in zip(dates, found, strict=True):
        config = read({"created": date})
        seen = None if config.created is None else [config.created, config.created_ns]
        # Go refuses these since 1.20.
        if not LENIENT.search(date):
            assert seen == (expected and expected[1][0]), date
        else:
            assert seen is None, date
