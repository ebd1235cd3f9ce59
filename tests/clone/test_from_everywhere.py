"""The program of the quick start, from every directory, and after edits."""

import shutil

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("clone")]

PLACES = {
    "the directory that holds the clone": ".",
    "the clone": "hpc_remetrics",
    "the package in it": "hpc_remetrics/hpc_remetrics",
    "another directory": "elsewhere",
    "a directory with an empty one of that name": "beside",
}


@pytest.mark.parametrize("place", PLACES)
def test_the_main_command_works_in(clone, place, tmp_path):
    (clone.above / "elsewhere").mkdir(exist_ok=True)
    (clone.above / "beside" / "hpc_remetrics").mkdir(parents=True, exist_ok=True)
    output = tmp_path / "out.h5"
    directory = clone.above / PLACES[place]
    analyze = f"mpirun -n 2 python -m hpc_remetrics analyze demo: --types none -q -o {output}"
    for command in (
        analyze,
        f"hpc-remetrics report {output}",
        f"python -m hpc_remetrics report {output}",
    ):
        result = clone.shell(command, directory)
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
    where = clone.shell(
        "python -c 'import hpc_remetrics.cli as cli; print(cli.__file__)'", directory
    )
    assert where.stdout.strip() == f"{clone.root}/hpc_remetrics/cli.py"


def test_an_edit_takes_effect_at_once(clone):
    module = clone.root / "hpc_remetrics" / "new_module.py"
    module.write_text("WORD = 'edited'\n")
    try:
        result = clone.shell(
            "python -c 'from hpc_remetrics import new_module; print(new_module.WORD)'", clone.above
        )
        assert result.stdout == "edited\n", result.stderr
    finally:
        module.unlink()
        shutil.rmtree(module.parent / "__pycache__", ignore_errors=True)
