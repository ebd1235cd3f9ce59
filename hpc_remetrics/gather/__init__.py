"""From parts to one dataset, by all ranks."""
