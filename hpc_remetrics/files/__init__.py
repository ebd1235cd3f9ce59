"""Files that this program writes: names that are safe to open, whole files, journals, locks."""
