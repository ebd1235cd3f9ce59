"""docs/publishing.md and CITATION.cff name this version, and the page names what stays in /run."""

import configparser
import re

from support.package import ROOT

from hpc_remetrics import __version__

PAGE = (ROOT / "docs" / "publishing.md").read_text()
CITATION = (ROOT / "CITATION.cff").read_text()


def test_the_version_is_that_of_the_program():
    assert re.findall(r"^version: (.*)$", CITATION, re.MULTILINE) == [__version__]
    assert re.findall(r"note = \{Version (.*)\}", PAGE) == [__version__]


def test_it_is_licensed_and_described_as_the_package_is():
    # A build writes the file anew, in another layout
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    about = setup["metadata"]
    assert f"\nlicense: {about['license_expression']}\n" in CITATION
    named = re.findall(r"^  - (?!name)(.*)$", CITATION, re.MULTILINE)
    assert named == about["keywords"].split()
    assert about["description"] in CITATION
