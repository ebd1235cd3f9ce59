"""From spills to parts to one dataset: the schema, the parts of a run, the gather, and the reader."""
