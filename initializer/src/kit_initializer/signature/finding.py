"""Where signatures of a manifest lie: among its referrers, and under the tags that cosign makes of its digest.

Sources: the OCI distribution specification 1.1 (the Referrers API, and its fallback tag); cosign's tags. Every list is
bounded, and what an index says of its members is never believed: each is fetched, and judged by what it is.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kit_initializer import modelkit
from kit_initializer.deadline import Started
from kit_initializer.errors import InitializerError, IntegrityError, NotAModelKitError, NotFoundError
from kit_initializer.reference import is_digest
from kit_initializer.secret import printable
from kit_initializer.signature import bundle, simplesigning
from kit_initializer.signature.statement import UnfitError, json_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kit_initializer.deadline import Deadline
    from kit_initializer.registry import Repository

MOST = 100  # referrers, and layers that may be signatures, that are looked at for one manifest
CONTENT_BYTES = 4 * 1024 * 1024
_KINDS = {simplesigning.MEDIA_TYPE: "signature", bundle.ENVELOPE: "attestation"}

_T = TypeVar("_T")


class Candidate(NamedTuple):
    """Something that may be a signature: its media type, what names it, and how it is fetched."""

    media_type: str
    name: str
    annotations: Mapping[str, str]
    content: Callable[[], bytes]


class Finder:
    """The candidates of one manifest, in order: bundles among the referrers, simple signing, older attestations.

    `unfit` gathers what is no signature and why, `failures` what could not be fetched; `more` counts candidates that
    were not looked at.
    """

    def __init__(
        self, repository: Repository, sha256: str, what: str, *, attestations: bool, deadline: Deadline
    ) -> None:
        self._repository = repository
        self._sha256 = sha256
        self._what = what
        self._attestations = attestations
        self._deadline = deadline
        self._left = MOST
        self.unfit: list[str] = []
        self.failures: list[InitializerError] = []
        self.more = 0

    def candidates(self) -> Iterator[Candidate]:
        """Yield them. All places are asked at once, for each answer is a round trip."""
        tag = f"sha256-{self._sha256}"
        referrers = Started(partial(self._repository.referrers, f"sha256:{self._sha256}", self._what))
        fallback, *tagged = (
            (name, Started(partial(self._manifest, name)))
            for name in (tag, f"{tag}.sig", *([f"{tag}.att"] if self._attestations else []))
        )
        indexes = self._got("the referrers", partial(referrers.result, self._deadline), absent="") or []
        index = self._got(tag, partial(fallback[1].result, self._deadline), absent="")
        for digest in self._listed([*indexes, *([index] if index is not None else [])]):
            name = f"referrer {digest[:19]}…"
            body = self._got(name, partial(self._manifest, digest))
            if body is not None:
                yield from self._layers(body, name)
        for name, task in tagged:
            body = self._got(name, partial(task.result, self._deadline), absent="")
            if body is not None:
                yield from self._layers(body, f"tag …{name[-9:]}")

    def fetch(self, candidate: Candidate) -> bytes | None:
        """Return what a candidate holds; None where it cannot be had, which is noted."""
        return self._got(candidate.name, candidate.content)

    def _manifest(self, target: str) -> bytes:
        return self._repository.manifest(target, modelkit.ACCEPT, f"{self._what}, {target[:19]}…").body

    def _got(
        self, name: str, call: Callable[[], _T], *, absent: str = "it is listed, and not there"
    ) -> _T | None:
        """Return what a call does. What is wrong is noted as unfit, what cannot be had as a failure: then None."""
        try:
            return call()
        except NotFoundError:
            self._note(name, absent)
        except (IntegrityError, NotAModelKitError, UnfitError) as error:
            self._note(name, str(error))
        except InitializerError as error:
            self.failures.append(error)
        return None

    def _note(self, name: str, reason: str) -> None:
        if reason:
            self.unfit.append(f"{name}: {printable(reason, 200)}")

    def _listed(self, indexes: list[bytes]) -> list[str]:
        """Return the digests that indexes list, each once, those that are called bundles first, as many as are read."""
        found: dict[str, bool] = {}
        for body in indexes:
            value = self._got("an index of referrers", partial(json_object, body, "it"))
            members = value.get("manifests") if value is not None else None
            for member in members if isinstance(members, list) else ():
                digest = member.get("digest") if isinstance(member, dict) else None
                if isinstance(digest, str) and is_digest(digest):
                    called = str(member.get("artifactType", ""))
                    found[digest] = found.get(digest, False) or called.startswith(bundle.MEDIA_TYPE)
        ordered = sorted(found, key=lambda digest: not found[digest])
        self.more += max(0, len(ordered) - MOST)
        return ordered[:MOST]

    def _layers(self, body: bytes, name: str) -> Iterator[Candidate]:
        """Yield the layers of a manifest that may be signatures."""
        value = self._got(name, partial(json_object, body, "it"))
        layers = value.get("layers") if value is not None else None
        for layer in layers if isinstance(layers, list) else ():
            kind = layer.get("mediaType") if isinstance(layer, dict) else None
            if not isinstance(kind, str) or not (kind.startswith(bundle.MEDIA_TYPE) or kind in _KINDS):
                continue
            if self._left == 0:
                self.more += 1
                continue
            self._left -= 1
            digest, size = layer.get("digest"), layer.get("size")
            if not isinstance(digest, str) or not is_digest(digest) or type(size) is not int:
                self._note(name, "a layer of it has no digest or no size")
            elif not 0 <= size <= CONTENT_BYTES:
                self._note(name, f"it has {size} bytes, and at most {CONTENT_BYTES} are read")
            else:
                yield Candidate(
                    kind,
                    f"{_KINDS.get(kind, 'bundle')} {digest[:19]}…",
                    _texts(layer.get("annotations")),
                    partial(self._repository.config, digest, size, f"{name} of {self._what}"),
                )


def _texts(annotations: object) -> dict[str, str]:
    pairs = annotations.items() if isinstance(annotations, dict) else ()
    return {key: value for key, value in pairs if isinstance(value, str)}
