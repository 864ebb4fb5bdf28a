"""Where attachments go: into the fixture registry, or by HTTP to any other."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

from kit_conformance.testbed.kits.push import push
from kit_conformance.testbed.kits.values import OCI_INDEX
from kit_conformance.testbed.registry.storage import StorageError
from kit_conformance.testbed.signing.values import Attachment, compact, tag_of

if TYPE_CHECKING:
    from kit_conformance.testbed.registry import Registry


def attach(registry: Registry, repository: str, *attachments: Attachment) -> None:
    """Put attachments into the fixture registry without a push.

    A registry without a referrers API has referrers in an index under the fallback tag as well (OCI distribution
    1.1, "Pushing Manifests with Subject").
    """
    for each in attachments:
        registry.storage.add(each, repository, each.tag)
        if each.subject and registry.referrers != 200:
            tag = tag_of(each.subject)
            try:
                before = registry.storage.manifest(repository, tag).body
            except StorageError:
                before = b""
            registry.storage.put_manifest(repository, tag, _with(before, each), OCI_INDEX, check=False)


def push_attachment(host: str, repository: str, *attachments: Attachment) -> None:
    """Push attachments over plain HTTP, with the index under the fallback tag."""
    for each in attachments:
        push(each, host, repository, each.tag or each.digest)
        if each.subject:
            tag = tag_of(each.subject)
            index = _with(_manifest(host, repository, tag), each)
            listed = Attachment(index, {}, tag=tag, media_type=OCI_INDEX)
            push(listed, host, repository, tag)


def _with(index: bytes, attachment: Attachment) -> bytes:
    """Return the index of referrers with one more."""
    found: dict[str, Any] = json.loads(index) if index else {}
    entry = {
        "mediaType": attachment.media_type,
        "size": len(attachment.manifest),
        "digest": attachment.digest,
        "artifactType": attachment.listed,
    }
    manifests = [*found.get("manifests", []), entry]
    return compact({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})


def _manifest(host: str, repository: str, tag: str) -> bytes:
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request("GET", f"/v2/{repository}/manifests/{tag}", headers={"Accept": OCI_INDEX})
        response = connection.getresponse()
        body = response.read()
        return body if response.status == 200 else b""
    finally:
        connection.close()
