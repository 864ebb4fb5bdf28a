"""Names of registries as the sources of credentials write them."""

from __future__ import annotations

from fnmatch import fnmatchcase

# Docker Hub's logins are kept under the address of its first API.
DOCKER_HUB = "https://index.docker.io/v1/"
_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")


def normal(name: str) -> str:
    """Return the `host[:port]` of a name or URL, in lower case; "docker.io" for each name of Docker Hub."""
    name = name.strip().lower().rpartition("://")[2].partition("/")[0]
    return "docker.io" if name in _HUB_NAMES else name


def same(one: str, other: str) -> bool:
    """Say whether two names are of one registry."""
    return normal(one) == normal(other)


def split(key: str) -> tuple[str, str]:
    """Return host and path of a key of `auths`; `/v1/` and `/v2/` are the registry itself, and no path."""
    path = key.strip().rpartition("://")[2].partition("/")[2]
    first, _, rest = path.partition("/")
    return normal(key), (rest if first in {"v1", "v2"} else path).rstrip("/")


def covers(pattern: str, host: str) -> bool:
    """Say whether a host is meant by a name, in which each part may have wildcards: `*.r.example`, never the port."""
    if same(pattern, host):
        return True
    (wanted, _, wanted_port), (name, _, port) = pattern.partition(":"), normal(host).partition(":")
    parts, wanted_parts = name.split("."), wanted.replace("[^", "[!").split(".")
    return (
        wanted_port == port
        and len(parts) == len(wanted_parts)
        and all(fnmatchcase(part, glob) for part, glob in zip(parts, wanted_parts, strict=True))
    )
