"""The OCI distribution protocol over networks as they are: resolve, fetch, ranges, resume, redirects, retries."""

from kit_initializer.registry.client import Fetched, Registry, Repository
from kit_initializer.registry.download import Download, Source, room, segment_bytes

__all__ = [
    "Download",
    "Fetched",
    "Registry",
    "Repository",
    "Source",
    "room",
    "segment_bytes",
]
