"""Profile one layer with tarfile, hashlib and python-magic, to compare with."""

import hashlib
import sys
import tarfile

import magic

seen: dict[bytes, str] = {}
with open(sys.argv[1], "rb") as blob:
    hashlib.file_digest(blob, "sha256")
with tarfile.open(sys.argv[1]) as tar:
    for member in tar:
        if member.isreg():
            file = tar.extractfile(member)
            assert file is not None
            data = file.read()
            digest = hashlib.sha256(data).digest()
            if digest not in seen:
                seen[digest] = magic.from_buffer(data[: 7 << 20])
            print(digest.hex(), seen[digest], member.name)
