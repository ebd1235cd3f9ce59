"""The samples are what they are meant to be, as the modules for archives read them."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib

import pytest

from hpc_remetrics.filetype.libmagic.samples import SAMPLES, _zip


def test_the_tar():
    [data] = [sample for sample in SAMPLES if sample[257:262] == b"ustar"]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        [member] = archive
    want = tarfile.TarInfo("a")
    want.chksum = member.chksum  # it was checked
    assert member.get_info() == want.get_info()
    assert len(data) == tarfile.RECORDSIZE
    assert data[345:] == bytes(len(data) - 345)


@pytest.mark.parametrize("size", [600, 10])
def test_the_zips(size):
    data = _zip(size)
    assert data in SAMPLES
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        member = zipfile.ZipInfo("a")
        member.create_system = 0
        archive.writestr(member, b"b" * size)
        member.external_attr = 0
    assert data == made.getvalue()


def test_what_is_compressed():
    texts = [gzip.decompress(one) for one in SAMPLES if one[:2] == b"\x1f\x8b"]
    texts += [zlib.decompress(one) for one in SAMPLES if one[:2] == b"\x78\x9c"]
    assert len(texts) == 2
    assert set(texts) <= set(SAMPLES)
