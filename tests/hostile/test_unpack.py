"""Layers unpacked on scratch: nothing leaves its folder, and the rows are those of the stream."""

import io
import os
import stat
import subprocess

import pytest
from cases import CANARY
from support import small_images, tars
from support.same import assert_same
from support.tools import need

from hpc_remetrics.limits import Limits
from hpc_remetrics.parts.spill_writer import Spill
from hpc_remetrics.profile.layer import profile_layer
from hpc_remetrics.profile.unpack import UnpackedTree


def entry(path: bytes, flag: bytes, link: bytes = b"", mode: int = 0o644) -> bytes:
    """An entry without content; a long link goes to a PAX header."""
    return (tars.pax({b"linkpath": link}) if link else b"") + tars.header(path, flag, mode=mode)


@pytest.fixture
def unpack(tmp_path):
    """Return a function that unpacks a tar and gives the tree's root, the row, and the stream's
    row."""

    def run(data: bytes, quota: int = 1 << 30):
        rows = []
        for tree in (UnpackedTree(tmp_path / "tree", quota), None):
            spill = Spill(tmp_path / "spill")
            rows.append(profile_layer(io.BytesIO(data), spill, Limits(), tree=tree))
            spill.close()
            rows[-1].cpu_seconds = 0.0
            rows.append((tmp_path / "spill").read_bytes())
            if tree:
                tree.close()
        return tmp_path / "tree", rows

    return run


@pytest.mark.slow
def test_hostile_layers_unpacked_give_the_rows_of_the_stream(hostile):
    """All of the hostile table with `--extract`: the same dataset, and no canary outside."""
    runs, output = hostile.runs, hostile.folder / "unpacked.h5"
    runs.run(runs.analyze(f"oci:{hostile.layout.folder}", output, "--extract", ranks=3), code=3)
    assert_same(hostile.folder / "out.h5", output)
    assert not [
        path
        for top in ("/tmp", "/", "/etc", "/dev/shm")
        for path in os.listdir(top)
        if CANARY in path
    ]
    assert not list(hostile.folder.parent.rglob(f"*{CANARY}*"))
    assert list(runs.scratch.iterdir()) == []


ATTACKS = {
    "a file through a link to outside": lambda out: [
        entry(b"link", b"2", link=out),
        tars.file(b"link/canary", b"x"),
    ],
    "a file over a link to outside": lambda out: [
        entry(b"link", b"2", link=out + b"/canary"),
        tars.file(b"link", b"x"),
    ],
    "a folder over a link to outside": lambda out: [
        entry(b"link", b"2", link=out),
        entry(b"link/", b"5", mode=0o777),
        tars.file(b"link/canary", b"x"),
    ],
    "a hard link through a link to outside": lambda out: [
        entry(b"link", b"2", link=out),
        entry(b"hard", b"1", link=b"link/secret"),
        tars.file(b"hard", b"x"),
    ],
    "a hard link to a link to outside": lambda out: [
        entry(b"link", b"2", link=out + b"/secret"),
        entry(b"hard", b"1", link=b"link"),
        tars.file(b"hard", b"x"),
    ],
    "a link two steps up": lambda out: [
        entry(b"a", b"2", link=b".."),
        entry(b"a/b", b"2", link=b"../.."),
        tars.file(b"a/b/canary", b"x"),
    ],
    "paths that climb": lambda out: [
        tars.file(b"../canary", b"x"),
        tars.file(b"a/../../canary", b"x"),
        tars.pax({b"path": out + b"/canary"}) + tars.file(b"short", b"x"),
    ],
    "a link for the root": lambda out: [entry(b"./", b"2", link=out), tars.file(b"canary", b"x")],
    "a root that is a file": lambda out: [
        tars.file(b"./", b"x"),
        tars.file(b"/", b"y"),
        tars.file(b"..", b"z"),
    ],
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_leaves_the_folder(unpack, tmp_path, attack):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    before = set(tmp_path.rglob("*")) | {tmp_path / "tree", tmp_path / "spill"}
    root, rows = unpack(b"".join(ATTACKS[attack](bytes(outside))) + tars.END)
    made = {path for path in tmp_path.rglob("*") if not path.is_relative_to(root)} - before
    assert made == set()
    assert (outside / "secret").read_text() == "secret"
    assert os.stat(outside / "secret").st_nlink == 1
    assert rows[:2] == rows[2:]


def test_no_device_no_owner_no_set_id_bits(unpack):
    root, rows = unpack(
        entry(b"dev", b"3")
        + entry(b"block", b"4")
        + entry(b"pipe", b"6")
        + tars.file(b"suid", b"x", mode=0o6755, uid=1234)
        + entry(b"sticky/", b"5", mode=0o7000)
        + tars.file(b"sticky/file", b"y", mode=0)
        + tars.END
    )
    assert sorted(os.listdir(root)) == ["sticky", "suid"]
    status = os.stat(root / "suid")
    assert (status.st_uid, stat.S_IMODE(status.st_mode) & 0o7000) == (os.getuid(), 0)
    assert stat.S_IMODE(os.stat(root / "sticky").st_mode) == 0o700
    assert (root / "sticky" / "file").read_text() == "y"
    assert rows[:2] == rows[2:]


def test_the_later_entry_wins_and_each_row_has_its_own_content(unpack):
    root, rows = unpack(
        tars.file(b"a", b"first")
        + tars.file(b"a", b"second")
        + tars.file(b"a/b/c", b"third")
        + tars.file(b"a/b", b"fourth")
        + entry(b"a/b", b"1", link=b"a/b")
        + entry(b"a/h", b"1", link=b"a/b")
        + tars.END
    )
    assert (root / "a" / "b").read_text() == "fourth"
    assert os.path.samefile(root / "a" / "b", root / "a" / "h")
    assert rows[:2] == rows[2:]


def test_what_a_file_system_can_not_hold_is_profiled_all_the_same(unpack):
    long = [b"n" * 300, b"/".join([b"d"] * 300), b"x/" * 2000 + b"y"]
    root, rows = unpack(
        b"".join(tars.pax({b"path": name}) + tars.file(b"short", name[:9]) for name in long)
        + tars.END
    )
    assert os.listdir(root) == []
    assert rows[0].files == 3
    assert rows[:2] == rows[2:]


def test_a_layer_that_takes_more_than_its_room_leaves_nothing(unpack):
    _, rows = unpack(
        tars.file(b"small", b"x") + tars.file(b"big", bytes(1 << 20)) + tars.END, quota=1 << 19
    )
    assert (rows[0].status, rows[0].stage, rows[0].cause) == ("failed", "unpack", "no_room")
    assert (rows[0].entries, rows[1]) == (0, b"")


def test_a_tree_is_what_gnu_tar_makes(unpack, tmp_path):
    data = small_images.tar_of(["email"])
    root, _ = unpack(data)
    (tmp_path / "wanted").mkdir()
    subprocess.run(
        ["tar", "-x", "--no-same-owner", "-C", tmp_path / "wanted"], input=data, check=True
    )
    subprocess.run([need("diff"), "-r", "--no-dereference", root, tmp_path / "wanted"], check=True)


@pytest.mark.slow
def test_a_tool_sees_each_layer_and_its_failure_is_a_row(hostile, tmp_path):
    runs, source = hostile.runs, f"oci:{hostile.folder / 'alone'}"
    one = tmp_path / "one.h5"
    runs.run(
        runs.analyze(
            source,
            one,
            "--exec",
            f"find {{dir}} -type f | wc -l > {tmp_path}/{{digest}}.count",
            ranks=3,
        )
    )
    assert_same(hostile.folder / "alone.h5", one)
    layers = hostile.alone.layers
    counts = [int((tmp_path / f"{name}.count").read_text()) for name in layers.readable("digest")]
    assert counts == layers["files"].tolist()
    failing, two = (
        "case {digest} in " + layers.readable("digest")[0] + ") exit 7;; esac; : {dir}",
        tmp_path / "two.h5",
    )
    result = runs.run(runs.analyze(source, two, "--exec", failing), code=3)
    assert "exec_failed: the tool ended with exit code 7" in result.stderr
    slow = tmp_path / "three.h5"
    limits = ("--limit", "exec_seconds=0.3")
    result = runs.run(runs.analyze(source, slow, "--exec", "sleep 60; : {dir}", *limits), code=3)
    assert result.stderr.count("the tool was ended after 0 s") == len(layers)


@pytest.mark.slow
def test_a_command_that_names_no_folder_is_refused(hostile):
    runs = hostile.runs
    result = runs.run(runs.analyze("demo:", hostile.folder / "no.h5", "--exec", "true"), code=2)
    assert "has no {dir}" in result.stderr
