"""Parts: what a run has finished, in immutable HDF5 files; spills: what a child hands to its
rank."""
