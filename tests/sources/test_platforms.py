"""Platforms in their several spellings, and runs that leave no image for lack of the right one."""

import json
from collections import Counter

import pytest
from support.layouts import Layout
from support.runs import Runs

from hpc_remetrics.errors import UsageError
from hpc_remetrics.sources import open_source, platforms
from hpc_remetrics.sources.manifests import resolve

INDEX = "application/vnd.oci.image.index.v1+json"

# What containerd's platforms.Normalize gives; "" is the usual variant.
SAME = [
    (
        "linux/amd64",
        "linux/x86_64",
        "linux/x86-64",
        "Linux/AMD64",
        "linux/amd64/v1",
        "linux/x86_64/V1",
    ),
    ("linux/arm64", "linux/aarch64", "linux/arm64/v8", "linux/arm64/8", "linux/AARCH64/v8"),
    ("linux/arm", "linux/arm/v7", "linux/arm/7", "linux/armhf", "linux/armhf/v6"),
    ("linux/arm/v6", "linux/arm/6", "linux/armel", "linux/armel/v5"),
    ("linux/arm/v5", "linux/arm/5"),
    ("linux/arm64/v9", "linux/aarch64/v9", "linux/arm64/9"),
    ("linux/386", "linux/i386", "linux/i386/v1"),
    ("linux/amd64/v2", "linux/x86_64/v2"),
    ("darwin/arm64", "macos/arm64", "macOS/aarch64/v8"),
    ("linux/riscv64",),
    ("linux/ppc64le",),
    ("windows/amd64",),
]
GROUP = {name: number for number, names in enumerate(SAME) for name in names}
WITHOUT_VARIANT = {"linux/amd64", "linux/x86_64", "linux/x86-64", "Linux/AMD64", "linux/arm64"}
WITHOUT_VARIANT |= {"linux/aarch64", "linux/arm"}


@pytest.mark.parametrize("wish", GROUP)
def test_a_wish_is_met_by_every_spelling_of_it_and_by_no_other_platform(wish):
    (checked,) = platforms.check([wish])
    for name, group in GROUP.items():
        found = platforms.matches(name, [checked])
        assert found == platforms.matches(name, [wish])
        if wish in WITHOUT_VARIANT:
            like = (
                wish.lower()
                .replace("x86_64", "amd64")
                .replace("x86-64", "amd64")
                .replace("aarch64", "arm64")
            )
            is_like = SAME[group][0] == like or SAME[group][0].startswith(f"{like}/")
            assert found == is_like, (wish, name)
        else:
            assert found == (group == GROUP[wish]), (wish, name)


def test_what_is_checked_has_a_normal_form():
    """A variant that was named stays named, since none is any."""
    wishes = ["linux/aarch64", "linux/AArch64/8", "linux/x86_64", "linux/amd64/V1", "linux/armhf"]
    normal = ("linux/arm64", "linux/arm64/v8", "linux/amd64", "linux/amd64/v1", "linux/arm/v7")
    assert platforms.check(wishes) == normal
    assert platforms.check(normal) == normal
    assert platforms.check(["linux/i386", "linux/armel", "macos/arm64"]) == (
        "linux/386",
        "linux/arm/v6",
        "darwin/arm64",
    )


@pytest.mark.parametrize(
    "wish", ["linux", "arm64", "", "linux/", "/arm64", "linux/arm/v7/x", "linux/a b", "a/b\n"]
)
def test_what_is_no_platform(wish):
    with pytest.raises(UsageError, match="not a platform"):
        platforms.check([wish])


@pytest.fixture
def place(tmp_path):
    """Return a function that writes a layout with an index of images for some platforms."""

    def write(*names):
        layout = Layout(tmp_path / "layout")
        for number, name in enumerate(names):
            layout.image(f"x:{number}", [layout.layer(f"{name}".encode() * 600, "gzip")])
        parts = [
            dict(zip(("os", "architecture", "variant"), name.split("/"), strict=False))
            for name in names
        ]
        children = [
            {**entry, "platform": part} for entry, part in zip(layout.index, parts, strict=True)
        ]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children}
        entry = layout.blob(json.dumps(index).encode(), INDEX)
        layout.index = [{**entry, "annotations": {"org.opencontainers.image.ref.name": "many:1"}}]
        return layout.finish()

    return write


def test_an_index_is_searched_by_any_spelling(place):
    directory = place("linux/arm64", "linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/386")
    one = ("linux/arm64/v8", "linux/aarch64", "linux/x86_64", "linux/amd64/v1", "linux/armhf")
    wishes = {**dict.fromkeys(one, 1), "linux/i386": 1, "linux/arm": 2, "linux/amd64/v3": 0}
    for wish, count in wishes.items():
        catalog = resolve(open_source(f"oci:{directory}"), [wish])
        assert len(catalog.images) == count, wish
        assert Counter(one.cause for one in catalog.skipped) == {"other_platform": 5 - count}


def test_platforms_of_the_image_may_be_spelled_otherwise_too(place):
    directory = place("linux/aarch64", "linux/x86_64", "Linux/arm/7")
    for wish in ("linux/arm64/v8", "linux/amd64", "linux/armhf"):
        assert len(resolve(open_source(f"oci:{directory}"), [wish]).images) == 1


@pytest.mark.slow
def test_a_run_without_an_image_says_which_platforms_there_are(place, tmp_path):
    """Any image of any source is enough; nothing is left behind where there is none."""
    directory, runs = place("linux/arm64", "linux/amd64"), Runs(tmp_path)
    sources = [f"oci:{directory}", "demo:"]
    for ranks in (0, 2):
        command = runs.command(
            "analyze", *sources, "-o", "a.h5", "--platform", "linux/s390x", ranks=ranks
        )
        result = runs.run(command, code=2)
        (line,) = [line for line in result.stderr.splitlines() if "linux/s390x" in line]
        assert "linux/amd64" in line and "linux/arm64" in line
        assert not list(tmp_path.glob("a.h5.parts")) and not (tmp_path / "a.h5").exists()
    runs.run(runs.command("plan", *sources, "--platform", "linux/s390x"), code=2)
    runs.run(
        runs.command("plan", *sources, "--platform", "linux/s390x", "--platform", "linux/aarch64")
    )
