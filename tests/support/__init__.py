"""Helpers that several directories of tests use: real tools, OCI layouts, runs of the command."""
