"""`fetch`: get one manifest, blob or config of a registry."""

from __future__ import annotations

from ..download.options import FetchOptions
from . import Command

_EXAMPLES = """
examples:
  hpc-remetrics fetch manifest localhost:5000/library/redis:7 -o redis.json
  hpc-remetrics fetch config localhost:5000/library/redis:7 --platform linux/arm64 -o - | jq .rootfs
  hpc-remetrics fetch blob localhost:5000/library/redis@sha256:… -o layer.tar.gz

A blob is verified and gets its name when it is complete; a download that was interrupted is
resumed.

exit codes: 0 done, 1 a fault of the program, 2 wrong use, 3 not available, 4 the registry's limit
is reached (run it again later), 5 output not writable
"""


def _run(options: FetchOptions) -> int:
    from ..download.fetch import fetch_command

    return fetch_command(options)


COMMAND = Command("fetch one manifest, blob or config of a registry", FetchOptions, _run, _EXAMPLES)
