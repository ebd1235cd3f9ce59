"""Dealing layers to thousands of ranks: the program's own plan and coordinator in simulated time.

    python -m benchmarks.scale [--layers 1800000] [--ranks 64,512,4096] [--json FILE] [--figure
    FILE.png]

`make_plan`, `Coordinator` and `WorkQueue` of `hpc_remetrics.analyze` run as they are;
only ranks that profile and messages that travel are simulated. The layers are made up, with the
sizes of Docker Hub in 2017: median 4 MB, 90 % under 63 MB, 47 TB in 1.79 million, the biggest 10
GB. A layer takes what the program estimates, times a lognormal factor that the program knows
nothing of (sigma 0.5), divided by the speed of its rank. Ranks are alike, or unequal: speeds from
0.5 to 1.5 of the mean.

What a message costs rank 0 is measured with MPI first (CPU time of receiving, answering and
sending).
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import json
import pickle
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpc_remetrics.analyze.coordinator import (
    ASSIGN,
    DEAL,
    FINISHED,
    PROGRESS,
    REQUEST,
    Coordinator,
    WorkDone,
    report_seconds,
)
from hpc_remetrics.analyze.plan import Plan, cost, make_plan
from hpc_remetrics.analyze.work_queue import WorkQueue
from hpc_remetrics.mpi.comm import SerialComm
from hpc_remetrics.mpi.launch import connect
from hpc_remetrics.records import Digest, Layer

from .measure import machine

MEDIAN, NINE_TENTHS, MEAN = 4e6, 63e6, 47e12 / 1_792_609
LATENCY = 50e-6
"""Seconds of a message on its way."""

LOOK = 0.01
"""Mean seconds until a process that sleeps between two looks sees a message."""

MESSAGES = 20_000


def sizes(count: int, biggest: float, rng: Any) -> np.ndarray:
    """Return (count,) int64 made-up sizes in bytes: lognormal up to 90 %, then a power law."""
    quantile = (np.arange(count) + 0.5) / count
    sigma = np.log(NINE_TENTHS / MEDIAN) / 1.2815515655
    low = quantile[quantile < 0.9]
    below = MEDIAN * np.exp(sigma * _normal(low))
    rest = (quantile[quantile >= 0.9] - 0.9) / 0.1
    steep, flat = 5.0, -2.0
    for _ in range(60):
        exponent = (steep + flat) / 2
        above = _power_law(rest, exponent, biggest)
        if below.sum() + above.sum() > MEAN * count:
            flat = exponent
        else:
            steep = exponent
    found = np.concatenate([below, above]).astype(np.int64)
    found[-1] = biggest
    return rng.permutation(found)


def _power_law(quantile: np.ndarray, exponent: float, biggest: float) -> np.ndarray:
    bound = (NINE_TENTHS / biggest) ** exponent
    return NINE_TENTHS * (1 - quantile * (1 - bound)) ** (-1 / exponent)


def _normal(quantile: np.ndarray) -> np.ndarray:
    from statistics import NormalDist

    inverse = NormalDist().inv_cdf
    return np.array([inverse(q) for q in quantile.tolist()])


def made_up(count: int, biggest: float) -> list[Layer]:
    return [
        Layer(Digest(hashlib.sha256(b"%d" % n).digest()), size, "docker_tar_gzip")
        for n, size in enumerate(sizes(count, biggest, np.random.default_rng(1)).tolist())
    ]


class _Wire(SerialComm):
    """Takes what the coordinator sends; each message is pickled, as MPI's communicator does."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[int, int, Any]] = []
        self.bytes = 0

    def send(self, message: Any, dest: int, tag: int) -> None:
        self.bytes += len(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))
        self.sent.append((dest, tag, message))


class _Rank:
    """A profiling rank in simulated time."""

    def __init__(self, number: int, speed: float, every: float) -> None:
        self.number, self.speed = number, speed
        self.queue, self.current = WorkQueue(), None
        self.every, self.reported, self.done = every, 0.0, 0
        self.busy = self.ended = 0.0


@dataclass
class Result:
    """One simulation; seconds are simulated, but for those of rank 0, which are CPU time."""

    ranks: int
    speeds: str
    makespan: float
    ideal: float
    longest: float
    messages: int
    messages_a_second: float
    message_bytes: int
    root_seconds: float
    peak_memory: int

    @property
    def efficiency(self) -> float:
        """The ideal makespan, or the longest layer's time if that is more, over the makespan."""
        return max(self.ideal, self.longest) / self.makespan

    @property
    def root_busy(self) -> float:
        return self.root_seconds / self.makespan


class Simulation:
    """Ranks, rank 0's one thread, and messages between them, by the order of their times."""

    def __init__(
        self, plan: Plan, factors: dict[Digest, float], speeds: np.ndarray, message_seconds: float
    ) -> None:
        self.factors, self.message_seconds = factors, message_seconds
        every = report_seconds(len(speeds) + 1)
        self.ranks = {n: _Rank(n, speed, every) for n, speed in enumerate(speeds.tolist(), 1)}
        self.events: list[tuple[float, int, int, int, Any]] = []
        self.count = self.messages = 0
        self.free = self.root_seconds = self.longest = 0.0
        self.wire = _Wire()
        self.coordinator: Coordinator | None = None
        self._serve(0.0, lambda: self._begin(plan))

    def _begin(self, plan: Plan) -> None:
        self.coordinator = Coordinator(self.wire, plan, list(self.ranks))

    def _serve(self, arrived: float, work: Any) -> None:
        """Have rank 0 do something, when it is free; what it sends leaves when that is done."""
        begun = time.process_time()
        work()
        spent = time.process_time() - begun + self.message_seconds
        self.root_seconds += spent
        self.free = max(self.free, arrived) + spent
        for dest, tag, message in self.wire.sent:
            self._post(self.free + LATENCY + LOOK, dest, tag, message)
        self.wire.sent.clear()

    def _post(self, when: float, dest: int, tag: int, message: Any, source: int = 0) -> None:
        self.count += 1
        heapq.heappush(self.events, (when, self.count, dest, tag, (source, message)))

    def run(self) -> float:
        """Return the time at which the last rank was done."""
        assert self.coordinator is not None
        while self.events:
            now, _, dest, tag, (source, message) = heapq.heappop(self.events)
            if dest == 0:
                self.messages += 1
                self._serve(
                    now, lambda s=source, t=tag, m=message: self.coordinator.handle(s, t, m)
                )
            else:
                self._turn(self.ranks[dest], now, tag, message)
        assert self.coordinator.finished
        return max(rank.ended for rank in self.ranks.values())

    def _turn(self, rank: _Rank, now: float, tag: int, message: Any) -> None:
        """Do what `worker.Worker` does when a message came, or its child is done (tag -1)."""
        if tag in (ASSIGN, DEAL):
            rank.queue.add(message, is_last=tag == DEAL and not message)
        else:
            rank.current, rank.done = None, rank.done + 1
            if now - rank.reported > rank.every:
                self._report(rank, now)
        if rank.current is None and rank.queue:
            rank.current = layer = rank.queue.next()
            seconds = cost(layer) * self.factors[layer.digest] / rank.speed
            self.longest = max(self.longest, seconds)
            rank.busy += seconds
            self._post(now + seconds, rank.number, -1, None)
        if (in_hand := rank.queue.request([rank.current] if rank.current else [])) is not None:
            self._post(now + LATENCY + LOOK, 0, REQUEST, in_hand, rank.number)
        if rank.queue.is_exhausted and rank.current is None and not rank.ended:
            rank.ended = now
            self._report(rank, now)
            self._post(now + LATENCY + LOOK, 0, FINISHED, None, rank.number)

    def _report(self, rank: _Rank, now: float) -> None:
        self._post(now + LATENCY + LOOK, 0, PROGRESS, WorkDone(ok=rank.done), rank.number)
        rank.reported, rank.done = now, 0


def simulate(layers: list[Layer], ranks: int, unequal: bool, message_seconds: float) -> Result:
    rng = np.random.default_rng(ranks)
    factors = np.exp(rng.normal(0, 0.5, len(layers)))
    speeds = rng.uniform(0.5, 1.5, ranks - 1) if unequal else np.ones(ranks - 1)
    by_digest = {
        layer.digest: factor for layer, factor in zip(layers, factors.tolist(), strict=True)
    }
    simulation = Simulation(make_plan(layers, ranks - 1), by_digest, speeds, message_seconds)
    makespan = simulation.run()
    total = sum(cost(layer) * by_digest[layer.digest] for layer in layers)
    assert simulation.coordinator is not None
    assert simulation.coordinator.total.layers == len(layers)
    return Result(
        ranks,
        "unequal" if unequal else "alike",
        makespan,
        float(total / speeds.sum()),
        simulation.longest,
        simulation.messages,
        simulation.messages / makespan,
        simulation.wire.bytes,
        simulation.root_seconds,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def planning(count: int, ranks: int) -> dict[str, Any]:
    """Plan in this process and return its CPU seconds and memory, the layers included."""
    layers = made_up(count, 1e10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    begun = time.process_time()
    make_plan(layers, ranks - 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "plan_seconds": time.process_time() - begun,
        "plan_peak_memory": peak,
        "layers_memory": before,
    }


def message_cost() -> float:
    """Return the CPU seconds that a message between ranks 0 and 1 costs rank 0 under MPI."""
    comm = connect()
    layers = made_up(10_000, 1e10)
    if comm.rank:
        for _ in range(MESSAGES):
            comm.send(0.0, 0, REQUEST)
        comm.send(None, 0, FINISHED)
        _receive(comm, MESSAGES)
        comm.flush()
        comm.barrier()
        return 0.0
    coordinator = Coordinator(comm, make_plan(layers, 1), [1])
    time.sleep(1)  # the messages are there, so no look is in vain
    begun = time.process_time()
    for source, tag, message in _messages(comm, MESSAGES + 1):
        coordinator.handle(source, tag, message)
    spent = time.process_time() - begun
    comm.flush()
    comm.barrier()
    return spent / MESSAGES


def _messages(comm: Any, count: int) -> Iterator[Any]:
    while count:
        if (received := comm.poll()) is not None:
            count -= 1
            yield received


def _receive(comm: Any, count: int) -> None:
    for _ in _messages(comm, count):
        pass


def _in_a_process(*words: object, launcher: tuple[str, ...] = ()) -> Any:
    command = [*launcher, sys.executable, "-m", "benchmarks.scale", *map(str, words)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(result.stdout)


def table(results: list[Result]) -> str:
    head = f"{'ranks':>6}{'speeds':>9}{'makespan':>11}{'ideal':>9}{'longest':>9}{'of ideal':>10}"
    lines = [f"{head}{'messages/s':>12}{'rank 0 busy':>13}{'memory':>9}"]
    return "\n".join([*lines, *map(_row, results)])


def _row(one: Result) -> str:
    times = f"{one.makespan:>9.0f} s{one.ideal:>7.0f} s{one.longest:>7.0f} s{one.efficiency:>10.1%}"
    root = f"{one.messages_a_second:>12.1f}{one.root_busy:>13.2%}{one.peak_memory / 1e6:>6.0f} MB"
    return f"{one.ranks:>6}{one.speeds:>9}{times}{root}"


def draw(results: list[Result], path: Path) -> None:
    """Draw efficiency and rank 0's load against the number of ranks."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for speeds in dict.fromkeys(one.speeds for one in results):
        chosen = [one for one in results if one.speeds == speeds]
        ranks = [one.ranks for one in chosen]
        axes[0].plot(ranks, [100 * one.efficiency for one in chosen], "o-", label=f"ranks {speeds}")
        axes[1].plot(ranks, [100 * one.root_busy for one in chosen], "o-", label=f"ranks {speeds}")
    for axis, title, target in zip(
        axes, ("of the ideal makespan, %", "rank 0 busy, %"), (95, 10), strict=True
    ):
        axis.axhline(target, color="grey", linestyle=":", label="target")
        axis.set(xscale="log", xlabel="ranks", title=title, ylim=(0, None))
        axis.set_xticks(ranks, [f"{count:,}" for count in ranks])
        axis.minorticks_off()
        axis.legend()
    figure.savefig(path, dpi=120)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=1_800_000, metavar="N")
    parser.add_argument("--ranks", default="64,512,4096", metavar="N,…")
    parser.add_argument(
        "--biggest", type=float, default=1e10, metavar="BYTES", help="of a layer (default: 1e10)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--figure", type=Path, metavar="FILE.png")
    parser.add_argument("--part", choices=("plan", "message", "simulate"), help=argparse.SUPPRESS)
    parser.add_argument("--unequal", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--message-seconds", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    ranks = [int(count) for count in options.ranks.split(",")]
    if options.part == "plan":
        print(json.dumps(planning(options.layers, ranks[-1])))
    elif options.part == "message":
        if seconds := message_cost():
            print(json.dumps(seconds))
    elif options.part == "simulate":
        layers = made_up(options.layers, options.biggest)
        print(
            json.dumps(asdict(simulate(layers, ranks[0], options.unequal, options.message_seconds)))
        )
    else:
        _all(options, ranks)
    return 0


def _all(options: argparse.Namespace, ranks: list[int]) -> None:
    """Run every part in a process of its own, so that each memory is its own."""
    count = ("--layers", options.layers)
    planned = _in_a_process(*count, "--ranks", ranks[-1], "--part", "plan")
    seconds = _in_a_process("--part", "message", launcher=("mpirun", "-n", "2"))
    print(
        f"planning {options.layers:,} layers for {ranks[-1]:,} ranks: "
        f"{planned['plan_seconds']:.1f} s of CPU time, "
        f"{planned['plan_peak_memory'] / 1e6:.0f} MB with the layers"
    )
    print(f"a message at rank 0: {seconds * 1e6:.1f} µs of CPU time")
    results = []
    for unequal in (False, True):
        for number in ranks:
            words = [
                *count,
                "--biggest",
                options.biggest,
                "--ranks",
                number,
                "--part",
                "simulate",
                "--message-seconds",
                seconds,
            ]
            results.append(Result(**_in_a_process(*words, *(["--unequal"] if unequal else []))))
    print(table(results))
    if options.json:
        rows = [
            {**asdict(one), "efficiency": one.efficiency, "root_busy": one.root_busy}
            for one in results
        ]
        found = {"machine": machine(), "message_seconds": seconds, **planned, "simulations": rows}
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if options.figure:
        draw(results, options.figure)


if __name__ == "__main__":
    sys.exit(main())
