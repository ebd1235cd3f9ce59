"""docs/install.md: its recipes name what setup.cfg needs, with the versions of constraints.txt."""

import configparser
import re
import subprocess
from pathlib import Path

from hpc_remetrics.files.lock import lock_path
from hpc_remetrics.parts.parts_directory import parts_directory
from hpc_remetrics.sources.demo import DemoSource

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "install.md").read_text()
SPACK, EASYBUILD = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def needed(*extras: str) -> set[str]:
    """The packages of setup.cfg, by name."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    texts = [
        setup["options"]["install_requires"],
        *(setup["options.extras_require"][extra] for extra in extras),
    ]
    return {re.match(r"[\w.-]+", line)[0] for line in "\n".join(texts).split("\n") if line}


def test_the_spack_recipe_names_every_package():
    compile(SPACK, "package.py", "exec")
    named = set(re.findall(r'depends_on\("py-([\w-]+)', SPACK)) - {"setuptools"}
    # Its launcher is what Spack builds, so no wheel of one is among them.
    assert named == {name.replace(".", "-") for name in needed("mpi", "types")} - {"mpich"}


def test_the_easyconfig_names_every_package_with_its_version():
    values = {}
    exec(EASYBUILD, values)
    # Of the pins, those for the Python of the recipe
    pins = dict(
        re.findall(
            r"^([\w.-]+)==([\w.]+)(?!.*python_version <)",
            (ROOT / "constraints.txt").read_text(),
            re.MULTILINE,
        )
    )
    listed = {name: version for name, version, *_ in values["exts_list"] if name != "hpc-remetrics"}
    assert listed == {name: pins[name] for name in listed}
    modules = {name for name, _ in values["dependencies"]} | {"numpy"}  # of SciPy-bundle
    assert needed() - {"tomli"} <= set(listed) | modules


def test_the_commands_remove_what_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    output = tmp_path / "hub.h5"
    cache = DemoSource("demo:")._directory.parent
    assert tmp_path in cache.parents
    for directory in (cache, parts_directory(output)):
        directory.mkdir(parents=True)
        (directory / "file").touch()
    lock_path(output).touch()
    for command in re.findall("^    (rm .*)$", PAGE, re.MULTILINE):
        subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".cache"]
