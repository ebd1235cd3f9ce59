"""HTTP clients of registries, by the OCI distribution specification, on `requests` and urllib3.

The public classes, from the top down:

    registry = Registry("127.0.0.1:5000", Access(...))       of one thread; `Registries` has many
    registry.manifest("a/b", "latest")  -> Manifest          data, media_type, digest, …; a pull
    registry.head_manifest("a/b", "1")  -> Manifest          the same without data; no pull
    registry.read_blob("a/b", digest, limit) -> bytes        verified
    registry.fetch_blob("a/b", digest, size, path) -> size   resumed from `path`, verified
    registry.tags("a/b"), registry.catalog() -> names        `Link` headers followed
    registry.pages("/v2/_catalog?n=100") -> RegistryPage     document, headers, next: to resume from
    registry.client.get(url)            -> SmallResponse     any URL of that host
    Client("hub.docker.com", access, endpoint="https://hub.docker.com").get("/v2/…")   no registry

`registries`, `endpoint` and `client` have these classes, `access` the options. They are not
imported here: each command needs the options, and few need `requests`.

Each call keeps the deadlines, tries and limits of `Access.patience`, waits for the `Budget` before
each request, retries passing failures, and sends credentials only to the registry's own origin. It
raises `RegistryError` (a `BlobError`) with a `cause` of `records.CAUSES` and an HTTP `status`.

`Budget` is one process's share of what the job may ask. Ranks tell each other of a registry's
pauses: `budget.new_pauses()` of one goes to `budget.apply_pauses(…)` of the others, by whatever way
messages go.
"""
