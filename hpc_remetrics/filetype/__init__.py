"""The type of a file's content: libmagic's answer, reduced and classified."""
