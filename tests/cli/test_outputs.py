"""Outputs: what is replaced without asking, what only with --force, and refusals."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from support import small_images
from support.runs import Runs

import hpc_remetrics
from hpc_remetrics import cli

FAST = ("--types", "none")


class Forked(Runs):
    """Runs commands in forks of this process, which has imported everything: a tenth of the
    time."""

    def run(
        self, command: list[str], code: int = 0, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        said = [
            self.directory.with_name(f"{self.directory.name}.{stream}") for stream in ("out", "err")
        ]
        process = os.fork()
        if not process:
            self._become(command[3:], said)
        _, status = os.waitpid(process, 0)
        result = subprocess.CompletedProcess(
            command, os.waitstatus_to_exitcode(status), *(path.read_text() for path in said)
        )
        assert result.returncode == code, (
            f"{result.returncode}, wanted {code}\n{result.stdout}\n{result.stderr}"
        )
        return result

    def _become(self, arguments: list[str], said: list[Path]) -> None:
        code = 70
        try:
            for number, path in enumerate(said, 1):
                os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
            sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
            sys.argv = ["hpc-remetrics", *arguments]
            os.chdir(self.directory)
            code = cli.main(arguments)
        finally:
            os._exit(code)


@pytest.fixture
def runs(tmp_path):
    return Forked(tmp_path)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Two layouts with other layers, and a third that has all of the first."""
    directory = tmp_path_factory.mktemp("images")
    first = small_images.build(directory)
    for name, tags in (("two", ["two:1"]), ("one", ["one:1"])):
        shutil.copytree(first, directory / name)
        index = hpc_index(directory / name)
        index["manifests"] = [
            entry
            for entry in index["manifests"]
            if entry["annotations"]["org.opencontainers.image.ref.name"] in tags
        ]
        write_index(directory / name, index)
    return directory


def hpc_index(layout: Path):
    return json.loads((layout / "index.json").read_text())


def write_index(layout: Path, index) -> None:
    (layout / "index.json").write_text(json.dumps(index))


@pytest.fixture(scope="module")
def made(tmp_path_factory, images) -> Path:
    """A dataset of the layout `one`, with its parts."""
    runs = Forked(tmp_path_factory.mktemp("made"))
    runs.run(runs.analyze(f"oci:{images / 'one'}", runs.directory / "one.h5", *FAST))
    return runs.directory / "one.h5"


@pytest.fixture
def dataset(runs, made) -> Path:
    """A copy of that dataset without its parts."""
    shutil.copy(made, runs.directory / "d.h5")
    return runs.directory / "d.h5"


def state(directory: Path) -> dict[str, str]:
    """Return all files of a directory with what they hold."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else ""
        for path in directory.rglob("*")
    }


def refused(runs: Runs, command: list[str], code: int = 2) -> str:
    """Run a command that must be refused, with one line, and change nothing."""
    before = state(runs.directory)
    result = runs.run(command, code)
    assert state(runs.directory) == before
    assert "Traceback" not in result.stderr
    (line,) = (
        line for line in result.stderr.splitlines() if line.startswith("hpc-remetrics: error: ")
    )
    return line


def text_file(path: Path) -> Path:
    path.write_text("precious\n")
    return path


def other_hdf5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["precious"] = [1, 2, 3]
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words", "make"),
    [
        ("a.h5", ("analyze", "oci:ONE", "-o", "a.h5", *FAST), text_file),
        ("a.h5", ("analyze", "oci:ONE", "-o", "a.h5", *FAST), other_hdf5),
        ("m.h5", ("merge", "d.h5", "-o", "m.h5"), other_hdf5),
        ("p.html", ("report", "d.h5", "--html", "p.html"), text_file),
        ("f/figure-03-layer-files.png", ("plot", "d.h5", "--figure", "3", "-o", "f"), text_file),
        (
            "t/layers.csv",
            ("export", "d.h5", "--format", "csv", "-o", "t", "--table", "layers"),
            text_file,
        ),
        (
            "t/layers.jsonl",
            ("export", "d.h5", "--format", "json", "-o", "t", "--table", "layers"),
            text_file,
        ),
        ("t/layers.parquet", ("export", "d.h5", "-o", "t", "--table", "layers"), text_file),
        (
            "old/job_list_dir/list_less_50m.json",
            ("export", "d.h5", "--format", "seed2017", "-o", "old"),
            text_file,
        ),
    ],
)
def test_a_foreign_file_is_replaced_by_force_alone(runs, images, dataset, name, words, make):
    command = runs.command(*(word.replace("ONE", str(images / "one")) for word in words))
    target = runs.directory / name
    target.parent.mkdir(parents=True, exist_ok=True)
    make(target)
    assert "--force" in refused(runs, command)
    runs.run([*command, "--force"])
    # From now on it is the program's own.
    runs.run(command)


@pytest.mark.slow
def test_an_empty_file_is_as_none(runs, images):
    """As `mktemp` makes it, to be the output."""
    (runs.directory / "a.h5").touch()
    runs.run(runs.analyze(f"oci:{images / 'one'}", "a.h5", *FAST))


@pytest.mark.slow
def test_a_dataset_of_other_sources_is_not_lost(runs, images, dataset):
    line = refused(runs, runs.analyze(f"oci:{images / 'two'}", dataset, *FAST))
    assert f"oci:{images / 'one'}" in line and "6 layers" in line and "--force" in line
    runs.run(runs.analyze(f"oci:{images / 'two'}", dataset, *FAST, "--force"))
    with hpc_remetrics.open(dataset) as data:
        assert data.images.readable("name").tolist() == ["two:1"]
        assert data.sources == [f"oci:{images / 'two'}"]


@pytest.mark.slow
def test_a_dataset_whose_layers_the_parts_hold_is_replaced(runs, images, dataset, made):
    shutil.copytree(f"{made}.parts", f"{dataset}.parts")
    runs.run(runs.analyze(f"oci:{images / 'two'}", dataset, *FAST))
    # All parts are still there, of both.
    runs.run(runs.analyze(f"oci:{images / 'one'}", dataset, *FAST))
    next(Path(f"{dataset}.parts").glob("part-*")).unlink()
    runs.run(runs.analyze(f"oci:{images / 'one'}", dataset, *FAST))


@pytest.mark.slow
def test_more_sources_and_sources_that_changed_replace_a_dataset(runs, images, dataset):
    one, two = f"oci:{images / 'one'}", f"oci:{images / 'two'}"
    # From another directory, by a path that is not the same.
    relative = f"oci:{os.path.relpath(images / 'one', runs.directory)}"
    runs.run([*runs.analyze(relative, dataset, *FAST), two])
    with hpc_remetrics.open(dataset) as data:
        assert data.sources == [one, two]
    shutil.rmtree(f"{dataset}.parts")
    assert "would be lost" in refused(runs, runs.analyze(one, dataset, *FAST))


@pytest.mark.slow
def test_one_image_of_a_layout_is_covered_by_all_of_it(runs, images):
    runs.run(runs.analyze(f"oci:{images / 'layout'}:one:1", "d.h5", *FAST))
    shutil.rmtree(runs.directory / "d.h5.parts")
    runs.run(runs.analyze(f"oci:{images / 'layout'}", "d.h5", *FAST))
    shutil.rmtree(runs.directory / "d.h5.parts")
    refused(runs, runs.analyze(f"oci:{images / 'layout'}:one:1", "d.h5", *FAST))


@pytest.mark.slow
def test_the_demo_is_no_loss(runs, images):
    runs.run(runs.analyze(f"demo:{runs.directory / 'demo'}", "d.h5", *FAST))
    shutil.rmtree(runs.directory / "d.h5.parts")
    runs.run(runs.analyze(f"oci:{images / 'one'}", "d.h5", *FAST))


@pytest.mark.slow
def test_other_options_over_the_same_sources_replace_a_dataset(runs, images, dataset):
    """The sources can give again what they gave."""
    one = f"oci:{images / 'one'}"
    runs.run(runs.analyze(one, dataset, "--types", "plain"))
    shutil.rmtree(f"{dataset}.parts")
    runs.run(runs.analyze(one, dataset, *FAST, "--platform", "linux/amd64"))


@pytest.mark.slow
def test_a_file_that_does_not_say_its_sources(runs, images, dataset):
    with h5py.File(dataset, "r+") as file:
        del file["run/sources"]
    one = runs.analyze(f"oci:{images / 'one'}", dataset, *FAST)
    assert "unknown sources" in refused(runs, one)
    with h5py.File(dataset, "r+") as file:
        del file["run"]
    refused(runs, one)
    runs.run([*one, "--force"])


@pytest.mark.slow
def test_a_dataset_of_another_version_or_a_damaged_one(runs, images, dataset):
    with h5py.File(dataset, "r+") as file:
        file.attrs["schema_version"] = 99
    assert "version 99" in refused(runs, runs.analyze(f"oci:{images / 'one'}", dataset, *FAST))
    data = dataset.read_bytes()
    dataset.write_bytes(data[: len(data) // 2])
    refused(runs, runs.analyze(f"oci:{images / 'one'}", dataset, *FAST))


@pytest.mark.slow
def test_a_merge_knows_the_sources_of_all(runs, images, dataset):
    one, two = f"oci:{images / 'one'}", f"oci:{images / 'two'}"
    runs.run(runs.analyze(two, "two.h5", *FAST))
    merge = runs.command("merge", dataset, "two.h5", "-o", "all.h5")
    runs.run(merge)
    with hpc_remetrics.open(runs.directory / "all.h5") as data:
        assert data.sources == [one, two]
    runs.run(merge)
    assert "would be lost" in refused(runs, runs.analyze(two, "all.h5", *FAST))
    assert "would be lost" in refused(runs, runs.command("merge", "two.h5", "-o", "all.h5"))
    runs.run([*runs.analyze(two, "all.h5", *FAST), one])


@pytest.mark.slow
def test_an_input_is_never_an_output(runs, images, dataset):
    (runs.directory / "link.h5").symlink_to(dataset)
    os.link(dataset, runs.directory / "second.h5")
    archive = runs.directory / "images.tar"
    subprocess.run(["tar", "-cf", archive, "-C", images / "one", "."], check=True)
    repositories = text_file(runs.directory / "repositories.csv")
    repositories.write_text("1,2,localhost:1/a/b\n")
    commands = [
        runs.command("report", dataset, "--html", dataset),
        runs.command("report", dataset, "--html", "link.h5"),
        runs.command("report", "second.h5", "--html", dataset),
        runs.command("merge", dataset, "-o", dataset),
        runs.command("merge", "link.h5", "-o", dataset),
        runs.analyze(f"oci-archive:{archive}", archive, *FAST),
        runs.analyze(f"oci:{images / 'one'}", images / "one" / "index.json", *FAST),
        runs.analyze(f"repos:{repositories}", repositories, *FAST),
        runs.analyze(f"oci:{images / 'one'}", dataset, "--warm-types", dataset),
    ]
    for command in commands:
        for words in (command, [*command, "--force"]):
            line = refused(runs, words)
            assert "input" in line, line
    line = refused(runs, runs.command("download", repositories, "-o", "mirror", "-r", repositories))
    assert "input" in line


@pytest.mark.slow
def test_what_is_read_only_stays(runs, images, dataset):
    dataset.chmod(0o444)
    assert "read-only" in refused(
        runs, runs.command("reduce", dataset, "--scratch", runs.scratch), 5
    )
    one = runs.analyze(f"oci:{images / 'one'}", dataset, *FAST, "--chunks")
    assert "read-only" in refused(runs, one, 5)
    page = runs.directory / "p.html"
    runs.run(runs.command("report", dataset, "--html", page))
    page.chmod(0o444)
    assert "read-only" in refused(runs, runs.command("report", dataset, "--html", page), 5)
    dataset.chmod(0o644)
    runs.run(runs.command("reduce", dataset, "--scratch", runs.scratch))


@pytest.mark.slow
def test_what_fails_at_once_leaves_nothing(runs, images, dataset):
    """No lock, no directory, whatever is wrong."""
    commands = [
        (runs.analyze("oci:/nowhere", "new/directory/a.h5", *FAST), 2),
        (runs.analyze(f"oci:{images / 'one'}", "a.h5", *FAST, "--keep", "kept"), 2),
        (runs.analyze(f"oci:{images / 'one'}", "/dev/null/a.h5", *FAST), 5),
        (
            runs.command(
                "analyze", f"oci:{images / 'one'}", "-o", "new/a.h5", "--scratch", "/dev/null/x"
            ),
            5,
        ),
        (runs.command("merge", "none.h5", dataset, "-o", "new/m.h5"), 2),
        (runs.command("merge", dataset, "-o", "new/m.h5", "--scratch", "/dev/null/x"), 5),
        (runs.command("reduce", dataset, "--scratch", "/dev/null/x"), 5),
        (runs.command("crawl", "catalog:localhost:1", "-o", "new/list.csv", "--tries", "1"), 2),
        (runs.command("download", "none.csv", "-o", "new/mirror"), 2),
        (runs.command("report", "none.h5", "--html", "new/p.html"), 2),
    ]
    for command, code in commands:
        refused(runs, command, code)


@pytest.mark.slow
def test_missing_directories_of_an_output_are_made(runs, images, dataset):
    runs.run(runs.analyze(f"oci:{images / 'one'}", "new/directory/a.h5", *FAST))
    runs.run(runs.command("merge", dataset, "-o", "new/other/m.h5"))
    runs.run(runs.command("report", dataset, "--html", "new/pages/p.html"))
    runs.run(runs.command("plot", dataset, "--figure", 3, "-o", "new/figures"))


@pytest.mark.slow
def test_a_link_to_a_dataset_stays_a_link(runs, images, dataset):
    (runs.directory / "current.h5").symlink_to("d.h5")
    runs.run([*runs.analyze(f"oci:{images / 'one'}", "current.h5", *FAST), f"oci:{images / 'two'}"])
    assert (runs.directory / "current.h5").is_symlink()
    with hpc_remetrics.open(dataset) as data:
        assert len(data.images) == 2


@pytest.mark.slow
def test_files_of_something_else_beside_the_output_stay(runs, images):
    for name in ("a.h5.lock", "list.csv.journal", "list.csv.about.json", "list.csv"):
        text_file(runs.directory / name)
    line = refused(runs, runs.analyze(f"oci:{images / 'one'}", "a.h5", *FAST), 5)
    assert "a.h5.lock" in line
    crawl = runs.command("crawl", "catalog:localhost:1", "-o", "list.csv")
    assert "list.csv exists" in refused(runs, crawl)
    (runs.directory / "list.csv").unlink()
    assert "list.csv.about.json exists" in refused(runs, crawl)
    (runs.directory / "list.csv.about.json").unlink()
    assert "list.csv.journal exists" in refused(runs, crawl, 5)
