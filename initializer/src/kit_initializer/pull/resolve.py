"""A reference to everything that has to come: the kit's layers, and those of the kits it takes its model from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kit_initializer import modelkit
from kit_initializer.errors import InitializerError, NotAModelKitError, NotFoundError
from kit_initializer.reference import parse_bare

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_initializer.modelkit import Layer, Manifest
    from kit_initializer.reference import Reference
    from kit_initializer.registry import Fetched, Registry, Repository
    from kit_initializer.settings import Settings

# Kit's own limit: the eleventh parent is refused.
_PARENTS = 10


class Part(NamedTuple):
    """A layer and the repository that has it; `what` names it in errors."""

    repository: Repository
    layer: Layer
    what: str


class Resolved(NamedTuple):
    """A kit whose manifest has come. Parents are still to be followed."""

    reference: Reference
    repository: Repository
    digest: str
    manifest: Fetched


class Contents(NamedTuple):
    """What makes up a kit: the parts to bring, the Kitfile to write, if any, and the digest of the chosen manifest.

    `parents` are the kits that lend their models, as they are named.
    """

    parts: tuple[Part, ...]
    kitfile: bytes | None
    digest: str
    parents: tuple[Reference, ...]


class Chosen(NamedTuple):
    """The manifest that a kit is unpacked by: what was resolved, or a member of the index `chosen_from`."""

    reference: Reference
    repository: Repository
    digest: str
    manifest: bytes
    chosen_from: bytes | None


def resolve(registry: Registry, reference: Reference) -> Resolved:
    """Fetch the manifest that a reference names now. Beside a digest a tag is for people: the digest decides."""
    repository = registry.repository(reference.host, reference.repository)
    fetched = _fetch(repository, reference, registry.say)
    return Resolved(reference, repository, fetched.digest, fetched)


def _fetch(repository: Repository, reference: Reference, say: Callable[[str], None]) -> Fetched:
    if reference.digest is None:
        return repository.manifest(reference.target, modelkit.ACCEPT, str(reference))
    tagged = None
    if reference.tag is not None:
        try:
            tagged = repository.manifest(reference.tag, modelkit.ACCEPT, str(reference))
        except NotFoundError:
            say(f"{reference}: the registry has no tag {reference.tag}; the digest decides")
        if tagged is not None and tagged.digest == reference.digest:
            return tagged
    pinned = repository.manifest(reference.digest, modelkit.ACCEPT, str(reference))
    if tagged is not None and pinned.body != tagged.body:
        say(f"{reference}: the tag {reference.tag} is {tagged.digest} by now; the digest decides")
    return pinned


def contents(
    registry: Registry,
    resolved: Resolved,
    settings: Settings,
    judge: Callable[[Chosen], None] = lambda _: None,
) -> Contents:
    """Say what a kit consists of, its parents' models included. `judge` is told of each as soon as it is known."""
    reference, repository = resolved.reference, resolved.repository
    chosen, manifest = _choose(resolved, settings)
    judge(chosen)
    plan = _plan(repository, reference, manifest, settings, only_model=False)
    parts = [_part(repository, reference, layer) for layer in plan.layers]
    parent, seen = plan.parent, [_name(reference)]
    parents: list[Reference] = []
    while parent is not None:
        above = parse_bare(parent)
        if _name(above) in seen:
            raise NotAModelKitError(f"{reference} refers to itself: {' → '.join([*seen, _name(above)])}")
        if len(seen) > _PARENTS:
            raise NotAModelKitError(f"{reference} has more than {_PARENTS} parents")
        seen.append(_name(above))
        parents.append(above)
        # who packs a kit names its parent's host, and must not learn what logs in at another
        repository = registry.repository(above.host, above.repository, parent=above.host != reference.host)
        fetched = _fetch(repository, above, registry.say)
        lender, manifest = _choose(Resolved(above, repository, fetched.digest, fetched), settings)
        judge(lender)
        lent = _plan(repository, above, manifest, settings, only_model=True)
        parts += [_part(repository, above, layer) for layer in lent.layers]
        if not lent.layers and lent.parent is None and not settings.filters:
            raise NotAModelKitError(f"{reference} takes its model from {above}, which has none")
        parent = lent.parent
    return Contents(_once(parts), plan.kitfile, chosen.digest, tuple(parents))


def _once(parts: list[Part]) -> tuple[Part, ...]:
    """Drop layers that repeat another one in the same place, as of one folder packed as code and as dataset."""
    unique: dict[Layer, Part] = {}
    for part in parts:
        unique.setdefault(part.layer._replace(kind="", part=""), part)
    return tuple(unique.values())


def _choose(resolved: Resolved, settings: Settings) -> tuple[Chosen, Manifest]:
    """Return the kit's manifest, picked from an index by its labels where there is one."""
    reference, repository = resolved.reference, resolved.repository
    digest, body, index = resolved.digest, resolved.manifest.body, None
    try:
        parsed = modelkit.parse(body)
        if isinstance(parsed, modelkit.Index):
            digest = parsed.choose(settings.labels).digest
            index = body
            body = repository.manifest(digest, modelkit.ACCEPT, f"{reference}, member {digest}").body
            parsed = modelkit.parse(body)
            if isinstance(parsed, modelkit.Index):
                raise NotAModelKitError("the index lists another index")
    except InitializerError as error:
        raise _named(error, reference) from error
    return Chosen(reference, repository, digest, body, index), parsed


def _plan(
    repository: Repository, reference: Reference, manifest: Manifest, settings: Settings, *, only_model: bool
) -> modelkit.Plan:
    config = repository.config(manifest.config.digest, manifest.config.size, f"the config of {reference}")
    try:
        return modelkit.plan(manifest, config, filters=settings.filters, only_model=only_model)
    except InitializerError as error:
        raise _named(error, reference) from error


def _named(error: InitializerError, reference: Reference) -> InitializerError:
    """Return an error that names the kit: rooms that know formats do not know where content comes from."""
    text = str(error)
    return error if str(reference) in text else type(error)(f"{reference}: {text}", hint=error.hint)


def _part(repository: Repository, reference: Reference, layer: Layer) -> Part:
    return Part(repository, layer, f"layer {layer.digest} of {reference}")


def _name(reference: Reference) -> str:
    return str(
        reference._replace(tag=reference.tag or reference.target) if reference.digest is None else reference
    )
