"""Read the columns of a dataset by h5py alone."""

from datetime import datetime, timedelta
from itertools import pairwise

import h5py

from hpc_remetrics.dataset.schema import ENUMS, FLAGS, TABLES


def time(seconds):
    """Return seconds since 1970 as a time in UTC without a time zone."""
    return datetime(1970, 1, 1) + timedelta(seconds=seconds)


def truth(path, table):
    """Return column -> values as people write them; paths stay bytes, what is missing is None."""
    with h5py.File(path) as file:
        group = file[table]
        found = {}
        for name, column in TABLES[table].columns.items():
            values = group[name][:]
            if column.type == "enum":
                words = {number: word for word, number in ENUMS[column.argument].items()}
                found[name] = [words[value] for value in values.tolist()]
            elif column.type == "digest":
                texts = [value.tobytes().hex() for value in values]
                found[name] = [f"sha256:{text}" if text.strip("0") else None for text in texts]
            elif column.type == "fingerprint":
                found[name] = [value.tobytes().hex() for value in values]
            elif column.type == "text":
                found[name] = [value.decode() for value in values.tolist()]
                if column.missing == '""':
                    found[name] = [text or None for text in found[name]]
            elif column.type == "flags":
                words = FLAGS[column.argument].items()
                found[name] = [
                    " ".join(word for word, bit in words if value & bit) for value in values
                ]
            elif column.type == "time":
                found[name] = [None if one == -(1 << 63) else time(one) for one in values.tolist()]
            elif column.is_blob:
                bounds = group[f"{name}_offset"][:].tolist()
                found[name] = [values.tobytes()[a:b] for a, b in pairwise(bounds)]
                if column.type == "utf8":
                    found[name] = [text.decode() for text in found[name]]
                if column.missing == '""':
                    found[name] = [text or None for text in found[name]]
            elif column.type != "offset":
                is_missing = values != values if column.missing == "NaN" else values == -1
                if column.missing == "none":
                    is_missing[:] = False
                pairs = zip(values.tolist(), is_missing.tolist(), strict=True)
                found[name] = [None if missing else value for value, missing in pairs]
        return found
