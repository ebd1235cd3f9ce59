"""The configs of a run on disk: the same as in memory, each once, in order, and not in memory."""

import random
import tracemalloc

import pytest
from support.made_configs import make_config

from hpc_remetrics.errors import OutputError
from hpc_remetrics.files.sorted_lines import SortedLines
from hpc_remetrics.records import Configs, Digest, ImageConfig, Step
from hpc_remetrics.sources import stored_configs
from hpc_remetrics.sources.stored_configs import StoredConfigs


@pytest.mark.parametrize("run_bytes", [1, 5_000, 10**9])
def test_stored_configs_are_as_those_in_memory(tmp_path, monkeypatch, run_bytes):
    monkeypatch.setattr(
        stored_configs, "SortedLines", lambda place: SortedLines(place, run_bytes=run_bytes)
    )
    rng = random.Random(5)
    made = [make_config(rng, word, 3) for word in range(40)]
    stored, held = StoredConfigs(tmp_path), Configs()
    for configs in (stored, held):
        for config in [*made, *made[:10], made[0]]:
            configs.add(config)
    assert len(stored) == len(held) == 40
    assert list(stored) == list(stored) == list(held)
    assert stored == held
    digests = [config.digest for config in stored]
    assert digests == sorted(digests)
    assert [type(step) for config in stored for step in config.history][:1] == [Step]
    # The first of two with the same digest stays.
    stored.add(ImageConfig(made[0].digest, 1, os="other"))
    assert stored == held
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_can_not_be_written_is_one_line_for_the_user(tmp_path, monkeypatch):
    monkeypatch.setattr(
        stored_configs, "SortedLines", lambda place: SortedLines(place, run_bytes=1)
    )
    configs = StoredConfigs(tmp_path / "missing")
    words = r"can't write the configs of images to .*missing: No such file"
    with pytest.raises(OutputError, match=words):
        configs.add(ImageConfig(Digest(bytes(32)), 1))
    assert len(configs) == 0


@pytest.mark.slow
def test_memory_does_not_grow_with_the_configs_but_for_their_digests(tmp_path, monkeypatch):
    monkeypatch.setattr(
        stored_configs, "SortedLines", lambda place: SortedLines(place, run_bytes=200_000)
    )
    steps = tuple(Step(n, 0, f"RUN make target-{n} && make install") for n in range(20))

    def most_bytes(count):
        configs = StoredConfigs(tmp_path)
        tracemalloc.start()
        try:
            for number in range(count):
                configs.add(ImageConfig(Digest(number.to_bytes(32, "big")), 5_000, history=steps))
            assert sum(len(config.history) for config in configs) == 20 * count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # A config has 1.5 kB as a line; digests and the buffers of the runs take a quarter of that.
    few, many = most_bytes(300), most_bytes(1300)
    assert (many - few) / 1000 < 800
