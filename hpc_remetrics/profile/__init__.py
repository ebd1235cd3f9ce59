"""One layer in, columns out: decompress, walk the tar, hash and type each file."""
