"""Extensions by name: built-in ones, and those of other packages' entry points."""

import sys

import pytest
from support.foreign_package import add_to_path, install

from hpc_remetrics.errors import MissingComponentError, UsageError
from hpc_remetrics.extensions import Extensions

GROUP = "hpc_remetrics.gadgets"
ENTRY_POINTS = f"""
[{GROUP}]
zoo = other_gadgets:ZOO
ant = other_gadgets:ANT
wording = other_gadgets:ZOO
gone = other_gadgets:GONE
absent = other_gadgets_absent:X
"""


@pytest.fixture
def gadgets(tmp_path, monkeypatch):
    install(tmp_path, "other_gadgets", "ZOO = 1\nANT = 2\n", ENTRY_POINTS)
    add_to_path(tmp_path, monkeypatch)
    yield Extensions(GROUP, {"wording": "wording:counted", "errors": "errors:UsageError"})
    sys.modules.pop("other_gadgets", None)


def test_names_are_the_built_in_ones_and_then_the_others_sorted(gadgets):
    assert gadgets.names() == ["wording", "errors", "absent", "ant", "gone", "zoo"]


def test_each_is_loaded_by_its_name_and_a_built_in_one_wins(gadgets):
    assert gadgets.load("errors") is UsageError
    assert gadgets.load("wording")(1, "image") == "1 image"
    assert (gadgets.load("zoo"), gadgets.load("ant")) == (1, 2)


def test_an_unknown_name_is_told_with_all_that_there_are(gadgets):
    with pytest.raises(UsageError) as caught:
        gadgets.load("zo")
    assert str(caught.value) == (
        "unknown gadget 'zo'; known: wording, errors, absent, ant, gone, zoo"
    )


@pytest.mark.parametrize("name", ["gone", "absent"])
def test_one_that_can_not_be_imported_names_its_package(gadgets, name):
    with pytest.raises(MissingComponentError) as caught:
        gadgets.load(name)
    assert f"the gadget '{name}' of other-gadgets can't be imported: " in str(caught.value)


def test_built_in_ones_are_found_without_metadata(gadgets, monkeypatch):
    """Reading the metadata of all packages takes some 10 ms."""
    monkeypatch.setattr(Extensions, "_others", lambda self: pytest.fail("they were read"))
    gadgets.load("errors")
