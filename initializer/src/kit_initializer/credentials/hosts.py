"""Names of registries as the sources of credentials write them."""

from __future__ import annotations

# Docker Hub's logins are kept under an address of its first API.
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")


def normal(name: str) -> str:
    """Return `host[:port]` of a name or URL, in lower case and without what stands for nothing."""
    name = name.strip().lower()
    name = name.partition("://")[2] if "://" in name else name
    name = name.partition("/")[0]
    return "docker.io" if name in _DOCKER_HUB else name


def same(one: str, other: str) -> bool:
    """Say whether two names are of one registry."""
    return normal(one) == normal(other)
