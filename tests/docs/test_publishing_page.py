"""docs/publishing.md and CITATION.cff name this version, and the page names what stays in /run."""

import re

from support.package import ROOT

from hpc_remetrics import __version__

PAGE = (ROOT / "docs" / "publishing.md").read_text()
CITATION = (ROOT / "CITATION.cff").read_text()


def test_the_version_is_that_of_the_program():
    assert re.findall(r"^version: (.*)$", CITATION, re.MULTILINE) == [__version__]
    assert re.findall(r"note = \{Version (.*)\}", PAGE) == [__version__]


def test_it_is_licensed_and_described_as_the_package_is():
    setup = (ROOT / "setup.cfg").read_text()
    (licence,) = re.findall(r"^license_expression = (.*)$", setup, re.MULTILINE)
    assert f"\nlicense: {licence}\n" in CITATION
    (keywords,) = re.findall(r"^keywords =\n((?:    .*\n)+)", setup, re.MULTILINE)
    assert re.findall(r"^  - (?!name)(.*)$", CITATION, re.MULTILINE) == keywords.split()
    (description,) = re.findall(r"^description = (.*)$", setup, re.MULTILINE)
    assert description in CITATION
