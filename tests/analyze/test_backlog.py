"""The backlog: which layers are left, as the parts on disk say."""

import random
from types import SimpleNamespace

import pytest
from support.synthetic import TYPES, make_layer

from hpc_remetrics.analyze.backlog import Backlog
from hpc_remetrics.analyze.session import Session
from hpc_remetrics.config import AnalyzeOptions
from hpc_remetrics.errors import PartError, UsageError
from hpc_remetrics.gather.dataset_reader import Reused
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.signals import StopRequest
from hpc_remetrics.parts.part_reader import read_part
from hpc_remetrics.parts.part_writer import write_part
from hpc_remetrics.records import Failure, Layer

SIGNATURE = {"types": "x"}


@pytest.fixture
def layers():
    """Layers by name, of which parts may hold the first four."""
    names = ("ok", "partial", "failed", "lost", "new")
    made = [make_layer(random.Random(1), name, 20, status=status(name)) for name in names]
    return dict(zip(names, made, strict=True))


def status(name):
    return {"lost": "failed", "new": "ok"}.get(name, name)


@pytest.fixture
def make(tmp_path, layers):
    """Return a function that makes the backlog of all layers."""
    (tmp_path / "out.h5.parts").mkdir()

    def backlog(**options):
        chosen = AnalyzeOptions(output=tmp_path / "out.h5", **options)
        session = Session(SerialComm(), chosen, StopRequest())
        wanted = {one.digest: Layer(one.digest, 10, "oci_tar") for one in layers.values()}
        return Backlog(session, wanted, SIGNATURE)

    return backlog


@pytest.fixture
def publish(tmp_path, layers):
    """Return a function that publishes layers in one part."""

    def write(name, *chosen, signature=SIGNATURE):
        rows = [
            (one.digest, one.profile, one.spill(tmp_path) if one.profile.entries else None)
            for one in (layers[layer] for layer in chosen)
        ]
        causes = {"failed": "bad_header", "lost": "killed"}
        failures = [
            Failure(layers[layer].digest, "child", causes[layer], "x")
            for layer in chosen
            if layer in causes
        ]
        directory = tmp_path / "out.h5.parts"
        return write_part(directory, name, rows, failures, TYPES, signature, tmp_path)

    return write


def names_of(layers, left):
    digests = {one.digest: name for name, one in layers.items()}
    return [digests[layer.digest] for layer in left]


def test_without_parts_all_layers_are_left(make, layers):
    backlog = make()
    assert names_of(layers, backlog.layers_left()) == list(layers)
    assert sum((backlog.ledger.ok, backlog.ledger.partial, backlog.ledger.failed)) == 0


def test_layers_that_failed_for_a_passing_reason_are_left(make, layers, publish):
    publish("a", "ok", "partial", "failed", "lost")
    backlog = make()
    assert names_of(layers, backlog.layers_left()) == ["lost", "new"]
    ledger = backlog.ledger
    assert (ledger.ok, ledger.partial, ledger.failed) == (1, 1, 2)


def test_every_failed_layer_is_left_if_that_is_asked_for(make, layers, publish):
    publish("a", "ok", "partial", "failed", "lost")
    left = make(retry_failed=True).layers_left()
    assert names_of(layers, left) == ["failed", "lost", "new"]


@pytest.mark.parametrize("retry", [False, True])
def test_after_this_run_s_own_attempt_a_failed_layer_is_done(make, layers, publish, retry):
    publish("a", "ok", "partial", "failed", "lost")
    backlog = make(retry_failed=retry)
    backlog.is_attempted = True
    assert names_of(layers, backlog.layers_left()) == ["new"]


def test_parts_are_read_anew_each_time(make, layers, publish):
    backlog = make()
    publish("a", "ok")
    assert "ok" not in names_of(layers, backlog.layers_left())
    publish("b", "new")
    assert "new" not in names_of(layers, backlog.layers_left())


def test_layers_of_other_images_do_not_count(make, layers, publish):
    publish("a", "ok", "new")
    backlog = make()
    backlog._layers = {layers["new"].digest: None}
    assert backlog.layers_left() == []
    assert backlog.ledger.ok == 1


@pytest.fixture
def earlier(layers, publish):
    """Return a function that makes what an earlier dataset holds of some layers."""

    def reused(*names):
        index = read_part(publish("earlier", *names))
        index.path.unlink()
        dataset = SimpleNamespace(path=index.path)
        return Reused([dataset], [index])

    return reused


def test_layers_of_earlier_datasets_are_not_left(make, layers, publish, earlier):
    publish("a", "ok", "lost")
    backlog = make()
    backlog.reused = earlier("ok", "partial")
    assert names_of(layers, backlog.layers_left()) == ["failed", "lost", "new"]
    assert (backlog.ledger.ok, backlog.ledger.partial, backlog.ledger.failed) == (1, 1, 1)
    size = layers["partial"].profile.CLS
    assert backlog.reused_amount == (1, size) and size


def test_the_better_of_part_and_earlier_dataset_counts(make, layers, publish, earlier):
    publish("a", "lost")
    backlog = make()
    layers["lost"].profile.status = "ok"
    backlog.reused = earlier("lost")
    assert "lost" not in names_of(layers, backlog.layers_left())
    assert backlog.ledger.ok == 1 and backlog.reused_amount == (0, 0)


def test_a_damaged_earlier_dataset_is_left_out_and_not_renamed(make, layers, earlier, caplog):
    backlog = make()
    backlog.reused = earlier("ok")
    path = backlog.reused.indexes[0].path
    path.write_text("the dataset")
    backlog.set_parts_aside(PartError([str(path)], "two sizes"))
    assert path.read_text() == "the dataset"
    assert backlog.passed_over == frozenset()
    assert "no layers are reused of damaged datasets: two sizes" in caplog.text
    assert "renamed" not in caplog.text
    path.unlink()
    assert len(backlog.layers_left()) == len(layers) and backlog.reused_amount == (0, 0)


def test_parts_of_other_options_are_refused(make, publish):
    publish("a", "ok", signature={"types": "y"})
    with pytest.raises(UsageError, match="parts made with types=y"):
        make().layers_left()


def test_a_part_that_is_no_part_is_warned_of_once(make, layers, tmp_path, caplog):
    (tmp_path / "out.h5.parts" / "part-bad.h5").write_text("x")
    backlog = make()
    for _ in range(2):
        assert len(backlog.layers_left()) == len(layers)
    assert caplog.text.count("a part is not read, its layers are profiled again") == 1


def test_parts_of_other_users_are_said_once(make, publish, caplog, monkeypatch):
    from hpc_remetrics.parts import parts_directory

    publish("a", "ok")
    monkeypatch.setattr(parts_directory.os, "geteuid", lambda: 12_345)
    monkeypatch.setattr(parts_directory, "check_trusted_owner", lambda owner, about: None)
    monkeypatch.setattr(parts_directory, "check_trusted_directory", lambda directory: None)
    backlog = make()
    for _ in range(2):
        backlog.layers_left()
    assert caplog.text.count("holds parts made by") == 1
    assert "their rows are trusted" in caplog.text


def test_damaged_parts_are_renamed_and_not_read_any_more(make, layers, publish, caplog):
    first, second = publish("a", "ok"), publish("b", "partial")
    backlog = make()
    assert names_of(layers, backlog.layers_left()) == ["failed", "lost", "new"]
    backlog.set_parts_aside(PartError([str(first)], "damaged"))
    assert not first.exists() and first.with_name(f"{first.name}.damaged").exists()
    assert second.exists()
    assert "damaged parts are renamed" in caplog.text
    assert names_of(layers, backlog.layers_left()) == ["ok", "failed", "lost", "new"]
    backlog.set_parts_aside(PartError([str(second)], "damaged"))
    assert backlog.passed_over == {first.name, second.name}
    assert len(backlog.layers_left()) == 5


def test_another_rank_only_notes_the_damaged_parts(make, publish, caplog):
    path = publish("a", "ok")
    backlog = make()
    backlog._session.comm.rank = 1
    backlog.set_parts_aside(PartError([str(path)], "damaged"))
    assert path.exists() and backlog.passed_over == {path.name}
    assert caplog.text == ""
