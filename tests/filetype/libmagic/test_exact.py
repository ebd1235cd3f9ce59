"""The screened answers are libmagic's own: on real files, on damaged ones, and on files made from
its rules."""

import hashlib
import logging
import random

import pytest
from support.machine_files import machine_files
from support.magic_rules import binary, compiled
from support.tools import need

from hpc_remetrics.errors import MissingComponentError
from hpc_remetrics.filetype import typer
from hpc_remetrics.filetype.libmagic import Libmagic, patterns
from hpc_remetrics.filetype.libmagic import exact as exact_module
from hpc_remetrics.filetype.libmagic.binding import Magic, database_path, libmagic_version
from hpc_remetrics.filetype.libmagic.database import REGEX, SEARCH, STRING, Database, find_database
from hpc_remetrics.filetype.libmagic.exact import ExactMagic
from hpc_remetrics.filetype.libmagic.numeric import WIDTHS
from hpc_remetrics.filetype.libmagic.plaintext import PlainText
from hpc_remetrics.filetype.libmagic.samples import SAMPLES
from hpc_remetrics.filetype.libmagic.versions import VERSIONS
from hpc_remetrics.filetype.shared_table import TypeTable
from hpc_remetrics.filetype.typer import Typer

FILES = 5_000


@pytest.fixture(scope="module")
def plain() -> Magic:
    need("file")
    if libmagic_version() not in VERSIONS:
        pytest.skip(f"libmagic {libmagic_version()} is asked plainly")
    return Magic()


@pytest.fixture(scope="module")
def exact(plain) -> ExactMagic:
    return ExactMagic(plain)


def installed_database() -> Database:
    return find_database(database_path(), VERSIONS[libmagic_version()])


@pytest.fixture(scope="module")
def base(plain) -> Database:
    return installed_database()


def differing(plain, exact, contents):
    """Yield what the two say of contents, where that differs."""
    for data in contents:
        want, have = plain.describe(data), exact.describe(data)
        if not Libmagic.agree(want, have):
            yield want, have, data[:200]


def variants(data: bytes, drawn: random.Random):
    """Yield a file cut, extended, in another encoding, and with single bits turned."""
    for size in (
        1,
        2,
        3,
        5,
        17,
        100,
        300,
        513,
        4096,
        8191,
        8192,
        8193,
        65535,
        65536,
        65537,
        len(data) - 1,
    ):
        if 0 < size < len(data):
            yield data[:size]
    yield data + bytes(drawn.randrange(1, 600))
    yield data[drawn.randrange(len(data)) :]
    yield b"\xef\xbb\xbf" + data
    yield data.decode("latin-1").encode("utf-16")
    yield data.replace(b"\n", drawn.choice((b"\r\n", b"\r", b"\x85", b"")))
    for reach in (8, 64, 600, 9000, len(data)):
        damaged = bytearray(data)
        for _ in range(drawn.choice((1, 1, 3))):
            damaged[drawn.randrange(min(reach, len(data)))] ^= 1 << drawn.randrange(8)
        yield bytes(damaged)


@pytest.mark.slow
def test_the_machines_files(plain, exact):
    drawn = random.Random(1)
    asked = 0
    for number, data in enumerate(machine_files(FILES)):
        more = variants(data[: 1 << 18], drawn) if number % 25 == 0 else ()
        contents = [data, *more]
        assert not list(differing(plain, exact, contents))
        asked += len(contents)
    assert asked > 2_000


@pytest.mark.slow
def test_the_samples(plain, exact):
    assert not list(differing(plain, exact, SAMPLES))
    assert Libmagic().unsupported == ""
    kinds = {plain.describe(data) for data in SAMPLES}
    assert len(kinds) > 30


def made_for(record, drawn: random.Random):
    """Yield files in which a rule's first test has what it asks for, at its place or as near as
    makes a difference."""
    offset = record.offset
    fill = drawn.choice((bytes(1), b" ", b"a", b"\n", b"\xff"))
    if record.type in WIDTHS:
        width = WIDTHS[record.type]
        order = "big" if record.type in (7, 8, 26) else "little"
        number = int.from_bytes(record.value[:8], "little") + drawn.choice((0, 0, 1, -1))
        word, places = (number & ((1 << 8 * width) - 1)).to_bytes(width, order), [offset]
    elif record.type in (STRING, SEARCH):
        word, end = record.word, offset + record.range
        if drawn.random() < 0.3:
            word = (
                word.swapcase()
                if drawn.random() < 0.5
                else word.replace(b" ", drawn.choice((b"  ", b"\t\n", b"")))
            )
        places = [offset, max(end - 1, 0), end, end + 1] if record.type == SEARCH else [offset]
    else:
        return
    place = drawn.choice(places)
    if place > 1 << 17:
        return
    if record.type != SEARCH or not record.modifiers & patterns.FULL_WORD:
        yield fill * place + word  # behind a whole word libmagic reads on, were it the file's end
    yield (
        fill * place
        + word
        + drawn.choice((b"\n", b" more\nwords\n", bytes(40), drawn.randbytes(60)))
    )


@pytest.mark.slow
def test_files_made_for_each_rule(plain, exact, base):
    drawn = random.Random(2)
    asked = 0
    for rule in range(base.rules):
        contents = [data for _ in range(2) for data in made_for(base.first_record(rule), drawn)]
        assert not list(differing(plain, exact, contents)), rule
        asked += len(contents)
    assert asked > 10_000


def fragments(base: Database) -> list[bytes]:
    """Return the words that rules for text seek, and pieces of their expressions."""
    found = set()
    for rule in range(base.rules):
        for record in base.records(rule) if base.first_record(rule).flag & 0x40 else ():
            if record.type in (STRING, SEARCH):
                found.add(record.word)
            elif record.type == REGEX:
                value = record.value.partition(b"\0")[0]
                for old, new in (
                    (b"[[:space:]]", b" "),
                    (b"\\", b""),
                    (b".*", b" x "),
                    (b"^", b"\n"),
                    (b"$", b"\n"),
                ):
                    value = value.replace(old, new)
                found.update(value.strip(b"()").split(b"|"))
    # libmagic prints what lies behind the file in memory there, so that it doesn't agree with
    # itself.
    return sorted(found - {b"yyprevious"})


@pytest.mark.slow
def test_texts_made_of_what_rules_seek(plain, exact, base):
    drawn, words = random.Random(3), fragments(base)
    joins = (b"", b" ", b"\n", b"\n", b"\n    ", b"\r\n", b", ", b'"', b" = ", b"(", b"):\n", b"\t")
    contents = []
    for _ in range(4_000):
        pieces = [
            drawn.choice(words) + drawn.choice(joins)
            for _ in range(drawn.choice((1, 2, 4, 12, 60)))
        ]
        text = b"".join(pieces)
        if drawn.random() < 0.2:
            text = (
                text[: drawn.randrange(len(text) + 1)]
                + drawn.choice(
                    (
                        b"\n" + b"x" * 8_150,
                        b" y\n" * 2_800,
                        "é\n".encode() * 2_750,
                        b"end",
                        b"\nend\n",
                    )
                )
                + text
            )
        contents.append(
            text
            + drawn.choice((b"", b"\n", b"x", b"\0", b"\0\0", b"\xc3", b"\xe9", b"\x1b", b"\b"))
        )
    assert not list(differing(plain, exact, contents))


def scripts(base: Database, drawn: random.Random):
    """Yield beginnings of scripts: with blanks, to where a comparison ends, and whole words or
    not."""
    tops = [base.first_record(rule) for rule in range(base.rules)]
    # Behind a whole word that a search asks for libmagic reads on, were it the file's end.
    known = [top for top in tops if top.type != SEARCH or not top.modifiers & patterns.FULL_WORD]
    words = {top.word for top in known if top.word.startswith(b"#!")}
    blanks = [b" " * size for size in (0, 0, 0, 1, 1, 2, 10, 200, *range(112, 130))] + [
        b"\t",
        b" \t\n",
    ]
    ends = (
        b"",
        b"\n",
        b" -x\n",
        b"x\n",
        b"x\n#include <a.h>\n",
        b"\0",
        b" ",
        b"\r\n",
        b"\t",
        b"\nmain() {\n",
        b"\n\xe9\xff",
    )
    yield from (b"#!" + b" " * size + b"/bin/sh" + end for size in range(105, 130) for end in ends)
    for word in sorted(words):
        for _ in range(25):
            name = drawn.choice((bytes.strip, bytes.swapcase, bytes.upper))(word[2:].strip())
            name = name.replace(b" ", drawn.choice(blanks)) if drawn.random() < 0.3 else name
            yield b"#!" + drawn.choice(blanks) + name + drawn.choice(ends)


@pytest.mark.slow
def test_scripts(plain, exact, base):
    contents = list(scripts(base, random.Random(7)))
    assert len(contents) > 1_000
    assert not list(differing(plain, exact, contents))


def small_files(base: Database, drawn: random.Random):
    """Yield files of few bytes, many of them zeros, and files that have what two rules ask for."""
    tops = [
        base.first_record(rule)
        for rule in range(base.rules)
        if base.first_record(rule).offset < 650
    ]
    for _ in range(2_000):
        size = drawn.randrange(2, 24)
        yield bytes(
            drawn.choice((0, 0, 1, 2, 10, 65, 255, drawn.randrange(256))) for _ in range(size)
        )
        data = bytearray(drawn.choice((b"\0", b" ", b"a\n")) * 700)
        for record in drawn.choices(tops, k=2):
            word = record.word or record.value[:4][:: drawn.choice((1, -1))]
            data[record.offset : record.offset + len(word)] = word
        yield bytes(data[: drawn.randrange(2, 1_300)])


@pytest.mark.slow
def test_small_files_and_files_of_two_kinds(plain, exact, base):
    assert not list(differing(plain, exact, small_files(base, random.Random(8))))


C_OR_NOT = (
    b"main(",
    b"main(String",
    b"int main(void)\n{",
    b") {",
    b"){",
    b"#include <a.h>\n",
    b"x",
    b"\nclass A ",
    b"{.};\n",
)
"""Words of rules that ask whether no other test passed, or go on behind a match."""


@pytest.mark.slow
def test_texts_of_rules_with_defaults(plain, exact):
    drawn = random.Random(9)
    words = (
        *C_OR_NOT,
        b"import ",
        b"os",
        b"strutils",
        b"proc a",
        b" " * 60,
        b"\n" * 64,
        b"y\n" * 4_090,
    )
    contents = [b"".join(drawn.choices(words, k=drawn.randrange(1, 9))) for _ in range(2_000)]
    assert not list(differing(plain, exact, contents))


@pytest.mark.slow
def test_texts_of_all_kinds_of_lines(plain, exact):
    drawn = random.Random(4)
    alphabets = (
        b'a,"\n',
        b"a,\n\r",
        b"\n a",
        b'{}[]":,1 \n',
        b"\xc3\xa9\x85a\n",
        b"\x00a\n",
        b"\x41\x40\x25\xc1",
        bytes(range(256)),
    )
    contents = [
        bytes(drawn.choice(alphabet) for _ in range(drawn.choice((2, 5, 30, 200, 900))))
        for alphabet in alphabets
        for _ in range(250)
    ]
    contents += [
        b"x" * length + end
        for length in (299, 300, 301, 302)
        for end in (b"", b"\n", b"\r", "é\n".encode())
    ]
    contents += [("é" * count).encode() + b"\n" for count in (300, 301, 32_767, 32_768, 32_769)]
    assert not list(differing(plain, exact, contents))


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        *(b" " * 256 + b"NCSD", b"\xb7" + bytes(40), b"\n\0", b"x" + bytes(2), b"\0"),
        *(
            b"\xef\xbb\xbf" + end
            for end in (b"", b"x", b"x\xc3", b"x\0", b"\xc3\xa9", b"xy\xe2\x82", b"\xc3")
        ),
    ],
)
def test_files_that_end_early(plain, exact, data):
    assert exact.describe(data) == plain.describe(data)


def test_a_match_of_two_bytes_is_found_anywhere(plain, exact):
    text = b"int a[1817];main(z,p,q,r){for(p=80;q+p-80;p-=2*a[p])\n"
    contents = [b"x" * more + b"\n" + text for more in range(130)]
    assert {plain.describe(data) for data in contents} == {b"C source, ASCII text"}
    assert not list(differing(plain, exact, contents))


def test_without_a_matcher_all_rules_are_asked_and_that_is_said_once(
    tmp_path, plain, monkeypatch, caplog
):
    def require_engine():
        raise MissingComponentError("matcher 1 may miss matches", "pip install something")

    monkeypatch.setattr(exact_module, "require_engine", require_engine)
    text = b"int a[1817];main(z,p,q,r){for(p=80;q+p-80;p-=2*a[p])\n"
    for number in range(2):
        table = TypeTable(tmp_path / "types", 64)
        assert (
            table.description(Typer("exact", table).type_of(bytes([number] * 32), text, 7))
            == "C source"
        )
    said = [record for record in caplog.records if record.name.startswith("hpc_remetrics")]
    assert [record.levelno for record in said] == [logging.WARNING]
    assert "with all rules of libmagic: matcher 1 may miss matches" in said[0].getMessage()
    assert typer.speed() == (
        "types are right and take 4 to 15 times longer: matcher 1 may miss matches",
        "pip install something",
    )


def test_what_is_not_understood_is_asked_plainly_and_said_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(exact_module, "libmagic_version", lambda: 549)
    for _ in range(2):
        table = TypeTable(tmp_path / "types", 64)
        assert (
            table.description(Typer("exact", table).type_of(bytes(32), b"a text\n", 7))
            == "ASCII text"
        )
        table.put(bytes(32), -1)
        (tmp_path / "types" / "types.table").unlink()
    said = [record for record in caplog.records if record.name.startswith("hpc_remetrics")]
    assert [record.levelno for record in said] == [logging.WARNING]
    assert (
        "all rules of libmagic" in said[0].getMessage()
        and "is not a supported version" in said[0].getMessage()
    )


@pytest.mark.slow
def test_a_difference_from_libmagic_is_found_at_the_start(
    plain, exact, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(
        PlainText, "describe", lambda self, text, printed, may_be_long: "something else"
    )
    assert "describes a sample" in Libmagic().unsupported
    table = TypeTable(tmp_path, 64)
    assert (
        table.description(Typer("exact", table).type_of(bytes(32), b"a text\n", 7)) == "ASCII text"
    )
    assert "describes a sample" in caplog.text


@pytest.mark.slow
def test_a_fault_of_the_screens_costs_no_type_and_is_said_once(
    tmp_path, plain, exact, monkeypatch, caplog
):
    table = TypeTable(tmp_path)
    typer = Typer("exact", table)
    assert table.description(typer.type_of(bytes(32), b"a text\n", 7)) == "ASCII text"

    def broken(self, data, head, text):
        raise IndexError("out of range")

    monkeypatch.setattr(ExactMagic, "_describe_text", broken)
    for number in (1, 2):
        text = b"#!/bin/sh\n" * number
        assert (
            table.description(typer.type_of(bytes([number] * 32), text, len(text)))
            == "POSIX shell script"
        )
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and said[0].endswith("IndexError: out of range")


@pytest.mark.slow
def test_typers_agree(tmp_path, plain):
    for number, data in enumerate(machine_files(120)):
        heads = []
        for mode in ("exact", "plain"):
            table = TypeTable(tmp_path / f"{mode}{number % 2}", 1 << 10)
            heads.append(
                table.description(
                    Typer(mode, table).type_of(hashlib.sha256(data).digest(), data, len(data))
                )
            )
            table.close()
        assert heads[0] == heads[1]
        if number > 3:
            break
    assert typer.signature("exact") == typer.signature("plain")


@pytest.mark.parametrize("rules", ["0 string abc something\n", "# only words\n\n0 byte 1 one\n"])
def test_rules_that_are_not_compiled_are_not_understood(tmp_path, rules):
    (tmp_path / "magic").write_text(rules)
    with pytest.raises(ValueError, match="not compiled"):
        find_database(f"{tmp_path / 'magic'}:{database_path()}", VERSIONS[544])


def test_other_data_bases_are_not_understood(tmp_path, plain):
    data = bytearray(compiled([[binary(STRING, b"abcd", b"letters")]], format_=18))
    (tmp_path / "one.mgc").write_bytes(data)
    assert find_database(str(tmp_path / "one.mgc"), VERSIONS[544]).rules == 1
    for at, value, message in (
        (4, 19, "version 19"),
        (0, 0, "version"),
        (8, 9, "record size"),
        (376 + 6, 77, "unknown"),
    ):
        broken = data.copy()
        broken[at] = value
        (tmp_path / "two.mgc").write_bytes(broken)
        with pytest.raises(ValueError, match=message):
            find_database(str(tmp_path / "two"), VERSIONS[544])
    with pytest.raises(ValueError, match="0 compiled databases"):
        find_database("", VERSIONS[544])
    (tmp_path / "empty").write_text("# nothing\n")
    assert find_database(f"{tmp_path / 'empty'}:{tmp_path / 'one'}", VERSIONS[544]).rules == 1


def test_a_part_says_what_the_whole_says_of_its_rules(base):
    data = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\6\0\0\0"
    rules = [rule for rule in range(base.rules) if base.first_record(rule).word[:4] == b"\x89PNG"]
    assert Magic(base.subset([(rule, True) for rule in rules])).describe(data) == Magic().describe(
        data
    )


@pytest.mark.parametrize(
    "value",
    [
        b"a**",
        b"(a",
        b"a)",
        b"[[:nothing:]]",
        b"a{2",
        b"(a)\\1",
        b"\\bword",
        b"a++",
        b"",
        b"|a",
        b"[b-a]",
        b"\xe9",
    ],
)
def test_expressions_that_are_not_understood(value):
    with pytest.raises(ValueError, match=r"."):
        patterns.of_expression(value, True, True)
