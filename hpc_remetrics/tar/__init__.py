"""From the bytes of a blob to the members of a tar."""
