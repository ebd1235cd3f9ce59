"""Other versions of libmagic than the machine's, from a wheel and from packages of Debian: programs
are run with one of them."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sysconfig
from pathlib import Path
from typing import NamedTuple

from .tools import lack, need

RELEASES = {"bullseye": "libmagic1", "trixie": "libmagic1t64"}
"""Releases of Debian that are on its mirrors -> the package of the library."""

REPOSITORY = Path(__file__).resolve().parents[2]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class OtherLibmagic(NamedTuple):
    """How a program is run with another libmagic.

    :ivar command: what stands before the program and its arguments: the loader of another C library.
    :ivar environment: what is added to the environment.
    :ivar program: `file` of that version, if there is one.
    """

    command: list[str]
    environment: dict[str, str]
    program: Path | None = None

    def run(self, *program: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program, and return what it printed."""
        environment = os.environ | self.environment
        command = [*self.command, *map(str, program)]
        return subprocess.run(
            command,
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def of_wheel() -> OtherLibmagic:
    """Return the libmagic 5.41 of the package pylibmagic."""
    spec = importlib.util.find_spec("pylibmagic")
    if spec is None or spec.origin is None:
        lack("pylibmagic is not installed")
        raise AssertionError
    directory = Path(spec.origin).parent
    return OtherLibmagic([], _environment(directory, directory / "magic.mgc"))


def of_release(release: str, directory: Path) -> OtherLibmagic:
    """Return the libmagic of a release of Debian; its packages are unpacked in the directory.

    A library that needs a newer C library than the machine's is given its own.
    """
    _download(release, ["file", "libc6", "libmagic-mgc", RELEASES[release]], directory)
    tree = directory / "tree"
    for package in sorted(directory.glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", package, tree], check=True)
    libraries = tree / "usr/lib" / sysconfig.get_config_var("MULTIARCH")
    environment = _environment(libraries, tree / "usr/lib/file/magic.mgc")
    program = directory / "file"
    command = []
    if _libc_version(directory) > _as_version(platform.libc_ver()[1]):
        loader = next(tree.glob("usr/lib*/ld-linux*"), None) or next(libraries.glob("ld-linux*"))
        command = [str(loader), "--library-path", str(libraries)]
        del environment["LD_LIBRARY_PATH"]
    words = " ".join([*command, str(tree / "usr/bin/file")])
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    program.chmod(0o755)
    return OtherLibmagic(command, environment, program)


def _environment(libraries: Path, database: Path) -> dict[str, str]:
    return {"LD_LIBRARY_PATH": str(libraries), "MAGIC": str(database)}


def _download(release: str, packages: list[str], directory: Path) -> None:
    """Download packages of another release from the mirror that the machine's own come from."""
    need("apt-get")
    targets = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(SUITE) $(REPO_URI)"]
    lines = subprocess.run(targets, capture_output=True, text=True, check=True).stdout.splitlines()
    mirrors = [line.split()[2] for line in lines if line.startswith("Debian ")]
    mirrors = [mirror for mirror in mirrors if "security" not in mirror]
    if not mirrors:
        lack("apt-get knows no mirror of Debian")
    (directory / "sources.list").write_text(
        f"deb [signed-by={KEYRING}] {mirrors[0]} {release} main\n"
    )
    for name in ("lists/partial", "cache/archives/partial"):
        (directory / name).mkdir(parents=True)
    (directory / "status").touch()
    settings = {
        "Dir::Etc::SourceList": "sources.list",
        "Dir::Etc::SourceParts": "none",
        "Dir::State::Lists": "lists",
        "Dir::State::Status": "status",
        "Dir::Cache": "cache",
    }
    options = [f"-o{name}={directory / value}" for name, value in settings.items()]
    for words in (["update"], ["download", *packages]):
        command = ["apt-get", "-q", *options, *words]
        subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)


def _libc_version(directory: Path) -> tuple[int, ...]:
    """Return the version of the C library among the packages."""
    package = next(directory.glob("libc6_*.deb"))
    fields = ["dpkg-deb", "--field", str(package), "Version"]
    text = subprocess.run(fields, capture_output=True, text=True, check=True).stdout
    return _as_version(text.partition("-")[0])


def _as_version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.strip().split("."))
