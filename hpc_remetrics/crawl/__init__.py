"""`crawl`: list the repositories of a registry, with their pulls and tags."""
