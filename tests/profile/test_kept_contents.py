"""Chosen contents are kept piece by piece, whether they are short or long."""

from __future__ import annotations

import hashlib

import pytest
from support.added import Added

from hpc_remetrics.errors import UsageError
from hpc_remetrics.filetype.held_content import HEAD_BYTES
from hpc_remetrics.parts.spill_format import EXTRA_STRUCTS, PIECE_BYTES
from hpc_remetrics.profile import kept_contents
from hpc_remetrics.profile.kept_contents import MOST_BYTES, DigestList, KeepingProbe
from hpc_remetrics.profile.probe import ALL, load_probes

CONTENTS = [b"", b"a", bytes(range(256)) * 40, b"b" * PIECE_BYTES, b"c" * (PIECE_BYTES + 1)]
DIGESTS = [hashlib.sha256(one).digest() for one in CONTENTS]


@pytest.fixture
def listed(tmp_path):
    """Return a function that lists digests in a file."""

    def write(digests):
        (tmp_path / "list").write_bytes(b"".join(sorted(digests)))
        return tmp_path / "list"

    return write


def kept(added: Added) -> dict[bytes, bytes]:
    """Put the pieces of each content together."""
    found: dict[bytes, list[bytes]] = {}
    for digest, place, length, data in added.records("pieces"):
        assert place == len(found.setdefault(digest, []))
        assert data[length:].strip(b"\0") == b""
        found[digest].append(data[:length])
    return {digest: b"".join(pieces) for digest, pieces in found.items()}


def test_a_record_fills_a_page():
    assert EXTRA_STRUCTS["pieces"].size == 4096


def test_listed_contents_are_kept_once(listed):
    (probe,) = load_probes({"contents": str(listed(DIGESTS[2:4]))})
    added = Added()
    assert probe.bound == ALL
    for _ in range(2):
        probe.begin_layer()
        for digest, data in zip(DIGESTS, CONTENTS, strict=True):
            probe.content(digest, data, added.add)
    assert kept(added) == dict(zip(DIGESTS[2:4], CONTENTS[2:4], strict=True))


def test_lengths_at_the_end_of_a_piece(listed):
    probe = KeepingProbe(listed(DIGESTS))
    added = Added()
    for digest, data in zip(DIGESTS, CONTENTS, strict=True):
        probe.content(digest, data, added.add)
    lengths = {}
    for digest, _, length, _ in added.records("pieces"):
        lengths.setdefault(digest, []).append(length)
    assert [lengths.get(digest, []) for digest in DIGESTS] == [
        [],
        [1],
        [PIECE_BYTES, PIECE_BYTES, 10240 - 2 * PIECE_BYTES],
        [PIECE_BYTES],
        [PIECE_BYTES, 1],
    ]


def test_what_was_kept_is_forgotten_after_many(listed, monkeypatch):
    monkeypatch.setattr(kept_contents, "_MOST_SEEN", 1)
    probe = KeepingProbe(listed(DIGESTS))
    added = Added()
    for place in (1, 1, 3, 1):
        probe.content(DIGESTS[place], CONTENTS[place], added.add)
    assert [record[0] for record in added.records("pieces")] == [DIGESTS[n] for n in (1, 3, 1)]


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_long_content_is_held_until_its_digest_is_known(listed, is_listed):
    data = bytes(range(256)) * (HEAD_BYTES // 256 + 1)
    digest = hashlib.sha256(data).digest()
    probe = KeepingProbe(listed([digest] if is_listed else DIGESTS))
    content = probe.long_content(len(data))
    added = Added()
    for start in range(0, len(data), 1 << 20):
        content.piece(data[start : start + (1 << 20)], added.add)
    assert added.packed == {}
    content.end(digest, added.add)
    assert kept(added) == ({digest: data} if is_listed else {})


def test_contents_that_are_too_long_are_passed_over(listed):
    probe = KeepingProbe(listed(DIGESTS))
    assert probe.long_content(MOST_BYTES) is not None
    assert probe.long_content(MOST_BYTES + 1) is None
    assert probe.long_content(HEAD_BYTES) is None


def test_a_list_finds_its_digests_alone(listed):
    digests = [bytes([n]) * 32 for n in range(1, 200, 2)]
    found = DigestList(listed(digests))
    assert len(found) == 100
    assert list(found[1:3]) == digests[1:3]
    assert all(digest in found for digest in digests)
    assert not any(bytes([n]) * 32 in found for n in range(0, 202, 2))
    assert bytes(32) not in DigestList(listed([]))


def test_a_list_that_is_none_is_refused(tmp_path, listed):
    path = listed([b"short"])
    with pytest.raises(UsageError, match="is no list of digests"):
        load_probes({"contents": str(path)})
    with pytest.raises(UsageError, match="can't be read: No such file"):
        load_probes({"contents": str(tmp_path / "nothing")})
