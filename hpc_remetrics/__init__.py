"""Profile every layer and every file of many container images, in parallel, into one HDF5 dataset."""

__version__ = "0.1.0"
