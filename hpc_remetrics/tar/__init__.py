"""Tar: from the bytes of a blob to its members, as docker, containerd and podman read it."""
