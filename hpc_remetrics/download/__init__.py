"""`download`: mirror images into an OCI image layout; `fetch`: one manifest, blob or config."""
