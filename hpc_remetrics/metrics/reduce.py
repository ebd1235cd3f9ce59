"""Reduce: every figure's numbers of a dataset, by all ranks, in bounded memory, exactly.

1. /contents is read once: sizes, copies, types, where duplicates are (`contents.py`).
2. /entries is read once: paths are hashed, files travel to the home of their path's hash,
   directories and extensions to that of theirs (`files.py`); there paths and their contents are
   counted (`paths.py`), and the most frequent names found (`common_names.py`).
3. Files travel to the home of their content: layers, names and growth are counted (`carriers.py`,
   `growth.py`).
4. Images are taken in the order of their layers: what they hide (`hidden.py`).
5. The root puts the tables together (`assemble.py`).

Every number is a sum, a least or a greatest value of whole numbers over all ranks, or made from
such on the root, so any number of ranks finds the same.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..dataset.reader import Dataset
from ..mpi.comm import Comm
from .amounts import by_name
from .assemble import Found, Tables, assemble
from .chunk_dedup import Chunks, count_chunks
from .common_names import CommonNames
from .content_join import Carriers
from .contents import ContentPass, top_contents
from .file_rows import FilePass
from .growth import growth_summary
from .hidden import HiddenPass
from .inputs import Inputs, combined
from .path_join import PathPass, top_paths
from .sorting import distinct

DEFAULT_MEMORY = 1 << 30
"""Bytes that a rank may take for rows on their way."""

_NONE = np.iinfo(np.int64).max


def reduce(comm: Comm, dataset: Dataset, scratch: Path, memory: int = DEFAULT_MEMORY) -> Tables:
    """Return the tables of `/metrics` on the root, nothing elsewhere; all ranks call it on the same
    file.

    :param scratch: a folder of this rank's own on node-local disk.
    :param memory: bytes that each rank may take for rows on their way.
    """
    inputs, found = Inputs(comm, dataset, scratch, memory), Found()
    _contents(inputs, found)
    _files(inputs, found)
    _hidden(inputs, found)
    return assemble(inputs, found) if comm.rank == comm.root else {}


def _contents(inputs: Inputs, found: Found) -> None:
    comm, part = inputs.comm, ContentPass(inputs)
    part.run()
    for name, tally in part.tallies.items():
        found.distributions.take(comm, name, tally)
    found.types = {name: combined(comm, values) for name, values in part.types.items()}
    found.levels = combined(comm, part.levels)
    found.empty_files = sum(comm.allgather(part.empty_files))
    found.sample = combined(comm, part.sample.sums)
    cut, chunks = combined(comm, part.cuts.sums), combined(comm, count_chunks(inputs))
    found.chunks = Chunks(cut, chunks, inputs.dataset.chunk_sample)
    for by, rows in part.top.items():
        found.top_contents[by] = top_contents(np.concatenate(comm.allgather(rows)))["content"]


def _files(inputs: Inputs, found: Found) -> None:
    comm, wanted = inputs.comm, distinct(np.concatenate(list(found.top_contents.values())))
    files = FilePass(inputs, wanted)
    files.run()
    common, carriers = CommonNames(comm, files.names), Carriers(inputs)
    paths = PathPass(inputs, files.paths, carriers.paths_of, carriers.bounds)
    paths.run()
    carriers.send(files, common)
    carriers.count()
    tallies = {
        "paths/contents": paths.contents,
        "paths/files": paths.files,
        "contents/paths": carriers.paths,
    }
    for name, tally in tallies.items():
        found.distributions.take(comm, name, tally)
    found.kinds, found.pairs = combined(comm, files.kinds), sum(comm.allgather(paths.pairs))
    found.same = np.concatenate(
        [combined(comm, counts) for counts in (paths.counts, carriers.same)]
    )
    found.layers = {name: combined(comm, values) for name, values in carriers.layers.items()}
    found.top_paths = top_paths(np.concatenate(comm.allgather(paths.top)))
    first = combined(comm, files.first, np.minimum)
    found.first_file = dict(zip(wanted.tolist(), first.tolist(), strict=True))
    names = {name: combined(comm, values) for name, values in carriers.names.items()}
    texts = common.texts(comm)
    counted = combined(comm, carriers.growth.contents), combined(comm, carriers.growth.bytes)
    if comm.rank == comm.root:
        growth = carriers.growth.table(*counted)
        found.tables |= {
            "growth": growth,
            "growth_summary": growth_summary(growth),
            **by_name(texts, names, found.whole),
        }


def _hidden(inputs: Inputs, found: Found) -> None:
    comm, part = inputs.comm, HiddenPass(inputs)
    part.run()
    found.hidden_of_images, found.how = combined(comm, part.images), combined(comm, part.how)
    least = combined(comm, part.least, np.minimum)
    found.layers["hidden_bytes_min"] = np.where(least == _NONE, 0, least)
    found.layers["hidden_bytes_max"] = combined(comm, part.most, np.maximum)
    found.layers["hides_bytes_max"] = combined(comm, part.hides, np.maximum)
