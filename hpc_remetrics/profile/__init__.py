"""One pass over a layer: decompress it, walk its tar, hash and type each file, call probes."""
