"""Describe an export so that it can be published: what a data repository and a reader want to know.

Beside the tables come four files, all made from the schema and the tables' own columns:

    datapackage.json   Data Package: types, units, keys, hashes; `frictionless validate` checks it
    croissant.json     Croissant, the same for search engines and machine learning
    README.md          a codebook for people: every table and column, and how to read the files
    SHA256SUMS         for `sha256sum -c`
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dataset.arrow import import_pyarrow
from ..dataset.file_history import utc_time
from ..files.file_digest import file_sha256
from ..files.publish import write_whole
from ..wording import counted
from .tables import exported_schema

if TYPE_CHECKING:
    from ..dataset.reader import Dataset
    from ..dataset.table import Table

PACKAGE_FILES = ("datapackage.json", "croissant.json", "README.md", "SHA256SUMS")

_BLOCK = 1 << 20

_VERSION = "1.0.0"
"""Version of a package that has just been made; who changes it by hand counts on from here."""

_MEDIA_TYPES = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "jsonl": "application/jsonl",
}
"""Ending of a file -> its media type."""

_CROISSANT_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The JSON-LD context that the specification of Croissant 1.0 gives."""


_WORDS = ("enum", "digest", "fingerprint")
"""Types of columns whose strings are never empty."""


@dataclass(frozen=True)
class PackageInfo:
    """What nobody can derive from a dataset.

    :ivar licence: an SPDX identifier such as `CC-BY-4.0`, "" if none is given.
    """

    title: str
    creators: tuple[str, ...] = ()
    licence: str = ""


@dataclass(frozen=True)
class PackagedTable:
    """A table that was exported.

    :ivar name: as in the dataset, `metrics/NAME` for a table of metrics.
    :ivar path: its file, relative to the directory of the package.
    """

    name: str
    table: Table
    path: str
    size: int
    sha256: str

    @property
    def resource(self) -> str:
        """Return the name of the table as Data Packages allow it."""
        return self.name.replace("/", "-")

    @property
    def fields(self) -> Any:
        """Return the Arrow fields of the columns of its file."""
        return exported_schema(self.table, self.path.rpartition(".")[2])


@dataclass(frozen=True)
class PackageFacts:
    """What is said of the dataset itself.

    :ivar version: of the program, with its name.
    :ivar fingerprint: of the dataset, "" if it has none.
    :ivar created: when the dataset was made, in ISO 8601.
    """

    version: str
    fingerprint: str
    created: str
    sources: tuple[str, ...]


def facts_of(dataset: Dataset) -> PackageFacts:
    """Return what is said of a dataset."""
    version = dataset.run.get("version", "")
    return PackageFacts(
        f"hpc_remetrics {version}".strip(),
        dataset.fingerprint,
        dataset.date_created or utc_time(float(dataset.run.get("started", 0.0))),
        tuple(dataset.sources),
    )


def is_package_file(path: Path) -> bool:
    """Return whether a file describes an export of this program."""
    with open(path, "rb") as file:
        head = file.read(_BLOCK)
    return b"hpc_remetrics" in head or b"  datapackage.json\n" in head


def write_package(
    directory: Path, tables: Mapping[str, Table], form: str, info: PackageInfo, facts: PackageFacts
) -> tuple[str, ...]:
    """Write the files that describe an export, and return their names.

    :param tables: the exported tables by name; `DIRECTORY/NAME.form` is the file of each.
    :param form: ending of the files.
    """
    # Take the size and the SHA-256 of each file.
    packaged = []
    for name, table in tables.items():
        path = f"{name}.{form}"
        size, sha256 = file_sha256(directory / path)
        packaged.append(PackagedTable(name, table, path, size, sha256.hex()))

    # Write the descriptions, and the sums of them all.
    texts = {
        "datapackage.json": _json(data_package(packaged, form, info, facts)),
        "croissant.json": _json(croissant(packaged, form, info, facts)),
        "README.md": codebook(packaged, form, info, facts),
    }
    sums = [(one.sha256, one.path) for one in packaged]
    for name, text in texts.items():
        write_whole(directory / name, [text])
        sums.append((hashlib.sha256(text.encode()).hexdigest(), name))
    lines = "".join(f"{digest}  {path}\n" for digest, path in sorted(sums, key=lambda one: one[1]))
    write_whole(directory / "SHA256SUMS", [lines])
    return PACKAGE_FILES


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def data_package(
    tables: Sequence[PackagedTable], form: str, info: PackageInfo, facts: PackageFacts
) -> dict[str, Any]:
    """Return the descriptor of a Data Package, version 2 (datapackage.org)."""
    exported = {one.name for one in tables}
    package: dict[str, Any] = {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": _slug(info.title),
        "title": info.title,
        "description": _about(facts),
        "created": facts.created,
        "version": _VERSION,
        "sources": [{"title": source} for source in facts.sources],
        "contributors": [{"title": name, "roles": ["creator"]} for name in info.creators],
        "licenses": [{"name": info.licence}] if info.licence else [],
        "resources": [_resource(one, form, exported) for one in tables],
    }
    # The profile allows no empty lists.
    return {name: value for name, value in package.items() if value != []}


def _resource(one: PackagedTable, form: str, exported: set[str]) -> dict[str, Any]:
    """Return the descriptor of one table."""
    fields = list(_fields(one))
    schema: dict[str, Any] = {"fields": fields, "missingValues": [""]}
    if "row" in one.table.keys:
        schema["primaryKey"] = ["row"]
    keys = [
        {"fields": [column], "reference": {"resource": target, "fields": ["row"]}}
        for column, target in row_columns(one.table).items()
        if target in exported
    ]
    if keys:
        schema["foreignKeys"] = keys
    return {
        "name": one.resource,
        # `frictionless` reads the values of CSV alone well: nulls of Parquet become NaN there.
        "type": "table" if form == "csv" else "file",
        "path": one.path,
        "title": one.table.form.description,
        "format": form,
        "mediatype": _MEDIA_TYPES[form],
        "encoding": "utf-8",
        "bytes": one.size,
        "hash": f"sha256:{one.sha256}",
        "schema": schema,
    }


def row_columns(table: Table) -> dict[str, str]:
    """Return the columns of a table that hold rows of another one, with the name of that one."""
    found = {key: f"{key}s" for key in table.keys if key != "row"}
    for name, column in table.form.columns.items():
        if column.type == "row":
            found[name] = column.argument
    return found


def _fields(one: PackagedTable) -> Iterator[dict[str, Any]]:
    """Yield the descriptors of the columns."""
    table = one.table
    for field in one.fields:
        described = {
            "name": field.name,
            "type": _data_type(field)[0],
            "description": _metadata(field, "description"),
        }
        if unit := _metadata(field, "unit"):
            described["unit"] = unit
        column = table.form.columns.get(field.name)
        # In text files an empty string looks like a missing value, so no text is required.
        is_text = described["type"] == "string" and (column is None or column.type not in _WORDS)
        if not is_text and not field.nullable:
            described["constraints"] = {"required": True}
        if column is not None and column.type == "enum":
            described["categories"] = sorted(set(table.words(field.name).values()))
        yield described


def _data_type(field: Any) -> tuple[str, str]:
    """Return the type of an Arrow field in Data Packages and in Croissant."""
    pa = import_pyarrow()
    if pa.types.is_integer(field.type):
        return "integer", "sc:Integer"
    if pa.types.is_floating(field.type):
        return "number", "sc:Float"
    if pa.types.is_boolean(field.type):
        return "boolean", "sc:Boolean"
    if pa.types.is_timestamp(field.type):
        return "datetime", "sc:DateTime"
    return "string", "sc:Text"


def _metadata(field: Any, name: str) -> str:
    """Return the unit or the description of an Arrow field; "" for a plain number's unit."""
    text = (field.metadata or {}).get(name.encode(), b"").decode()
    return "" if text == "1" else text


def croissant(
    tables: Sequence[PackagedTable], form: str, info: PackageInfo, facts: PackageFacts
) -> dict[str, Any]:
    """Return the description in Croissant 1.0 (docs.mlcommons.org/croissant)."""
    exported = {one.name for one in tables}
    described: dict[str, Any] = {
        "@context": _CROISSANT_CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": _slug(info.title),
        "alternateName": info.title,
        "description": _about(facts),
        "version": _VERSION,
        "datePublished": facts.created,
        "citeAs": _citation(info, facts),
        "creator": [{"@type": "sc:Person", "name": name} for name in info.creators],
        "license": info.licence,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": one.path,
                "name": one.path,
                "description": one.table.form.description,
                "contentUrl": one.path,
                "contentSize": f"{one.size} B",
                "encodingFormat": _MEDIA_TYPES[form],
                "sha256": one.sha256,
            }
            for one in tables
        ],
        "recordSet": [_record_set(one, exported) for one in tables],
    }
    return {name: value for name, value in described.items() if value not in ([], "")}


def _record_set(one: PackagedTable, exported: set[str]) -> dict[str, Any]:
    """Return the description of the rows of one table."""
    # Describe the columns; those that hold rows refer to the key of another table.
    points = {name: target for name, target in row_columns(one.table).items() if target in exported}
    fields = []
    for field in one.fields:
        described: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": f"{one.resource}/{field.name}",
            "name": field.name,
            "description": _metadata(field, "description"),
            "dataType": _data_type(field)[1],
            "source": {"fileObject": {"@id": one.path}, "extract": {"column": field.name}},
        }
        if field.name in points:
            described["references"] = {"field": {"@id": f"{points[field.name]}/row"}}
        fields.append(described)

    # Describe the table.
    record_set: dict[str, Any] = {
        "@type": "cr:RecordSet",
        "@id": one.resource,
        "name": one.resource,
        "description": one.table.form.description,
        "field": fields,
    }
    if "row" in one.table.keys:
        record_set["key"] = {"@id": f"{one.resource}/row"}
    return record_set


_READING = {
    "csv": """\
Missing values are empty cells without quotes; an empty string, such as the path of a root
directory, is `""`. Words such as `NA` and `null` are strings: say so where a reader takes them for
missing values,

    pandas.read_csv("layers.csv", keep_default_na=False, na_values=[""])

A backslash begins the code of a byte that is no printable text (`\\xNN`), and stands for itself
when doubled.
""",
    "parquet": """\
Any reader of Parquet takes them: `SELECT * FROM 'layers.parquet'` in DuckDB,
`pandas.read_parquet("layers.parquet")`, `arrow::read_parquet("layers.parquet")` in R. Missing
values are null. In paths, a backslash begins the code of a byte that is no printable text
(`\\xNN`), and stands for itself when doubled.
""",
    "jsonl": """\
Each line is one JSON object: `pandas.read_json("layers.jsonl", lines=True)`, or DuckDB's
`SELECT * FROM 'layers.jsonl'`. Missing values are null. In paths, a backslash begins the code of a
byte that is no printable text (`\\xNN`), and stands for itself when doubled.
""",
}
"""Ending of the files -> how they are read."""


def codebook(
    tables: Sequence[PackagedTable], form: str, info: PackageInfo, facts: PackageFacts
) -> str:
    """Return the page for people: what the files are, and what each column means."""
    # Say what it is, who made it and from what.
    lines = [f"# {_plain(info.title)}", "", _about(facts), ""]
    if info.creators:
        lines += [f"Creators: {_plain(', '.join(info.creators))}", ""]
    lines += [f"Licence: {_plain(info.licence) or 'none is given'}", ""]
    if facts.sources:
        lines += ["Sources:", "", *(f"- {_plain(source)}" for source in facts.sources), ""]

    # List the files.
    lines += ["## The files", "", "| file | rows | bytes | what it holds |", "|---|---:|---:|---|"]
    for one in tables:
        about = _plain(one.table.form.description)
        lines.append(f"| `{one.path}` | {len(one.table):,} | {one.size:,} | {about} |")
    lines += ["", _READING[form]]
    lines += ["`sha256sum -c SHA256SUMS` checks that they are whole. `datapackage.json` describes"]
    lines += ["them for programs (datapackage.org), `croissant.json` for search engines.", ""]

    # List the columns of each table.
    lines += ["## The columns", ""]
    lines += ["Tables are joined by row numbers: the column `row` of each is its key."]
    for one in tables:
        lines += ["", f"### {one.name}", ""]
        lines += [f"{counted(len(one.table), 'row')}: {_plain(one.table.form.description)}.", ""]
        lines += ["| column | type | unit | points to | may be missing | meaning |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += list(_columns(one))
    return "\n".join(lines) + "\n"


def _columns(one: PackagedTable) -> Iterator[str]:
    """Yield a row of Markdown for each column."""
    points = row_columns(one.table)
    for field in one.fields:
        target = f"{points[field.name]}.row" if field.name in points else ""
        nullable = "yes" if field.nullable else ""
        about = _plain(_metadata(field, "description"))
        cells = (f"`{field.name}`", _data_type(field)[0], _metadata(field, "unit"), target)
        yield f"| {' | '.join(cells)} | {nullable} | {about} |"


def _citation(info: PackageInfo, facts: PackageFacts) -> str:
    """Return how the package is cited, from what is known of it."""
    by = f"{', '.join(info.creators)}: " if info.creators else ""
    return f"{by}{info.title}. {facts.created[:4]}. Made with {facts.version}."


def _about(facts: PackageFacts) -> str:
    text = f"Every layer and every file of a set of container images, as {facts.version} found them"
    if facts.fingerprint:
        text += f" (fingerprint of the dataset: {facts.fingerprint})"
    return f"{text}."


def _plain(text: str) -> str:
    """Return a string as a cell of a Markdown table: one line, without markup."""
    return re.sub(r"([\\|*_`<>\[\]])", r"\\\1", " ".join(text.split()))


def _slug(title: str) -> str:
    """Return a title as the name of a package: lower case, digits and hyphens.

    >>> _slug("Docker Hub, May 2026"), _slug("…")
    ('docker-hub-may-2026', 'dataset')
    """
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "dataset"
