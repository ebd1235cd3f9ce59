"""The scripts in slurm/ on a real SLURM: the dataset equals that of a run without it."""

from pathlib import Path

import psutil
import pytest
from support.same import assert_same

SCRIPTS = Path(__file__).resolve().parents[2] / "slurm"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]


def said(directory: Path) -> str:
    return "\n".join(
        f"--- {path.name}\n{path.read_text()}" for path in sorted(directory.glob("*.log"))
    )


@pytest.mark.parametrize("launch", ["mpirun", "srun --mpi=pmi2 --kill-on-bad-exit=1"])
def test_a_job_on_two_nodes_passes_its_words_on(slurm, layout, truth, tmp_path, launch):
    output = tmp_path / "out.h5"
    words = [
        "-N",
        2,
        "-n",
        4,
        f"--export=ALL,REMETRICS_LAUNCH={launch}",
        SCRIPTS / "analyze.sbatch",
    ]
    job = slurm.sbatch(
        *words, f"oci:{layout}", "-o", output, "--scratch", tmp_path, directory=tmp_path
    )
    assert slurm.wait(job)["JobState"] == "COMPLETED", said(tmp_path)
    assert "code 0" in said(tmp_path)
    assert_same(truth, output)


def test_the_tasks_of_an_array_fill_one_output_and_the_next_job_gathers_it(
    slurm, layout, truth, tmp_path
):
    output = tmp_path / "out.h5"
    words = [f"oci:{layout}", "-o", output, "--scratch", tmp_path]
    array = slurm.sbatch("--array=2-10:2", SCRIPTS / "array.sbatch", *words, directory=tmp_path)
    job = slurm.sbatch(
        "-n",
        1,
        f"--dependency=afterany:{array}",
        SCRIPTS / "analyze.sbatch",
        *words,
        directory=tmp_path,
    )
    assert slurm.wait(job)["JobState"] == "COMPLETED", said(tmp_path)
    assert [f"share {number} of 5" in said(tmp_path) for number in range(1, 6)] == [True] * 5, said(
        tmp_path
    )
    assert len({path.name.split("-")[1] for path in Path(f"{output}.parts").glob("part-*")}) == 5
    assert_same(truth, output)


def test_a_mistake_fails_the_job_with_its_code_and_is_not_tried_again(slurm, tmp_path):
    job = slurm.sbatch(
        "-n",
        2,
        SCRIPTS / "analyze.sbatch",
        "oci:/not/there",
        "-o",
        tmp_path / "x.h5",
        directory=tmp_path,
    )
    assert slurm.wait(job)["ExitCode"] == "2:0"
    assert said(tmp_path).count("there is no /not/there") == 1


def test_a_requeued_job_starts_where_a_killed_one_left_its_shared_memory(
    slurm, layout, truth, tmp_path
):
    """Steps of a requeued job have the numbers, and MPICH's segments the names, of those before."""
    output, calm = tmp_path / "out.h5", tmp_path / "calm"
    words = [
        "-n",
        3,
        "-w",
        "n1",
        "--export=ALL,REMETRICS_LAUNCH=srun --mpi=pmi2 --kill-on-bad-exit=1",
    ]
    tool = f"test -e {calm} || sleep 600; : {{dir}}"
    job = slurm.sbatch(
        *words,
        SCRIPTS / "analyze.sbatch",
        f"oci:{layout}",
        "-o",
        output,
        "--scratch",
        tmp_path,
        "--exec",
        tool,
        directory=tmp_path,
    )
    for step in range(2):
        ranks = slurm.wait_for(
            lambda step=step: running(slurm, job, step), 60, lambda: said(tmp_path)
        )
        assert [path for rank in ranks for path in segments(rank)]
        for one in [*tools(ranks), *ranks]:  # as SLURM does where it tracks processes by cgroups
            one.kill()
    slurm.wait_for(lambda: slurm.show(job)["Restarts"] == "1", 60, lambda: said(tmp_path))
    calm.touch()
    assert slurm.wait(job)["JobState"] == "COMPLETED", said(tmp_path)
    assert_same(truth, output)


def running(slurm, job, step):
    """The ranks of a step, once the tools of all but rank 0 run: one that starts later would
    outlive a kill."""
    words = {"PMI_JOBID": f"{job}.{step}", "SLURM_CONF": slurm.environment["SLURM_CONF"]}.items()
    found = psutil.process_iter(["cmdline", "environ"])
    found = [one for one in found if words <= (one.info["environ"] or {}).items()]
    ranks = [
        one
        for one in found
        if "analyze" in one.info["cmdline"] and "python" in one.info["cmdline"][0]
    ]
    return (
        ranks
        if len(ranks) == 3 and all(segments(one) for one in ranks) and len(tools(ranks)) == 2
        else []
    )


def tools(ranks):
    return [one for rank in ranks for one in rank.children(recursive=True) if one.name() == "sleep"]


def segments(rank):
    return [one.path for one in rank.memory_maps() if "mpich_shm" in one.path]
