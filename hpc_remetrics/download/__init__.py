"""A mirror of images at registries as an OCI image layout: `download`; one thing of a registry:
`fetch`."""
