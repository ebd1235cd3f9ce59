"""Secrets of images are in no file of a run, unless the user keeps them."""

from support import small_images
from support.layouts import Layout
from support.same import assert_same

import hpc_remetrics

SECRET = "correct-horse-battery"


def test_secrets_are_nowhere_unless_they_are_kept(runs):
    made = Layout(runs.directory / "layout")
    layer = made.layer(small_images.tar_of(["json"]), "gzip")
    container = {"Env": [f"DB_PASSWORD={SECRET}"], "Labels": {"token": SECRET}}
    history = [{"created_by": f"RUN ./install --password {SECRET}"}]
    made.image("a:1", [layer], history, config=container)
    source = f"oci:{made.finish()}"
    options = ("--types", "none")
    runs.run(runs.analyze(source, "out.h5", *options, ranks=2))
    assert values_of(runs.directory / "out.h5") == (
        ["<redacted:password:21>"],
        ["<redacted:token:21>"],
        ["RUN ./install --password <redacted:password:21>"],
        [3],
    )
    files = [
        path for path in runs.directory.rglob("*") if path.is_file() and "layout" not in str(path)
    ]
    assert not any(SECRET.encode() in path.read_bytes() for path in files)

    # Only the tables are made again, and what is kept makes no difference elsewhere.
    result = runs.run(runs.analyze(source, "out.h5", "--keep-secrets", *options))
    assert "nothing to do" not in result.stderr and "gathering" in result.stderr
    assert values_of(runs.directory / "out.h5") == (
        [SECRET],
        [SECRET],
        [f"RUN ./install --password {SECRET}"],
        [0],
    )
    runs.run(runs.analyze(source, "new.h5", "--keep-secrets", *options))
    assert_same(runs.directory / "out.h5", runs.directory / "new.h5")


def values_of(path):
    with hpc_remetrics.open(path) as data:
        return (
            data.environment.frame().value.tolist(),
            data.labels.frame().value.tolist(),
            data.history.frame().created_by.tolist(),
            data.configs.frame().secrets.tolist(),
        )
