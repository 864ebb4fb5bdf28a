"""References to kits, by the grammar of the OCI specifications: what no registry can be asked for.

This is a second reading, made without the initializer's: a test compares the two.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
_REPOSITORY: Final = re.compile(
    r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*"
)
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_REPOSITORY_LIMIT: Final = 255
_PORT_LIMIT: Final = 65535
_SCHEME: Final = "kit://"


def wrong(uri: str) -> str:
    """Return what is wrong with a kit:// URI, nothing if it names one kit."""
    host, _, path = uri[len(_SCHEME) :].partition("/")
    folders, at, digest = path.partition("@")
    folder, slash, name = folders.rpartition("/")
    name, colon, tag = name.partition(":")
    repository = folder + slash + name
    named = _REPOSITORY.fullmatch(repository) is not None and len(repository) <= _REPOSITORY_LIMIT
    faults = (
        (not uri.startswith(_SCHEME), "kit:// is written in lower case"),
        ("@" in host, "a reference holds no login"),
        (not path, "it names no registry with a repository"),
        ("," in path, "it names several tags"),
        (
            at and not _DIGEST.fullmatch(digest),
            "a digest is sha256: and 64, or sha512: and 128 digits of 0-9a-f",
        ),
        (colon and not _TAG.fullmatch(tag), "a tag is up to 128 letters, digits, '.', '_' and '-'"),
        (not named, "a repository is of lower case letters and digits, with single separators between them"),
    )
    return next((text for fault, text in faults if fault), "") or _host(host)


def _host(host: str) -> str:
    name, port = host, None
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        valid = "]" in host and _is_ipv6(name) and (not rest or rest.startswith(":"))
        port = rest[1:] if rest else None
    else:
        name, colon, after = host.partition(":")
        port = after if colon else None
        valid = all(_LABEL.fullmatch(label) for label in name.split("."))
        if valid and port is None and "." not in name and name.lower() != "localhost":
            return f"{name} is not a registry: it has neither '.' nor ':'"
    if port is not None:
        number = int(port) if re.fullmatch(r"[0-9]{1,5}", port) else 0
        valid = valid and 0 < number <= _PORT_LIMIT
    return "" if valid else "its host is not one of a registry"


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.IPv6Address(text).scope_id is None
    except ValueError:
        return False
