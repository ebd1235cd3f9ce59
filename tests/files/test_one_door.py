"""Files are opened for writing in one module; what else writes is listed here, with its reason."""

from __future__ import annotations

import ast
import re

from support.package import calls, modules

DOOR = "files/writing.py"

# (module, call): why it need not go through the door.
ALLOWED = {
    ("files/publish.py", "open"): "a second descriptor of a file that the door has created",
    ("files/publish.py", "os.replace"): "within a directory that is held open",
    ("files/publish.py", "os.open"): "for reading: to sync a file or a directory",
    ("files/journal.py", "os.ftruncate"): "a descriptor of the door's",
    ("files/lock.py", "os.ftruncate"): "a descriptor of the door's",
    ("files/lock.py", "os.fchmod"): "a descriptor of the door's",
    ("files/lock.py", "os.open"): "for reading, by `status`",
    ("files/path_walk.py", "os.open"): "O_PATH: descriptors that hold a directory and can't write",
    ("streams.py", "os.open"): "/dev/null, for standard streams that are closed",
    ("registry/blobs.py", "open"): "a descriptor of the door's",
    ("dataset/hdf5.py", "h5py.File"): "through a descriptor of the door's (`Sink`)",
    ("dataset/file_object.py", "os.ftruncate"): "a descriptor of the door's",
    ("files/untrusted.py", "os.open"): "for reading what others may have made",
    ("sources/local.py", "os.open"): "for reading layers in place",
    # Contents for libmagic, in memory or in a file of scratch without a name.
    ("filetype/held_content.py", "tempfile.TemporaryFile"): "a file without a name",
    ("filetype/libmagic/content.py", "os.ftruncate"): "that file, or the one in memory",
    ("tar/paths.py", ".replace"): "on scratch, in the private directory of the rank",
    ("sources/sparse_members.py", "tempfile.TemporaryFile"): "a file without a name",
    ("sources/sparse_members.py", "os.ftruncate"): "that file",
    ("filetype/libmagic/binding.py", "tempfile.TemporaryFile"): "a file without a name",
    ("filetype/libmagic/binding.py", "os.ftruncate"): "that file, or the one in memory",
    ("filetype/libmagic/binding.py", "os.fchmod"): "that file, or the one in memory",
    # In directories of mode 0700 that the program makes for itself.
    (
        "node/scratch.py",
        "os.open",
    ): "the lock of scratch, beside private directories that it makes itself",
    ("node/scratch.py", "os.chmod"): "to remove what a layer was unpacked to",
    ("node/scratch.py", "shutil.rmtree"): "removes scratch; follows no links",
    (
        "node/scratch.py",
        "tempfile.TemporaryFile",
    ): "a file without a name, to see whether scratch can be written",
    ("node/quota.py", "os.open"): "on scratch",
    ("files/private_directory.py", "os.open"): "a directory, for reading",
    ("mpi/start_watch.py", ".touch"): "in a private directory in memory",
    ("mpi/start_watch.py", "shutil.rmtree"): "in that directory; follows no links",
    ("settings.py", "os.open"): "for reading",
    ("report/figures/fonts.py", "tempfile.TemporaryDirectory"): "made exclusively, with mode 0700",
    ("report/figures/style.py", "os.open"): "the current directory, O_PATH",
    ("files/sorted_lines.py", "tempfile.TemporaryFile"): "a file without a name",
    ("files/stored_texts.py", "tempfile.TemporaryFile"): "a file without a name",
    ("dataset/growing_table.py", "tempfile.TemporaryFile"): "a file without a name",
    ("crawl/output.py", "tempfile.TemporaryDirectory"): "made exclusively, with mode 0700",
    ("crawl/output.py", "shutil.rmtree"): "removes directories of killed crawls; follows no links",
    ("export/files_of_2017.py", "tempfile.TemporaryDirectory"): "made exclusively, with mode 0700",
    ("export/__init__.py", "tempfile.TemporaryDirectory"): "made exclusively, with mode 0700",
    ("sources/demo.py", "tempfile.mkdtemp"): "made exclusively, renamed when it is whole",
    ("sources/demo.py", "shutil.rmtree"): "of that directory",
    ("sources/demo.py", "os.chmod"): "of that directory",
    ("sources/demo.py", "os.rename"): "of that directory",
    ("sources/demo.py", ".write_text"): "in that directory",
    ("sources/demo.py", ".write_bytes"): "in that directory",
    # Unpacked layers have rules of their own, stricter ones: no link is followed at all.
    ("profile/unpack.py", "os.open"): "relative to a held directory, O_NOFOLLOW",
    ("profile/unpack.py", "os.symlink"): "relative to a held directory",
    ("profile/unpack.py", "os.link"): "relative to a held directory",
    ("profile/unpack.py", "os.fchmod"): "of a file that it created",
    ("profile/unpack.py", "shutil.rmtree"): "relative to a held directory",
    ("profile/unpack.py", "tempfile.TemporaryFile"): "a file without a name",
    ("profile/unpack.py", "os.ftruncate"): "a file that it created",
    ("parts/spill_writer.py", "os.ftruncate"): "a descriptor of the door's",
    ("filetype/shared_table.py", "os.ftruncate"): "a descriptor of the door's",
    ("sources/demo.py", "tarfile.open"): "into memory",
    # A check of the machine writes like anything else would, in a directory of its own.
    ("doctor.py", "tempfile.TemporaryDirectory"): "made exclusively, with mode 0700",
    ("doctor.py", ".open"): "in that directory",
    ("doctor.py", ".rename"): "in that directory",
    ("doctor.py", "os.open"): "that directory, for reading",
}

OS_CALLS = re.compile(
    "open|replace|renames?|link|symlink|f?truncate|mkfifo|mknod|[fl]?chmod|f?chown|lchown"
)
PATH_METHODS = re.compile(
    "write_text|write_bytes|touch|symlink_to|hardlink_to|link_to|l?chmod|to_csv|to_parquet|to_pickle"
)
WHOLE_MODULES = re.compile("shutil|tempfile|zipfile|tarfile|pickle|shelve|sqlite3|gzip|bz2|lzma")
READING = {"shutil.disk_usage", "shutil.which", "tempfile.gettempdir"}
OPENERS = re.compile(r"((io|builtins)\.)?open|os\.fdopen|h5py\.File|(np|numpy)\.(memmap|save)")


def writes(name: str, call: ast.Call) -> str:
    """Return what a call of this name opens or changes files with, "" where it does neither."""
    base, _, last = name.rpartition(".")
    if OPENERS.fullmatch(name):
        return name if mode_writes(call, 1) else ""
    if base == "os":
        return name if OS_CALLS.fullmatch(last) else ""
    if WHOLE_MODULES.fullmatch(base):
        if name in READING or (
            base in ("pickle", "gzip", "bz2", "lzma") and not last.endswith("open")
        ):
            return ""
        return name if base in ("shutil", "tempfile") or mode_writes(call, 1) else ""
    # Arrays into a file that is open are fine.
    if last == "tofile":
        return "" if ast.unparse(call.args[0]) == "file" else ".tofile"
    if PATH_METHODS.fullmatch(last):
        return f".{last}"
    # Path("x").open("wb"), but not Source.open(digest)
    if last == "open" and mode_writes(call, 0):
        return ".open"
    if base and last in ("rename", "replace") and len(call.args) == 1 and not call.keywords:
        return f".{last}"
    return ""


def mode_writes(call: ast.Call, place: int) -> bool:
    """Say whether the mode of an `open` is one that writes, or can't be told."""
    given = [word.value for word in call.keywords if word.arg == "mode"] + call.args[
        place : place + 1
    ]
    if not given:
        return False
    mode = given[0]
    if isinstance(mode, ast.Constant) and isinstance(mode.value, str):
        return any(letter in mode.value for letter in "wax+")
    # Not a mode at all (a digest), or one in a variable.
    return isinstance(mode, ast.Name) and mode.id == "mode"


def test_nothing_goes_around_the_door():
    found = {
        (module, writer)
        for module, name, call in calls()
        if module != DOOR and (writer := writes(name, call))
    }
    assert found - set(ALLOWED) == set()
    # A place that is gone is no longer allowed.
    assert set(ALLOWED) - found == set()


def test_the_search_finds_what_it_should():
    for text in (
        "open('x', 'w')",
        "open('x', mode='ab')",
        "open(file, 'r+b')",
        "io.open(x, 'x')",
        "Path('x').write_text('')",
        "path.touch()",
        "os.open(path, os.O_RDONLY)",
        "os.fdopen(fd, 'wb')",
        "h5py.File(path, 'w')",
        "h5py.File(path, mode)",
        "shutil.copyfile(a, b)",
        "tempfile.mkdtemp()",
        "path.rename(other)",
        "path.open('wb')",
        "array.tofile(path)",
        "tarfile.open(path, 'w')",
        "os.truncate(path, 0)",
    ):
        assert writes_in(text), text
    for text in (
        "open('x')",
        "open('x', 'rb')",
        "h5py.File(path, 'r')",
        "shutil.which('x')",
        "text.replace(a, b)",
    ):
        assert not writes_in(text), text


def writes_in(text: str) -> str:
    call = ast.parse(text).body[0].value
    return writes(ast.unparse(call.func), call)


def test_no_name_of_a_module_that_writes_is_imported_alone():
    """`from tempfile import mkdtemp` would hide a call from the search."""
    hidden = [
        (module, node.lineno)
        for module, nodes in modules().items()
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        if not node.level and re.fullmatch(f"os|{WHOLE_MODULES.pattern}", node.module or "")
    ]
    assert not hidden
