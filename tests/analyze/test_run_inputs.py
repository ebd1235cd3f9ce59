"""The first step of a run: sources that are wrong, what is said of images, and shares."""

from types import SimpleNamespace

import pytest
from support.layouts import Layout
from support.made import Entry, Made

from hpc_remetrics.analyze.run_inputs import MAX_WARNINGS, Inputs
from hpc_remetrics.analyze.session import Session
from hpc_remetrics.analyze.signature import signature_of
from hpc_remetrics.config import AnalyzeOptions
from hpc_remetrics.errors import OutputError, SourceError, UsageError
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.signals import StopRequest
from hpc_remetrics.records import Catalog, Skipped


@pytest.fixture
def images(tmp_path):
    """A layout of two images that share one of their three layers."""
    layout = Layout(tmp_path / "layout")
    layers = [layout.layer(bytes(512 * number), "plain") for number in (2, 3, 4)]
    layout.image("a:1", layers[:2])
    layout.image("b:1", layers[1:])
    return layout.finish()


@pytest.fixture
def make(tmp_path, images):
    """Return a function that makes the inputs of a run on the layout."""

    def inputs(**options):
        chosen = {
            "sources": (f"oci:{images}",),
            "output": tmp_path / "out.h5",
            "types": "none",
            **options,
        }
        return Inputs(Session(SerialComm(), AnalyzeOptions(**chosen), StopRequest()))

    return inputs


def resolve(inputs):
    inputs.check()
    return inputs.resolve()


def test_all_layers_are_listed_once(make, capsys):
    inputs = make()
    work = resolve(inputs)
    assert sorted(layer.size for layer in work.layers.values()) == [1024, 1536, 2048]
    assert work.whole == (3, 4608)
    assert [image.name for image in work.catalog.images] == ["a:1", "b:1"]
    assert (work.lost, len(work.sources)) == (0, 1)
    assert work.signature == signature_of(inputs._options)
    assert capsys.readouterr().err == "2 images, 3 layers, 0.00 GB compressed\n"


def test_a_share_has_its_layers_and_knows_the_whole(make, capsys):
    works = [resolve(make(share=(number, 2))) for number in (1, 2)]
    assert [work.whole for work in works] == [(3, 4608)] * 2
    assert sorted(layer.size for work in works for layer in work.layers.values()) == [
        1024,
        1536,
        2048,
    ]
    assert "share 2 of 2: 2 layers" in capsys.readouterr().err


def test_without_a_source_the_demo_is_taken(make, capsys):
    inputs = make(sources=())
    inputs.check()
    assert "no source named: taking demo:" in capsys.readouterr().err
    assert [source.reference for source in inputs._sources] == ["demo:"]


def test_sources_that_are_wrong_are_refused(make):
    with pytest.raises(UsageError):
        make(sources=("nonsense:x",)).check()
    with pytest.raises((SourceError, UsageError)):
        resolve(make(sources=("oci:/does/not/exist",)))


def test_keep_needs_a_source_at_a_registry(make, tmp_path):
    with pytest.raises(UsageError, match="no source is at one"):
        make(keep=tmp_path / "kept").check()


def test_keep_is_no_input(make, images):
    with pytest.raises(UsageError, match="is an input"):
        make(keep=images, sources=(f"oci:{images}", "docker://localhost:1/a")).check()


def test_keep_must_be_a_layout(make, tmp_path, images):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        make(keep=tmp_path / "file", sources=("docker://localhost:1/a",)).check()


def test_the_output_is_no_input(make, images, tmp_path):
    with pytest.raises(UsageError, match=r"index\.json"):
        make(output=images / "index.json").check()
    dataset = tmp_path / "warm.h5"
    dataset.write_text("x")
    with pytest.raises(UsageError, match="is an input"):
        make(output=dataset, warm_types=dataset).check()


def test_an_output_of_the_same_sources_may_be_replaced(make, images, tmp_path):
    made = Made([[Entry("file", b"a", 1)]], [[0]], run={"sources": {"source": [f"oci:{images}"]}})
    output = made.write(tmp_path / "made", metrics=False)
    make(output=output).check_output()
    for sources in ((), (f"oci:{tmp_path}/other",)):
        with pytest.raises(UsageError, match="holds 1 layer of oci:"):
            make(output=output, sources=sources).check_output()
    make(output=output, sources=(), force=True).check_output()


@pytest.mark.parametrize("is_remote", [False, True])
def test_a_stop_is_polled_while_registries_are_asked_and_ends_the_job_after_that(
    make, monkeypatch, is_remote
):
    inputs = make()
    session = inputs._session
    session.leave_on_stop()
    inputs.check()
    inputs._sources[0].is_remote = is_remote
    seen = []

    def resolve(comm, sources, registries):
        seen.append(session.stop.at_once)
        return Catalog()

    monkeypatch.setattr(inputs, "_resolver", lambda: SimpleNamespace(resolve=resolve))
    inputs.resolve()
    assert (seen[0] is None) == is_remote
    assert session.stop.at_once is not None


def test_what_can_not_be_in_the_dataset_is_counted_and_the_first_ones_are_named(make, caplog):
    skipped = [Skipped(f"i{n}:1", "x", -1, "", "bad_manifest", "broken") for n in range(7)]
    skipped.append(Skipped("other:1", "x", -1, "", "artifact"))
    assert make()._warn_of_lost(Catalog([], skipped)) == 7
    assert caplog.text.count("is not in the dataset: bad_manifest: broken") == MAX_WARNINGS == 5
    assert "i0:1" in caplog.text and "i5:1" not in caplog.text
    assert "and 2 more; the dataset's table /skipped" in caplog.text
    assert "temporary" not in caplog.text


def test_five_of_them_are_all_named(make, caplog):
    skipped = [Skipped(f"i{n}:1", "x", -1, "", "bad_manifest") for n in range(5)]
    assert make()._warn_of_lost(Catalog([], skipped)) == 5
    assert "more" not in caplog.text


def test_failures_that_may_be_temporary_ask_for_another_run(make, caplog):
    make()._warn_of_lost(Catalog(passing=True))
    assert "run the command again to retry" in caplog.text


def test_what_docker_save_leaves_out_is_said(make, caplog, capsys):
    skipped = [Skipped("a:1", "x", -1, "", "not_in_archive")] * 2
    assert make()._warn_of_lost(Catalog([], skipped)) == 0
    assert "not in the archives: 2 manifests" in capsys.readouterr().err
    assert caplog.text == ""


def test_what_is_skipped_is_counted_by_cause(make, capsys):
    causes = ("artifact", "foreign", "artifact")
    skipped = [Skipped("a:1", "x", -1, "", cause) for cause in causes]
    make()._say_what_there_is(Catalog([], skipped), (1, 2_500_000_000))
    assert capsys.readouterr().err == (
        "0 images, 1 layer, 2.50 GB compressed; skipped: 2 artifact, 1 foreign\n"
    )
