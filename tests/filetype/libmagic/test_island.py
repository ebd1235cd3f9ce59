"""The island of libmagic has one way in, and knows next to nothing of the rest of the package."""

import ast
from pathlib import Path

import hpc_remetrics
from hpc_remetrics.filetype import libmagic

PACKAGE = Path(hpc_remetrics.__file__).parent
ROOT = PACKAGE.parent
ISLAND = Path(libmagic.__file__).parent


def imports(module: Path):
    """Yield the full names of the modules that a module imports from."""
    package = list(module.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *filter(None, [node.module])])
            yield name
            # `from .libmagic import exact` imports a module, too.
            yield from (f"{name}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_others_import_the_entry_point_alone():
    door = "hpc_remetrics.filetype.libmagic"
    allowed = {door, *(f"{door}.{name}" for name in libmagic.__all__)}
    for module in PACKAGE.rglob("*.py"):
        if ISLAND in module.parents:
            continue
        inside = {name for name in imports(module) if name.startswith(door)}
        assert inside <= allowed, module


def test_the_island_imports_two_modules_of_the_package():
    names = {name for module in ISLAND.glob("*.py") for name in imports(module)}
    inside = "hpc_remetrics.filetype.libmagic"
    outside = {
        name for name in names if name.startswith("hpc_remetrics.") and not name.startswith(inside)
    }
    modules = {"hpc_remetrics.errors", "hpc_remetrics.filetype.heads"}
    assert {name for name in outside if name.rpartition(".")[0] not in modules} <= modules


def test_the_readme_names_every_module():
    readme = (ISLAND / "README.md").read_text()
    assert [path.name for path in ISLAND.glob("*.py") if f"`{path.name}`" not in readme] == []


def test_the_readme_names_the_versions_that_are_known():
    from hpc_remetrics.filetype.libmagic.exact import VERSIONS

    readme = (ISLAND / "README.md").read_text()
    known = [line for line in readme.splitlines() if "**known**" in line]
    assert [line.split("|")[1].strip() for line in known] == [
        f"{version // 100}.{version % 100:02}" for version in sorted(VERSIONS)
    ]
