"""Thousands of real files: the types are those that `file --brief` gives, and few are in no group."""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter

import pytest

from hpc_remetrics.profile.filetype import Typer
from hpc_remetrics.profile.heads import head_of
from hpc_remetrics.profile.taxonomy import classify
from hpc_remetrics.profile.typetable import TypeTable

FILES = 4_000
LARGEST = 64 << 20
ROOTS = {"/usr", "/etc", sys.prefix, sys.base_prefix, sysconfig.get_path("purelib")}


def _paths() -> list[bytes]:
    """List the machine's regular files, many of each name's ending before many of one."""
    endings: dict[bytes, list[bytes]] = {}
    for root in sorted(ROOTS):
        for folder, _, names in os.walk(os.fsencode(root)):
            for name in names:
                path = os.path.join(folder, name)
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
            if not os.path.islink(path) and os.path.isfile(path) and os.path.getsize(path) < LARGEST:
                with open(path, "rb") as file:
                    data = file.read()
                found.setdefault(hashlib.sha256(data).digest(), (path, data[: 8 << 20]))
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


def _brief(file: str, paths: list[bytes], folder) -> list[str]:
    (folder / "list").write_bytes(b"".join(path + b"\n" for path in paths))
    output = subprocess.run([file, "--brief", "--files-from", folder / "list"], capture_output=True, check=True).stdout
    return output.decode("utf-8", "backslashreplace").split("\n")[:-1]


def _brief_of_stream(file: str, data: bytes) -> str:
    output = subprocess.run([file, "--brief", "-"], input=data, capture_output=True, check=True).stdout
    return output.decode("utf-8", "backslashreplace").rstrip("\n")


def test_types_are_those_of_file(contents, file, tmp_path):
    table = TypeTable(tmp_path / "types")
    typer = Typer("plain", table)
    ours = [
        table.description(typer.type_of(digest, data, os.path.getsize(path)))
        for digest, (path, data) in contents.items()
    ]
    theirs = [head_of(text) for text in _brief(file, [path for path, _ in contents.values()], tmp_path)]
    assert len(ours) == len(theirs) > 1_000
    differ, by_the_end = [], []
    for (path, data), mine, other in zip(contents.values(), ours, theirs, strict=True):
        if mine != other:
            # A few archives are known by the end of the file alone. A stream has none to look at.
            agrees = head_of(_brief_of_stream(file, data)) == mine
            (by_the_end if agrees else differ).append((path, mine, other))
    assert not differ
    assert len(by_the_end) <= len(ours) // 1_000, by_the_end


def test_few_types_and_few_in_no_group(contents, tmp_path):
    table = TypeTable(tmp_path / "types")
    typer = Typer("plain", table)
    heads = Counter(table.description(typer.type_of(digest, data, len(data))) for digest, (_, data) in contents.items())
    groups: Counter[str] = Counter()
    for head, count in heads.items():
        groups[classify(head).group] += count
    print(f"{heads.total()} files, {len(heads)} heads, other {groups['other']}, data {groups['data']}")
    assert len(heads) < len(contents) // 5
    unknown = [head for head in heads if classify(head).group == "other"]
    assert groups["other"] < 0.01 * heads.total(), unknown


def test_a_file_known_by_its_end_is_typed_by_its_beginning(file, tmp_path):
    (tmp_path / "one").write_text("one")
    archive = tmp_path / "archive"
    shutil.make_archive(str(archive), "zip", tmp_path, ".")
    path = tmp_path / "prepended"
    path.write_bytes(b"#!/usr/bin/env python3\n" + archive.with_suffix(".zip").read_bytes())
    table = TypeTable(tmp_path / "types", 64)
    data = path.read_bytes()
    ours = table.description(Typer("plain", table).type_of(hashlib.sha256(data).digest(), data, len(data)))
    assert ours == head_of(_brief_of_stream(file, data)) == "Python script"
