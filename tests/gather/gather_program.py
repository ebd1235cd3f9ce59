"""Gathers parts under mpirun: PARTS CATALOG OUTPUT SCRATCH."""

import pickle
import sys
from pathlib import Path

from hpc_remetrics.files import publish
from hpc_remetrics.gather.gather import gather
from hpc_remetrics.mpi.launch import connect

if __name__ == "__main__":
    # The tests follow the calls on this very name.
    publish.random_digits = lambda: "0" * 16
    parts, catalog, output, scratch = map(Path, sys.argv[1:])
    comm = connect()
    mine = scratch / str(comm.rank)
    mine.mkdir()
    if comm.rank == comm.root:
        publish.sweep(output)
    images = pickle.loads(catalog.read_bytes()) if comm.rank == comm.root else None
    gather(comm, parts, images, output, mine, {"by": "test"} if comm.rank == comm.root else None)
