"""Thousands of real files: the types are those that `file --brief` gives, and few are in no
group."""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter

import pytest

from hpc_remetrics.filetype.heads import head_of
from hpc_remetrics.filetype.held_content import ContentBytes, keep
from hpc_remetrics.filetype.shared_table import TypeTable
from hpc_remetrics.filetype.taxonomy import classify
from hpc_remetrics.filetype.typer import Typer

pytestmark = pytest.mark.slow

FILES = 4_000
LARGEST = 64 << 20
ROOTS = {"/usr", "/etc", sys.prefix, sys.base_prefix, sysconfig.get_path("purelib")}


def _paths() -> list[bytes]:
    """List the machine's regular files, many of each name's ending before many of one."""
    endings: dict[bytes, list[bytes]] = {}
    for root in sorted(ROOTS):
        for directory, _, names in os.walk(os.fsencode(root)):
            for name in names:
                path = os.path.join(directory, name)
                if b"\n" not in path:
                    endings.setdefault(os.path.splitext(name)[1], []).append(path)
    rng = random.Random(2017)
    ranked = []
    for paths in endings.values():
        rng.shuffle(paths)
        ranked += [(rank * rng.random(), path) for rank, path in enumerate(paths)]
    return [path for _, path in sorted(ranked)]


@pytest.fixture(scope="module")
def contents() -> dict[bytes, tuple[bytes, bytes]]:
    """Map digests to a path and the bytes, for distinct contents."""
    found: dict[bytes, tuple[bytes, bytes]] = {}
    for path in _paths():
        if len(found) >= FILES:
            break
        try:
            if (
                not os.path.islink(path)
                and os.path.isfile(path)
                and os.path.getsize(path) < LARGEST
            ):
                with open(path, "rb") as file:
                    data = file.read()
                found.setdefault(hashlib.sha256(data).digest(), (path, data))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def file() -> str:
    """The path of `file`."""
    found = shutil.which("file")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no `file`: apt-get install file")
        pytest.skip("there is no `file` here")
    return found


def held(data: bytes) -> ContentBytes:
    """Return what the pass over a layer holds of a content."""
    return keep(
        [data[at : at + 70_000] for at in range(0, len(data), 70_000)], len(data), None, len
    )


def _brief(file: str, paths: list[bytes], directory) -> list[str]:
    (directory / "list").write_bytes(b"".join(path + b"\n" for path in paths))
    output = subprocess.run(
        [file, "--brief", "--files-from", directory / "list"], capture_output=True, check=True
    ).stdout
    return output.decode("utf-8", "backslashreplace").split("\n")[:-1]


@pytest.mark.parametrize("mode", ["plain", "exact"])
def test_types_are_those_of_file(contents, file, tmp_path, mode):
    table = TypeTable(tmp_path / "types")
    typer = Typer(mode, table)
    ours = [
        table.description(typer.type_of(digest, held(data), len(data)))
        for digest, (_, data) in contents.items()
    ]
    theirs = [
        head_of(text) for text in _brief(file, [path for path, _ in contents.values()], tmp_path)
    ]
    assert len(ours) == len(theirs) > 1_000
    differ = [
        (path, mine, other)
        for (path, _), mine, other in zip(contents.values(), ours, theirs, strict=True)
        if mine != other
    ]
    assert not differ


def test_few_types_and_few_in_no_group(contents, tmp_path):
    table = TypeTable(tmp_path / "types")
    typer = Typer("plain", table)
    heads = Counter(
        table.description(typer.type_of(digest, held(data), len(data)))
        for digest, (_, data) in contents.items()
    )
    groups: Counter[str] = Counter()
    for head, count in heads.items():
        groups[classify(head).group] += count
    print(
        f"{heads.total()} files, {len(heads)} heads, other {groups['other']}, data {groups['data']}"
    )
    assert len(heads) < len(contents) // 5
    unknown = [head for head in heads if classify(head).group == "other"]
    assert groups["other"] < 0.01 * heads.total(), unknown
