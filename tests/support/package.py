"""The modules of the package as syntax trees, each parsed once, for tests about the code."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "hpc_remetrics"


@cache
def modules() -> dict[str, list[ast.AST]]:
    """Return all nodes of each module by its path in the package, as "mpi/comm.py"."""
    return {
        str(path.relative_to(PACKAGE)): list(ast.walk(ast.parse(path.read_text())))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@cache
def calls() -> list[tuple[str, str, ast.Call]]:
    """Return every call in the package: its module, the expression that is called, the call."""
    return [
        (module, ast.unparse(node.func), node)
        for module, nodes in modules().items()
        for node in nodes
        if isinstance(node, ast.Call)
    ]


@cache
def imports() -> list[tuple[str, str]]:
    """Return pairs of a module and the full name of what it imports.

    >>> ("mpi/job.py", "hpc_remetrics.mpi.comm.Comm") in imports()
    True
    """
    return [
        (module, name)
        for module, nodes in modules().items()
        for node in nodes
        for name in _imported(module, node)
    ]


def _imported(module: str, node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        # One leading dot is the module's own package, each further one the package around it.
        package = ["hpc_remetrics", *module.split("/")[:-1]]
        base = package[: len(package) - node.level + 1] if node.level else []
        name = ".".join([*base, *filter(None, [node.module])])
        yield name
        # What is imported may be a module, as in `from .libmagic import exact`.
        yield from (f"{name}.{alias.name}" for alias in node.names)
