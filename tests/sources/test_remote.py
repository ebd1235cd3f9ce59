"""Sources at registries and the resolver over them, with a client that records what it is asked."""

import hashlib
import io
import json
from types import SimpleNamespace

import pytest
from support.layouts import Layout

from hpc_remetrics.errors import RegistryError, SourceError, UsageError
from hpc_remetrics.limits import MANIFEST_BYTES, Limits
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.signals import StopRequest
from hpc_remetrics.records import Configs, Digest, Layer, Popularity
from hpc_remetrics.registry.access import Access
from hpc_remetrics.registry.registries import Registries
from hpc_remetrics.sources import open_source
from hpc_remetrics.sources.manifests import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from hpc_remetrics.sources.resolver import Resolver, ResolvingStopped
from hpc_remetrics.wording import counted

DIGEST = Digest(bytes([7]) * 32)
CONFIG = b'{"os": "linux", "architecture": "amd64"}'


def digest_of(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).digest())


def image_of(repository: str) -> bytes:
    config = {"mediaType": OCI_CONFIG, "digest": str(digest_of(CONFIG)), "size": len(CONFIG)}
    layer = {"mediaType": OCI_LAYER, "digest": str(DIGEST), "size": 5}
    value = {"config": config, "layers": [layer], "annotations": {"name": repository}}
    return json.dumps(value).encode()


class Client:
    """A registry that has an image of every name, but for those in `failing`."""

    def __init__(self, host, registries):
        self.host = host
        self.registries = registries

    def note(self, *what):
        self.registries.asked.append((self.host, *what))

    def manifest(self, repository, version, limit):
        self.note("manifest", repository, version, limit)
        if repository in self.registries.failing:
            raise RegistryError(self.registries.failing[repository], "words", "a hint")
        data = image_of(repository)
        return SimpleNamespace(data=data, media_type=OCI_MANIFEST, digest=digest_of(data))

    def read_blob(self, repository, digest, limit):
        self.note("read", repository, digest, limit)
        return self.registries.config

    def open_blob(self, repository, digest, offset):
        self.note("open", repository, digest, offset)
        return io.BytesIO(b"blob")

    def blob_size(self, repository, digest):
        self.note("size", repository, digest)
        return 5

    def fetch_blob(self, repository, digest, size, path):
        self.note("fetch", repository, digest, size, path)


class FakeRegistries(Registries):
    def __init__(self):
        super().__init__(Access())
        self.asked = []
        self.failing = {}
        self.config = CONFIG

    def get(self, host):
        return Client(host, self)


@pytest.fixture
def registries():
    return FakeRegistries()


def test_blobs_are_asked_of_the_repository_that_a_layer_came_from(listed, registries, tmp_path):
    source = listed("a/b\n")
    layer = Layer(DIGEST, 5, "oci_tar", None, "quay.io/a/b")
    source.fetch(layer, tmp_path)
    assert source.measure(layer) == 5
    assert registries.asked == [
        ("quay.io", "fetch", "a/b", DIGEST, 5, tmp_path),
        ("quay.io", "size", "a/b", DIGEST),
    ]
    with pytest.raises(RegistryError, match="nothing says which repository holds"):
        source.open(DIGEST)


def test_an_image_by_its_name(registries):
    source = open_source("docker://quay.io/a/b:7", registries)
    [named] = source.named_manifests()
    assert (named.name, named.location) == ("quay.io/a/b:7", "quay.io/a/b:7")
    entered, place = source.enter(named)
    assert (entered.name, entered.manifest) == ("quay.io/a/b:7", image_of("a/b"))
    assert (entered.media_type, entered.digest) == (OCI_MANIFEST, digest_of(image_of("a/b")))
    assert place.origin == source.origin == "quay.io/a/b" and place.is_remote
    assert place.read(DIGEST, 9) == CONFIG and place.read_manifest(DIGEST, 8) == image_of("a/b")
    assert place.open(DIGEST, 3).read() == b"blob" and place.size_of(DIGEST) == 5
    assert registries.asked == [
        ("quay.io", "manifest", "a/b", "7", MANIFEST_BYTES),
        ("quay.io", "read", "a/b", DIGEST, 9),
        ("quay.io", "manifest", "a/b", str(DIGEST), 8),
        ("quay.io", "open", "a/b", DIGEST, 3),
        ("quay.io", "size", "a/b", DIGEST),
    ]
    assert place.holds(Layer(DIGEST, 5, "oci_tar", None, "quay.io/a/b"))
    assert not place.holds(Layer(DIGEST, 5, "oci_tar", None, "quay.io/a"))
    # The digest that somebody names counts, whatever the registry says.
    source = open_source(f"docker://a/b@{DIGEST}", registries)
    [named] = source.named_manifests()
    assert source.enter(named)[0].digest == DIGEST


def test_an_image_that_is_not_available_ends_the_run(registries):
    source = open_source("docker://a/b", registries)
    [named] = source.named_manifests()
    for cause, words in (
        ("missing", "there is no image docker.io/a/b:latest; or it requires a login"),
        ("denied", "docker.io/a/b:latest is not available: words; a hint"),
    ):
        registries.failing = {"a/b": cause}
        with pytest.raises(SourceError) as caught:
            source.enter(named)
        assert str(caught.value) == words
    registries.failing = {"a/b": "rate_limited"}
    with pytest.raises(RegistryError):
        source.enter(named)


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("docker:redis", "write docker://redis:latest"),
        ("docker:/a/b:1", "write docker://a/b:1"),
        ("docker:me:secret@host/a", "write docker://HOST/NAME[:TAG|@DIGEST]"),
    ],
)
def test_what_follows_docker_is_answered_without_a_password(reference, hint):
    with pytest.raises(UsageError) as caught:
        open_source(reference)
    assert str(caught.value) == f"what follows docker: is not an image; {hint}"


@pytest.fixture
def listed(tmp_path, registries):
    """Return a function that writes a list of repositories and opens it."""

    def write(text):
        (tmp_path / "list.csv").write_text(text)
        return open_source(f"repos:{tmp_path / 'list.csv'}", registries)

    return write


def test_the_images_of_a_list(listed):
    source = listed(
        "stars,pulls,name,registry,tag,digest,updated\n"
        "1,,library/redis,,,,\n"
        ",2,a/b,quay.io,7,,2026-01-02T03:04:05.5Z\n"
        f"0,0,a/c,,7,{DIGEST},1970-01-01T00:00:07Z\n"
        f"0,0,a/c,,,{DIGEST},yesterday\n"
        f"0,0,a/d@{DIGEST},,,,\n"
    )
    found = list(source.named_manifests())
    assert [(one.name, one.popularity, one.pushed) for one in found] == [
        ("library/redis:latest", Popularity(1, -1), None),
        ("quay.io/a/b:7", Popularity(-1, 2), 1_767_323_045),
        ("a/c:7", Popularity(0, 0), 7),
        (f"a/c@{DIGEST}", Popularity(0, 0), None),
        (f"a/d@{DIGEST}", Popularity(0, 0), None),
    ]
    # What had the tag when it was crawled is requested, under the name of the tag.
    assert [one.location for one in found] == [
        "docker.io/library/redis:latest",
        "quay.io/a/b:7",
        *[f"docker.io/a/c@{DIGEST}"] * 2,
        f"docker.io/a/d@{DIGEST}",
    ]
    entered, _ = source.enter(found[2])
    assert (entered.name, entered.digest, entered.pushed) == ("a/c:7", DIGEST, 7)
    entered, _ = source.enter(next(source.named_manifests()))
    assert entered.popularity == Popularity(1, -1)
    assert source.holds(Layer(DIGEST, 5, "oci_tar", None, "x"))
    assert not source.holds(Layer(DIGEST, 5, "oci_tar", None, ""))
    with pytest.raises(SourceError, match=r"list.csv: .*"):
        list(listed("stars,pulls,name,tag\n1,2,a/b,a tag\n").named_manifests())


def test_a_sample_says_how_many_repositories_were_drawn_of_each_stratum(listed):
    head = "stars,pulls,name,registry,tag,stratum,weight\n"
    rows = "0,0,a/a,,1,few,2.5\n0,0,a/a,,2,few,2.5\n0,0,a/a,quay.io,1,few,2.5\n0,0,a/b,,,many,1\n"
    found = [one.popularity for one in listed(head + rows).named_manifests()]
    assert [(one.stratum, one.weight, one.drawn) for one in found] == [
        ("few", 2.5, 2),
        ("few", 2.5, 2),
        ("few", 2.5, 2),
        ("many", 1, 1),
    ]
    unweighted = list(listed(head + "0,0,a/a,,,few,\n0,0,a/b,,,,3\n").named_manifests())
    assert [one.popularity.stratum for one in unweighted] == ["", ""]


# The resolver.


def names(catalog):
    return [image.name for image in catalog.images]


def test_images_come_in_the_order_of_the_sources(listed, registries):
    rows = "".join(f"0,{number},a/{number:02}\n" for number in range(20))
    sources = [listed(rows), open_source("docker://quay.io/b", registries)]
    catalog = Resolver((), Limits()).resolve(SerialComm(), sources, registries)
    assert names(catalog) == [
        *[f"a/{number:02}:latest" for number in range(20)],
        "quay.io/b:latest",
    ]
    assert catalog.repositories["a/07"] == Popularity(0, 7)
    with pytest.raises(UsageError, match="none is for linux/arm; choose from linux/amd64"):
        Resolver(("linux/arm",), Limits()).resolve(SerialComm(), sources, registries)


def test_sources_on_a_file_system_and_at_a_registry_together(registries, tmp_path):
    layout = Layout(tmp_path / "layout")
    layout.image("local:1", [(layout.blob(b"x", OCI_LAYER), str(DIGEST))])
    beats = []
    sources = [open_source(f"oci:{layout.finish()}"), open_source("docker://a/b", registries)]
    resolver = Resolver((), Limits(), beat=lambda: beats.append(1))
    assert names(resolver.resolve(SerialComm(), sources, registries)) == ["local:1", "a/b:latest"]
    assert beats
    # One beat comes before each source on a file system.
    beats.clear()
    assert names(resolver.resolve(SerialComm(), sources[:1], registries)) == ["local:1"]
    assert beats == [1]


def test_what_was_resolved_before_is_not_asked_again(listed, registries, tmp_path):
    def run(text, limits=None, **more):
        registries.asked.clear()
        resolver = Resolver(
            more.pop("platforms", ()), limits or Limits(), tmp_path, quiet=True, **more
        )
        catalog = resolver.resolve(SerialComm(), [listed(text)], registries)
        return names(catalog), sorted({one[2] for one in registries.asked}), catalog

    registries.failing = {"a/c": "io_error", "a/d": "missing"}
    rows = "".join(f"0,1,a/{name}\n" for name in "bcd")
    found, asked, catalog = run(rows)
    assert (found, asked) == (["a/b:latest"], ["a/b", "a/c", "a/d"]) and catalog.passing
    # What may not fail again is asked again, and the popularity is that of today's list.
    registries.failing = {}
    found, asked, catalog = run(rows.replace("0,1,a/b", "5,6,a/b"))
    assert (found, asked) == (["a/b:latest", "a/c:latest"], ["a/c"])
    assert catalog.repositories == {"a/b": Popularity(5, 6), "a/c": Popularity(0, 1)}
    assert [one.cause for one in catalog.skipped] == ["missing_manifest"]
    assert run(rows)[1] == []
    assert run("a/b\n")[2].repositories == {"a/b": Popularity(-1, -1)}
    # Options that change what is found have a journal of their own.
    assert run(rows, platforms=("linux/amd64",))[1] == ["a/b", "a/c", "a/d"]
    for name in ("manifest_bytes", "index_depth", "index_manifests", "image_layers"):
        assert run(rows, Limits(**{name: 10**6}))[1] == ["a/b", "a/c", "a/d"]
        assert run(rows, Limits(**{name: 10**6}))[1] == []
    assert run(rows, Limits(entries=5))[1] == []
    assert run(rows, keep=tmp_path / "kept")[1] == ["a/b", "a/c", "a/d"]
    assert run(rows, keep=tmp_path / "kept")[1] == []
    assert len(list(tmp_path.glob("manifests-????????.journal"))) == 7
    assert run(rows, keep_secrets=True)[1] == ["a/b", "a/c", "a/d"]
    assert run(rows, keep_secrets=True)[1] == []
    # Without a directory nothing is kept.
    registries.asked.clear()
    Resolver((), Limits()).resolve(SerialComm(), [listed(rows)], registries)
    assert len({one[2] for one in registries.asked}) == 3


def test_a_signal_while_manifests_are_resolved_ends_the_run(listed, registries):
    stop = StopRequest()
    stop.reason = "SIGTERM"
    beats = []
    resolver = Resolver((), Limits(), stop=stop, beat=lambda: beats.append(1))
    with pytest.raises(ResolvingStopped) as caught:
        resolver.resolve(SerialComm(), [listed("a/b\na/c\n")], registries)
    assert caught.value.exit_code == 4
    words = f"stopped on SIGTERM: 0 of {counted(2, 'manifest')} resolved"
    assert str(caught.value) == f"{words}; run the command again to continue"


def test_a_journal_has_the_configs_and_annotations_without_secrets(listed, registries, tmp_path):
    def run(text, **options):
        registries.asked.clear()
        configs = Configs()
        resolver = Resolver((), Limits(), tmp_path, quiet=True, configs=configs, **options)
        catalog = resolver.resolve(SerialComm(), [listed(text)], registries)
        assert catalog.configs is configs
        return catalog, list(configs), bool(registries.asked)

    registries.config = json.dumps(
        {**json.loads(CONFIG), "config": {"Env": ["TOKEN=geheim"], "Labels": {"a": "ü"}}}
    ).encode()
    first = run("a/b\na/c\n")
    assert first[2]
    [config] = first[1]
    assert config.environment == (("TOKEN", "<redacted:token:6>"),)
    assert [image.config for image in first[0].images] == [config.digest] * 2
    assert [image.annotations for image in first[0].images] == [
        (("name", "a/b"),),
        (("name", "a/c"),),
    ]
    assert run("a/b\na/c\n") == (*first[:2], False)
    for journal in tmp_path.glob("*.journal"):
        assert b"geheim" not in journal.read_bytes()
    # What is kept is kept in a journal of its own.
    kept = run("a/b\na/c\n", keep_secrets=True)
    assert kept[2] and kept[1][0].environment == (("TOKEN", "geheim"),)
    assert kept[0].images == first[0].images
    # Without a place for them configs are forgotten.
    catalog = Resolver((), Limits()).resolve(SerialComm(), [listed("a/b\n")], registries)
    assert list(catalog.configs) == [] and catalog.images[0].config == config.digest
