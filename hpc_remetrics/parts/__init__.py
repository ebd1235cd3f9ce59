"""Parts: immutable HDF5 files of finished layers. Spills: the entries of one layer on scratch."""
