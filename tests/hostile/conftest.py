"""One run over all hostile layers, and one over their neighbours alone."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import small_images, tars
from support.layouts import Layout
from support.runs import Runs
from support.tools import need

import hpc_remetrics

sys.path.insert(0, str(Path(__file__).parent))
from cases import GOOD, cases


@pytest.fixture(scope="session")
def table():
    need("zstd")
    return cases()


@pytest.fixture(scope="session")
def hostile(tmp_path_factory, table):
    """The dataset of hostile layers among good ones; what was said; where; and each case's
    digest."""
    runs = Runs(tmp_path_factory.mktemp("hostile"))
    layout, alone = Layout(runs.directory / "layout"), Layout(runs.directory / "alone")
    digests, layers = {}, []
    for name, case in table.items():
        descriptor = layout.blob(case.data, case.media_type) | case.descriptor
        descriptor = {key: value for key, value in descriptor.items() if value != -1}
        digests[name] = descriptor["digest"].removeprefix("sha256:")
        layers.append((descriptor, "sha256:" + "0" * 64))
    assert len(set(digests.values())) == len(table)
    # Bytes that are not those of the name, and a blob that is not there.
    wrong, gone = (
        layout.blob(GOOD + b"1", "application/vnd.oci.image.layer.v1.tar"),
        layout.blob(GOOD + b"2", ""),
    )
    layout.path(wrong["digest"]).write_bytes(GOOD + b"3")
    layout.path(gone["digest"]).unlink()
    digests |= {"wrong bytes": wrong["digest"][7:], "gone": gone["digest"][7:]}
    layers += [(wrong, "sha256:" + "0" * 64), (gone, "sha256:" + "0" * 64)]
    for number in range(0, len(layers), 10):
        layout.image(f"hostile/{number}:1", layers[number : number + 10])
    tar = small_images.tar_of(["email"]), small_images.tar_of(["json"])
    for place in (layout, alone):
        place.image("good/image:1", [place.layer(data, "gzip") for data in tar])
        place.finish()
    outside = set(runs.directory.parent.rglob("*"))
    result = runs.run(
        runs.analyze(f"oci:{layout.directory}", runs.directory / "out.h5", ranks=3), code=3
    )
    made = set(runs.directory.parent.rglob("*")) - outside
    runs.run(runs.analyze(f"oci:{alone.directory}", runs.directory / "alone.h5"))
    with (
        hpc_remetrics.open(runs.directory / "out.h5") as dataset,
        hpc_remetrics.open(runs.directory / "alone.h5") as other,
    ):
        yield SimpleNamespace(
            dataset=dataset,
            alone=other,
            said=result.stderr,
            directory=runs.directory,
            made=made,
            digests=digests,
            good=[json.loads((alone.directory / "index.json").read_text())],
            runs=runs,
            layout=layout,
            end=tars.END,
        )
