"""The Kitfile: from the config of a kit to entries, and to the YAML text that is put beside the files.

The text is our own plain subset of YAML: block mappings and lists, strings that could be taken for
something else in double quotes. YAML 1.1 and 1.2 parsers, Kit's among them, read back the value of the
config, but for the digests, which Kit keeps out of the file as well.
"""

from __future__ import annotations

import posixpath
from typing import Any, NamedTuple

from kit_initializer.errors import NotAModelKitError, UnsafeContentError
from kit_initializer.secret import printable

# Lists of the Kitfile in the order in which Kit packs their layers, with the kind of their entries.
_LISTS = (
    ("code", "code"),
    ("datasets", "dataset"),
    ("docs", "docs"),
    ("prompts", "prompt"),
    ("mcpServers", "mcpb"),
)
_DIGESTS = ("digest", "diffId")
_DEPTH_LIMIT = 20
# Each level is indented further: a deep config would make a Kitfile many times its size.
_KITFILE_BYTES = 16 << 20
_KEY_LIMIT = 120
_RESERVED = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./- ")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


class Entry(NamedTuple):
    """One part of a kit. `path` is as written, `name` and `digest` are "" where there is none."""

    kind: str
    path: str
    name: str
    digest: str
    remote: bool


def entries(kitfile: dict[str, Any]) -> tuple[Entry, ...]:
    """Return the parts that a Kitfile names, in Kit's order. Raises NotAModelKitError for a wrong type."""
    found = []
    model = kitfile.get("model")
    if model is not None:
        entry = _entry("model", model, "model")
        found.append(entry)
        found += [_entry("modelpart", part, "model.parts") for part in _items(model, "parts", "model.parts")]
    for key, kind in _LISTS:
        found += [_entry(kind, item, key) for item in _items(kitfile, key, key)]
    return tuple(found)


def inside(path: str) -> str:
    """Return a path below the destination in its shortest form, "." for the destination itself.

    A backslash separates names as "/" does: Kitfiles are written on Windows as well. Raises UnsafeContentError for a
    path that leads elsewhere.
    """
    slashes = path.replace("\\", "/")
    has_drive = "\\" in path and path[1:2] == ":"
    if not path or slashes.startswith("/") or has_drive or "\0" in path:
        raise UnsafeContentError(
            f"the kit names the path {printable(path, 200)!r}", hint="paths lie below the kit's own folder"
        )
    clean = posixpath.normpath(slashes)
    if clean.split("/", 1)[0] == "..":
        raise UnsafeContentError(
            f"the kit names the path {printable(path, 200)!r}", hint="paths lie below the kit's own folder"
        )
    return clean


def to_yaml(kitfile: dict[str, Any]) -> bytes:
    """Write a Kitfile. Raises NotAModelKitError for one that is nested too deeply."""
    lines = _block(_without_digests(kitfile), 0) or ["{}"]
    text = "".join(f"{line}\n" for line in lines).encode()
    if len(text) > _KITFILE_BYTES:
        raise NotAModelKitError(f"the Kitfile has {len(text)} bytes, more than {_KITFILE_BYTES}")
    return text


def _items(value: dict[str, Any], key: str, what: str) -> list[Any]:
    found = value.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise NotAModelKitError(f"{what} of the config is not a list")
    return found


def _entry(kind: str, value: object, what: str) -> Entry:
    if not isinstance(value, dict):
        raise NotAModelKitError(f"{what} of the config is not an object")
    texts = {key: _text(value, key, what) for key in ("path", "name", "digest", "remotePath")}
    return Entry(kind, texts["path"], texts["name"], texts["digest"], bool(texts["remotePath"]))


def _text(value: dict[str, Any], key: str, what: str) -> str:
    found = value.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise NotAModelKitError(f"{what} of the config has a {key} that is not text")
    return found


def _without_digests(kitfile: dict[str, Any]) -> dict[str, Any]:
    """Return the value without what Kit leaves out; `parameters` keeps whatever keys it has."""
    found: dict[str, Any] = {}
    for key, value in kitfile.items():
        if key == "model" and isinstance(value, dict):
            model = _bare(value)
            if isinstance(model.get("parts"), list):
                model["parts"] = [_bare(part) for part in model["parts"]]
            found[key] = model
        elif any(key == name for name, _ in _LISTS) and isinstance(value, list):
            found[key] = [_bare(item) for item in value]
        elif key != "package" or value:
            found[key] = value  # an empty package is in every config and in no Kitfile
    return found


def _bare(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in _DIGESTS}


def _block(value: object, depth: int) -> list[str]:
    """Return the lines of a mapping or list, none for anything that fits on the line of its key."""
    if depth > _DEPTH_LIMIT:
        raise NotAModelKitError(f"the config is nested more than {_DEPTH_LIMIT} levels deep")
    lines: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            *lead, colon = _key(key)
            below = [f"  {line}" for line in _block(item, depth + 1)]
            lines += [*lead, colon, *below] if below else [*lead, f"{colon} {_scalar(item)}"]
    elif isinstance(value, list):
        for item in value:
            first, *below = _block(item, depth + 1) or [_scalar(item)]
            lines += [f"- {first}", *(f"  {line}" for line in below)]
    return lines


def _key(key: str) -> list[str]:
    name = _string(key)
    # Parsers look for the colon of a simple key in its first 1024 characters only.
    return [f"{name}:"] if len(name) <= _KEY_LIMIT else [f"? {name}", ":"]


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = repr(value)
        # YAML 1.1 knows an exponent only after a fraction.
        return text if "." in text else text.replace("e", ".0e")
    if isinstance(value, str):
        return _string(value)
    return str(value) if isinstance(value, int) else "{}" if isinstance(value, dict) else "[]"


def _string(text: str) -> str:
    plain = (
        (text[:1].isalpha() or text[:2] == "./")
        and _PLAIN.issuperset(text)
        and text[-1] != " "
        and text.lower() not in _RESERVED
    )
    if plain:
        return text
    return '"' + "".join(_ESCAPES.get(character) or _escape(character) for character in text) + '"'


def _escape(character: str) -> str:
    code = ord(character)
    if 0xD800 <= code < 0xE000:
        return "\ufffd"  # half of a pair is no character, and Go reads it as this one
    if 0x20 <= code < 0x7F or (code > 0xA0 and code not in (0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF)):
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
