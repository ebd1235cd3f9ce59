"""Certificates that sign themselves."""

import subprocess
from pathlib import Path

from support.tools import need


def self_signed(key: Path, certificate: Path, name: str) -> None:
    """Write a key and a certificate for a name of this machine, good for two days."""
    command = [need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
