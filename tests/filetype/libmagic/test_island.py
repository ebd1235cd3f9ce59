"""The island of libmagic has one way in, and knows next to nothing of the rest of the package."""

from support.package import PACKAGE, imports

from hpc_remetrics.filetype import libmagic

ISLAND = PACKAGE / "filetype" / "libmagic"
DOOR = "hpc_remetrics.filetype.libmagic"


def is_inside(module: str) -> bool:
    return module.startswith("filetype/libmagic/")


def test_others_import_the_entry_point_alone():
    allowed = {DOOR, *(f"{DOOR}.{name}" for name in libmagic.__all__)}
    used = {pair for pair in imports() if pair[1].startswith(DOOR) and not is_inside(pair[0])}
    assert {(module, name) for module, name in used if name not in allowed} == set()


def test_the_island_imports_two_modules_of_the_package():
    names = {name for module, name in imports() if is_inside(module)}
    outside = {
        name for name in names if name.startswith("hpc_remetrics.") and not name.startswith(DOOR)
    }
    allowed = {"hpc_remetrics.errors", "hpc_remetrics.filetype.heads"}
    assert {name for name in outside if name.rpartition(".")[0] not in allowed} <= allowed


def test_the_readme_names_every_module():
    readme = (ISLAND / "README.md").read_text()
    assert [path.name for path in ISLAND.glob("*.py") if f"`{path.name}`" not in readme] == []


def test_the_readme_names_the_versions_that_are_known():
    from hpc_remetrics.filetype.libmagic.versions import VERSIONS

    readme = (ISLAND / "README.md").read_text()
    known = [line for line in readme.splitlines() if "**known**" in line]
    assert [line.split("|")[1].strip() for line in known] == [
        f"{version // 100}.{version % 100:02}" for version in sorted(VERSIONS)
    ]
