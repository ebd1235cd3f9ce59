"""A second snapshot of a registry reads the layers that are new, and none that an earlier one has.

last week   a:1, b:1, c:1, d:1 of 25 layers each
this week   a:1, b:1; c:1 is moved: 22 of its layers and 3 new ones; d:1 is gone; e:1 is new: 23
            layers of d:1 and 2 new ones. So 5 of 100 layers are new, and 5 are gone.
"""

import json
import random
from pathlib import Path

import pytest
from support import tars
from support.faulty_proxy import FaultyProxy
from support.layouts import Layout
from support.registry import Registry
from support.same import assert_same

import hpc_remetrics

pytestmark = pytest.mark.slow

LAST_WEEK = ("a:1", "b:1", "c:1", "d:1")
THIS_WEEK = ("a:1", "b:1", "c:1", "e:1")


class Weeks:
    """A registry that can be put into the state of each week."""

    def __init__(self, directory: Path) -> None:
        rng = random.Random(1)
        layers = [_tar(rng, number) for number in range(42)]
        images = {name: layers[10 * n : 10 * n + 10] for n, name in enumerate(LAST_WEEK)}
        self.registry = Registry(directory / "registry")
        self._last = self._layout(directory / "last", images)
        moved = {"c:1": images["c:1"][:9] + layers[40:41]}
        moved["e:1"] = images["d:1"][:9] + layers[41:]
        self._this = self._layout(directory / "this", moved)
        for name in LAST_WEEK:
            self._copy(self._last, name)

    def _layout(self, directory: Path, images: dict[str, list[bytes]]) -> Path:
        layout = Layout(directory)
        self.new: dict[str, int] = {}
        for name, tars_of_image in images.items():
            made = [layout.layer(tar, "gzip") for tar in tars_of_image]
            layout.image(name, made)
            descriptor, _ = made[-1]
            self.new[descriptor["digest"]] = descriptor["size"]
        return layout.finish()

    def _copy(self, layout: Path, name: str) -> None:
        self.registry.copy(f"oci:{layout}:{name}", name, "--preserve-digests")

    def end_last_week(self) -> None:
        """Move the tags to where they are this week."""
        for name in ("c:1", "e:1"):
            self._copy(self._this, name)


def _tar(rng: random.Random, number: int) -> bytes:
    """Return a layer of a file of its own, and one that it shares with others."""
    own = b"%d " % number + rng.randbytes(2000)
    shared = b"shared %d\n" % (number % 7) * 50
    return tars.file(b"own-%d" % number, own) + tars.file(b"etc/shared", shared) + tars.END


@pytest.fixture(scope="module")
def weeks(tmp_path_factory):
    weeks = Weeks(tmp_path_factory.mktemp("weeks"))
    yield weeks
    weeks.registry.stop()


def blobs_of(proxy: FaultyProxy, since: int) -> list[tuple[str, int]]:
    """Return digest and bytes of the blobs that were given, without the configs of images."""
    given = []
    for one in proxy.exchanges[since:]:
        is_config = one.body.startswith(b"{")
        if "/blobs/" in one.path and not is_config:
            given.append((one.path.rpartition("/")[2], one.sent))
    return given


def test_it_reads_what_is_new_and_equals_a_run_from_scratch(weeks, runs):
    with FaultyProxy(weeks.registry.host) as proxy:

        def analyze(output: str, names: tuple[str, ...], *options: str) -> list[tuple[str, int]]:
            since = len(proxy.exchanges)
            sources = [f"docker://{proxy.host}/{name}" for name in names]
            more = ("--types", "none", *options)
            command = runs.analyze(sources[0], output, *sources[1:], *more, ranks=3)
            analyze.said = runs.run(command).stderr
            return blobs_of(proxy, since)

        assert len(analyze("last.h5", LAST_WEEK)) == 40
        weeks.end_last_week()
        assert len(analyze("scratch.h5", THIS_WEEK)) == 40
        since = len(proxy.exchanges)
        given = analyze("reused.h5", THIS_WEEK, "--reuse", "last.h5")
        assert sorted(given) == sorted(weeks.new.items())
        assert "reused: 38 layers of earlier datasets" in analyze.said
        assert_same(runs.directory / "scratch.h5", runs.directory / "reused.h5")

        # Beside the two layers there are manifests and configs
        others = [one.path for one in proxy.exchanges[since:] if "/v2/" in one.path]
        assert len(others) <= 2 + 3 * len(THIS_WEEK) + 2
        with hpc_remetrics.open(runs.directory / "reused.h5") as dataset:
            assert dataset.run_table("reused")["layers"].tolist() == [38]
            assert dataset.run_table("ranks")["layers"].sum() == 2
        text = runs.run(runs.command("report", "reused.h5")).stdout
        assert "layers reused                 38" in text

        # What --keep stores is fetched all the same, once
        options = ("--reuse", "reused.h5", "--keep", "kept")
        assert len(analyze("kept.h5", THIS_WEEK, *options)) == 40
        assert "--keep stores 40 layers that kept lacks" in analyze.said
        assert analyze("again.h5", THIS_WEEK, *options) == []
        assert "reused: 40 layers" in analyze.said
        assert_same(runs.directory / "scratch.h5", runs.directory / "again.h5")
        index = json.loads((runs.directory / "kept" / "index.json").read_text())
        assert len(index["manifests"]) == 4

        # The plan counts what is new alone
        sources = [f"docker://{proxy.host}/{name}" for name in THIS_WEEK]
        plan = runs.run(runs.command("plan", *sources, "--reuse", "last.h5", "--json"))
        numbers = json.loads(plan.stdout)
        assert (numbers["layers"], numbers["reused"]["layers"]) == (2, 38)
        assert numbers["bytes"] == sum(weeks.new.values())
