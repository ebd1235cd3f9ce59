"""docs/configs.md says which notes there are, and what is taken for a secret."""

import re

from support.package import ROOT

from hpc_remetrics.records import CONFIG_NOTES
from hpc_remetrics.sources.secrets import FORMS, HARMLESS_ENDS, LONG_WORDS, NAMES

PAGE = (ROOT / "docs" / "configs.md").read_text()


def test_all_notes_are_there():
    assert re.findall(r"^\| `(\w+)` \| ", PAGE.partition("## Secrets")[0], re.MULTILINE) == [
        *CONFIG_NOTES
    ]


def test_all_names_are_there_with_their_kinds():
    rows = re.findall(r"^\| ([A-Z, ()a-z]+) \| `(\w+)` \|$", PAGE, re.MULTILINE)
    told = {word: kind for words, kind in rows for word in re.findall("[A-Z]+(?: [A-Z]+)?", words)}
    assert told == NAMES
    [long] = re.findall(r"^(PASSWORD.*) count at the end", PAGE, re.MULTILINE)
    assert tuple(re.findall("[A-Z]+", long)) == LONG_WORDS
    [ends] = re.findall(r"such as (.*) says something", PAGE.replace("\n", " "))
    assert set(re.findall("[A-Z]+", ends)) <= HARMLESS_ENDS


def test_all_forms_are_there():
    page = PAGE.partition("**By its form")[2]
    told = {
        kind for kinds in re.findall(r"^\| (`.*?) \|", page, re.M) for kind in kinds.split(", ")
    }
    assert told == {f"`{form.kind}`" for form in FORMS}
    # The beginnings of tokens.
    for form in FORMS:
        for hint in form.hints:
            if hint[-1] in "_-.=":
                assert hint in page.lower(), hint
