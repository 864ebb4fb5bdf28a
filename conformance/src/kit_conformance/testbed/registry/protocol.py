"""The OCI distribution protocol: what a request addresses, and the right answer to it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from kit_conformance.testbed.registry.auth import TOKEN_PATH, errors
from kit_conformance.testbed.registry.storage import OCI_INDEX, StorageError, is_digest
from kit_conformance.testbed.registry.wire import Memory, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_conformance.testbed.registry.storage import Storage

CONTENT_PATH: Final = "/content"  # where redirects lead: the contents of blobs, without authentication
_ROUTE: Final = re.compile(
    r"/v2/(?P<name>.+)/(?:(?P<manifest>manifests)|(?P<upload>blobs/uploads)|(?P<blob>blobs)|"
    r"(?P<tags>tags/list)|(?P<referrers>referrers))"
    r"(?:/(?P<reference>[^/]*))?"
)
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")


def route(request: Request, storage: Storage) -> Request:
    """Return the request with `kind`, `repository`, `reference` and `redirected` filled in."""
    if request.path in {"/v2", "/v2/"}:
        return replace(request, kind="ping")
    if request.path == TOKEN_PATH:
        return replace(request, kind="token")
    if request.path.startswith(CONTENT_PATH + "/"):
        repository, _, digest = request.path.removeprefix(CONTENT_PATH + "/").rpartition("/")
        kind = "config" if storage.is_config(repository, digest) else "blob"
        return replace(request, kind=kind, repository=repository, reference=digest, redirected=True)
    found = _ROUTE.fullmatch(request.path)
    if found is None:
        return request
    kind = next(kind for kind in ("manifest", "upload", "blob", "tags", "referrers") if found[kind])
    repository, reference = found["name"], found["reference"] or ""
    if kind == "blob" and storage.is_config(repository, reference):
        kind = "config"
    return replace(request, kind=kind, repository=repository, reference=reference)


class Protocol:
    """Answers requests from a storage.

    `base` is put before locations of uploads: "" makes them relative, as the specification allows. `referrers` is the
    status of the referrers API: 200, or 404 or 405 for a registry that has none. `page` is how many referrers a
    response lists (0: all), with a Link to the next.
    """

    def __init__(self, storage: Storage, base: str = "", *, referrers: int = 200, page: int = 0) -> None:
        self._storage = storage
        self._base = base
        self._api = referrers
        self._page = page

    def answer(self, request: Request) -> Response:
        """Return what a registry without faults answers."""
        kinds: dict[str, Callable[[Request], Response]] = {
            "ping": self._ping,
            "manifest": self._manifest,
            "blob": self._blob,
            "config": self._blob,
            "upload": self._upload,
            "tags": self._tags,
            "referrers": self._referrers,
        }
        handle = kinds.get(request.kind)
        if handle is None:
            return errors(404, "NOT_FOUND", f"nothing at {request.path}")
        try:
            return handle(request)
        except StorageError as error:
            return errors(error.status, error.code, str(error))

    def _ping(self, request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return _unsupported(request)
        headers = {"Content-Type": "application/json", "Docker-Distribution-API-Version": "registry/2.0"}
        return Response(200, headers, Memory(b"{}"))

    def _manifest(self, request: Request) -> Response:
        name, reference = request.repository, request.reference
        if request.method == "PUT":
            media_type = request.headers.get("content-type", "").partition(";")[0].strip()
            stored = self._storage.put_manifest(name, reference, request.body.read(), media_type)
            headers = {
                "Location": f"{self._base}/v2/{name}/manifests/{stored.digest}",
                "Docker-Content-Digest": stored.digest,
            }
            subject = _subject(stored.body) if self._api == 200 else ""
            return Response(201, {**headers, **({"OCI-Subject": subject} if subject else {})})
        if request.method == "DELETE":
            self._storage.delete_manifest(name, reference)
            return Response(202)
        if request.method not in {"GET", "HEAD"}:
            return _unsupported(request)
        stored = self._storage.manifest(name, reference)
        if not _accepts(request, stored.media_type):
            return errors(404, "MANIFEST_UNKNOWN", f"{stored.media_type} is not among what is accepted")
        headers = {
            "Content-Type": stored.media_type,
            "Docker-Content-Digest": stored.digest,
            "ETag": f'"{stored.digest}"',
        }
        return Response(200, headers, Memory(stored.body))

    def _blob(self, request: Request) -> Response:
        if not is_digest(request.reference):
            return errors(400, "DIGEST_INVALID", f"not a digest: {request.reference!r}")
        if request.method == "DELETE":
            self._storage.delete_blob(request.repository, request.reference)
            return Response(202)
        if request.method not in {"GET", "HEAD"}:
            return _unsupported(request)
        content = self._storage.blob(request.repository, request.reference)
        headers = {
            "Content-Type": "application/octet-stream",
            "Docker-Content-Digest": request.reference,
            "ETag": f'"{request.reference}"',
            "Accept-Ranges": "bytes",
        }
        return ranged(request, Response(200, headers, content))

    def _upload(self, request: Request) -> Response:
        if request.method == "POST" and not request.reference:
            return self._begin(request)
        storage, name, upload_id = self._storage, request.repository, request.reference
        upload = storage.upload(name, upload_id)
        if request.method == "DELETE":
            storage.cancel(name, upload_id)
            return Response(204)
        if request.method not in {"GET", "PATCH", "PUT"}:
            return _unsupported(request)
        if request.method != "GET":
            claimed = re.match(r"(?:bytes )?(\d+)-", request.headers.get("content-range", ""))
            if claimed is not None and int(claimed[1]) != upload.size:
                return Response(416, self._progress(name, upload_id, upload.size))
            storage.append(upload, request.body.chunks())
        if request.method == "PUT":
            return self._finish(request, upload_id)
        return Response(204 if request.method == "GET" else 202, self._progress(name, upload_id, upload.size))

    def _begin(self, request: Request) -> Response:
        name, parameters = request.repository, request.parameters
        mount = parameters.get("mount", "")
        if mount and self._storage.mount(name, mount, parameters.get("from", "")):
            return Response(201, self._created(name, mount))
        upload_id = self._storage.start(name)
        if "digest" in parameters:
            self._storage.append(self._storage.upload(name, upload_id), request.body.chunks())
            return self._finish(request, upload_id)
        return Response(202, self._progress(name, upload_id, 0))

    def _finish(self, request: Request, upload_id: str) -> Response:
        digest = request.parameters.get("digest", "")
        self._storage.finish(request.repository, upload_id, digest)
        return Response(201, self._created(request.repository, digest))

    def _created(self, name: str, digest: str) -> dict[str, str]:
        return {"Location": f"{self._base}/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}

    def _progress(self, name: str, upload_id: str, size: int) -> dict[str, str]:
        return {
            "Location": f"{self._base}/v2/{name}/blobs/uploads/{upload_id}",
            "Range": f"0-{max(0, size - 1)}",
            "Docker-Upload-UUID": upload_id,
        }

    def _tags(self, request: Request) -> Response:
        if request.method != "GET":
            return _unsupported(request)
        tags, headers = self._storage.tags(request.repository), {"Content-Type": "application/json"}
        if last := request.parameters.get("last", ""):
            tags = [tag for tag in tags if tag > last]
        if (count := request.parameters.get("n", "")).isdigit() and int(count) < len(tags):
            tags = tags[: int(count)]
            if tags:
                following = f"/v2/{request.repository}/tags/list?n={count}&last={quote(tags[-1])}"
                headers["Link"] = f'<{following}>; rel="next"'
        return Response(200, headers, Memory(json.dumps({"name": request.repository, "tags": tags}).encode()))

    def _referrers(self, request: Request) -> Response:
        if request.method != "GET":
            return _unsupported(request)
        if self._api != 200:
            return errors(self._api, "NOT_FOUND" if self._api == 404 else "UNSUPPORTED", "no referrers here")
        if not is_digest(request.reference):
            return errors(400, "DIGEST_INVALID", f"not a digest: {request.reference!r}")
        found = self._storage.referrers(request.repository, request.reference)
        headers = {"Content-Type": OCI_INDEX}
        if wanted := request.parameters.get("artifactType", ""):
            found = [descriptor for descriptor in found if descriptor.get("artifactType") == wanted]
            headers["OCI-Filters-Applied"] = "artifactType"
        start = int(request.parameters.get("start", "0"))
        if self._page and start + self._page < len(found):
            following = f"/v2/{request.repository}/referrers/{request.reference}?start={start + self._page}"
            following += f"&artifactType={quote(wanted, safe='')}" if wanted else ""
            headers["Link"] = f'<{following}>; rel="next"'
        found = found[start : start + self._page] if self._page else found
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        return Response(200, headers, Memory(json.dumps(index).encode()))


def ranged(request: Request, response: Response) -> Response:
    """Narrow a 200 to what a single Range asks for: 206, or 416 when it begins after the end.

    Several ranges in one header, and one under an If-Range that does not match, are answered in full (RFC
    9110, 14.2).
    """
    wanted = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if wanted is None or wanted.groups() == ("", "") or request.method != "GET":
        return response
    if request.headers.get("if-range", response.headers["ETag"]) != response.headers["ETag"]:
        return response
    size = response.content.size
    first, last = wanted.groups()
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if start >= size:
        return replace(
            errors(
                416, "RANGE_INVALID", "the range begins after the end", {"Content-Range": f"bytes */{size}"}
            )
        )
    if stop <= start:  # last before first: not a range at all
        return response
    headers = {**response.headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}
    return replace(response, status=206, headers=headers, start=start, stop=stop)


def _accepts(request: Request, media_type: str) -> bool:
    accepted = {part.partition(";")[0].strip() for part in request.headers.get("accept", "*/*").split(",")}
    return bool(accepted & {media_type, "*/*", "application/*"})


def _subject(body: bytes) -> str:
    try:
        subject = json.loads(body).get("subject") or {}
    except (ValueError, AttributeError):
        return ""
    return str(subject.get("digest", ""))


def _unsupported(request: Request) -> Response:
    return errors(405, "UNSUPPORTED", f"{request.method} is not supported here")
