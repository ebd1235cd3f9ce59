"""The process that watches over one rank while MPI starts, with the standard library alone.

Arguments: the directory where the ranks of the node meet; rank and process of the rank that is
watched; host; ranks of the node (0: unknown) and of the job; seconds until the first report and
until the end. It ends when its standard input is closed, or when the rank dies.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

_OUTPUT_SECONDS = 0.5
"""Seconds that the launcher gets to pass on the last report."""


def is_alive(process: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def ranks_in(directory: str) -> tuple[list[int], list[int]]:
    """Return the ranks that have come and live, and those that have come and died, ascending."""
    here: list[int] = []
    dead: list[int] = []
    for name in os.listdir(directory):
        rank, _, process = name.partition("-")
        (here if is_alive(int(process)) else dead).append(int(rank))
    return sorted(here), sorted(dead)


def report(here: list[int], dead: list[int], host: str, local: int, size: int) -> str:
    """Return what is known of the ranks that are missing.

    :param here: ranks of this node that wait.
    :param dead: ranks of this node that died.
    :param local: how many ranks this node has, 0 if unknown.
    :param size: how many ranks the job has.
    """
    ranks = f"{local} rank{'s' if local > 1 else ''}" if local else "the ranks"
    text = f"{len(here)} of {ranks} of {host} wait for MPI to start"
    if dead:
        return f"{text}; ended meanwhile: rank {_listed(dead)}"
    if len(here) < local:
        missing = local - len(here)
        return f"{text}; {missing} never began; here are rank {_listed(here)} of {size}"
    if local and local < size:
        return f"{text}; all ranks of this node are here, so the missing ones are on another node"
    return text


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _print_report(words: list[str], waited: float, is_over: bool) -> None:
    """Print a report, if this is the watch of the lowest rank that is here."""
    directory, rank, _, host, local, size = words[:6]
    here, dead = ranks_in(directory)
    if not here or here[0] != int(rank):
        return
    text = f"{report(here, dead, host, int(local), int(size))} ({waited:.0f} s so far)"
    if is_over:
        text += "; the job is ended (--start-seconds)"
    print(f"hpc-remetrics: {text}", file=sys.stderr, flush=True)


def main(words: list[str]) -> None:
    """Report after a while, then whenever the time has doubled; at the end kill the rank."""
    process = int(words[2])
    next_report = float(words[6])
    longest = float(words[7])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)

    begun = time.monotonic()
    waited = 0.0
    while waited < longest:
        # Wait for the next report, unless the rank is connected or dead before.
        pause = max(min(next_report, longest) - waited, 0)
        if select.select([0], [], [], pause)[0]:
            return
        waited = time.monotonic() - begun
        try:
            _print_report(words, waited, waited >= longest)
        except OSError:
            return
        next_report = max(2 * next_report, waited)

    time.sleep(_OUTPUT_SECONDS)
    os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
