"""The scripts in slurm/ on a real SLURM: the dataset equals that of a run without it."""

from pathlib import Path

import pytest
from support.compare import same

SCRIPTS = Path(__file__).resolve().parents[2] / "slurm"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]


def said(folder: Path) -> str:
    return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in sorted(folder.glob("*.log")))


@pytest.mark.parametrize("launch", ["mpirun", "srun --mpi=pmi2 --kill-on-bad-exit=1"])
def test_a_job_on_two_nodes_passes_its_words_on(slurm, layout, truth, tmp_path, launch):
    output = tmp_path / "out.h5"
    words = ["-N", 2, "-n", 4, f"--export=ALL,REMETRICS_LAUNCH={launch}", SCRIPTS / "analyze.sbatch"]
    job = slurm.sbatch(*words, f"oci:{layout}", "-o", output, "--scratch", tmp_path, folder=tmp_path)
    assert slurm.wait(job)["JobState"] == "COMPLETED", said(tmp_path)
    assert "code 0" in said(tmp_path)
    same(truth, output)


def test_the_tasks_of_an_array_fill_one_output_and_the_next_job_gathers_it(slurm, layout, truth, tmp_path):
    output = tmp_path / "out.h5"
    words = [f"oci:{layout}", "-o", output, "--scratch", tmp_path]
    array = slurm.sbatch("--array=2-10:2", SCRIPTS / "array.sbatch", *words, folder=tmp_path)
    job = slurm.sbatch("-n", 1, f"--dependency=afterany:{array}", SCRIPTS / "analyze.sbatch", *words, folder=tmp_path)
    assert slurm.wait(job)["JobState"] == "COMPLETED", said(tmp_path)
    assert [f"share {number} of 5" in said(tmp_path) for number in range(1, 6)] == [True] * 5, said(tmp_path)
    assert len({path.name.split("-")[1] for path in Path(f"{output}.parts").glob("part-*")}) == 5
    same(truth, output)


def test_a_mistake_fails_the_job_with_its_code_and_is_not_tried_again(slurm, tmp_path):
    job = slurm.sbatch("-n", 2, SCRIPTS / "analyze.sbatch", "oci:/not/there", "-o", tmp_path / "x.h5", folder=tmp_path)
    assert slurm.wait(job)["ExitCode"] == "2:0"
    assert said(tmp_path).count("there is no /not/there") == 1
