"""A push over HTTP, for registries that are not ours to reach into."""

from __future__ import annotations

import base64
import http.client
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from kit_conformance.testbed.kits.values import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kit_conformance.testbed.registry.storage import Artifact

_TIMEOUT: Final = 60.0  # seconds


class PushError(RuntimeError):
    """A registry that did not take what it was given."""


def reach(host: str) -> None:
    """Ask whether a registry with plain HTTP answers at `host:port`. PushError says what answered instead."""
    if "/" in host:
        raise PushError(f"{host!r} is no host:port: give it without a scheme and without a path")
    connection = http.client.HTTPConnection(host, timeout=_TIMEOUT)
    try:
        _ask(connection, "GET", "/v2/", b"", {}, 200)
    except (OSError, http.client.HTTPException) as error:
        raise PushError(f"no registry answers at {host}: {error}") from error
    finally:
        connection.close()


def push(
    kit: Artifact,
    host: str,
    repository: str,
    tag: str = "latest",
    *,
    user: tuple[str, str] | None = None,
    ca_file: Path | None = None,
    plain_http: bool = True,
) -> str:
    """Push a kit, or what is attached to one, with all its members and return its reference, `kit://host/repository:tag`.

    `user` is name and password for Basic. PushError says what the registry answered.
    """
    if plain_http:
        connection = http.client.HTTPConnection(host, timeout=_TIMEOUT)
    else:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        connection = http.client.HTTPSConnection(host, timeout=_TIMEOUT, context=context)
    headers = {}
    if user is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(user).encode()).decode()
    try:
        _push(connection, kit, repository, tag, headers)
    finally:
        connection.close()
    return f"kit://{host}/{repository}:{tag}"


def _push(
    connection: http.client.HTTPConnection,
    kit: Artifact,
    repository: str,
    tag: str,
    headers: Mapping[str, str],
) -> None:
    for member in kit.members:
        _push(connection, member, repository, sha256(member.manifest), headers)
    for digest, data in kit.blobs.items():
        status, _ = _ask(connection, "HEAD", f"/v2/{repository}/blobs/{digest}", b"", headers, 200, 404)
        if status == 200:
            continue
        _, location = _ask(connection, "POST", f"/v2/{repository}/blobs/uploads/", b"", headers, 202)
        parts = urlsplit(location)
        target = f"{parts.path}?{parts.query + '&' if parts.query else ''}digest={digest}"
        binary = {**headers, "Content-Type": "application/octet-stream"}
        _ask(connection, "PUT", target, data, binary, 201)
    typed = {**headers, "Content-Type": kit.media_type}
    _ask(connection, "PUT", f"/v2/{repository}/manifests/{tag}", kit.manifest, typed, 201)


def _ask(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    body: bytes | Path,
    headers: Mapping[str, str],
    *expected: int,
) -> tuple[int, str]:
    if isinstance(body, Path):
        with body.open("rb") as file:
            sized = {**headers, "Content-Length": str(body.stat().st_size)}
            connection.request(method, target, file, sized)
    else:
        connection.request(method, target, body, dict(headers))
    response = connection.getresponse()
    answer = response.read()
    if response.status not in expected:
        raise PushError(f"{method} {target}: {response.status} {answer[:200]!r}")
    return response.status, response.headers.get("Location", "")
