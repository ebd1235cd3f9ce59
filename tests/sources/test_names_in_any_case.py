"""Members of JSON documents in another case, and twice: read as Go reads them, judged by Go and
skopeo."""

import hashlib
import io
import json
import random
import shutil
import subprocess
import tarfile

import pytest
from support.tools import need

from hpc_remetrics.sources import documents, open_source
from hpc_remetrics.sources.documents import get, get_list, get_object, get_text, parse
from hpc_remetrics.sources.manifests import resolve


def seen(text):
    """Return what this program sees in a document, in the form of the Go program."""
    value = parse(text.encode())
    return {
        "mediaType": get_text(value, "mediaType"),
        "config": descriptor(get_object(value, "config")),
        "layers": [descriptor(one or {}) for one in get_list(value, "layers")],
        "manifests": [descriptor(one or {}) for one in get_list(value, "manifests")],
    }


def descriptor(value):
    platform = get(value, "platform")
    names = ("architecture", "os", "variant")
    return {
        "mediaType": get_text(value, "mediaType"),
        "digest": get_text(value, "digest"),
        "size": get(value, "size") or 0,
        "urls": get_list(value, "urls"),
        "annotations": get_object(value, "annotations"),
        "platform": None
        if platform is None
        else {name: get_text(platform, name) for name in names},
    }


def plain(value):
    """Let empty lists and maps be one with none, which Go tells apart and nobody else."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if one not in (None, [], {})}
    return [plain(one) for one in value] if isinstance(value, list) else value


class Writer:
    """Writes documents whose names are in any case, some of them twice."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def name(self, text):
        forms = [
            text,
            text,
            text.upper(),
            text.lower(),
            text.capitalize(),
            text.replace("s", "\u017f"),
        ]
        return self.random.choice(forms)

    def object(self, members):
        """Write some of the members, at most two of a name."""
        chosen = self.random.choices(list(members), k=self.random.randint(0, len(members)))
        chosen = [name for n, name in enumerate(chosen) if chosen[:n].count(name) < 2]
        return (
            "{"
            + ", ".join(f"{json.dumps(self.name(name))}: {members[name]()}" for name in chosen)
            + "}"
        )

    def word(self):
        return self.random.choice(['"one"', '"two"', '"three"', "null"])

    def list(self, member):
        return "[" + ", ".join(member() for _ in range(self.random.randint(0, 3))) + "]"

    def descriptor(self):
        return self.object(
            {
                "mediaType": self.word,
                "digest": self.word,
                "size": lambda: str(self.random.randint(0, 9)),
                "urls": lambda: self.list(lambda: '"x"'),
                "annotations": lambda: '{"a": "1", "A": "2"}',
                "platform": lambda: self.object(
                    dict.fromkeys(("architecture", "os", "variant"), self.word)
                ),
            }
        )

    def document(self):
        return self.object(
            {
                "mediaType": self.word,
                "config": self.descriptor,
                "layers": lambda: self.list(self.descriptor),
                "manifests": lambda: self.list(self.descriptor),
            }
        )


@pytest.mark.slow
def test_any_case_and_any_repetition_is_what_go_reads(go):
    writer = Writer(14)
    texts = [writer.document() for _ in range(3000)]
    differing = [
        text
        for text, found in zip(texts, go(map(str.encode, texts)), strict=True)
        if plain(found) != plain(seen(text))
    ]
    assert differing == []


@pytest.mark.slow
def test_many_repetitions_take_no_more_time_than_their_length():
    """Each of these would take minutes if a repetition cost what stands before it."""
    objects = ", ".join(f'"config": {{"a{number}": 1}}' for number in range(100_000))
    assert len(get_object(parse(f"{{{objects}}}".encode()), "config")) == 100_000
    lists = '"layers": [{}], ' * 100_000
    assert len(get_list(parse(f'{{{lists}"Layers": []}}'.encode()), "layers")) == 0


def test_annotations_are_no_members_and_keep_their_case():
    text = b'{"Annotations": {"Name": "a", "name": "b"}}'
    assert get_object(parse(text), "annotations") == {"Name": "a", "name": "b"}


def test_bytes_that_are_not_utf_8_cost_nothing_but_themselves():
    assert parse(b'{"a": "\xff", "b": 1}')["b"] == 1


def layer(name):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    return data.getvalue()


LAYERS = {f"{number}.tar": layer(f"file{number}") for number in range(2)}
DIFF_IDS = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in LAYERS.values()]
CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "rootfs": {"type": "layers", "diff_ids": DIFF_IDS},
}


def saved(path, manifest, config=CONFIG):
    """Write what `docker save` writes, with `manifest` as its list of images; %s in it is the
    config's path."""
    data = json.dumps(config).encode()
    name = f"{hashlib.sha256(data).hexdigest()}.json"
    members = {"manifest.json": manifest.replace("%s", name).encode(), name: data, **LAYERS}
    with tarfile.open(path, "w") as tar:
        for member, content in members.items():
            header = tarfile.TarInfo(member)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return f"docker-archive:{path}"


def layers_by_skopeo(reference):
    result = subprocess.run([need("skopeo"), "inspect", reference], capture_output=True, text=True)
    return None if result.returncode else json.loads(result.stdout)["Layers"]


WHOLE = '["0.tar", "1.tar"]'


@pytest.mark.parametrize(
    "item",
    [
        '"config": "%s", "repoTags": ["a/b:1"], "layers": ' + WHOLE,
        '"CONFIG": "%s", "REPOTAGS": ["a/b:1"], "LAYERS": ' + WHOLE,
        '"Config": "%s", "RepoTag\u017f": ["a/b:1"], "layer\u017f": ' + WHOLE,
        '"Config": "x", "config": "%s", "CONFIG": null, "RepoTags": ["a/b:1"], "Layers": ' + WHOLE,
        '"Config": "%s", "RepoTags": ["a/b:1"], "Layers": ["1.tar"], "layers": ' + WHOLE,
        '"Config": "%s", "RepoTags": ["x:1"], "repotags": ["a/b:1"], "Layers": null, "layers": '
        + WHOLE,
    ],
)
def test_what_is_saved_with_names_in_another_case(tmp_path, item):
    reference = saved(tmp_path / "a.tar", f"[{{{item}}}]")
    (image,) = resolve(open_source(reference)).images
    assert image.name == "a/b:1"
    assert image.platform == "linux/amd64"
    assert [str(one.digest) for one in image.layers] == DIFF_IDS == layers_by_skopeo(reference)


@pytest.mark.parametrize(
    "layers",
    [
        "",
        ', "Layers": null',
        ', "Layers": []',
        ', "Layers": ["0.tar"]',
        ', "Layers": ["0.tar", "1.tar", "0.tar"]',
    ]
    + [f', "Layers": {WHOLE}, "layers": {shorter}' for shorter in ('["0.tar"]', "null", "[]")]
    + [f', "LAYERS": {WHOLE}, "Layers": ["1.tar"]', ', "Layers": "0.tar"', ', "Layers": {}'],
)
def test_layers_that_do_not_fit_the_config_cost_the_image(tmp_path, layers):
    """Two more images, one of them good, are in the list; the good one is taken."""
    good = f'{{"Config": "%s", "RepoTags": ["good:1"], "Layers": {WHOLE}}}'
    bad = f'{{"Config": "%s", "RepoTags": ["bad:1"]{layers}}}'
    assert layers_by_skopeo(saved(tmp_path / "bad.tar", f"[{bad}]")) is None
    catalog = resolve(open_source(saved(tmp_path / "all.tar", f"[{good}, {bad}]")))
    assert [image.name for image in catalog.images] == ["good:1"]
    assert [(one.image, one.cause) for one in catalog.skipped] == [("bad:1", "bad_manifest")]
    assert "diff_id" in catalog.skipped[0].message or "'Layers'" in catalog.skipped[0].message


@pytest.mark.parametrize(
    "config", [{}, {"rootfs": None}, {"rootfs": {"diff_ids": []}}, {"rootfs": 5}, []]
)
def test_a_config_without_diff_ids_costs_no_layer(tmp_path, config):
    item = f'{{"Config": "%s", "RepoTags": ["a:1"], "Layers": {WHOLE}}}'
    (image,) = resolve(open_source(saved(tmp_path / "a.tar", f"[{item}]", config))).images
    assert [layer.diff_id for layer in image.layers] == [None, None]


@pytest.mark.parametrize("item", ["{}", '{"RepoTags": ["a:1"]}', "[]", '"Layers"', "null"])
def test_an_item_that_names_nothing_is_no_image(tmp_path, item):
    catalog = resolve(open_source(saved(tmp_path / "a.tar", f"[{item}]")))
    assert catalog.images == []
    assert [one.cause for one in catalog.skipped] == ["bad_manifest"]


def renamed(value, change):
    """Return a document whose names are changed, but for those of annotations, and its digests left
    alone."""
    if isinstance(value, list):
        return [renamed(one, change) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        change(key): one if key == "annotations" else renamed(one, change)
        for key, one in value.items()
    }


@pytest.mark.parametrize("change", [str.upper, str.lower, str.capitalize, str.swapcase])
def test_a_layout_whose_documents_are_in_another_case(layout, chosen, tmp_path, change):
    """Index, manifest and config; skopeo reads it too."""
    directory = tmp_path / "layout"
    shutil.copytree(layout, directory)

    def rewritten(descriptor, inner=None):
        """Write a blob anew, with its names changed."""
        path = directory / "blobs" / "sha256" / descriptor["digest"].removeprefix("sha256:")
        value = json.loads(path.read_bytes())
        if inner:
            value[inner] = rewritten(value[inner])
        data = json.dumps(renamed(value, change)).encode()
        digest = hashlib.sha256(data).hexdigest()
        (path.parent / digest).write_bytes(data)
        return {**descriptor, "digest": f"sha256:{digest}", "size": len(data)}

    index = json.loads((directory / "index.json").read_bytes())
    entry = rewritten(index["manifests"][0], "config")
    (directory / "index.json").write_text(
        json.dumps(renamed({**index, "manifests": [entry]}, change))
    )
    (image,) = resolve(open_source(f"oci:{directory}")).images
    assert (image.name, image.platform, image.layers) == (
        chosen.name,
        chosen.platform,
        chosen.layers,
    )
    assert layers_by_skopeo(f"oci:{directory}:{chosen.name}") == [
        str(one.digest) for one in chosen.layers
    ]


def test_the_2017_tools_directory_in_another_case(layout, chosen, tmp_path):
    for name in ("manifests", "layers", "configs"):
        (tmp_path / name).mkdir()
    for blob in (layout / "blobs" / "sha256").iterdir():
        shutil.copy(blob, tmp_path / "layers" / f"sha256-{blob.name}-1502943512.1")
    manifest = json.loads((layout / "blobs" / "sha256" / chosen.digest.hex).read_bytes())
    (tmp_path / "manifests" / "a-b-latest-1502943512.1.json").write_text(
        json.dumps(renamed(manifest, str.upper))
    )
    (image,) = resolve(open_source(f"seed2017:{tmp_path}")).images
    assert image.layers == chosen.layers


def test_schema_1_in_another_case(layout, chosen, tmp_path):
    digest = str(chosen.layers[0].digest)
    history = [{"V1COMPATIBILITY": json.dumps({"OS": "linux", "Architecture": "arm64"})}]
    value = {"SCHEMAVERSION": 1, "FSLAYERS": [{"BLOBSUM": digest}], "HISTORY": history}
    (tmp_path / "manifest.json").write_text(json.dumps(value))
    (image,) = resolve(open_source(f"dir:{tmp_path}")).images
    assert (image.manifest_type, image.platform) == ("docker_schema1", "linux/arm64")
    assert [str(one.digest) for one in image.layers] == [digest]


def test_two_kinds_in_one_document_are_refused_in_any_case(tmp_path):
    value = {"schemaVersion": 2, "LAYERS": [{}], "Manifests": [{}]}
    (tmp_path / "manifest.json").write_text(json.dumps(value))
    assert [one.cause for one in resolve(open_source(f"dir:{tmp_path}")).skipped] == [
        "bad_manifest"
    ]


def test_names_are_spelled_as_specified_when_a_document_is_rewritten():
    value = parse(b'{"LAYERS": [1], "layers": [2], "x": {"LAYERS": 3}}')
    assert documents.spelled(value, ["layers"]) == {"x": {"LAYERS": 3}, "layers": [2]}
