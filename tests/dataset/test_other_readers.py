"""Programs that know nothing of this one read every column of every table, with equal values."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.tools import lack, need

pytestmark = pytest.mark.slow

R = Path(__file__).with_name("columns.R")
DIMENSION = b"This is a netCDF dimension but not a netCDF variable"


def is_column(dataset: h5py.Dataset) -> bool:
    """Return whether a dataset has values: a dimension without them has not."""
    return DIMENSION not in dataset.attrs.get("NAME", b"")


@pytest.fixture(scope="module")
def columns(made):
    """Every column of the file, by its path: values as h5py gives them."""
    found = {}

    def add(name, item):
        if isinstance(item, h5py.Dataset) and is_column(item):
            found[f"/{name}"] = item[...]

    with h5py.File(made) as file:
        file.visititems(add)
    assert len(found) > 300
    return found


def tables(columns):
    """Return the path of each table -> the names of its columns."""
    found = {}
    for path in columns:
        table, _, name = path.rpartition("/")
        found.setdefault(table, []).append(name)
    return found


def without_warnings(script: str, *arguments: object) -> None:
    """Run Python that must not warn, with nothing of this program in it."""
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


SAVED = """
import sys
import numpy as np
def save(values):
    np.savez(sys.argv[2], **{name.replace("/", "|"): value for name, value in values.items()})
"""


def check_saved(path, columns):
    """Compare values in a file of numpy with those of all columns."""
    with np.load(path) as saved:
        got = {name.replace("|", "/"): saved[name] for name in saved.files}
    assert set(got) == set(columns)
    for name, values in columns.items():
        assert is_same(got[name], values), name


def is_same(got, values):
    """Return whether two arrays are equal; strings may be decoded in the first one."""
    if values.dtype.kind == "S" and got.dtype.kind != "S":
        values = np.char.decode(values, "utf-8")
    return np.array_equal(got, values, equal_nan=values.dtype.kind == "f")


NEW_PYTHON = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="their pinned releases need Python 3.11"
)


@NEW_PYTHON
def test_pytables(made, columns, tmp_path):
    without_warnings(
        SAVED
        + """
import tables
with tables.open_file(sys.argv[1]) as file:
    leaves = [leaf for leaf in file.walk_nodes("/", "Leaf")]
    assert not any(isinstance(leaf, tables.UnImplemented) for leaf in leaves)
    found = {leaf._v_pathname: leaf[:] for leaf in leaves}
    names = {leaf._v_pathname: str(getattr(leaf.attrs, "NAME", "")) for leaf in leaves}
save({name: one for name, one in found.items() if "not a netCDF variable" not in names[name]})
""",
        made,
        tmp_path / "saved.npz",
    )
    check_saved(tmp_path / "saved.npz", columns)


@NEW_PYTHON
def test_netcdf4(made, columns, tmp_path):
    without_warnings(
        SAVED
        + """
import netCDF4
found = {}
def read(group):
    for name, one in group.variables.items():
        assert "phony" not in str(one.dimensions), (group.path, name, one.dimensions)
        one.set_auto_mask(False)
        values = one[:]
        found[group.path.rstrip("/") + "/" + name] = (
            values.astype(str) if values.dtype == object else values)
    for child in group.groups.values():
        read(child)
with netCDF4.Dataset(sys.argv[1]) as file:
    read(file)
    content = file["entries/content"]
    content.set_auto_mask(True)
    assert (content[:].mask == (found["/entries/content"] == -1)).all()
save(found)
""",
        made,
        tmp_path / "saved.npz",
    )
    check_saved(tmp_path / "saved.npz", columns)


@NEW_PYTHON
@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf"])
def test_xarray(made, columns, engine):
    xarray = pytest.importorskip("xarray")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = xarray.open_groups(made, engine=engine)
    for table, names in tables(columns).items():
        group = opened[table]
        assert set(group.variables) == set(names), table
        assert not any("phony" in str(name) for name in group.sizes), table
        for name in names:
            values = columns[f"{table}/{name}"]
            got = group[name].values
            if (fill := group[name].encoding.get("_FillValue")) is not None:
                assert np.isnan(got).tolist() == (values == fill).tolist(), f"{table}/{name}"
                got = np.where(np.isnan(got), float(fill), got)
            assert is_same(got, values), f"{table}/{name}"
    for group in opened.values():
        group.close()


@NEW_PYTHON
@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf"])
def test_xarray_opens_any_time(made, tmp_path, engine):
    """A tar may set any time, and xarray decodes times when it opens a file."""
    xarray = pytest.importorskip("xarray")
    times = [1 << 62, -(1 << 63)]
    shutil.copy(made, tmp_path / "made.h5")
    with h5py.File(tmp_path / "made.h5", "r+") as file:
        file["entries/mtime"][:2] = times
    with xarray.open_dataset(tmp_path / "made.h5", group="entries", engine=engine) as entries:
        assert entries["mtime"].values[:2].tolist() == times


@pytest.mark.parametrize("package", ["hdf5r", "rhdf5"])
def test_r(made, columns, tmp_path, package):
    need_r(package)
    # rhdf5 fails at columns of 64 bits without a value, and at unsigned ones of 32
    wide = {np.dtype("<i8"), np.dtype("<u4")}
    read = {
        name: values
        for name, values in columns.items()
        if package == "hdf5r" or len(values) or values.dtype not in wide
    }
    (tmp_path / "names").write_text("".join(f"{name}\n" for name in read))
    command = [need("Rscript"), R, package, made, tmp_path / "names"]
    result = subprocess.run(command, capture_output=True, text=True)
    # rhdf5 says of the missing value of times that it is one
    said = re.sub(r"(The value -2\^63 .*|This has been converted to NA .*)\n", "", result.stderr)
    assert (result.returncode, said) == (0, "")
    lines = dict(line.rstrip().partition(" ")[::2] for line in result.stdout.splitlines())
    assert set(lines) == set(read)
    with h5py.File(made) as file:
        for name, values in read.items():
            words = h5py.check_enum_dtype(file[name].dtype)
            want = as_r_has_them(values, words, lines[name])
            assert " ".join(want).rstrip() == lines[name], name


def as_r_has_them(values, words, got):
    """Return values as columns.R prints them; enums are words in rhdf5 and numbers in hdf5r."""
    if words and got and not got[0].isdigit():
        word_of = {number: word for word, number in words.items()}
        return [word_of[number] for number in values.tolist()]
    if values.dtype.kind == "S":
        return [value.hex() for value in values.tolist()]
    if values.dtype.kind == "f":
        return ["NaN" if value != value else f"{value:.17g}" for value in values.tolist()]
    # The missing value of times is what `bit64` takes for a missing integer, too
    return ["NA" if one == -(1 << 63) else str(one) for one in values.reshape(-1).tolist()]


def need_r(package):
    """Skip where an R package is missing; in CI that is a failure, as for programs."""
    looked = f'quit(status = !requireNamespace("{package}", quietly = TRUE))'
    found = subprocess.run([need("Rscript"), "-e", looked], capture_output=True)
    if found.returncode:
        lack(f"the R package {package} is not installed")


def test_h5dump_and_h5ls(made, columns, tmp_path):
    """h5dump writes the same bytes, and prints the whole file; h5ls lists every column."""
    listed = subprocess.run([need("h5ls"), "-r", made], capture_output=True, text=True)
    assert (listed.returncode, listed.stderr) == (0, "")
    names = {line.split()[0] for line in listed.stdout.splitlines() if " Dataset " in line}
    assert set(columns) <= names
    dumped = subprocess.run([need("h5dump"), made], capture_output=True)
    assert (dumped.returncode, dumped.stderr) == (0, b"")
    for name in ("/contents/digest", "/contents/gzip", "/entries/path"):
        output = tmp_path / "bytes"
        command = [need("h5dump"), "-d", name, "-b", "LE", "-o", output, made]
        assert subprocess.run(command, capture_output=True).returncode == 0
        assert output.read_bytes() == columns[name].tobytes(), name
