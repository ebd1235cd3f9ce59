"""What several folders of tests use: real tools, OCI layouts, runs of the command."""
