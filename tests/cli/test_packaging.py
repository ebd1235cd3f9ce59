"""The wheel holds everything that the program needs, and the scripts are sound."""

import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hpc_remetrics import __version__

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("scripts/quickstart", "scripts/test", "scripts/lib.sh", ".ci/run")


@pytest.mark.slow
def test_the_wheel_holds_every_module(tmp_path):
    copy = tmp_path / "copy"
    skip = shutil.ignore_patterns(
        ".git", ".venv", "*.egg-info", "build", "__pycache__", ".*_cache", "tests"
    )
    shutil.copytree(ROOT, copy, ignore=skip)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, copy]
    subprocess.run(command, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    assert f"-{__version__}-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package = ROOT / "hpc_remetrics"
    here = {str(path.relative_to(ROOT)) for path in package.rglob("*.py")} | {
        "hpc_remetrics/py.typed"
    }
    assert here <= set(names)
    assert any(name.endswith("LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for path in (ROOT / "hpc_remetrics").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


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
