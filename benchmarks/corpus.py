"""Contents of real packages of many kinds: Debian packages of all sections, PyPI and npm.

Packages are downloaded a few at a time by apt-get, pip and npm, read as streams, and removed, so
that little room on disk is needed. Which ones is drawn at random, the same for the same seed and
package lists.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

LARGEST_PACKAGE = 25_000_000
LARGEST_FILE = 32 << 20
AT_ONCE = 12

PYPI = """
aiohttp ansible-core babel beautifulsoup4 black boto3 botocore celery certifi cffi click coverage
cryptography django docutils fastapi flask fonttools gevent google-api-core greenlet grpcio h5py
hypothesis ipython jinja2 jupyterlab kombu lxml markdown matplotlib mypy networkx nltk notebook
numba numpy openpyxl pandas pillow pip plotly pre-commit protobuf psutil pyarrow pygments pylint
pytest pytz pyyaml requests rich ruff scikit-image scikit-learn scipy setuptools shapely sphinx
sqlalchemy statsmodels streamlit sympy tornado tqdm twisted tzdata urllib3 wheel xarray
zope.interface
"""
NPM = """
@angular/core @babel/core @mui/material antd axios bootstrap chart.js commander core-js d3 date-fns
electron-to-chromium ember-source eslint express fontawesome-free handlebars highlight.js jquery
katex leaflet less lodash mathjax mocha moment monaco-editor next npm pdfjs-dist prettier prismjs
puppeteer-core react react-dom react-native rollup rxjs sass semantic-ui-css socket.io svelte
swagger-ui-dist terser three tinymce typescript underscore video.js vue webpack
"""


def contents(seed: int = 2017) -> Iterator[tuple[str, bytes]]:
    """Yield the kind of package and the bytes of each distinct file, until the packages end."""
    seen: set[bytes] = set()
    for kind, data in _files(seed):
        digest = hashlib.sha256(data).digest()
        if data and digest not in seen:
            seen.add(digest)
            yield kind, data


def _files(seed: int) -> Iterator[tuple[str, bytes]]:
    drawn = random.Random(seed)
    batches = [
        *_batches("pypi", PYPI.split(), drawn),
        *_batches("npm", NPM.split(), drawn),
        *_debian(drawn),
    ]
    drawn.shuffle(batches)
    for kind, names in batches:
        with tempfile.TemporaryDirectory() as directory:
            _download(kind, names, Path(directory))
            for path in sorted(Path(directory).iterdir()):
                yield from ((kind, data) for data in _members(path))


def _batches(kind: str, names: list[str], drawn: random.Random) -> list[tuple[str, list[str]]]:
    names = drawn.sample(names, len(names))
    return [(kind, names[first : first + AT_ONCE]) for first in range(0, len(names), AT_ONCE)]


def _debian(drawn: random.Random) -> list[tuple[str, list[str]]]:
    """Draw packages of all sections, an equal number of each as far as it has so many."""
    text = subprocess.run(
        ["apt-cache", "dumpavail"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    sections: dict[str, set[str]] = {}
    for one in text.split("\n\n"):
        fields = dict(re.findall(r"^(\w+): (.*)$", one, re.MULTILINE))
        if int(fields.get("Size", 0)) < LARGEST_PACKAGE and "Section" in fields:
            sections.setdefault(fields["Section"], set()).add(fields["Package"])
    chosen = []
    for section, names in sorted(sections.items()):
        few = drawn.sample(sorted(names), min(len(names), 5 * AT_ONCE))
        chosen += _batches(section, few, drawn)
    return chosen


def _download(kind: str, names: list[str], directory: Path) -> None:
    """Download packages; what can't be had is left out."""
    if kind == "pypi":
        commands = [
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", ".", name]
            for name in names
        ]
    elif kind == "npm":
        commands = (
            [["npm", "pack", "--silent", name] for name in names] if shutil.which("npm") else []
        )
    else:
        commands = [["apt-get", "-q", "download", *names]]
    for command in commands:
        subprocess.run(
            command,
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )


def _members(path: Path) -> Iterator[bytes]:
    """Yield the package file itself, if it is small, and the files in it."""
    if path.stat().st_size < 1 << 20:
        yield path.read_bytes()
    if path.suffix == ".deb":
        unpacked = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE)
        assert unpacked.stdout is not None
        yield from _of_tar(unpacked.stdout)
        unpacked.stdout.read()
        unpacked.wait()
    elif path.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.file_size < LARGEST_FILE:
                    yield archive.read(info)
    else:
        with open(path, "rb") as file:
            yield from _of_tar(file)


def _of_tar(stream: IO[bytes]) -> Iterator[bytes]:
    with tarfile.open(fileobj=stream, mode="r|*") as archive:
        for member in archive:
            if member.isreg() and member.size < LARGEST_FILE:
                file = archive.extractfile(member)
                if file is not None:
                    data = file.read()
                    yield data
                    yield from _unpacked(data)


def _unpacked(data: bytes) -> Iterator[bytes]:
    """Yield what one compressed file holds: manuals and change logs of Debian are compressed."""
    try:
        if data.startswith(b"\x1f\x8b"):
            yield gzip.GzipFile(fileobj=io.BytesIO(data)).read(LARGEST_FILE)
        elif data.startswith(b"BZh"):
            yield bz2.decompress(data)
        elif data.startswith(b"\xfd7zXZ"):
            yield lzma.decompress(data)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError):
        return
