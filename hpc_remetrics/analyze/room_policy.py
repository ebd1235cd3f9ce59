"""Decide how much node-local scratch the layers of a rank may take, and when."""

from __future__ import annotations

from ..errors import BlobError
from ..limits import AHEAD_BYTES, UNPACKED
from ..node.scratch import Grant, Scratch
from ..records import Digest, Layer

_ENLARGE = 8
"""How many times more room an unpacked layer is given when it had too little."""

_MIN_UNPACKED = 1 << 20
"""Bytes that every unpacked layer may take."""


class RoomPolicy:
    """Grants scratch to the layers of one rank.

    :param ahead: bytes that the rank's layers may hold together; a single one may hold more.
    :param unpacks: whether layers are unpacked, which takes room beside their compressed bytes.
    """

    def __init__(self, scratch: Scratch, *, ahead: int = AHEAD_BYTES, unpacks: bool) -> None:
        self._scratch = scratch
        self._ahead = ahead
        self._factors: dict[Digest, int] = {}
        self._granted_layers = 0
        self._granted_bytes = 0
        self.unpacks = unpacks

    def unpacked_bytes(self, layer: Layer, size: int, blob: int) -> int:
        """Return how many bytes a layer may take unpacked, 0 if layers are not unpacked.

        :param size: compressed bytes of the layer, -1 if unknown.
        :param blob: compressed bytes that lie on scratch beside what is unpacked.
        """
        if not self.unpacks:
            return 0
        wanted = max(size, 0) * self._factors.get(layer.digest, UNPACKED) + _MIN_UNPACKED
        largest = max(self._scratch.most - blob, _MIN_UNPACKED)
        return min(wanted, largest)

    def take(self, size: int, *, as_directory: bool) -> Grant | None:
        """Return room for one layer, or None if there is none now.

        :param size: bytes of its compressed blob and of what is unpacked.
        :param as_directory: make the granted path a directory.
        :raises BlobError: no tier of scratch can ever hold it, or the directory can't be made.
        """
        if self._granted_layers and self._granted_bytes + size > self._ahead:
            return None
        try:
            grant = self._scratch.grant(size)
            if grant is None:
                return None
            if as_directory:
                grant.path.mkdir()
        except OSError as error:
            raise BlobError("no_room", f"on scratch: {error}") from error
        self._granted_layers += 1
        self._granted_bytes += size
        return grant

    def give_back(self, grant: Grant) -> None:
        """Remove what a layer has on scratch, and free its room."""
        self._granted_layers -= 1
        self._granted_bytes -= grant.size
        grant.release()

    def enlarge(self, layer: Layer, size: int) -> None:
        """Give a layer more room the next time, since `size` bytes were too few to unpack it.

        :raises BlobError: `size` is all that a layer can have.
        """
        if size >= self._scratch.most:
            message = f"no tier of scratch holds {layer.digest} unpacked, {size} bytes were too few"
            raise BlobError("no_room", message)
        self._factors[layer.digest] = self._factors.get(layer.digest, UNPACKED) * _ENLARGE
