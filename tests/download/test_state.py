"""What earlier runs of a download finished."""

import codecs

import pytest

from hpc_remetrics.download.state import FinishedList
from hpc_remetrics.errors import SourceError


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \t\n"])
def test_the_lists_of_what_is_finished_too(tmp_path, mark, end):
    path = tmp_path / "list"
    path.write_bytes(mark + end.join([b"library/redis", b'"a/b"', b"torn"]))
    finished = FinishedList(path)
    assert "library/redis" in finished and "a/b" in finished
    finished.add("new")
    assert path.read_bytes().endswith(b"torn\nnew\n")
    path.write_bytes("library/redis\n".encode("utf-16"))
    with pytest.raises(SourceError, match="UTF-16"):
        FinishedList(path)
