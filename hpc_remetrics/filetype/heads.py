"""The rule that reduces libmagic's description of a file to its stable head (docs/filetype.md).

A description says what a file is, and goes on with what is particular to this one::

    gzip compressed data, was "secret.txt", last modified: Mon Jan  1 2024, original size 7
    |------ head ------|

The head keeps the first, so that a dataset has few types, each of many files, and nothing that
somebody wrote into a file. It also removes what depends on more than the content: the permission
bits, and what libmagic reads of an ELF file beyond its first bytes.
"""

from __future__ import annotations

import re
from functools import lru_cache

RULE = 1
"""Version of the rule; raise it whenever any description gets another head."""

MAX_LENGTH = 120
"""Characters of the longest head."""

INTERPRETERS = {
    "python": "Python script",
    "pypy": "Python script",
    "sh": "POSIX shell script",
    "dash": "POSIX shell script",
    "bash": "Bourne-Again shell script",
    "ksh": "Korn shell script",
    "zsh": "Paul Falstad's zsh script",
    "csh": "C shell script",
    "tcsh": "Tenex C shell script",
    "perl": "Perl script",
    "ruby": "Ruby script",
    "node": "Node.js script",
    "nodejs": "Node.js script",
    "php": "PHP script",
    "awk": "awk script",
    "mawk": "awk script",
    "nawk": "new awk script",
    "gawk": "GNU awk script",
    "tclsh": "Tcl script",
    "wish": "Tcl/Tk script",
    "expect": "expect script",
    "lua": "Lua script",
    "make": "makefile script",
}
_INTERPRETERS_BY_NAME = """
ash bats bun busybox clojure coffee crystal dart deno dtrace elixir elvish escript fish fontforge gjs gnuplot go
groovy guile iocsh jq julia jython kotlin luajit m4 mksh mongo nft nix-shell nu ocaml octave openrc-run
osascript pdksh pwsh qml racket rc Rscript runghc runhaskell sbcl scala scheme scsh sed stap swift systemtap
ts-node tsx v xonsh yash zx
"""
INTERPRETERS |= {name: f"a {name} script" for name in _INTERPRETERS_BY_NAME.split()}
"""Interpreter -> head of its scripts, in libmagic's words where it has some.

libmagic knows /usr/bin/python3, but says "a /opt/x/bin/python3 script" of others. A script of an
interpreter that isn't here is "a script", so that nothing of the file remains.
"""

# Descriptions that are reduced by a rule of their own. The first pattern that matches the beginning
# gives the head; the head matches again and gives itself.
_FAMILY_RULES = (
    (r"(untyped|timed out|very short file \(no magic\))$", r"\1"),
    # `file` says so where libmagic gives up; the library returns an error.
    (r"(?:ERROR: |cannot open |unreadable by libmagic)", "unreadable by libmagic"),
    (r"(?:(?:setuid|setgid|sticky) )+(.*)", r"\1"),
    # ELF: class, byte order, kind, machine. Whether a position-independent one is called
    # executable or shared object depends on the permission bits of the file.
    (r"(ELF [^,]*)pie executable(.*)", r"\1shared object\2"),
    (r"(ELF [\w -]*[a-z](?:, (?:[\w./-]| (?!version\b|\())+)?)", r"\1"),
    # libmagic says more of a compound document where it finds the directory.
    (
        r"(?:CDFV2|OLE 2 Compound Document|Composite Document File V2)",
        "Composite Document File V2 Document",
    ),
    # Whether a zip is a Java or Android archive is sometimes decided by its end alone.
    (
        r"(?:Java archive data \(JAR\)|Android package \(APK\)|Zip archive data)",
        "Zip archive data",
    ),
    # A PHP archive is a script with an archive behind it, known by its end.
    (r"PHP (?:phar archive|script)", "PHP script"),
    # Text: its encoding, not its lines.
    (
        r"(Unicode text, UTF-(?:7|8|(?:16|32), (?:little|big)-endian)(?: \(with BOM\))? text)\b",
        r"\1",
    ),
    (r"((?:ASCII|ISO-8859|Non-ISO extended-ASCII|(?:International )?EBCDIC) text)\b", r"\1"),
    (r"(\w[\w.'/ -]*? script)(?: text)? executable", r"\1"),
    # Containers: the second field says what is in them.
    (r"(RIFF \([a-z-]+\) data, VirtualDub link)", r"\1"),
    (
        r"((?:RIFF|RIFX|IFF)(?: \([a-z-]+\))? data, [A-Z][\w./-]*(?: (?!by )[A-Za-z][\w./-]*)*)",
        r"\1",
    ),
    (r"((?:ISO Media|Ogg data|MPEG ADTS), [A-Za-z][\w./-]*(?: [\w./-]+)*)", r"\1"),
    # Numbers and remarks that are worth keeping, and few.
    (r"(Byte-compiled Python module for CPython \d\.\d{1,2}(?: or newer)?)", r"\1"),
    (r"(python \d\.\d{1,2} byte-compiled)", r"\1"),
    (r"(XML 1\.[01] document|X?HTML document)", r"\1"),
    (r"(Linux rev 1\.0 ext[234] filesystem data)", r"\1"),
    (r"(Web Open Font Format(?: \(Version 2\))?)", r"\1"),
    (r"(Matlab v\d)\S*( mat-file)", r"\1\2"),
    (r"RPM (?:v[\d.]+ )?(bin|src)\b", r"RPM \1"),
    (r"(GCC precompiled header)(?: \(version [^)]*\))?( for [A-Za-z+]+)?", r"\1\2"),
    (r"(Audio file with ID3)", r"\1"),
    # Behind these words, text of the file or a version follows without a mark to cut at.
    (r"(Emacs/XEmacs )(?:v\d+ )?(byte-compiled Lisp data)", r"\1\2"),
    (
        r"(Git (?:commit|tree|blob)|SiSU text|Adblock Plus|HP Printer Job Language data|iff image data)\b",
        r"\1",
    ),
    (
        r"(StarOffice Gallery theme|Borland (?:device|font)|Printer Font Metrics|RST-format raster font data)\b",
        r"\1",
    ),
    (
        r"(ACPI Machine Language file|Aculab VoIP firmware|Norton Guide|Gentoo eclass|InnoSetup Log)\b",
        r"\1",
    ),
    (
        r"(Avira AntiVir quarantined|InstallShield archive|SPSS (?:Portable|System) File|MSVC \.sbr)\b",
        r"\1",
    ),
    (
        r"(TTCN Abstract Test Suite|Nintendo Gameboy Music/Audio Data|NES Sound File|Synology archive)\b",
        r"\1",
    ),
    (
        r"(Maple Vr7 library|T64 tape Image|Apple DiskCopy 4\.2 image|ps database|KGB Archiver file)\b",
        r"\1",
    ),
    (
        r"(DOS/MBR boot sector|Novell DOS client message|OS/2 help message|TADS|Delta RPM)\b",
        r"\1",
    ),
)
_FAMILIES = tuple((re.compile(pattern, re.ASCII), head) for pattern, head in _FAMILY_RULES)
_ANY_FAMILY = re.compile("|".join(f"({pattern})" for pattern, _ in _FAMILY_RULES), re.ASCII)
"""Matches where any family does, so that one step tells that none does."""

# All other descriptions end before the first of these.
_CUT = re.compile(
    r"""
      [^ -~] | \\                 # not printable ASCII, or its escape: locales show one or the other
    | [,;:"`\[\]{}<>=|*@$!?^~%\#] # the next field, a quotation, a list
    | \ ' | \.\.\. | \ -+(?=\ |$) # a quotation (not the mark in "Monkey's Audio"), "icon resource - 2 icons"
    | \ (?:for|from|by|with|at|as|dated|created|starting|containing|contains|name|named|label|using)(?=\ |$)
    | \ \(?(?:[Vv]er|[Vv]ersion|[Rr]evision|[Rr]elease)\b | \ \(?[Rr]ev\.?\ *[\d(](?!\.0\ ext) | \ [Ff]ormat\ \d
    | \ \(?[Vv]\.?\d
    | \ 0x | \ \d+\ ?x\b | \ \d+x\d
      # a number of two digits or more, but for the names of machines and systems
    | \ (?!(?:1750|370|386|486|6502|7000|8051|808[068]|80[1-4]86|80860|80960|68\d\d\d|88000|9[58]|2000)\b)
      \d\d+(?![\w.+/-])
      # remarks, but for those of few fixed wordings
    | \ ?\((?!(?:(?:little|big)[ -]endian|LE|BE|32-bit|64-bit|GNU|Red\ Hat|console|GUI|DLL|native|driver|Xbox
               |EFI\ [a-z ]+|boot\ application|COM|EXE|XPAK|old|fat|slim|from\ lex)\))
    """,
    re.VERBOSE | re.ASCII,
)
_EDGES = " .-/(&_'"


def head_of(description: str) -> str:
    """Return the stable head of a description by libmagic.

    It is one line of printable ASCII, 1 to :data:`MAX_LENGTH` characters, and its own head.

    >>> head_of("ELF 64-bit LSB pie executable, x86-64, version 1 (SYSV), dynamically linked, BuildID[sha1]=e5")
    'ELF 64-bit LSB shared object, x86-64'
    >>> head_of("a /usr/bin/env python3.11 script, ASCII text executable, with very long lines (536)")
    'Python script'
    """
    return _settled(_reduce(description))


@lru_cache(1 << 10)
def _settled(head: str) -> str:
    """Reduce a head until nothing changes, so that the head is its own head."""
    reduced = _reduce(head)
    while reduced != head:
        head = reduced
        reduced = _reduce(head)
    return head


def _reduce(description: str) -> str:
    """Apply the rule once."""
    if description.startswith("a "):
        return _head_of_script(description)
    families = _FAMILIES if _ANY_FAMILY.match(description) else ()
    for pattern, head in families:
        match = pattern.match(description)
        if match:
            return _shorten(match.expand(head))
    cut = _CUT.search(description)
    return _shorten(description[: cut.start()] if cut else description) or "data"


def _shorten(head: str) -> str:
    """Cut a head to the longest length, between words if it has any, and strip its edges."""
    if len(head) > MAX_LENGTH:
        head = head[:MAX_LENGTH].rpartition(" ")[0] or head[:MAX_LENGTH]
    return head.strip(_EDGES)


def _head_of_script(description: str) -> str:
    """Name "a /usr/bin/env -S python3.11 -u script, …" by its interpreter."""
    for word in description.split(" ")[1:]:
        name = word.rpartition("/")[2].rstrip(",")
        is_option = name.startswith("-") or "=" in word
        if not name or name == "env" or is_option:
            continue
        without_version = re.sub(r"-?[\d.]+$", "", name)
        return INTERPRETERS.get(name) or INTERPRETERS.get(without_version) or "a script"
    return "a script"
