"""The taxonomy: every head falls under one class and group, and each group has an example."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_remetrics.filetype.heads import head_of
from hpc_remetrics.filetype.shared_table import FIXED
from hpc_remetrics.filetype.taxonomy import CLASSES, GROUPS, OCTETS, RULES, classify

EXAMPLES = {
    "executables": {
        "ELF": [
            "ELF 64-bit LSB executable, x86-64",
            "ELF 32-bit LSB core file",
            "ELF 64-bit LSB relocatable, eBPF",
        ],
        "PE and COFF": [
            "PE32+ executable (console) x86-64",
            "MS-DOS executable",
            "MIPSEL ECOFF executable",
        ],
        "Mach-O": ["Mach-O universal binary", "Mach-O 64-bit x86_64 executable"],
        "byte-compiled": [
            "Byte-compiled Python module for CPython 3.11",
            "python 2.7 byte-compiled",
            "compiled Java class data",
            "Compiled terminfo entry",
            "Emacs/XEmacs byte-compiled Lisp data",
            "Erlang BEAM file",
        ],
        "libraries": ["current ar archive", "thin archive", "libtool library file"],
        "packages": ["Debian binary package", "RPM bin"],
        "precompiled headers": ["GCC precompiled header for C++"],
        "other executables": [
            "a.out SunOS mc68020 executable",
            "Linux kernel x86 boot executable bzImage",
        ],
    },
    "source": {
        "C and C++": ["C source", "C++ source"],
        "Perl source": ["Perl5 module source"],
        "Ruby source": ["Ruby module source"],
        "Pascal": ["Pascal source"],
        "Fortran": ["FORTRAN program"],
        "Lisp and Scheme": ["Lisp/Scheme program"],
        "assembler": ["assembler source"],
        "Java": ["Java source"],
        "Go": ["Go source"],
        "Rust": ["Rust source"],
        "JavaScript": ["JavaScript source"],
        "other source": ["Nim source code", "unified diff output", "BCPL source"],
    },
    "scripts": {
        "Python scripts": ["Python script"],
        "shell scripts": [
            "POSIX shell script",
            "Bourne-Again shell script",
            "DOS batch file",
            "a bats script",
        ],
        "Ruby scripts": ["Ruby script"],
        "Node scripts": ["Node.js script"],
        "Perl scripts": ["Perl script"],
        "PHP scripts": ["PHP script"],
        "awk": ["awk script", "GNU awk script"],
        "Tcl": ["Tcl script", "Tcl/Tk script"],
        "m4": ["M4 macro processor script"],
        "make": ["makefile script"],
        "other scripts": ["Lua script", "a script", "a julia script"],
    },
    "documents": {
        "ASCII": ["ASCII text"],
        "UTF-8": ["Unicode text, UTF-8 text", "Unicode text, UTF-8 (with BOM) text"],
        "ISO-8859": ["ISO-8859 text"],
        "HTML/XML/XHTML": ["HTML document", "XML 1.0 document", "XHTML document"],
        "TeX": ["LaTeX 2e document", "TeX document"],
        "PostScript and PDF": ["PDF document", "PostScript document text conforming DSC level 3.0"],
        "Microsoft": [
            "Composite Document File V2 Document",
            "Microsoft Word 2007+",
            "Rich Text Format data",
        ],
        "OpenDocument": ["OpenDocument Text"],
        "JSON": ["JSON text data", "JSON data"],
        "CSV": ["CSV text"],
        "POD": ["Perl POD document"],
        "SGML": ["exported SGML document"],
        "other documents": [
            "troff or preprocessor input",
            "EPUB document",
            "Unicode text, UTF-16, big-endian text",
        ],
    },
    "archives": {
        "zip": ["Zip archive data"],
        "gzip": ["gzip compressed data"],
        "xz": ["XZ compressed data"],
        "bzip2": ["bzip2 compressed data"],
        "zstd": ["Zstandard compressed data"],
        "tar": ["POSIX tar archive (GNU)", "POSIX tar archive"],
        "other archives": [
            "7-zip archive data",
            "ASCII cpio archive",
            "LZ4 compressed data",
            "Git pack",
        ],
    },
    "media": {
        "PNG": ["PNG image data"],
        "JPEG": ["JPEG image data"],
        "SVG": ["SVG Scalable Vector Graphics image"],
        "GIF": ["GIF image data"],
        "TIFF": ["TIFF image data"],
        "WebP": ["RIFF (little-endian) data, Web/P image"],
        "icons": ["MS Windows icon resource", "Mac OS X icon"],
        "audio": [
            "RIFF (little-endian) data, WAVE audio",
            "MPEG ADTS, layer III",
            "Ogg data, Vorbis audio",
        ],
        "video": ["ISO Media, MP4 v2", "WebM", "Matroska data"],
        "other media": ["PC bitmap", "Netpbm image data", "ISO Media, AVIF Image"],
    },
    "databases": {
        "SQLite": ["SQLite 3.x database"],
        "Berkeley DB": ["Berkeley DB"],
        "dBase": ["FoxBase+/dBase III DBF"],
        "NDBM": ["GNU dbm 1.x or ndbm database"],
        "other databases": [
            "Hierarchical Data",
            "NumPy array",
            "MySQL table definition file",
            "pcap capture file",
        ],
    },
    "other": {
        "fonts": [
            "TrueType Font data",
            "Web Open Font Format (Version 2)",
            "PostScript Type 1 font text",
        ],
        "certificates and keys": ["PEM certificate", "PEM RSA private key", "OpenPGP Public Key"],
        "message catalogues": [
            "GNU message catalog (little endian)",
            "GNU gettext message catalogue",
        ],
        "time zones": ["timezone data (fat)"],
        "empty": ["empty"],
        "data": ["data", "very short file (no magic)"],
        "untyped": ["untyped", "timed out", "unreadable by libmagic"],
        "other": ["something that nobody has heard of"],
    },
}
FLAT = [
    (class_, group, head)
    for class_, groups in EXAMPLES.items()
    for group, heads in groups.items()
    for head in heads
]  # fmt: skip


@pytest.mark.parametrize(("class_", "group", "head"), FLAT)
def test_each_group_has_an_example(class_, group, head):
    assert head_of(head) == head
    assert classify(head)[:2] == (group, class_)


def test_no_group_is_without_an_example():
    assert {(class_, group) for class_, groups in EXAMPLES.items() for group in groups} == set(
        GROUPS
    )


def test_classes_are_known_and_group_names_unique():
    assert {class_ for class_, _ in GROUPS} == set(CLASSES)
    assert len({group for _, group in GROUPS}) == len(GROUPS)


def test_media_types_are_media_types():
    assert all(rule.type.mime.count("/") == 1 and " " not in rule.type.mime for rule in RULES)
    assert classify("PNG image data").mime == "image/png"
    assert classify("nobody knows").mime == OCTETS


@pytest.mark.parametrize("head", FIXED)
def test_what_the_program_says_itself_is_classified(head):
    assert classify(head).class_ == "other"


@given(st.text(max_size=200))
def test_every_text_has_a_class(text):
    assert (classify(head_of(text)).class_, classify(head_of(text)).group) in GROUPS
