"""An OCI image layout that is being written."""
