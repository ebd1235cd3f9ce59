"""Read what the config of an image says about it; what it says wrongly costs that field alone.

Members are found as Go's `encoding/json` finds them (`documents.py`). No content raises an error:
a value of another type than the specification's is left out, with a note.

    config blob -> JSON -> _Reader: one field after the other, without secrets -> ImageConfig
                                    notes, number of secrets
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ..records import CONFIG_NOTES, Digest, ImageConfig, Step
from .dates import parse_date
from .documents import Malformed, get, is_repeated, parse, spelled
from .secrets import Redactor

_SURROGATE = re.compile("[\ud800-\udfff]")
_STEP_KEYS = ("created", "created_by", "comment", "author", "empty_layer")
_STEP_NAMES = frozenset(_STEP_KEYS)
_NO_DATE = (None, 0)


def read_image_config(
    digest: Digest, data: bytes, keep_secrets: bool = False
) -> tuple[dict[str, Any], ImageConfig]:
    """Return the JSON document of a config, {} if it is none, and what it says.

    :param keep_secrets: whether secrets stay as they are.

    >>> blob = b'{"os": "linux", "config": {"Env": ["TOKEN=1234"], "Cmd": ["sh"]}}'
    >>> document, config = read_image_config(Digest(bytes(32)), blob)
    >>> config.os, config.environment, config.cmd, config.secrets
    ('linux', (('TOKEN', '<redacted:token:4>'),), '["sh"]', 1)
    """
    try:
        document = parse(data)
    except Malformed:
        return {}, ImageConfig(digest, len(data), notes=CONFIG_NOTES["malformed"])
    return document, _image_config(digest, data, document, keep_secrets)


def _image_config(
    digest: Digest, data: bytes, document: dict[str, Any], keep_secrets: bool
) -> ImageConfig:
    """Return what the document of a config says.

    :param data: the bytes of the document.
    """
    reader = _Reader(keep_secrets)
    if not _is_utf8(data):
        reader.note("invalid_utf8")
    reader.check_names(document)
    created, created_ns = reader.date(document, "created")
    history = reader.history(document)
    layers = len(reader.list_of(reader.object_of(document, "rootfs"), "diff_ids"))
    if history and layers != sum(not step.is_empty for step in history):
        reader.note("history_mismatch")

    # What a container of the image begins with.
    container = reader.object_of(document, "config")
    return ImageConfig(
        digest,
        len(data),
        created,
        created_ns,
        os=reader.text(document, "os"),
        architecture=reader.text(document, "architecture"),
        variant=reader.text(document, "variant"),
        os_version=reader.text(document, "os.version"),
        author=reader.text(document, "author"),
        user=reader.text(container, "User"),
        working_dir=reader.text(container, "WorkingDir"),
        stop_signal=reader.text(container, "StopSignal"),
        entrypoint=reader.command(container, "Entrypoint"),
        cmd=reader.command(container, "Cmd"),
        exposed_ports=reader.json_of_object(container, "ExposedPorts"),
        volumes=reader.json_of_object(container, "Volumes"),
        healthcheck=reader.json_of_object(container, "Healthcheck"),
        shell=reader.command(container, "Shell"),
        on_build=reader.command(container, "OnBuild"),
        labels=reader.pairs(container, "Labels"),
        environment=reader.environment(container),
        history=history,
        notes=reader.notes,
        secrets=reader.redactor.count,
    )


def annotations_of(manifest: dict[str, Any], keep_secrets: bool) -> tuple[tuple[str, str], ...]:
    """Return a manifest's annotations without secrets; values that are no texts are left out."""
    return _Reader(keep_secrets).pairs(manifest, "annotations")


class _Reader:
    """Reads fields, and collects what is to be said about them.

    :ivar notes: bits of `CONFIG_NOTES`.
    :ivar redactor: replaces secrets, and counts them.
    """

    def __init__(self, keep_secrets: bool) -> None:
        self.redactor = Redactor(keep_secrets)
        self.notes = 0

    def note(self, name: str) -> None:
        self.notes |= CONFIG_NOTES[name]

    def check_names(self, document: dict[str, Any], any_case: bool = True) -> None:
        """Note a name that occurs twice in an object."""
        if is_repeated(document, any_case):
            self.note("repeated_key")

    def _typed(self, document: dict[str, Any], key: str, kind: type) -> Any:
        """Return a member of a type, None if it is missing, null or of another type."""
        value = get(document, key)
        if value is not None and not isinstance(value, kind):
            self.note("wrong_type")
            return None
        return value

    def object_of(self, document: dict[str, Any], key: str) -> dict[str, Any]:
        value = self._typed(document, key, dict) or {}
        self.check_names(value)
        return value

    def list_of(self, document: dict[str, Any], key: str) -> list[Any]:
        return self._typed(document, key, list) or []

    def text(self, document: dict[str, Any], key: str) -> str:
        """Return a text without secrets, "" if there is none."""
        return self._clean_text(self._typed(document, key, str) or "")

    def _clean(self, text: str) -> str:
        """Return a text in which U+FFFD stands for each half of a surrogate pair, as for Go."""
        if text.isascii():
            return text
        text, count = _SURROGATE.subn("\ufffd", text)
        if count:
            self.note("invalid_utf8")
        return text

    def _clean_text(self, text: str) -> str:
        """Return a clean text without secrets."""
        return self.redactor.text(self._clean(text))

    def _clean_words(self, words: Sequence[str]) -> list[str]:
        return self.redactor.words(map(self._clean, words))

    def _clean_pair(self, name: str, value: str) -> tuple[str, str]:
        name = self._clean(name)
        return name, self.redactor.value(name, self._clean(value))

    def date(self, document: dict[str, Any], key: str) -> tuple[int | None, int]:
        """Return seconds and nanoseconds of a date, (None, 0) if there is none."""
        text = self._typed(document, key, str)
        if text is None:
            return _NO_DATE
        found = parse_date(text)
        if found is None:
            self.note("bad_date")
        return found or _NO_DATE

    def history(self, document: dict[str, Any]) -> tuple[Step, ...]:
        return tuple(map(self._step, self.list_of(document, "history")))

    def _step(self, value: Any) -> Step:
        """Return a step; one that is no object is empty, so that the others keep their places."""
        if not isinstance(value, dict):
            if value is not None:
                self.note("wrong_type")
            return Step()
        self.check_names(value)
        if not value.keys() <= _STEP_NAMES:
            value = spelled(value, _STEP_KEYS)
        secrets_before = self.redactor.count
        created, created_ns = self.date(value, "created")
        return Step(
            created,
            created_ns,
            self.text(value, "created_by"),
            self.text(value, "comment"),
            self.text(value, "author"),
            bool(self._typed(value, "empty_layer", bool)),
            self.redactor.count - secrets_before,
        )

    def pairs(self, document: dict[str, Any], key: str) -> tuple[tuple[str, str], ...]:
        """Return keys and values of a map of texts, in its order; a null is an empty text."""
        value = self._typed(document, key, dict) or {}
        # Keys of a map are data: they differ in another case.
        self.check_names(value, any_case=False)
        found = []
        for name, text in value.items():
            if _is_text_or_null(text):
                found.append(self._clean_pair(name, text or ""))
            else:
                self.note("wrong_type")
        return tuple(found)

    def environment(self, container: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        """Return names and values of the variables, in their order."""
        found = []
        for text in self.list_of(container, "Env"):
            if _is_text_or_null(text):
                name, _, value = (text or "").partition("=")
                found.append(self._clean_pair(name, value))
            else:
                self.note("wrong_type")
        return tuple(found)

    def command(self, container: dict[str, Any], key: str) -> str:
        """Return a list of texts as JSON; of a command that is one text, as Docker allows, this."""
        value = get(container, key)
        if value is None:
            return ""
        if isinstance(value, str):
            return _json(self._clean_text(value))
        if not isinstance(value, list) or not all(map(_is_text_or_null, value)):
            self.note("wrong_type")
            return ""
        return _json(self._clean_words([word or "" for word in value]))

    def json_of_object(self, container: dict[str, Any], key: str) -> str:
        """Return an object as JSON, "" if there is none."""
        value = self._typed(container, key, dict)
        if value is None:
            return ""
        self.check_names(value, any_case=False)
        try:
            return _json(self._clean_json(value))
        except (RecursionError, ValueError):
            # It is nested too deeply, or has a number that no other program reads.
            self.note("wrong_type")
            return ""

    def _clean_json(self, value: Any) -> Any:
        """Return a JSON value whose texts are clean and without secrets."""
        if isinstance(value, str):
            return self._clean_text(value)
        if isinstance(value, list):
            if all(isinstance(word, str) for word in value):
                return self._clean_words(value)
            return list(map(self._clean_json, value))
        if isinstance(value, dict):
            return {self._clean(key): self._clean_json(one) for key, one in value.items()}
        return value


def _is_text_or_null(value: Any) -> bool:
    """Tell whether Go takes a value for a text: for it a null is an empty one."""
    return value is None or isinstance(value, str)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
