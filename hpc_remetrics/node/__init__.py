"""Node-local scratch storage of a job, and how the ranks of a node share it."""
