"""A copy of images at registries as an OCI image layout on disk: `download`."""
