"""Datasets and parts are read in one place each, where everything that strangers may have made is
checked."""

import ast

from support.package import calls

HDF5 = {
    "dataset/stored_file.py": "for reading, with every bound",
    "dataset/hdf5.py": "for writing, through `Sink`",
    "parts/part_writer.py": "a part that this process has just written on scratch",
}


def callers(name: str) -> set[str]:
    """Return the modules that call a function by this name."""
    return {module for module, called, _ in calls() if called == name}


def test_nothing_else_opens_hdf5_files():
    assert callers("h5py.File") == set(HDF5)


def test_nothing_else_looks_at_what_such_a_file_holds():
    """Table and ChunkReader are the ways to values, and StoredFile is known to few modules."""
    assert callers("StoredFile") <= {
        "dataset/reader.py",
        "dataset/stored_file.py",
    }


def test_parts_and_notes_are_opened_without_following_links():
    for module in ("parts/part_reader.py", "gather/placed_reader.py", "parts/job_notes.py"):
        opened = [
            call
            for caller, called, call in calls()
            if caller == module and called in ("open_regular", "read_whole")
        ]
        assert opened
        for call in opened:
            follow = {word.arg: ast.unparse(word.value) for word in call.keywords}.get("follow")
            assert follow == "False", f"{module}:{call.lineno}"
