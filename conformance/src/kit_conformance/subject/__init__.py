"""What is tested: a command, an image or a pod, known by KServe's protocol alone.

The protocol is the one that KServe speaks to every storage initializer: pairs of URI and folder as arguments,
an environment, an exit code, a tree of files and a termination message. Nothing else is asked of a subject;
how to tell it to use plain HTTP, a CA or a login stands in its `subject.yaml`.
"""

from __future__ import annotations

import shlex

from kit_conformance.subject.base import (
    ALWAYS,
    CannotError,
    Invocation,
    Outcome,
    Process,
    Subject,
    SubjectError,
    UnavailableError,
    Volume,
)
from kit_conformance.subject.config import Ask, Config, ConfigError, builtin, load

__all__ = [
    "ALWAYS",
    "Ask",
    "CannotError",
    "Config",
    "ConfigError",
    "Invocation",
    "Outcome",
    "Process",
    "Subject",
    "SubjectError",
    "UnavailableError",
    "Volume",
    "builtin",
    "connect",
    "load",
    "own_name",
]


def own_name(spec: str) -> str:
    """Return the name of a subject that has no configuration: that of its command or of its image."""
    from kit_conformance.subject.program import name_of  # noqa: PLC0415

    kind, _, rest = spec.partition(":")
    if kind != "command":
        return rest.partition("@")[0].rpartition("/")[2].partition(":")[0] or spec
    try:
        words = shlex.split(rest)
    except ValueError:
        words = []
    return name_of(words) if words else spec


def connect(
    spec: str, config: Config, *, kit: str = "", context: str = "", address: str = "", helper: str = ""
) -> Subject:
    """Return the subject that a string names: `command:…`, `image:NAME` or `pod:NAME`.

    `kit` is a Kit binary to be found on a command's PATH; `context`, `address` and `helper` are of the cluster
    of a pod, and may be empty. Raises SubjectError when there is no such thing here.
    """
    kind, colon, rest = spec.partition(":")
    rest = rest.strip()
    if not colon or not rest or kind not in {"command", "image", "pod"}:
        raise SubjectError(f"{spec!r} is no subject: write command:…, image:… or pod:…")
    if kind == "command":
        from kit_conformance.subject.command import CommandSubject  # noqa: PLC0415

        return CommandSubject(rest, config, kit=kit)
    if kind == "image":
        from kit_conformance.subject.image import ImageSubject  # noqa: PLC0415  (needs an extra)

        return ImageSubject(rest, config)
    from kit_conformance.subject.pod import Cluster, PodSubject  # noqa: PLC0415  (needs an extra)

    return PodSubject(rest, config, Cluster(context, address, helper))
