"""One hostile registry in a list of three images: the others are in the dataset, and one line says
why."""

import h5py
import pytest
from support.raw_server import RawServer, answer

ANSWERS = {
    "realm": answer(401, ("WWW-Authenticate", 'Bearer realm="http://[::1"')),
    "location": answer(307, ("Location", "http://[::1")),
    "content type": answer(200, ("Content-Type", "application/json; charset"), body=b"[" * 9000),
}


@pytest.mark.slow
@pytest.mark.parametrize("data", ANSWERS.values(), ids=ANSWERS)
def test_a_registry_that_answers_nonsense_costs_its_own_images(registry, runs, tmp_path, data):
    output = tmp_path / "out.h5"
    with RawServer(lambda head: data) as server:
        names = [f"{registry.host}/one:1", f"{server.host}/evil:1", f"{registry.host}/two:1"]
        (tmp_path / "list.csv").write_text("\n".join(names))
        source = f"repos:{tmp_path / 'list.csv'}"
        options = ["--types", "none", "--patience", "tries=1"]
        said = runs.run(runs.command("analyze", source, "-o", output, *options), 3).stderr
    assert "Traceback" not in said
    assert sum("evil" in line for line in said.splitlines()) == 1
    with h5py.File(output) as file:
        images = [name.decode() for name in file["images/name"][()]]
    assert images == [names[0], names[2]]
