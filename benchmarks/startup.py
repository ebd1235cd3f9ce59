"""Start and end of a run on a small image: CPU by phase, and the files that each process opens.

    python -m benchmarks.startup [SOURCE] [--ranks 4] [--runs 5] [--json FILE]

`strace` counts the files, once with the given number of ranks and once with one process. Where
bytecode of the packages is missing (PYTHONDONTWRITEBYTECODE, `uv pip install`), each process
compiles their sources: the last line says for how many modules.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from .measure import machine

PHASES = ("start", "connect", "resolve", "profile", "gather", "metrics", "end")
"""What the CPU time of a rank is divided into; `start` ends before MPI starts."""

PROGRAM = """
import json, os, resource, sys
directory = sys.argv.pop(1)
marks = []
def mark(phase):
    own = resource.getrusage(resource.RUSAGE_SELF)
    marks.append((phase, own.ru_utime + own.ru_stime))
    os.access("/phase/" + phase, os.F_OK)
def marked(module, name, before, after=None):
    function = getattr(module, name)
    def wrapper(*words, **named):
        mark(before)
        try:
            return function(*words, **named)
        finally:
            after and mark(after)
    setattr(module, name, wrapper)
from hpc_remetrics import cli
from hpc_remetrics.commands import analyze as command
real = command.COMMAND.run
def run(options):
    from hpc_remetrics.analyze import run, run_inputs
    from hpc_remetrics.mpi import job
    marked(job, "connect", "start", "connect")
    marked(run_inputs.Inputs, "resolve", "connect", "resolve")
    marked(run, "profile", "resolve", "profile")
    gather_and_reduce = run._gather_and_reduce
    def last_steps(*words):
        from hpc_remetrics.gather import gather
        from hpc_remetrics.metrics import compute
        marked(compute, "add_metrics", "gather", "metrics")
        return gather_and_reduce(*words)
    run._gather_and_reduce = last_steps
    return real(options)
object.__setattr__(command.COMMAND, "run", run)
code = cli.main()
mark("end")
below = resource.getrusage(resource.RUSAGE_CHILDREN)
rank = os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK", "0"))
with open(os.path.join(directory, rank + ".json"), "w") as file:
    children = below.ru_utime + below.ru_stime
    json.dump({"pid": os.getpid(), "marks": marks, "children": children}, file)
sys.exit(code)
"""
"""Runs the program, and notes the CPU time of its process at the ends of phases.

A look at `/phase/NAME`, which does not exist, shows them in a trace of system calls too.
"""

CALLS = "openat,open,newfstatat,stat,lstat,statx,readlink,access,faccessat,faccessat2,execve"

_LINE = re.compile(r'(\w+)\((?:AT_FDCWD, |\d+, )?"([^"]*)".*= (-?\d+)')

KINDS = {
    "own": re.compile(r"/hpc_remetrics(/|$)"),
    "numpy": re.compile(r"/numpy(\.libs)?(/|$)"),
    "h5py": re.compile(r"/h5py(\.libs)?(/|$)"),
    "mpi4py": re.compile(r"/(mpi4py|libmpi[^/]*)(/|$)"),
    "other packages": re.compile(r"/(site|dist)-packages(/|$)"),
    "Python": re.compile(r"/(lib(-dynload)?/)?python3[.\d]*(\.zip|/|$)"),
    "system": re.compile(r"^/(proc|sys|dev)/"),
}
"""Whose a path is: the first that matches."""


def command(directory: Path, source: str, ranks: int) -> list[str]:
    """Return the command of one run with marks; its outputs are in `directory`."""
    launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    words = ["analyze", "-q", source, "-o", str(directory / "out.h5"), "--scratch", str(directory)]
    return [*launcher, sys.executable, "-c", PROGRAM, str(directory), *words]


def run(source: str, ranks: int, trace: bool = False) -> tuple[list[dict[str, Any]], Counter[Any]]:
    """Run once; return what each rank noted, and the calls by (role, phase, whose, call)."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        strace = [
            "strace",
            "-ff",
            "-s",
            "2000",
            "-o",
            str(directory / "trace"),
            "-e",
            f"trace={CALLS}",
        ]
        words = [*(strace if trace else []), *command(directory, source, ranks)]
        # `-c` puts the current directory first; a clone there would hide what is installed.
        subprocess.run(words, check=True, cwd=directory, stdout=subprocess.DEVNULL)
        notes = [json.loads((directory / f"{rank}.json").read_text()) for rank in range(ranks)]
        return notes, calls_of(directory, {note["pid"]: rank for rank, note in enumerate(notes)})


def calls_of(directory: Path, ranks: dict[int, int]) -> Counter[Any]:
    """Count the calls in the traces of a run, by (role, phase, whose, call)."""
    counts: Counter[Any] = Counter()
    for trace in directory.glob("trace.*"):
        text = trace.read_text(errors="replace")
        rank = ranks.get(int(trace.suffix[1:]))
        if rank is not None:
            role = f"rank {rank}"
        elif "hpc_remetrics.profile.child" in text.partition("\n")[0]:
            role = "child"
        else:
            continue
        phase = "start"
        for line in text.splitlines():
            match = _LINE.match(line)
            if match is None:
                continue
            call, path, result = match.groups()
            if path.startswith("/phase/"):
                phase = "later"
                continue
            whose = next((kind for kind, form in KINDS.items() if form.search(path)), "data")
            call = "open" if call.startswith("open") else "stat"
            counts[role, phase, whose, call if int(result) >= 0 else f"failed {call}"] += 1
    return counts


def cpu_by_phase(notes: list[dict[str, Any]]) -> dict[str, float]:
    """Return the CPU seconds of all ranks by phase, and those of their children."""
    seconds = dict.fromkeys(PHASES, 0.0)
    for note in notes:
        before = 0.0
        for phase, at in note["marks"]:
            seconds[phase] += at - before
            before = at
    seconds["children"] = sum(note["children"] for note in notes)
    seconds["total"] = sum(seconds.values())
    return seconds


def print_phases(ranks: int, runs: list[dict[str, float]]) -> dict[str, float]:
    """Print and return the medians of several runs, with their range."""
    print(
        f"\nCPU seconds with {ranks} rank{'s'[: ranks > 1]}: median (min-max) of {len(runs)} runs"
    )
    medians = {}
    for phase in runs[0]:
        values = [one[phase] for one in runs]
        medians[phase] = statistics.median(values)
        print(f"  {phase:<9}{medians[phase]:7.3f} ({min(values):.3f}-{max(values):.3f})")
    return medians


def print_files(ranks: int, counts: Counter[Any]) -> dict[str, dict[str, int]]:
    """Print and return the calls of rank 0, of the last rank, and of a child."""
    result = {}
    print(f"\nsystem calls on paths with {ranks} rank{'s'[: ranks > 1]}")
    print(f"  {'':<24}{'opens':>7}{'stats':>7}{'failed':>7}   opens by whose the file is")
    children = sum(note == "child" for note in {key[0] for key in counts})
    roles = ["rank 0", *([f"rank {ranks - 1}"] if ranks > 1 else []), *["child"] * children]
    for role in roles:
        many = max(ranks - 1, 1) if role == "child" else 1
        for phases in (("start",), ("start", "later")):
            if role == "child" and phases == ("start",):
                continue
            mine = Counter[Any]()
            opens = Counter[str]()
            for (one, phase, whose, call), count in counts.items():
                if one == role and phase in phases:
                    mine[call.split()[0] if " " in call else call] += count
                    opens[whose] += count if call == "open" else 0
            name = f"{role}{', until MPI' if phases == ('start',) else ''}"
            row = {
                "opens": mine["open"] // many,
                "stats": mine["stat"] // many,
                "failed": mine["failed"] // many,
            }
            listed = ", ".join(f"{whose} {count // many}" for whose, count in opens.most_common())
            print(f"  {name:<24}" + "".join(f"{n:7}" for n in row.values()) + f"   {listed}")
            result[name] = row
    return result


def sources_without_bytecode() -> int:
    """Return how many modules of numpy, h5py and this package have to be compiled at each start."""
    count = 0
    for name in ("numpy", "h5py", "hpc_remetrics"):
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None
        for path in Path(spec.origin).parent.rglob("*.py"):
            count += not Path(importlib.util.cache_from_source(str(path))).exists()
    return count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", nargs="?", default="demo:")
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    source = options.source
    if source.startswith("oci:"):
        source = f"oci:{os.path.abspath(source.removeprefix('oci:'))}"

    figures: dict[str, Any] = {"machine": machine(), "cpu": {}, "files": {}}
    for ranks in (1, options.ranks):
        runs = [cpu_by_phase(run(source, ranks)[0]) for _ in range(options.runs)]
        figures["cpu"][ranks] = print_phases(ranks, runs)
    if shutil.which("strace"):
        for ranks in (1, options.ranks):
            figures["files"][ranks] = print_files(ranks, run(source, ranks, trace=True)[1])
    figures["without_bytecode"] = sources_without_bytecode()
    print(f"\nmodules without bytecode: {figures['without_bytecode']}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
