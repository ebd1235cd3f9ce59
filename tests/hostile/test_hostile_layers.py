"""Whatever a layer holds: no crash, no hang, nothing outside scratch, the right status, its
neighbours whole."""

from pathlib import Path

import pytest
from cases import CANARY
from support.same import hex_digests

from hpc_remetrics.records import NOTES

pytestmark = [pytest.mark.xdist_group("hostile"), pytest.mark.slow]
LIMIT = 300_000_000


def rows(dataset):
    """Return digest -> the columns of its layer, in words."""
    names = ("status", "entries", "notes", "TLS", "CLS", "directories", "depth")
    columns = {name: dataset.layers.readable(name).tolist() for name in names}
    return {
        digest: {name: values[row] for name, values in columns.items()} | {"row": row}
        for row, digest in enumerate(hex_digests(dataset.layers))
    }


def failures(dataset):
    names = ("cause", "stage", "message", "offset")
    columns = {name: dataset.failures.readable(name).tolist() for name in names}
    digests = hex_digests(dataset.failures)
    return {
        digest: {name: columns[name][row] for name in names} for row, digest in enumerate(digests)
    }


def wrong(case, row, failure):
    """Yield what is not as it should be."""
    if row["status"] != case.status or (failure["cause"] if failure else None) not in (
        case.causes or (None,)
    ):
        yield f"{row['status']}, {failure}, wanted {case.status} {case.causes}"
    if case.entries not in (-1, row["entries"]):
        yield f"{row['entries']} entries, wanted {case.entries}"
    if missing := [note for note in case.notes if not row["notes"] & NOTES[note]]:
        yield f"not noted: {missing}"
    if (
        failure
        and failure["stage"] == "tar"
        and case.status == "partial"
        and not (failure["offset"] % 512 == 0 and 0 <= failure["offset"] <= row["TLS"])
    ):
        yield f"offset {failure['offset']} of {row['TLS']}"


def test_each_layer_ends_as_it_should(hostile, table):
    layers, failed = rows(hostile.dataset), failures(hostile.dataset)
    faults = {
        name: list(wrong(case, layers[hostile.digests[name]], failed.get(hostile.digests[name])))
        for name, case in table.items()
    }
    assert {name: found for name, found in faults.items() if found} == {}


def test_wrong_and_missing_bytes_leave_nothing(hostile):
    for name, cause in (("wrong bytes", "digest_mismatch"), ("gone", "missing")):
        row = rows(hostile.dataset)[hostile.digests[name]]
        assert (row["status"], row["entries"]) == ("failed", 0)
        assert failures(hostile.dataset)[hostile.digests[name]]["cause"] == cause


def test_the_accounting_adds_up(hostile, table):
    ledger = hostile.dataset.ledger
    assert ledger.layers == len(table) + 4 == ledger.ok + ledger.partial + ledger.failed
    stages = hostile.dataset.failures.readable("stage").tolist()
    assert stages.count("manifest") == 1
    assert ledger.partial + ledger.failed == len(stages) - 1


def test_the_neighbours_are_as_if_alone(hostile):
    alone, among = rows(hostile.alone), rows(hostile.dataset)
    assert len(alone) == 2
    for digest, row in alone.items():
        assert {**among[digest], "row": 0} == {**row, "row": 0}
        theirs, ours = (
            hostile.dataset.entries_of(among[digest]["row"]),
            hostile.alone.entries_of(row["row"]),
        )
        assert hostile.dataset.paths(theirs.start, theirs.stop) == hostile.alone.paths(
            ours.start, ours.stop
        )
        for name in ("kind", "mode", "uid", "gid", "mtime", "mtime_ns"):
            one = hostile.dataset.entries.readable(name, theirs.start, theirs.stop)
            assert (
                one.tolist() == hostile.alone.entries.readable(name, ours.start, ours.stop).tolist()
            )
        digests = []
        for dataset, part in ((hostile.dataset, theirs), (hostile.alone, ours)):
            contents = dataset.entries.readable("content", part.start, part.stop)
            digests.append(
                [
                    dataset.contents["digest"][n].tobytes() if n >= 0 else None
                    for n in contents.tolist()
                ]
            )
        assert digests[0] == digests[1]


def test_nothing_was_made_outside(hostile):
    allowed = {
        hostile.directory / name for name in ("out.h5", "out.h5.parts", "out.h5.lock", "scratch")
    }
    strange = [
        path
        for path in hostile.made
        if not any(path == one or one in path.parents for one in allowed)
    ]
    assert strange == []
    assert list((hostile.directory / "scratch").iterdir()) == []
    found = [
        path for top in ("/tmp", "/", "/etc", "/dev/shm") for path in Path(top).glob(f"*{CANARY}*")
    ]
    assert found == []
    assert not list(hostile.directory.parent.rglob(f"*{CANARY}*"))


def test_memory_stays_bounded(hostile):
    ranks = hostile.dataset.ranks
    peaks = [
        sum(peak) for peak in zip(ranks["peak_memory"], ranks["child_peak_memory"], strict=True)
    ]
    assert max(peaks) < LIMIT


def test_what_is_said_can_not_drive_a_terminal(hostile):
    assert "\x1b" not in hostile.said
    report = hostile.runs.run(hostile.runs.command("report", hostile.directory / "out.h5")).stdout
    assert "\x1b" not in report
    assert "Traceback" not in hostile.said


def test_again_it_fails_alike_and_the_dataset_stays(hostile):
    """The one layer that is gone is tried anew, with the same end."""
    before = failures(hostile.dataset)
    hostile.runs.run(
        hostile.runs.analyze(
            f"oci:{hostile.layout.directory}", hostile.directory / "out.h5", ranks=2
        ),
        code=3,
    )
    assert before == failures(hostile.dataset)
