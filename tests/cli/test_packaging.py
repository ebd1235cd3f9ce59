"""Wheel and source archive hold what they should, and the scripts are sound."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.specifiers import SpecifierSet

from hpc_remetrics import __version__

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("scripts/quickstart", "scripts/test", "scripts/lib.sh", ".ci/run")


IGNORED = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
BUILD = "import sys, setuptools.build_meta as build; getattr(build, sys.argv[1])(sys.argv[2])"


@dataclass(frozen=True)
class Built:
    """What was built of a copy of the repository.

    :ivar copy: the copy, which nothing was built in but the source archive.
    :ivar unpacked: what the source archive holds.
    :ivar wheel: the wheel that was built of that.
    """

    copy: Path
    unpacked: Path
    wheel: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Built:
    directory = tmp_path_factory.mktemp("built")
    copy = shutil.copytree(
        ROOT, directory / "copy", ignore=shutil.ignore_patterns(".git", *IGNORED)
    )
    subprocess.run(
        [sys.executable, "-c", BUILD, "build_sdist", directory], cwd=copy, check=True, timeout=300
    )
    with tarfile.open(directory / f"hpc_remetrics-{__version__}.tar.gz") as archive:
        archive.extractall(directory)
    unpacked = directory / f"hpc_remetrics-{__version__}"
    subprocess.run(
        [sys.executable, "-c", BUILD, "build_wheel", directory],
        cwd=unpacked,
        check=True,
        timeout=300,
    )
    (wheel,) = directory.glob("*.whl")
    return Built(copy, unpacked, wheel)


def files_in(directory: Path) -> set[str]:
    """Return the files below a directory but those that a build makes."""
    found = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return {str(path) for path in found if "hpc_remetrics.egg-info" not in path.parts}


@pytest.mark.slow
def test_the_wheel_holds_every_module(built):
    with zipfile.ZipFile(built.wheel) as archive:
        names = archive.namelist()
    package = ROOT / "hpc_remetrics"
    here = {str(path.relative_to(ROOT)) for path in package.rglob("*.py")}
    assert here | {"hpc_remetrics/py.typed"} <= set(names)
    assert any(name.endswith("LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]


@pytest.mark.slow
def test_the_source_archive_holds_the_repository(built):
    assert files_in(built.copy) - files_in(built.unpacked) == set()
    assert os.access(built.unpacked / "scripts" / "quickstart", os.X_OK)


@pytest.mark.slow
def test_tests_run_from_the_source_archive(built):
    """Those that read files of the repository: pages, scripts, modules."""
    tests = ("tests/docs", "tests/cli/test_packaging.py", "tests/test_architecture.py")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "not slow", *tests]
    result = subprocess.run(command, cwd=built.unpacked, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout


@pytest.mark.slow
def test_an_index_can_show_the_package(built):
    with zipfile.ZipFile(built.wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        about = Metadata.from_email(archive.read(name))
    assert about.license_expression == "Apache-2.0"
    assert about.keywords and about.author and about.classifiers
    assert about.requires_python == SpecifierSet(">=3.10")
    assert about.description.startswith("# hpc_remetrics")
    assert about.description_content_type == "text/markdown"


def test_the_page_of_the_package_leads_nowhere_in_the_repository():
    page = (ROOT / "docs" / "package.md").read_text()
    assert re.findall(r"\]\((?!https://)", page) == []


def test_every_directory_with_modules_is_a_package():
    directories = {path.parent for path in (ROOT / "hpc_remetrics").rglob("*.py")}
    assert [
        directory for directory in directories if not (directory / "__init__.py").exists()
    ] == []


def test_constraints_pin_everything():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [
        pin
        for pin in pins
        if not re.fullmatch(r"[\w.-]+==[\w.]+(; python_version (<|>=) \"3\.\d+\")?", pin)
    ] == []
    pinned = {re.split("==", pin)[0].lower().replace("_", "-") for pin in pins}
    wanted = re.findall(
        r"^    ([a-z0-9.-]+)(?:[>=;<].*)?$",
        (ROOT / "setup.cfg").read_text().partition("install_requires")[2],
        re.M,
    )
    assert set(wanted) - pinned == set()


def packages_of(extra: str) -> set[str]:
    """Return the names of the packages that an extra brings, those of other extras in it too."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    found = set()
    for line in setup["options.extras_require"][extra].split("\n"):
        others = re.match(r"hpc-remetrics\[(.*)\]", line)
        if others:
            found |= {name for other in others[1].split(",") for name in packages_of(other)}
        elif line and not line.startswith("#"):
            found.add(re.match(r"[\w.-]+", line)[0])
    return found


def test_no_extra_brings_two_mpi_libraries():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = list(setup["options.extras_require"])
    assert [name for name in extras if {"mpich", "openmpi"} <= packages_of(name)] == []
    assert packages_of("all") == {
        name for extra in set(extras) - {"all", "openmpi", "test"} for name in packages_of(extra)
    }


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_can_be_read_by_their_shell(script):
    assert subprocess.run(["bash", "-n", ROOT / script]).returncode == 0
    if not script.endswith(".sh"):
        assert (ROOT / script).stat().st_mode & 0o111


@pytest.mark.parametrize("script", ["scripts/quickstart", "scripts/test"])
def test_scripts_tell_what_they_do(script):
    result = subprocess.run([ROOT / script, "--help"], capture_output=True, text=True)
    assert result.returncode == 0
    assert f"  {script} [" in result.stdout


def test_make_help_lists_every_target():
    if not shutil.which("make"):
        pytest.skip("no make")
    text = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert {line.split()[0] for line in text.splitlines()} == set(phony.split())
