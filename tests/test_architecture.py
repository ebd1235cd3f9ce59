"""Imports go one way, as data flows: a module knows nothing of the stages after it."""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "hpc_remetrics"

DESIGN = PACKAGE.parent / "docs" / "design.md"


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

# The package hands out its reader, and a reader of a dataset classifies with the one table of
# types.
ALLOWED = {("__init__", "dataset")}


def imported(module: Path):
    """Yield the top-level names within the package that a module imports."""
    package = ("hpc_remetrics", *module.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            full = base + (node.module.split(".") if node.module else [])
            if full[:1] == ["hpc_remetrics"]:
                yield from [full[1]] if len(full) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("hpc_remetrics.")
            )


def own_name(module: Path) -> str:
    relative = module.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def test_the_page_names_every_package():
    packages = {own_name(module) for module in PACKAGE.rglob("*.py")}
    assert set(ROW_OF) == packages


def test_the_page_names_modules_that_exist():
    named = re.findall(r"[\w/]+/\w+\.py", DESIGN.read_text())
    places = (PACKAGE, PACKAGE.parent)
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


def test_imports_go_down():
    wrong = []
    for module in PACKAGE.rglob("*.py"):
        mine = own_name(module)
        for name in imported(module):
            if name == "__version__" or (mine, name) in ALLOWED:
                continue
            if name != mine and ROW_OF[name] <= ROW_OF[mine]:
                wrong.append(f"{module.relative_to(PACKAGE)} imports {name}")
    assert not wrong


def test_only_one_module_imports_mpi4py():
    users = [
        str(module.relative_to(PACKAGE))
        for module in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mpi4py"))
        or (
            isinstance(node, ast.Import)
            and any(alias.name.startswith("mpi4py") for alias in node.names)
        )
    ]
    assert set(users) == {"mpi/launch.py"}
