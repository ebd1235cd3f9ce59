"""Compute the metrics of a dataset by all ranks, in bounded memory, exactly.

1. /contents is read once: sizes, copies, types, duplicates (`contents.py`).
2. /entries is read once (`file_rows.py`). Files travel to the rank that owns their path's hash,
   directories and extensions to the rank of theirs. There paths and their contents are counted
   (`path_join.py`), and the most frequent names found (`common_names.py`).
3. Files travel to the rank that owns their content: layers, names and growth are counted
   (`content_join.py`, `growth.py`).
4. Layers are stacked as in the images, to find what they hide (`hidden.py`).
5. /history is read once, to add up layers by the kind of their step (`steps.py`).
6. Pairs of images are compared, to find what an update pulls (`updates.py`).
7. The nearest base of each image is found (`bases.py`).
8. The most frequent values in the configs are found (`config_values.py`).
9. Rank 0 puts the tables together (`assemble.py`).

Every number is a sum, a minimum or a maximum of whole numbers over all ranks, or is made from such
numbers on rank 0, so the result does not depend on the number of ranks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..arrays import distinct
from ..dataset.hdf5 import file_to_change
from ..dataset.reader import Dataset
from ..dataset.stored_file import library_errors
from ..dataset.table_writer import write_metrics
from ..files.disk_errors import disk_errors
from ..mpi.collective import Collective, on_rank_0
from ..mpi.comm import Comm
from .assemble import assemble
from .bases import find_bases
from .common_names import CommonNames
from .config_values import config_values
from .content_join import ContentJoin
from .contents import ContentPass
from .distribution import summaries
from .file_rows import FilePass
from .hidden import HiddenPass
from .image_pairs import consecutive_pairs
from .inputs import MetricsInputs, combined
from .path_join import PathPass, top_paths
from .results import ContentResults, FileResults, HiddenResults, Tables
from .steps import step_results
from .updates import UpdatePass

DEFAULT_MEMORY = 1 << 30
"""Bytes that a rank may take for rows between passes."""


def add_metrics(
    comm: Comm, path: Path, scratch: Path, memory: int = DEFAULT_MEMORY, history: str = ""
) -> None:
    """Compute the metrics of a dataset that nobody else reads yet, and write them into its file.

    Collective.

    :param scratch: a directory of this rank on node-local disk.
    :param memory: bytes that each rank may take for rows between passes.
    :param history: what the file's history becomes; "": it stays as it is.
    :raises OutputError: the file or scratch can't be written.
    """
    with Collective(comm), disk_errors(scratch, "scratch"), Dataset(path) as dataset:
        tables = compute_metrics(comm, dataset, scratch, memory)

    def write() -> None:
        with disk_errors(path, "the dataset"), library_errors(path), file_to_change(path) as file:
            write_metrics(file, tables)
            if history:
                file.attrs["history"] = history

    on_rank_0(comm, write)


def compute_metrics(
    comm: Comm, dataset: Dataset, scratch: Path, memory: int = DEFAULT_MEMORY
) -> Tables:
    """Return the tables of `/metrics` on rank 0, nothing elsewhere. Collective, on the same file.

    :param scratch: a directory of this rank on node-local disk.
    :param memory: bytes that each rank may take for rows between passes.
    """
    inputs = MetricsInputs(comm, dataset, scratch, memory)
    inputs.map_sizes()
    contents = _content_pass(inputs)
    files = _file_pass(inputs, contents)
    hidden = _hidden_pass(inputs)
    steps = step_results(inputs, hidden.image_layers)
    updates = UpdatePass(inputs, consecutive_pairs(dataset)).run()
    bases = find_bases(inputs)
    values = config_values(inputs)
    if comm.rank != comm.root:
        return {}
    tables = assemble(inputs, contents, files, hidden, steps, updates, bases)
    return {**tables, "config_values": values}


def _content_pass(inputs: MetricsInputs) -> ContentResults:
    contents = ContentPass(inputs)
    contents.run()
    return contents.results()


def _file_pass(inputs: MetricsInputs, contents: ContentResults) -> FileResults:
    """Read /entries, join its files by path and by content, and combine what all ranks counted."""
    comm = inputs.comm
    # Read the entries; look for the first files of the contents that will be listed.
    wanted = distinct(np.concatenate(list(contents.top.values())))
    files = FilePass(inputs, wanted)
    files.run()
    common = CommonNames(comm, files.names)
    # The path join tells the content join the number of paths of each content.
    join = ContentJoin(inputs)
    paths = PathPass(inputs, files.paths, join.paths_of, join.bounds)
    paths.run()
    join.send(files, common)
    join.count()
    # Combine the counts of all ranks.
    counts = {
        "paths/contents": paths.contents,
        "paths/files": paths.files,
        "contents/paths": join.paths,
    }
    distributions = summaries(comm, counts)
    first = combined(comm, files.first, np.minimum)
    growth = join.growth.table(comm)
    return FileResults(
        distributions=distributions,
        kinds=combined(comm, files.kinds),
        path_contents=sum(comm.allgather(paths.pairs)),
        same_path=combined(comm, np.concatenate([paths.same_path, join.same_path])),
        layers={name: combined(comm, values) for name, values in join.layers.items()},
        top_paths=top_paths(np.concatenate(comm.allgather(paths.top))),
        first_file=dict(zip(wanted.tolist(), first.tolist(), strict=True)),
        names={name: combined(comm, values) for name, values in join.names.items()},
        name_texts=common.texts(comm),
        growth=growth,
    )


def _hidden_pass(inputs: MetricsInputs) -> HiddenResults:
    """Find the files that images hide, and combine what all ranks counted."""
    comm = inputs.comm
    hidden = HiddenPass(inputs)
    hidden.run()
    layers = {
        "hidden_bytes_min": combined(comm, hidden.fewest, np.minimum),
        "hidden_bytes_max": combined(comm, hidden.most, np.maximum),
        "hides_bytes_max": combined(comm, hidden.hides, np.maximum),
    }
    return HiddenResults(
        images=combined(comm, hidden.images),
        causes=combined(comm, hidden.causes),
        layers=layers,
        image_layers=hidden.image_layers,
    )
