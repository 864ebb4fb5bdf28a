"""The OCI distribution protocol, its pulling half: manifests by tag or digest, blobs from any offset."""

from __future__ import annotations

import re
from threading import Event, Lock
from typing import TYPE_CHECKING, NamedTuple

from kit_initializer.credentials import Wanted
from kit_initializer.errors import DeniedError, IntegrityError, NotFoundError, TLSError, UnreachableError
from kit_initializer.http import (
    Pace,
    Patience,
    Response,
    TransientError,
    Transport,
    join,
    origin_of,
    retry_after,
    speaks_tls,
    unreachable,
)
from kit_initializer.registry.auth import Authorizer
from kit_initializer.registry.said import is_page, media_type, words
from kit_initializer.registry.turns import Turns
from kit_initializer.verify import check_digest, digest_of, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from kit_initializer.credentials import Login
    from kit_initializer.credentials.logins import Logins

# The distribution specification asks registries to take manifests of at least this size, and clients need no more.
MANIFEST_BYTES = 4 * 1024 * 1024
_INDEX = "application/vnd.oci.image.index.v1+json"
_REDIRECTS = 8
# What Go's servers and nginx say, in plain HTTP, to a request that came without TLS.
_WANTS_TLS = ("HTTP request to an HTTPS server", "plain HTTP request was sent to HTTPS port")
_PAGES = 10  # of referrers; more of them are a flood
_TRANSIENT = {408, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524}
# What servers without ranges answer to one, or to one that they misread (a 200 is what RFC 9110 asks for).
_NO_RANGES = {400, 416, 501}
_CONTENT_RANGE = r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)"
# Docker Hub's name in references is not the name of its registry.
_ALIASES = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}


class Fetched(NamedTuple):
    """A manifest as it was served: its bytes, the digest they have, and the media type the server gave."""

    body: bytes
    digest: str
    media_type: str


class Registry:
    """Everything a run fetches, over connections that its repositories share.

    `logins` are asked for credentials once per repository, and only after the registry wanted some. `retries` is how
    often a small request is repeated. `say` is told what is worth a line in the log, `warn` what goes wrong and is
    tried again.
    """

    def __init__(
        self,
        transport: Transport,
        logins: Logins,
        stop: Event,
        *,
        plain_http: bool,
        retries: int,
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self.transport = transport
        self.stop = stop
        self.plain_http = plain_http
        self.retries = retries
        self.say = say
        self.warn = warn
        self.logins = logins
        self.turns = Turns(stop, transport.deadline, warn)

    def repository(self, host: str, name: str, *, parent: bool = False) -> Repository:
        """Return a repository. `parent`: a kit has named it, so only credentials that name its host are for it."""
        return Repository(self, Wanted(host, name, parent))

    def patience(self, *, attempts: int | None) -> Patience:
        """Return a fresh count of failures for one piece of work."""
        return Patience(
            attempts=attempts,
            pace=Pace(self.transport.network.progress_timeout),
            deadline=self.transport.deadline,
            stop=self.stop,
            warn=self.warn,
        )

    def abort(self) -> None:
        """Call every request off. What is under way ends with StoppedError."""
        self.stop.set()
        self.transport.abort()


class Repository:
    """One repository of one registry. Threads share it."""

    def __init__(self, registry: Registry, wanted: Wanted) -> None:
        host = wanted.host
        scheme = "http" if registry.plain_http else "https"
        self._registry = registry
        self._origin = origin_of(f"{scheme}://{_ALIASES.get(host, host)}")
        self._base = f"{scheme}://{self._origin}/v2/{wanted.repository}"
        self._authorizer = Authorizer(registry.transport, self._origin, wanted, registry.logins, registry.say)
        self._direct: dict[str, str] = {}
        self._lock = Lock()

    def manifest(self, target: str, accept: str, what: str) -> Fetched:
        """Return the manifest of a tag or digest, verified where there is a digest to verify against.

        `what` names it in errors. Raises NotFoundError, DeniedError, UnreachableError, TLSError, IntegrityError.
        """
        by_digest = ":" in target
        if by_digest:
            check_digest(target)
        response, body = self._whole(
            f"{self._base}/manifests/{target}", {"Accept": accept}, what, MANIFEST_BYTES
        )
        promised = response.headers.get("Docker-Content-Digest")
        kind = media_type(response)
        if by_digest:
            verify(body, target, None, what)
        if promised.partition(":")[0] in {"sha256", "sha512"}:
            verify(body, promised, None, f"{what}, by the registry's own Docker-Content-Digest,")
        return Fetched(body, target if by_digest else digest_of(body), kind)

    @property
    def login(self) -> Login | None:
        """The credentials in use; None as long as the registry has not asked for any."""
        return self._authorizer.login

    def patience(self, *, attempts: int | None) -> Patience:
        """Return a fresh count of failures for one piece of work."""
        return self._registry.patience(attempts=attempts)

    @property
    def turns(self) -> Turns:
        """The turns of the run, for those who fetch blobs."""
        return self._registry.turns

    def config(self, digest: str, size: int, what: str) -> bytes:
        """Return a verified blob of at most `MANIFEST_BYTES`: a config, or a signature."""
        if size > MANIFEST_BYTES:
            raise IntegrityError(
                f"{what} is said to have {size} bytes, and at most {MANIFEST_BYTES} are read"
            )
        check_digest(digest)
        _, body = self._whole(f"{self._base}/blobs/{digest}", {}, what, MANIFEST_BYTES)
        verify(body, digest, size, what)
        return body

    def referrers(self, digest: str, what: str) -> list[bytes]:
        """Return the pages of a manifest's referrers, each an image index (OCI distribution specification 1.1).

        Raises the errors of `manifest`; NotFoundError where the registry has no such API (404, or 405).
        """
        url = f"{self._base}/referrers/{check_digest(digest)}"
        pages: list[bytes] = []
        while url and len(pages) < _PAGES:
            response, body = self._whole(url, {"Accept": _INDEX}, what, MANIFEST_BYTES, absent={405})
            pages.append(body)
            following = _following(response.headers.get_all("Link"))
            url = join(url, following) if following else ""
            if url and origin_of(url) != self._origin:
                raise UnreachableError(f"{what}: {self._origin} continues its referrers at {origin_of(url)}")
        return pages

    def _whole(
        self, url: str, headers: dict[str, str], what: str, limit: int, absent: Collection[int] = ()
    ) -> tuple[Response, bytes]:
        patience = self._registry.patience(attempts=self._registry.retries)
        while True:
            try:
                response = self._get(url, headers, what)
                if response.status in absent:
                    said = f"{response.speaker} answered {response.status}{words(response)}"
                    raise NotFoundError(f"{what}: {said}")
                if response.status != 200:
                    raise self._error(response, what)
                if is_page(response):
                    raise self._page(response, what)
                return response, response.read(limit)
            except TransientError as failure:
                patience.wait(failure)

    def open_blob(self, digest: str, size: int, start: int, end: int | None, what: str) -> Response:
        """Ask for a blob's bytes from `start` up to `end` (None: to the last), of `size` in all.

        The response's `at` is where its body really begins: before `start` where the server serves ranges in another
        way, or not at all. One that refuses a range, or sends a part that is not the one, is asked for the whole.
        Raises TransientError for what may heal, and the errors of `manifest`.
        """
        url = f"{self._base}/blobs/{digest}"
        if start or end is not None:
            last = (size if end is None else end) - 1  # go-containerregistry refuses a range without an end
            response = self._get(url, {"Range": f"bytes={start}-{last}"}, what, remember=digest)
            if response.status == 206:
                at = _first_byte(response.headers.get("Content-Range"), start, size)
                if at is not None:
                    response.at = at
                    return response
            if response.status == 206 or response.status in _NO_RANGES:
                came = "sent another part" if response.status == 206 else f"answered {response.status}"
                self._registry.say(
                    f"{what}: asked for the bytes from {start} on, {response.origin} {came}; asking for the whole"
                )
                response.close()
                response = self._get(url, {}, what, remember=digest)
        else:
            response = self._get(url, {}, what, remember=digest)
        if response.status != 200:
            raise self._error(response, what)
        if response.left != size:  # a store may call any layer a page, or compressed, and send it as it is
            if is_page(response):
                raise self._page(response, what)
            response.decode()
        if response.left is not None and response.left != size:
            announced = response.left
            response.close()
            raise IntegrityError(
                f"{what} has {announced} bytes where {size} were promised", hint="push the kit again"
            )
        return response

    def _get(self, url: str, headers: dict[str, str], what: str, *, remember: str = "") -> Response:
        """Send a GET: with credentials to the registry itself, without to wherever it redirects."""
        if remember and (direct := self._direct.get(remember)):
            response = self._registry.transport.request(direct, headers)
            if response.status in {200, 206}:
                return response
            # an address signed for a while: ask the registry for a new one
            response.close()
            with self._lock:
                self._direct.pop(remember, None)
        asked = url
        for _ in range(_REDIRECTS):
            response = self._authorized(asked, headers)
            if response.status not in {301, 302, 303, 307, 308}:
                if remember and asked != url and response.status in {200, 206}:
                    with self._lock:
                        self._direct[remember] = asked
                return response
            location = response.headers.get("Location")
            response.close()
            if not location:
                raise unreachable(what, f"{origin_of(asked)} redirects to nowhere")
            following = join(asked, location)
            if origin_of(following).scheme == "http" and origin_of(asked).scheme == "https":
                raise TLSError(f"{what}: {origin_of(asked)} redirects to {origin_of(following)} without TLS")
            asked = following
        raise UnreachableError(f"{what}: {self._origin} redirects more than {_REDIRECTS} times")

    def _authorized(self, url: str, headers: dict[str, str]) -> Response:
        if origin_of(url) != self._origin:
            return self._registry.transport.request(url, headers)
        return self._authorizer.request(url, headers)

    def _error(self, response: Response, what: str) -> Exception:
        """Return the error that an unwanted response means; it names who sent it."""
        status, headers, here = response.status, response.headers, response.origin == self._origin
        said = words(response)
        who = response.speaker if here else f"{self._origin} redirects to {response.speaker}, which"
        answer = f"{who} answered {status} {response.reason}".rstrip() + said
        if status == 400 and response.origin.scheme == "http" and any(text in said for text in _WANTS_TLS):
            return speaks_tls(f"{what}: {response.origin}")
        if status in {404, 410}:
            hint = "check the repository and the tag" if here else f"check what {response.origin} has"
            return NotFoundError(f"{what} is not there: {answer}", hint=hint)
        if status in {401, 403} and here:
            return self._authorizer.refused(f"{status}{said}")
        if status in {401, 403}:
            hint = f"check the clocks of both, and what {response.origin} lets {self._origin} share"
            if headers.get("WWW-Authenticate"):
                hint = f"name {response.origin} in the URI: credentials for {self._origin} are not sent there"
            return DeniedError(f"{what}: {answer}", hint=hint)
        if status in _TRANSIENT:
            return unreachable(what, answer, retry_after_s=retry_after(headers.get("Retry-After")))
        return UnreachableError(f"{what}: {answer}")

    def _page(self, response: Response, what: str) -> UnreachableError:
        """Return the error for a page that came in place of content."""
        whose = "" if response.origin == self._origin else f", where {self._origin} redirects to,"
        return UnreachableError(
            f"{what}: {response.speaker}{whose} answered with a page of HTML{words(response)}",
            hint="a login page or a proxy stands before the registry: let requests below /v2/ through",
        )


def _following(fields: list[str]) -> str:
    """Return the target of the link with the relation "next" (RFC 8288), "" without one."""
    for field in ",".join(fields).split(","):
        target, _, parameters = field.strip().partition(">")
        relations = [each.strip().replace('"', "") for each in parameters.split(";")]
        if target.startswith("<") and "rel=next" in relations:
            return target[1:]
    return ""


def _first_byte(content_range: str, start: int, size: int) -> int | None:
    """Return where a part begins that holds byte `start` of `size`; None when it is another one, or does not say.

    The form is `bytes FIRST-LAST/TOTAL`, with `*` for a total that is not known (RFC 9110, 14.4).
    """
    found = re.fullmatch(_CONTENT_RANGE, content_range)
    if found is None or found[3] not in {"*", str(size)}:
        return None
    first, last = int(found[1]), int(found[2])
    return first if first <= start <= last else None
