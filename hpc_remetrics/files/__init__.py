"""Files that this program writes or may not trust: safe names, whole files, journals, locks."""
