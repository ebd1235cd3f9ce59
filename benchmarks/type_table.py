"""Share of the questions for types that the table of a node answers, by its size: a simulation.

    python -m benchmarks.type_table [--questions N] [--seed N] [--check] [--json FILE]

The images are those of 2017: 169 million distinct contents in 5.28 billion files. How many copies a
content has is assumed (:class:`Copies`): half have 4, 90 % have up to 10, the most copied has 53.65
million, and a curve between gives the number of files. Each copy is in a layer of its own choice,
and layers are dealt out to nodes, so a node asks for a random share of the copies in random order.

A content can be in one set of words of the table alone, and sets don't meet, so it is enough to
simulate some sets of a table of full size, each with all its contents:

    tagged    a content drawn by its questions: one of a million copies, a million times as often
    others    contents drawn evenly; their number is Poisson(words of a set x contents / slots)
    copies    those of each content that this node meets: Binomial(copies, 1 / nodes)
    result    the mean, over the sets, of the share of the tagged content's questions that hit

Nothing is scaled down but the number of sets; the deviation over the sets is printed. `--check`
compares with whole tables of few contents, whose copies are put into layers one by one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CONTENTS = 169e6
FILES = 5.28e9
MOST_COPIES = 53_654_306

FEW_COPIES = {1: 0.006, 2: 0.047, 3: 0.047, 4: 0.5, **dict.fromkeys(range(5, 11), 0.05)}
"""Share of the contents that have so many copies; 90 % in all."""

SIZES = (18, 20, 21, 22, 24, 26, 28, 30)
NODES = (64, 16, 4, 1)


class Copies:
    """Assumed numbers of copies: :data:`FEW_COPIES`, and a curve for the contents with more.

    The content of rank r by copies, up to a tenth of all, has
    top * ((1 + flat) / (r + flat))^power:
    `power` is such that the last of them has 10, and `flat` such that the files add up.

    :param contents: how many there are.
    :param files: copies of all of them together.
    :param top: copies of the first.
    """

    def __init__(
        self, contents: float = CONTENTS, files: float = FILES, top: float = MOST_COPIES
    ) -> None:
        self.contents = contents
        self.top = top
        self._numbers = np.array(list(FEW_COPIES))
        self._shares = np.array(list(FEW_COPIES.values()))
        self._last = (1 - self._shares.sum()) * contents
        few = contents * float(self._shares @ self._numbers)
        # Find `flat` by bisection of its logarithm: the flatter the curve, the more files.
        low = 0.0
        high = np.log(self._last)
        for _ in range(60):
            self._flat = float(np.exp((low + high) / 2))
            self._power = np.log(top / 10) / np.log((self._last + self._flat) / (1 + self._flat))
            if self._sum_to(self._last) + few < files:
                low = np.log(self._flat)
            else:
                high = np.log(self._flat)
        self.few_files = few
        self.files = few + self._sum_to(self._last)

    def _sum_to(self, rank: float) -> float:
        """Return the copies of all contents up to a rank."""
        exponent = 1 - self._power
        scale = self.top * (1 + self._flat) ** self._power / exponent
        return float(scale * ((rank + self._flat) ** exponent - (0.5 + self._flat) ** exponent))

    def _of_rank(self, rank: Floats) -> Ints:
        copies = self.top * ((1 + self._flat) / (rank + self._flat)) ** self._power
        return np.maximum(np.rint(copies), 1).astype(np.int64)

    def of_contents(self, quantiles: Floats) -> Ints:
        """Return the copies of contents at these quantiles, from 0 to 1."""
        few = np.searchsorted(np.cumsum(self._shares), quantiles, "right")
        rank = np.maximum((1 - quantiles) * self.contents, 0.5)
        numbers = self._numbers[np.minimum(few, len(self._numbers) - 1)]
        return np.where(few < len(self._numbers), numbers, self._of_rank(rank))

    def of_questions(self, quantiles: Floats) -> Ints:
        """Return the copies of contents drawn by their copies, at these quantiles of all files."""
        place = quantiles * self.files
        masses = np.cumsum(self.contents * self._shares * self._numbers)
        few = np.searchsorted(masses, place, "right")
        exponent = 1 - self._power
        scale = self.top * (1 + self._flat) ** self._power / exponent
        above = np.maximum(place - self.few_files, 0)
        rank = (above / scale + (0.5 + self._flat) ** exponent) ** (1 / exponent) - self._flat
        numbers = self._numbers[np.minimum(few, len(self._numbers) - 1)]
        return np.where(few < len(self._numbers), numbers, self._of_rank(rank))

    def distinct(self, share: float, samples: int = 1_000_000) -> float:
        """Return how many distinct contents a node meets that has this share of all files."""
        quantiles = (np.arange(samples) + 0.5) / samples
        met = -np.expm1(self.of_contents(quantiles) * np.log1p(-share)) if share < 1 else 1.0
        return self.contents * float(np.mean(met))


@dataclass(frozen=True)
class Policy:
    """How a set of words keeps contents.

    :ivar ways: words of a set.
    :ivar victim: what is replaced: "oldest" use, a "random" one, or the least "counted" one.
    :ivar most: greatest value of a counter.
    """

    ways: int
    victim: str
    most: int = 0


POLICIES = {
    "1 word": Policy(1, "oldest"),
    "8 words, random": Policy(8, "random"),
    "8 words, oldest use": Policy(8, "oldest"),
    "8 words, 1 bit of uses": Policy(8, "counted", 1),
    "8 words, 2 bits of uses": Policy(8, "counted", 3),
}


@dataclass(frozen=True)
class Streams:
    """What some sets are asked for, one question after the other; the longest stream is first.

    :ivar contents: of all sets one after the other: the number of the content within its set; 0
        is the tagged one. Questions right behind one for the same content are left out.
    :ivar starts: where each set's stream begins.
    :ivar lengths: of the streams, falling.
    :ivar strata: of each set, which of the equal parts of all questions its tagged content is of.
    :ivar asked: questions for the tagged content, those left out included.
    :ivar repeats: those left out; all hit, whatever the policy.
    """

    contents: Ints
    starts: Ints
    lengths: Ints
    strata: Ints
    asked: Ints
    repeats: Ints


def streams(
    rng: np.random.Generator, copies: Copies, *, sets: int, others: float, nodes: int
) -> Streams:
    """Draw the streams of some sets.

    :param others: mean number of contents of a set besides the tagged one.
    """
    # Draw the contents of each set, and the copies of each that this node meets.
    strata = (np.arange(sets) + rng.random(sets)) / sets
    tagged = 1 + rng.binomial(copies.of_questions(strata) - 1, 1 / nodes)
    counts = rng.poisson(others, sets)
    owner = np.repeat(np.arange(sets), counts)
    met = rng.binomial(copies.of_contents(rng.random(len(owner))), 1 / nodes)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts) + 1

    # A tagged content that is asked for more often than all others together is asked for between
    # any two of them, but for a few: one question stands for those of each gap.
    others_asked = np.bincount(owner, met, sets).astype(np.int64)
    is_hot = tagged > others_asked
    in_gap = -np.expm1(-tagged / np.maximum(others_asked + 1, 1))
    asked_set = np.repeat(owner, met)
    key = rng.random(len(asked_set))
    has_hot = is_hot[asked_set] & (rng.random(len(asked_set)) < in_gap[asked_set])
    cold_set = np.repeat(np.arange(sets), np.where(is_hot, 0, tagged))
    hot = np.flatnonzero(is_hot)
    all_sets = np.concatenate([asked_set, cold_set, asked_set[has_hot], hot])
    all_keys = np.concatenate([key, rng.random(len(cold_set)), key[has_hot], np.full(len(hot), 2)])
    all_numbers = np.zeros(len(all_sets), np.int64)
    all_numbers[: len(asked_set)] = np.repeat(number, met)
    # In a gap the tagged content comes first.
    order = np.lexsort((all_numbers, all_keys, all_sets))
    all_sets = all_sets[order]
    all_numbers = all_numbers[order]

    # Leave out repeats.
    is_new = np.ones(len(all_sets), bool)
    is_new[1:] = (all_sets[1:] != all_sets[:-1]) | (all_numbers[1:] != all_numbers[:-1])
    all_sets = all_sets[is_new]
    all_numbers = all_numbers[is_new]
    lengths = np.bincount(all_sets, minlength=sets)
    longest_first = np.argsort(-lengths, kind="stable")
    kept = np.bincount(all_sets[all_numbers == 0], minlength=sets)
    return Streams(
        all_numbers,
        (np.cumsum(lengths) - lengths)[longest_first],
        lengths[longest_first],
        longest_first,
        tagged[longest_first],
        (tagged - kept)[longest_first],
    )


def hit_shares(rng: np.random.Generator, asked: Streams, policy: Policy) -> Floats:
    """Return the share of the questions for the tagged content that hit, by stratum."""
    sets = len(asked.lengths)
    shares = np.empty(sets)
    # A single word holds what was asked for last, so that only repeats hit.
    if policy.ways == 1:
        shares[asked.strata] = asked.repeats / asked.asked
        return shares
    held = np.full((sets, policy.ways), -1, np.int64)
    # When a word was used last, or how often; empty words are the first to be taken.
    value = np.full((sets, policy.ways), -1, np.int64)
    hits = asked.repeats.copy()
    active = sets
    for step in range(int(asked.lengths[0]) if sets else 0):
        while asked.lengths[active - 1] <= step:
            active -= 1
        content = asked.contents[asked.starts[:active] + step]
        is_equal = held[:active] == content[:, None]
        is_hit = is_equal.any(axis=1)
        hits[:active] += is_hit & (content == 0)

        # Choose the word of each set, and replace what it held if that is another content.
        chosen = np.where(
            is_hit, is_equal.argmax(axis=1), _victims(rng, value[:active], policy.victim)
        )
        rows = np.arange(active)
        held[rows, chosen] = content
        if policy.victim == "counted":
            least = value[rows, chosen]
            value[:active] -= np.where(is_hit, 0, np.maximum(least, 0))[:, None]
            value[rows, chosen] = np.where(is_hit, np.minimum(least + 1, policy.most), 0)
        else:
            value[rows, chosen] = step
    shares[asked.strata] = hits / asked.asked
    return shares


def _victims(rng: np.random.Generator, value: Ints, victim: str) -> Ints:
    """Return the word of each set that a new content takes."""
    ways = value.shape[1]
    if victim == "oldest":
        return value.argmin(axis=1)
    # Begin at a random word; the first of the least values is taken.
    from_begin = (np.arange(ways) - rng.integers(ways, size=(len(value), 1))) % ways
    if victim == "random":
        value = np.minimum(value, 0)
    return (value * ways + from_begin).argmin(axis=1)


def shares_answered(
    copies: Copies, names: Sequence[str], *, slots: int, nodes: int, questions: int, seed: int
) -> list[tuple[float, float]]:
    """Return the share of the questions that a table answers, and its standard error, by policy.

    :param names: of policies with as many words a set.
    :param questions: how many are simulated, roughly.
    """
    policies = [POLICIES[name] for name in names]
    others = policies[0].ways * copies.contents / slots
    asked = others * copies.files / copies.contents / nodes
    sets = 2 * int(np.clip(questions / (4 * asked + 2), 100, 10_000))
    rng = np.random.default_rng(seed)
    drawn = streams(rng, copies, sets=sets, others=others, nodes=nodes)
    found = []
    for policy in policies:
        shares = hit_shares(rng, drawn, policy)
        # Neighbouring strata have nearly the same mean, so what differs between two is chance.
        error = np.sqrt(np.sum((shares[::2] - shares[1::2]) ** 2)) / sets
        found.append((float(shares.mean()), float(error)))
    return found


def best_share(copies: Copies, nodes: int) -> float:
    """Return the share of the questions that a table without end answers."""
    return 1 - copies.distinct(1 / nodes) * nodes / copies.files


def whole_table(
    rng: np.random.Generator, copies: Copies, policy: Policy, *, slots: int, nodes: int
) -> float:
    """Return the share that a whole table answers: all contents, dealt to layers, on one node.

    It is the plain way to simulate, for few contents.
    """
    quantiles = (np.arange(int(copies.contents)) + 0.5) / copies.contents
    content = np.repeat(np.arange(int(copies.contents)), copies.of_contents(quantiles))
    # Layers of 3,000 files each, dealt to nodes at random; the node profiles one after the other.
    layers = max(len(content) // 3000, nodes)
    node_of_layer = rng.integers(nodes, size=layers)
    layer = rng.integers(layers, size=len(content))
    content = content[node_of_layer[layer] == 0]
    layer = layer[node_of_layer[layer] == 0]
    content = content[np.lexsort((rng.random(len(content)), layer))]
    set_of_content = rng.integers(slots // policy.ways, size=int(copies.contents))
    table: dict[int, list[list[int]]] = {}
    hits = 0
    for step, one in enumerate(content.tolist()):
        words = table.setdefault(int(set_of_content[one]), [])
        found = next((word for word in words if word[0] == one), None)
        if found is not None:
            hits += 1
            found[1] = min(found[1] + 1, policy.most) if policy.victim == "counted" else step
            continue
        if len(words) == policy.ways:
            first = int(rng.integers(policy.ways))
            turned = words[first:] + words[:first]
            victim = (
                turned[0] if policy.victim == "random" else min(turned, key=lambda word: word[1])
            )
            words.remove(victim)
            if policy.victim == "counted":
                for word in words:
                    word[1] -= victim[1]
        words.append([one, 0 if policy.victim == "counted" else step])
    return hits / len(content)


def check(seed: int) -> None:
    """Print what whole tables of few contents answer, and what sets of them do."""
    copies = Copies(contents=40_000, files=1_250_000, top=12_500)
    for name, policy in POLICIES.items():
        for slots, nodes in ((1 << 10, 1), (1 << 12, 4), (1 << 14, 1)):
            rng = np.random.default_rng(seed)
            whole = whole_table(rng, copies, policy, slots=slots, nodes=nodes)
            [(sampled, error)] = shares_answered(
                copies, [name], slots=slots, nodes=nodes, questions=1_000_000, seed=seed
            )
            found = f"whole {whole:.3f}, sets {sampled:.3f} ±{error:.3f}"
            print(f"{name:24} {slots:6} slots, {nodes} nodes: {found}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks.type_table", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--questions", type=int, default=1_000_000, help="simulated a cell")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--check", action="store_true", help="compare with whole small tables")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.check:
        check(options.seed)
        return 0

    copies = Copies()
    print(f"{copies.contents:.3g} contents in {copies.files:.4g} files", flush=True)
    cells = []
    for nodes in NODES:
        print(f"\n{nodes} nodes, a table without end answers {best_share(copies, nodes):.3f}")
        for bits in SIZES:
            row = []
            for ways in (1, 8):
                names = [name for name, policy in POLICIES.items() if policy.ways == ways]
                found = shares_answered(
                    copies,
                    names,
                    slots=1 << bits,
                    nodes=nodes,
                    questions=options.questions,
                    seed=options.seed,
                )
                for name, (share, error) in zip(names, found, strict=True):
                    row.append(f"{name} {share:.3f} ±{error:.3f}")
                    cells.append({"nodes": nodes, "bits": bits, "policy": name, "share": share})
            print(f"2^{bits}: {'; '.join(row)}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(cells, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
