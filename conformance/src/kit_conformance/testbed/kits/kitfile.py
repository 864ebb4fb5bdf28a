"""The Kitfile: read as Kit reads it, written as the config that Kit makes of it."""

from __future__ import annotations

import json
import math
import posixpath
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Fields of each part, in the order in which Kit writes them.
_PACKAGE: Final = ("name", "version", "description", "license", "authors")
_PART: Final = ("name", "path", "license", "type")
_MODEL: Final = (
    "name",
    "path",
    "license",
    "framework",
    "format",
    "version",
    "description",
    "parts",
    "parameters",
)
_CODE: Final = ("path", "description", "license")
_DATASET: Final = ("name", "path", "remotePath", "remoteHash", "description", "license", "parameters")
_DOCS: Final = ("path", "description")
_NAMED: Final = ("name", "path", "description")
_SECTIONS: Final = {
    "code": _CODE,
    "datasets": _DATASET,
    "docs": _DOCS,
    "prompts": _NAMED,
    "mcpServers": _NAMED,
}
_TYPES: Final = {
    "code": "code",
    "datasets": "dataset",
    "docs": "docs",
    "prompts": "code",
    "mcpServers": "mcpb",
}
_REFERENCE: Final = re.compile(r"[^/\s]+(/[^/\s]+)*[:@][\w.:+-]+")


class KitfileError(ValueError):
    """A Kitfile that Kit would not pack either."""


class _Loader(yaml.SafeLoader):
    """YAML with the scalars that Go's yaml.v3 knows: `yes` is a string, `1e3` a number."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*|0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+)", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), [*_first, ""])


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:float", _float)


@dataclass
class Entry:
    """One thing that a Kitfile names: its layer type, its path as written, and its fields."""

    type: str
    fields: dict[str, Any]
    prompt: bool = False

    @property
    def path(self) -> str:
        return str(self.fields.get("path", ""))

    @property
    def clean(self) -> str:
        """Return the path as Kit cleans it: no "./", no slash at the end."""
        return posixpath.normpath(self.path)

    @property
    def reference(self) -> bool:
        """Say whether a model's path names a parent kit instead of a file, or a dataset is remote."""
        parent = self.type == "model" and _REFERENCE.fullmatch(self.path) is not None
        return parent or bool(self.fields.get("remotePath"))


@dataclass
class Kitfile:
    """A Kitfile as values: its entries, and how to turn itself into a config blob."""

    version: str
    package: dict[str, Any]
    model: Entry | None = None
    parts: list[Entry] = field(default_factory=list)
    sections: dict[str, list[Entry]] = field(default_factory=dict)

    def entries(self) -> Iterator[Entry]:
        """Yield what is packed, in the order of Kit's layers."""
        if self.model is not None and self.model.path:
            yield self.model
        yield from self.parts
        for name in _SECTIONS:
            yield from self.sections.get(name, ())

    def config(self, *, digests: bool = True) -> bytes:
        """Return the config blob; entries carry `digest` and `diffId` when they have been packed."""
        document: dict[str, Any] = {"manifestVersion": self.version, "package": self.package}
        if self.model is not None:
            fields = dict(self.model.fields)
            if self.parts:
                fields["parts"] = [_ordered(part.fields, _PART, digests=digests) for part in self.parts]
            document["model"] = _ordered(fields, _MODEL, digests=digests)
        for name, keys in _SECTIONS.items():
            if entries := self.sections.get(name):
                document[name] = [_ordered(entry.fields, keys, digests=digests) for entry in entries]
        return go_json(document).encode()


def parse(text: str | bytes) -> Kitfile:
    """Read a Kitfile; KitfileError for what is no Kitfile or has fields that Kit does not know."""
    try:
        typed = yaml.load(text, _Loader)  # noqa: S506  (a SafeLoader with fewer scalars)
        plain = yaml.load(text, yaml.BaseLoader)  # noqa: S506  (makes nothing but strings, lists and maps)
    except yaml.YAMLError as error:
        raise KitfileError(f"the Kitfile is not YAML: {error}") from error
    if not isinstance(typed, dict) or not isinstance(plain, dict):
        raise KitfileError("the Kitfile is not a map")
    unknown = typed.keys() - {"manifestVersion", "package", "model", *_SECTIONS}
    if unknown:
        raise KitfileError(f"the Kitfile has unknown fields: {', '.join(sorted(map(str, unknown)))}")
    kitfile = Kitfile(str(plain.get("manifestVersion", "")), _fields(typed, plain, "package", _PACKAGE))
    if typed.get("model") is not None:
        fields = _fields(typed, plain, "model", _MODEL)
        parts = fields.pop("parts", None) or []
        kitfile.model = Entry("model", fields)
        kitfile.parts = [Entry("modelpart", _checked(part, _PART, "model.parts")) for part in parts]
    for name, keys in _SECTIONS.items():
        for number, _ in enumerate(typed.get(name) or ()):
            fields = _fields(typed[name], plain[name], number, keys)
            kitfile.sections.setdefault(name, []).append(
                Entry(_TYPES[name], fields, prompt=name == "prompts")
            )
    return kitfile


def _fields(typed: Any, plain: Any, key: str | int, keys: tuple[str, ...]) -> dict[str, Any]:  # noqa: ANN401
    """Return the fields of one map: strings as they are written, parameters as the values they are."""
    try:
        values, strings = typed[key], plain[key]
    except (KeyError, IndexError):
        return {}
    strings = _checked({} if strings in ("", None) else strings, keys, str(key))
    if "parameters" in strings:
        strings["parameters"] = values["parameters"]
    return {name: strings[name] for name in keys if strings.get(name) not in (None, "", [])}


def _checked(fields: object, keys: tuple[str, ...], where: str) -> dict[str, Any]:
    if not isinstance(fields, dict):
        raise KitfileError(f"{where} is not a map")
    if unknown := fields.keys() - set(keys):
        raise KitfileError(f"{where} has unknown fields: {', '.join(sorted(map(str, unknown)))}")
    return dict(fields)


def _ordered(fields: Mapping[str, Any], keys: tuple[str, ...], *, digests: bool) -> dict[str, Any]:
    order = (*keys, "digest", "diffId") if digests else keys
    return {name: fields[name] for name in order if name in fields}


def go_json(value: object) -> str:
    """Return compact JSON as Go's encoding/json writes it.

    Maps below `parameters` are sorted by key, which Go does with all maps (the other objects are structs).
    """
    text = _write(value, in_map=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _write(value: object, *, in_map: bool) -> str:
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: str(item[0])) if in_map else value.items()
        body = (
            f"{_write(str(k), in_map=False)}:{_write(v, in_map=in_map or k == 'parameters')}"
            for k, v in items
        )
        return "{" + ",".join(body) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_write(each, in_map=in_map) for each in value) + "]"
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _number(value: float) -> str:
    """Return the shortest decimal, with an exponent only below 1e-6 and from 1e21 on."""
    if not math.isfinite(value):
        raise KitfileError("a number of the Kitfile is not finite")
    shortest = Decimal(repr(value))
    if value and not 1e-6 <= abs(value) < 1e21:
        return f"{shortest:e}"
    return f"{shortest:f}".removesuffix(".0")
