"""Writes one part of pickled layers: LAYERS NAME PARTS SCRATCH."""

import pickle
import sys
from pathlib import Path

from hpc_remetrics.files import publish
from hpc_remetrics.parts.part_writer import write_part

if __name__ == "__main__":
    # The test follows the calls on this very name.
    publish.random_digits = lambda: "0" * 16
    items, types, signature = pickle.loads(Path(sys.argv[1]).read_bytes())
    write_part(Path(sys.argv[3]), sys.argv[2], items, [], types, signature, Path(sys.argv[4]))
