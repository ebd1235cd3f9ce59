"""The parallel machinery: ranks, scratch, the lock on an output, the deal of layers to ranks."""
