"""A file of each kind, which is described both ways when a process types its first file.

A description that differs from that of libmagic with all its rules shows that this libmagic isn't
understood (`Libmagic.unsupported`): then all rules are asked.
"""

from __future__ import annotations

import struct
import zlib

_PYTHON = b'''#!/usr/bin/env python3
"""A module."""
import os
from sys import argv


class One(object):
    def __init__(self, name):
        self.name = name


def main():
    try:
        print(os.getcwd())
    finally:
        pass
'''
_JAVASCRIPT = b"'use strict';\nconst fs = require('fs');\nmodule.exports = function (a) { return typeof a === 'b'; };\n"
_C = b"#include <stdio.h>\n\nint main(int argc, char **argv)\n{\n\tstruct one { char a; };\n\treturn 0;\n}\n"
_HTML = (
    b"<!DOCTYPE html>\n<html><head><title>A page</title></head><body><p>text</p></body></html>\n"
)
_XML = b'<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>\n'
_RUBY = b"require 'set'\n\nclass One\n  def two\n    3\n  end\nend\n"
_TEXT = b"Some words, and others.\nA second line: import, class, package.\n" * 40
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\6\0\0\0"
_ELF = b"\x7fELF\2\1\1" + bytes(9) + b"\3\0\x3e\0\1" + bytes(200)
_CATALOGUE = b"\xde\x12\4\x95\0\0\0\0\2\0\0\0\x1c\0\0\0\x2c\0\0\0" + bytes(60)


def _gzip() -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(_TEXT) + packer.flush()


def _tar() -> bytes:
    """Return a tar with one empty file, without the modules for archives, which take time to load."""
    fields = ("a".ljust(100, "\0"), "0000644\0", "0000000\0" * 2, "00000000000\0" * 2)
    before = "".join(fields).encode()
    behind = b"0".ljust(101, b"\0") + b"ustar\0" + b"00"
    checksum = sum(before) + sum(behind) + 8 * ord(" ")
    return (before + b"%06o\0 " % checksum + behind).ljust(10240, b"\0")


def _zip(size: int) -> bytes:
    """Return a zip with one file of `size` bytes."""
    data = b"b" * size
    name = b"a"
    fields = struct.pack("<5H3I", 20, 0, 0, 0, 0x21, zlib.crc32(data), len(data), len(data))
    local = b"PK\3\4" + fields + struct.pack("<2H", len(name), 0) + name + data
    central = b"PK\1\2" + struct.pack("<H", 20) + fields
    central += struct.pack("<5H2I", len(name), 0, 0, 0, 0, 0, 0) + name
    end = struct.pack("<4H2IH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + b"PK\5\6" + end


SAMPLES = (
    # Source and scripts, by rules for text.
    _PYTHON,
    _JAVASCRIPT,
    _C,
    _HTML,
    _XML,
    _RUBY,
    _TEXT,
    b"#!/bin/sh -e\necho a\n",
    b".TH a 1\n.SH b\n",
    b"-----BEGIN CERTIFICATE-----\nMII\n",
    b"%PDF-1.4\n%\xe2\xe3\n",
    # Short ones, and those that libmagic knows without rules.
    b"x",
    b"xy",
    b'{"a": [1, 2]}\n',
    b"a,b\n1,2\n3,4\n5,6\n",
    # Encodings, ends of lines, long lines, zeros at the end.
    _TEXT.replace(b"words", "Größe".encode()),
    _TEXT.replace(b"words", "Größe".encode("latin-1")),
    b"\xef\xbb\xbf" + _XML,
    _TEXT.decode().encode("utf-16"),
    _TEXT.replace(b"\n", b"\r\n"),
    b"a" * 400,
    _TEXT + bytes(9),
    # Files that are known by bytes at the beginning or elsewhere, or not at all.
    _PNG,
    _ELF,
    _CATALOGUE,
    _gzip(),
    zlib.compress(_TEXT),
    _tar(),
    # A zip that is larger than any place that a rule counts from its end, and a smaller one.
    _zip(600),
    _zip(10),
    b"\x1a\1" + bytes(40),
    b"\xa7\r\r\n" + bytes(12) + b"\xe3",
    b"TZif2" + bytes(60),
    bytes(300),
    bytes(range(256)) * 40,
    b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1" + bytes(60),
    b"GIF89a" + bytes(20),
    b"BZh91AY&SY" + bytes(20),
    b"MZ" + bytes(200),
)
"""Contents of files: text of many kinds and encodings, and files that are not text."""
