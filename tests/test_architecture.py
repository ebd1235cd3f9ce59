"""Imports go one way, as data flows: a module knows nothing of the stages after it."""

import re

from support.package import PACKAGE, ROOT, imports, modules

DESIGN = ROOT / "docs" / "design.md"


def rows_of_the_page() -> list[list[str]]:
    """Return the packages and modules of each row of the table in docs/design.md, from the top."""
    lines = DESIGN.read_text().splitlines()
    start = lines.index("| row | what it knows |") + 2
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append(re.findall(r"`(\w+)`", line.split("|")[1]))
    return rows


ROW_OF = {
    name: row for row, names in enumerate([*rows_of_the_page(), ["__init__"]]) for name in names
}

# The package hands out its reader, its figures and the error of a dataset; a reader of a dataset
# classifies with the one table of types.
ALLOWED = {("__init__", "dataset"), ("__init__", "errors"), ("__init__", "report")}


def package_of(module: str) -> str:
    """Return the package that a module is in, or the name of a module at the top.

    >>> package_of("mpi/comm.py"), package_of("errors.py")
    ('mpi', 'errors')
    """
    return module.split("/")[0].removesuffix(".py")


def test_the_page_names_every_package():
    assert set(ROW_OF) == {package_of(module) for module in modules()}


def test_the_page_names_modules_that_exist():
    named = re.findall(r"[\w/]+/\w+\.py", DESIGN.read_text())
    places = (PACKAGE, ROOT)
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


def test_imports_go_down():
    wrong = []
    for module, full_name in imports():
        mine = package_of(module)
        top, _, name = full_name.partition(".")
        name = name.split(".")[0]
        if top != "hpc_remetrics" or name in ("", "__version__", mine) or (mine, name) in ALLOWED:
            continue
        if ROW_OF[name] <= ROW_OF[mine]:
            wrong.append(f"{module} imports {full_name}")
    assert not wrong


def test_only_one_module_imports_mpi4py():
    users = {module for module, name in imports() if name.split(".")[0] == "mpi4py"}
    assert users == {"mpi/launch.py"}
