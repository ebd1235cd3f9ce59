"""The screened answers are libmagic's own with other versions than the machine's: those of a wheel
and of two releases of Debian."""

import io
import re
import sys
import tarfile
from pathlib import Path

import pytest
from support.libmagics import RELEASES, OtherLibmagic, of_release, of_wheel
from support.machine_files import machine_files

from hpc_remetrics.filetype.libmagic.samples import SAMPLES

pytestmark = pytest.mark.slow

TESTS = Path(__file__).with_name("test_exact.py")
CHOSEN = "samples or what_rules_seek or scripts or small_files or with_defaults or kinds_of_lines or end_early"
FILES = 300


@pytest.fixture(scope="module", params=["pylibmagic", *RELEASES])
def other(request, tmp_path_factory) -> OtherLibmagic:
    if request.param == "pylibmagic":
        return of_wheel()
    return of_release(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A tar of the samples and of some files of this machine."""
    path = tmp_path_factory.mktemp("files") / "files.tar"
    with tarfile.open(path, "w") as archive:
        for number, data in enumerate([*SAMPLES, *machine_files(FILES)]):
            member = tarfile.TarInfo(f"file/{number}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_files_are_described_as_that_version_does(other, files):
    program = ["--program", other.program] if other.program else []
    result = other.run(sys.executable, "-m", "benchmarks.types", "--corpus", files, *program)
    assert not result.returncode, result.stdout
    counts = re.search(r"^(\d+) answers, 0 differ", result.stdout, re.MULTILINE)
    assert counts is not None and int(counts[1]) > FILES, result.stdout


def test_files_made_from_its_rules_are_described_as_that_version_does(other):
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "-k", CHOSEN]
    result = other.run(sys.executable, "-m", "pytest", *options, TESTS)
    assert not result.returncode, result.stdout
    assert " passed" in result.stdout and "skipped" not in result.stdout, result.stdout
