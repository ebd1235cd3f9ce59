"""The rule that reduces a description to its head."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_remetrics.filetype.heads import INTERPRETERS, MAX_LENGTH, head_of

CASES = {
    "": "data",
    "data": "data",
    "empty": "empty",
    "very short file (no magic)": "very short file (no magic)",
    "ERROR: name use count (50) exceeded": "unreadable by libmagic",
    "unreadable by libmagic": "unreadable by libmagic",
    # ELF: with and without the sections that only `file` reads, and the permission bits
    "ELF 64-bit LSB shared object, x86-64, version 1 (SYSV)": "ELF 64-bit LSB shared object, x86-64",
    "setuid ELF 64-bit LSB pie executable, x86-64, version 1 (SYSV), dynamically linked, interpreter /lib64/ld.so, "
    "BuildID[sha1]=15dfff3239aa, for GNU/Linux 3.2.0, stripped": "ELF 64-bit LSB shared object, x86-64",
    "ELF 32-bit MSB executable, MIPS, MIPS-I version 1 (SYSV)": "ELF 32-bit MSB executable, MIPS",
    "ELF 64-bit MSB executable, IBM S/390, version 1": "ELF 64-bit MSB executable, IBM S/390",
    "ELF 64-bit MSB relocatable, 64-bit PowerPC or cisco 7500, version 1": (
        "ELF 64-bit MSB relocatable, 64-bit PowerPC or cisco 7500"
    ),
    "ELF 64-bit LSB relocatable, *unknown arch 0xabc* version 1 (SYSV)": "ELF 64-bit LSB relocatable",
    "ELF 64-bit LSB core file, x86-64, version 1 (SYSV), from 'secret --password'": "ELF 64-bit LSB core file, x86-64",
    "ELF 32-bit LSB executable, ARM, EABI5 version 1 (SYSV)": "ELF 32-bit LSB executable, ARM",
    # text
    "ASCII text, with very long lines (536), with no line terminators": "ASCII text",
    "Unicode text, UTF-8 text, with CRLF line terminators": "Unicode text, UTF-8 text",
    "Unicode text, UTF-8 (with BOM) text": "Unicode text, UTF-8 (with BOM) text",
    "Unicode text, UTF-16, little-endian text, with CR line terminators": "Unicode text, UTF-16, little-endian text",
    "Non-ISO extended-ASCII text, with NEL line terminators": "Non-ISO extended-ASCII text",
    "C source, ASCII text": "C source",
    "C++ source, Unicode text, UTF-8 text": "C++ source",
    "XML 1.0 document, ASCII text": "XML 1.0 document",
    # scripts
    "Python script, ASCII text executable": "Python script",
    "Python script text executable Python script, ASCII text executable": "Python script",
    "a /usr/bin/env -S PYTHONPATH=/x python3.11 -u script, ASCII text executable": "Python script",
    "a /opt/secret/perl5.36 -w script executable (binary data)": "Perl script",
    "Bourne-Again shell script executable (binary data)": "Bourne-Again shell script",
    "a bats script, ASCII text executable": "a bats script",
    "a /home/someone/own-thing script, ASCII text executable": "a script",
    # archives and containers
    'gzip compressed data, was "secret.txt", last modified: Mon Jan  1 00:00:00 2024, original size 7': (
        "gzip compressed data"
    ),
    "Java archive data (JAR)": "Zip archive data",
    "Zip archive data, at least v2.0 to extract, compression method=deflate": "Zip archive data",
    "POSIX tar archive (GNU)": "POSIX tar archive (GNU)",
    "Debian binary package (format 2.0), with control.tar.xz, data compression xz": "Debian binary package",
    "RPM v3.0 bin i386/x86_64 secret-1.0-1": "RPM bin",
    "RIFF (little-endian) data, WAVE audio, Microsoft PCM, 16 bit, mono 48000 Hz": (
        "RIFF (little-endian) data, WAVE audio"
    ),
    "ISO Media, MP4 v2 [ISO 14496-14]": "ISO Media, MP4 v2",
    "Ogg data, Vorbis audio, stereo, 44100 Hz, ~128003 bps": "Ogg data, Vorbis audio",
    # numbers and names in the middle
    "Byte-compiled Python module for CPython 3.11, timestamp-based, .py timestamp: Wed": (
        "Byte-compiled Python module for CPython 3.11"
    ),
    "python 2.7 byte-compiled": "python 2.7 byte-compiled",
    'Compiled terminfo entry "secret"': "Compiled terminfo entry",
    "PE32+ executable (DLL) (console) x86-64, for MS Windows, 19 sections": "PE32+ executable (DLL) (console) x86-64",
    "MS Windows icon resource - 7 icons, 16x16": "MS Windows icon resource",
    "xbm image (16x16), ASCII text": "xbm image",
    "Matlab v5 mat-file (little endian) version 0x0100": "Matlab v5 mat-file",
    "Mach-O universal binary with 2 architectures: [i386:\\012- Mach-O i386 bundle]": "Mach-O universal binary",
    "Apple DiskCopy 4.2 image \\0010, secret": "Apple DiskCopy 4.2 image",
    "Microsoft Word 2007+": "Microsoft Word 2007+",
    "Composite Document File V2 Document, Little Endian, Os: Windows, Author: Secret": (
        "Composite Document File V2 Document"
    ),
    "GNU message catalog (little endian), revision 0.0, 3 messages": "GNU message catalog (little endian)",
    "Linux rev 1.0 ext4 filesystem data, UUID=1": "Linux rev 1.0 ext4 filesystem data",
    "PostScript Type 1 font text (SecretFont 1.0)": "PostScript Type 1 font text",
    "Monkey's Audio compressed format version 3990": "Monkey's Audio compressed format",
    "SQLite 3.x database, last written using SQLite version 3040001": "SQLite 3.x database",
    "XENIX 8086 relocatable or 80286 small model": "XENIX 8086 relocatable or 80286 small model",
    "Git commit Secret": "Git commit",
    "PHP phar archive with SHA1 signature": "PHP script",
}


@pytest.mark.parametrize("description", CASES)
def test_examples(description):
    assert head_of(description) == CASES[description]


@pytest.mark.parametrize("name", INTERPRETERS)
def test_interpreters_with_and_without_a_path_are_one_type(name):
    plain = head_of(f"a {name} script, ASCII text executable")
    assert plain == INTERPRETERS[name] == head_of(f"a /usr/bin/env {name} script text executable")


FRAGMENTS = [
    fragment for case in CASES for fragment in case.replace(",", " ,").split(" ") if fragment
]
COMPOSED = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=12).map(" ".join)
CONTINUED = st.tuples(st.sampled_from(list(CASES)), st.text(max_size=200)).map("".join)


@pytest.mark.slow
@given(st.text(max_size=300) | COMPOSED | CONTINUED)
def test_a_head_is_its_own_head_and_one_short_line(description):
    head = head_of(description)
    assert head_of(head) == head
    assert 1 <= len(head) <= MAX_LENGTH
    assert head.isascii()
    assert head.isprintable()
    assert head == head.strip()


@given(st.sampled_from([", ", ' "', "\\303", " - ", ": ", "é", " ["]), st.text(max_size=50))
def test_nothing_comes_from_behind_the_first_mark(mark, text):
    assert head_of(f"PNG image data{mark}{text}") == "PNG image data"
