"""The direction of imports: data flows one way, and a module knows nothing of the stages after it."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "hpc_remetrics"

# From the top to the bottom: a module may import from its own row and from those below it.
ROWS = [
    {"__main__"},
    {"cli"},
    {"verbs"},
    {"analyze", "merge", "reduce", "doctor", "crawl", "mirror"},
    {"account", "exchange", "signature"},
    {"worker"},
    {"fetch", "single"},
    {"report", "export"},
    {"resolving"},
    {"metrics"},
    {"store"},
    {"profile"},
    {"cluster"},
    {"plan"},
    {"sources"},
    {"config", "progress", "log", "streams"},
    {"settings"},
    {"registry"},
    {"columns", "records", "limits", "programs"},
    {"files"},
    {"errors", "wording"},
    {"__init__"},
]
ROW_OF = {name: row for row, names in enumerate(ROWS) for name in names}

# The package hands out its reader, and a reader of a dataset classifies with the one table of types.
ALLOWED = {("__init__", "store")}


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
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("hpc_remetrics."))


def own_name(module: Path) -> str:
    relative = module.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def test_imports_go_down():
    wrong = []
    for module in PACKAGE.rglob("*.py"):
        mine = own_name(module)
        for name in imported(module):
            if name == "__version__" or (mine, name) in ALLOWED:
                continue
            if ROW_OF[name] < ROW_OF[mine]:
                wrong.append(f"{module.relative_to(PACKAGE)} imports {name}")
    assert not wrong


def test_only_one_module_imports_mpi4py():
    users = [
        str(module.relative_to(PACKAGE))
        for module in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mpi4py"))
        or (isinstance(node, ast.Import) and any(alias.name.startswith("mpi4py") for alias in node.names))
    ]
    assert set(users) == {"cluster/comm.py"}
