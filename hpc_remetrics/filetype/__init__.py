"""The type of a file's content: libmagic's description of it, reduced and classified."""
