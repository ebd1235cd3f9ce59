"""What a part's columns and records are made of."""

from __future__ import annotations

import numpy as np

from .spill_format import COLUMNS, EXTRAS

LAYER = np.dtype(
    [
        ("digest", "V32"),
        ("diff_id", "V32"),
        ("status", "<u1"),
        ("compression", "<u1"),
        ("depth", "<i4"),
        ("notes", "<u4"),
        *(
            (name, "<i8")
            for name in (
                "CLS",
                "TLS",
                "FLS",
                "entries",
                "files",
                "directories",
                "symlinks",
                "hardlinks",
            )
        ),
        *((name, "<i8") for name in ("devices", "whiteouts", "others", "path_bytes", "link_bytes")),
        *((name, "<i8") for name in ("first_entry", "first_path_byte", "first_link_byte")),
        ("cpu_seconds", "<f8"),
    ]
)
"""One layer of a part: the fields of `LayerProfile`, and where its entries, paths and links
begin."""

ENTRY_COLUMNS = {name: np.dtype(code).newbyteorder("<") for name, (code, _) in COLUMNS.items()}
EXTRA_RECORDS = {name: np.dtype(fields) for name, fields in EXTRAS.items()}
BLOBS = ("path", "link")
