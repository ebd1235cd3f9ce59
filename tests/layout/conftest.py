"""A layout that is being filled, and documents in it."""

import hashlib
import json

import pytest

from hpc_remetrics.layout.image_layout import Layout
from hpc_remetrics.records import Digest


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path / "mirror")
    layout.prepare()
    return layout


@pytest.fixture
def keep(layout):
    """Return a function that stores bytes or a document, and returns its descriptor."""

    def keep(data, media_type="") -> dict:
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        digest = Digest(hashlib.sha256(data).digest())
        layout.keep_bytes(digest, data)
        return {"mediaType": media_type, "digest": str(digest), "size": len(data)}

    return keep
