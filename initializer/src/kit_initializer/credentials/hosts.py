"""Names of registries as the sources of credentials write them."""

from __future__ import annotations

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
