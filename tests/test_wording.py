"""Numbers of things are said by `counted`, so that nobody reads "1 images"."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "hpc_remetrics"

THINGS = (
    "answer|blob|content|file|host|image|job|layer|manifest|node|part|pull|rank|request|row|source|table|"
    "repositorie|directorie|entrie|registrie"
)

# Left to right: f"{a} of {b} layers" counts b; what follows a fixed number or a format of its own
# is no count.
COUNT = re.compile(rf"^ (?:more )?(?:{THINGS})s\b")

# Messages for whom a number below two can't come up, or that tell bytes of a file.
ALLOWED = {
    "parts/part_writer.py": "a fault of the program, with its traceback",
    "gather/gather.py": "a fault of the program, with its traceback",
}


@pytest.mark.slow
def test_numbers_of_things_have_the_right_form():
    wrong = []
    for module in PACKAGE.rglob("*.py"):
        name = str(module.relative_to(PACKAGE))
        if name in ALLOWED or name.startswith(("profile/", "tar/", "filetype/")):
            continue
        for node in ast.walk(ast.parse(module.read_text())):
            if not isinstance(node, ast.JoinedStr):
                continue
            for value, after in zip(node.values, node.values[1:], strict=False):
                is_text = isinstance(after, ast.Constant) and COUNT.match(str(after.value))
                if is_text and isinstance(value, ast.FormattedValue):
                    wrong.append(
                        f"{name}:{node.lineno} {{{ast.unparse(value.value)}}}{after.value}"
                    )
    assert not wrong
