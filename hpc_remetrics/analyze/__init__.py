"""The run of `analyze`: plan, scatter, profile, publish, gather."""
