"""Profile a layer in one pass: decompress, walk the tar, hash and type files, call probes."""
