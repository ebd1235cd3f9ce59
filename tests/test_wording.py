"""Numbers of things are said by `counted`, so that nobody reads "1 images"."""

import ast
import re

from support.package import modules

THINGS = (
    "answer|blob|content|file|host|image|job|layer|manifest|node|part|pull|rank|request|row|source|"
    "table|repositorie|directorie|entrie|registrie"
)

# Left to right: f"{a} of {b} layers" counts b; what follows a fixed number or a format of its own
# is no count.
COUNT = re.compile(rf"^ (?:more )?(?:{THINGS})s\b")

# Messages for whom a number below two can't come up, or that tell bytes of a file.
ALLOWED = {
    "parts/part_writer.py": "a fault of the program, with its traceback",
    "gather/gather.py": "a fault of the program, with its traceback",
}


def test_numbers_of_things_have_the_right_form():
    wrong = []
    for module, nodes in modules().items():
        if module in ALLOWED or module.startswith(("profile/", "tar/", "filetype/")):
            continue
        for node in nodes:
            if not isinstance(node, ast.JoinedStr):
                continue
            for value, after in zip(node.values, node.values[1:], strict=False):
                is_text = isinstance(after, ast.Constant) and COUNT.match(str(after.value))
                if is_text and isinstance(value, ast.FormattedValue):
                    counted = f"{{{ast.unparse(value.value)}}}{after.value}"
                    wrong.append(f"{module}:{node.lineno} {counted}")
    assert not wrong
