"""The dataset: its schema, its writer and its reader."""
