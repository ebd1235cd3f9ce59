"""Downloads in this process, from a registry in this process."""

import json
import os
import signal
from dataclasses import replace

import pytest
from support.tiny_registry import TinyRegistry

from hpc_remetrics.download.options import DownloadOptions
from hpc_remetrics.download.run import download
from hpc_remetrics.errors import SourceError, UsageError
from hpc_remetrics.files.lock import OutputLock
from hpc_remetrics.layout.image_layout import REF_NAME, Layout
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.registry.access import Access, Patience

ACCESS = Access(patience=Patience(connect=20, idle=20, deadline=60, blob_deadline=60, tries=1))


pytestmark = pytest.mark.usefixtures("signal_handlers")


@pytest.fixture
def registry():
    with TinyRegistry() as registry:
        registry.image("a:1", b"shared", b"one")
        registry.image("b:1", b"two", b"shared")
        yield registry


@pytest.fixture
def options(registry, tmp_path):
    return DownloadOptions(
        wishes=(f"{registry.host}/a:1", f"{registry.host}/b:1"),
        output=tmp_path / "mirror",
        access=ACCESS,
        threads=1,
    )


@pytest.fixture
def downloaded(capfd):
    """Return a function that downloads and returns what was said on standard error."""

    def run(options, code=0) -> str:
        assert download(SerialComm(), options) == code
        return capfd.readouterr().err

    return run


def names(options) -> list[str]:
    return [entry["annotations"][REF_NAME] for entry in Layout(options.output).read_index()]


def blobs(options) -> list[bytes]:
    return sorted(path.read_bytes() for path in (options.output / "blobs/sha256").iterdir())


def test_the_lock_shows_that_the_job_lives(options, downloaded, monkeypatch):
    beats = []
    monkeypatch.setattr(OutputLock, "heartbeat", lambda lock: beats.append(1))
    downloaded(options)
    assert beats


def test_images_and_their_blobs_come_once(options, registry, downloaded):
    said = downloaded(options)
    assert said.splitlines()[0] == "2 images, 0 of them finished before"
    assert said.splitlines()[1].startswith(f"{registry.host}: 2 images, with one or more")
    assert "2/2 images, 5 blobs, 0.00 GB, " in said and "0 blobs to come" in said
    assert names(options) == list(options.wishes)
    assert [data for data in blobs(options) if len(data) < 9] == [b"one", b"shared", b"two"]
    asked = registry.asked()
    # One HEAD for the limits, and everything else once.
    assert len(asked) == len(set(asked)) == 1 + 2 + 5
    assert (options.output / ".remetrics/failures.csv").read_text() == "image,cause,message\n"

    assert downloaded(options) == "2 images, 2 of them finished before\n"
    assert registry.asked() == [] and names(options) == list(options.wishes)
    assert downloaded(replace(options, quiet=True)) == ""


def test_a_moved_tag_is_seen_by_an_update_alone(options, registry, downloaded):
    downloaded(options)
    registry.image("a:1", b"new")
    registry.asked()
    downloaded(options)
    assert registry.asked() == []
    said = downloaded(replace(options, update=True))
    assert said.startswith("2 images, 0 of them finished before\n")
    assert b"new" in blobs(options) and len(names(options)) == 2
    heads = [path for method, path in registry.asked() if method == "HEAD"]
    assert heads.count("/v2/b/manifests/1") == 1 and heads.count("/v2/a/manifests/1") == 2


def test_an_estimate_costs_a_head(options, registry, downloaded):
    said = downloaded(replace(options, estimate=True))
    assert len(said.splitlines()) == 2
    assert registry.asked() == [("HEAD", "/v2/a/manifests/1")]


def test_a_failed_image_is_named_and_the_others_come(options, registry, downloaded):
    wishes = (*options.wishes, f"{registry.host}/gone:1")
    said = downloaded(replace(options, wishes=wishes), code=3)
    path = options.output / ".remetrics/failures.csv"
    assert f"1 image incomplete: reasons in {path}\n" in said and "1 failed" in said
    assert path.read_text().splitlines()[1].startswith(f"{registry.host}/gone:1,missing,")
    assert names(options) == list(options.wishes)


def test_a_run_against_registries_that_are_down_is_stopped(options, registry, downloaded):
    wishes = tuple(f"{registry.host}/x:{number}" for number in range(60))
    for number in range(60):
        registry.failing[f"/v2/x/manifests/{number}"] = 500
    said = downloaded(replace(options, wishes=wishes), code=4)
    assert "stopped: the last 50 requests failed; 0 of 60 images finished; run the command" in said


def test_a_stop_ends_a_run_in_order(options, registry, downloaded):
    answer = registry.answer

    def stopping(head):
        if "/blobs/" in head:
            os.kill(os.getpid(), signal.SIGTERM)
        return answer(head)

    registry.answer = stopping
    said = downloaded(options, code=4)
    assert (
        "stopped: on SIGTERM; " in said and " of 2 images finished; run the command again" in said
    )
    registry.answer = answer
    downloaded(options)
    assert names(options) == list(options.wishes)


def test_layers_and_repositories_of_a_list_are_left_out(options, registry, downloaded, tmp_path):
    layers, repositories = tmp_path / "layers", tmp_path / "repositories"
    shared = registry.blob("a", b"shared")["digest"]
    layers.write_text(f"{shared}\n")
    repositories.write_text(f"{registry.host}/b:1\n")
    said = downloaded(replace(options, layers=layers, repositories=repositories))
    assert said.startswith("2 images, 1 of them finished before\n")
    assert f"1 blob was skipped, since {layers} lists them\n" in said
    assert b"shared" not in blobs(options) and b"one" in blobs(options)
    assert repositories.read_text().splitlines() == [f"{registry.host}/{n}:1" for n in "ba"]
    assert len(layers.read_text().splitlines()) == 3
    lists = replace(options, wishes=(str(layers),), layers=layers)
    with pytest.raises(UsageError, match="is an input of this command"):
        download(SerialComm(), lists)


def test_manifests_that_an_index_names_in_vain_are_counted(options, registry, downloaded):
    child = registry.image("c:x", b"x")
    registry.index("c:1", amd64=child, arm64={**child, "digest": f"sha256:{'0' * 64}"})
    one = replace(options, wishes=(f"{registry.host}/c:1",))
    assert "1 manifest named by indexes and missing at their registries\n" in downloaded(one)


def test_a_platform_that_no_image_has(options, registry, downloaded):
    registry.index("c:1", amd64=registry.image("c:x", b"x"))
    wish = f"{registry.host}/c:1"
    arm = replace(options, wishes=(wish,), platforms=("linux/arm64",))
    with pytest.raises(UsageError, match="linux/amd64"):
        download(SerialComm(), arm)
    # Beside an image that has it, it is said.
    registry.index("d:1", arm64=registry.image("d:x", b"y"))
    said = downloaded(replace(arm, wishes=(wish, f"{registry.host}/d:1")))
    assert "1 image has nothing for linux/arm64\n" in said
    assert names(arm) == [f"{registry.host}/d:1"]
    # It is looked at again, since that may change; a HEAD shows it.
    registry.asked()
    said = downloaded(replace(arm, wishes=(wish, f"{registry.host}/d:1")))
    assert said.startswith("2 images, 1 of them finished before\n")
    assert {method for method, _ in registry.asked()} == {"HEAD"}


def test_images_of_a_list_come_with_most_pulls_first(options, registry, downloaded, tmp_path):
    lines = [
        "stars,pulls,name,registry,tag",
        f"1,5,a,{registry.host},1",
        f"1,70,b,{registry.host},1",
    ]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    wishes = (str(tmp_path / "list.csv"), f"{registry.host}/a:1")
    said = downloaded(replace(options, wishes=wishes))
    assert said.startswith("2 images, ")
    order = [path for method, path in registry.asked() if method == "GET" and "manifests" in path]
    assert order == ["/v2/b/manifests/1", "/v2/a/manifests/1"]
    with pytest.raises(SourceError, match=r"there is no .*missing\.csv"):
        download(SerialComm(), replace(options, wishes=("missing.csv",)))


def test_the_index_names_what_is_there_before_a_run_ends(options, registry, downloaded):
    """A layout that an earlier run left without an index gets it first."""
    downloaded(options)
    (options.output / "index.json").write_text(json.dumps({"manifests": []}))
    downloaded(options)
    assert names(options) == list(options.wishes)
