"""What kit-initializer promises of logins, logs, memory and order."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Final

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.catalog import MUST, case
from kit_conformance.result import Finding
from kit_conformance.testbed.kits import pack, single
from kit_conformance.testbed.registry import Basic, Bearer

if TYPE_CHECKING:
    from kit_conformance.lab import Lab

_USERS: Final = {"ann": "a-good-password"}
_LOGIN: Final = ("ann", "a-good-password")


@case(
    "kit-initializer.pairs-verified-first",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_OPERATE,
    any_registry=True,
)
def test_pairs_verified_first(lab: Lab) -> None:
    """When one of two pairs collides, nothing of the other is published.

    All or nothing, for all pairs of a run.
    """
    first, second = kits.plain("first"), kits.model(seed=2)
    uris = lab.place(first, "first"), lab.place(second, "second")
    root = lab.destination()
    (root / "b").mkdir()
    (root / "b" / kits.MODEL).write_bytes(b"in the way")
    result = lab.run(*uris, to=[root / "a", root / "b"]).failed_with(10)
    result.brought_nothing(number=0)


@case("kit-initializer.flags-quoted", level=MUST, since="0.1", ref=refs.INITIALIZER_FLAGS, any_registry=True)
def test_flags_quoted(lab: Lab) -> None:
    """KIT_UNPACK_FLAGS is split as a shell splits words: quotes hold together, lines do not end it.

    Names in a Kitfile have blanks, and YAML folds lines.
    """
    kit = pack(
        {"m.bin": b"m", "d.csv": b"d", "e.csv": b"e"},
        {
            "manifestVersion": "1.0.0",
            "package": {},
            "model": {"path": "m.bin"},
            "datasets": [{"name": "training set", "path": "d.csv"}, {"name": "other", "path": "e.csv"}],
        },
    )
    flags = "\n --filter='datasets:training set'\n --filter model\n"
    result = lab.run(lab.place(kit), environment={"KIT_UNPACK_FLAGS": flags})
    result.brought({path: kit.files[path] for path in ("m.bin", "d.csv")})


@case("kit-initializer.docker-config-json", level=MUST, since="0.1", ref=refs.INITIALIZER_CREDENTIALS)
def test_docker_config_json(lab: Lab) -> None:
    """KIT_DOCKER_CONFIG_JSON takes the contents of a pull secret.

    A ClusterStorageContainer cannot mount a volume, but it can name a key of a secret.
    """
    kit = kits.plain()
    registry = lab.registry(auth=Basic(_USERS))
    uri = registry.add(kit, "iris", "v1")
    auth = b64encode(b"ann:a-good-password").decode()
    environment = {"KIT_DOCKER_CONFIG_JSON": json.dumps({"auths": {registry.host: {"auth": auth}}})}
    lab.run(uri, environment=environment).brought(kit)


@case("kit-initializer.storage-config", level=MUST, since="0.1", ref=refs.INITIALIZER_CREDENTIALS)
def test_storage_config(lab: Lab) -> None:
    """STORAGE_CONFIG of type kit is the login of one InferenceService.

    One ClusterStorageContainer serves all namespaces; KServe can hand each of them its own key.
    """
    kit = kits.plain()
    registry = lab.registry(auth=Bearer(_USERS))
    uri = registry.add(kit, "iris", "v1")
    environment = {
        "STORAGE_CONFIG": json.dumps(
            {"registry": registry.host, "username": "ann", "password": "a-good-password"}
        ),
        "STORAGE_OVERRIDE_CONFIG": '{"type":"kit"}',
    }
    lab.run(uri, environment=environment).brought(kit)


@case("kit-initializer.login-of-one-registry", level=MUST, since="0.1", ref=refs.INITIALIZER_CREDENTIALS)
def test_login_of_one_registry(lab: Lab) -> None:
    """With KIT_REGISTRY the login goes to that registry alone.

    Kits of several registries in one InferenceService have different owners.
    """
    mine, other = lab.registry(auth=Basic(_USERS)), lab.registry(auth=Basic({"bob": "another-password"}))
    kit = kits.plain()
    uri, others = mine.add(kit, "iris", "v1"), other.add(kit, "iris", "v1")
    lab.run(uri, login=_LOGIN, login_host=mine.host).brought(kit)
    lab.run(others, login=_LOGIN, login_host=mine.host).failed_with(4)
    sent = [str(entry) for entry in other.ledger if entry.authorization != "none"]
    if sent:
        raise Finding("the login was sent to another registry", sent)


@case(
    "kit-initializer.parent-without-login",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_CREDENTIALS,
    features={"parents"},
)
def test_parent_without_login(lab: Lab) -> None:
    """A parent kit on another host is asked for without the child's login.

    Those who pack a kit write its parent's host, and must not learn the password of those who pull it.
    """
    mine, other = lab.registry(auth=Basic(_USERS)), lab.registry(auth=Basic({"bob": "another-password"}))
    other.add(kits.plain(), "base", "v1")
    child = kits.child(f"{other.host}/base:v1")
    uri = mine.add(child, "child", "v1")
    lab.works(mine.add(kits.plain(), "iris", "v1"), login=_LOGIN)
    lab.run(uri, login=_LOGIN, environment={"KIT_REGISTRY": ""}).failed()
    if not other.ledger.requests():
        raise Finding("the parent's host was not even asked")
    sent = [str(entry) for entry in other.ledger if entry.authorization != "none"]
    if sent:
        raise Finding("the login was sent to the parent's host", sent)


@case(
    "kit-initializer.json-log", level=MUST, since="0.1", ref=refs.INITIALIZER_ENVIRONMENT, any_registry=True
)
def test_json_log(lab: Lab) -> None:
    """With KIT_LOG_FORMAT=json every line of the log is a JSON object.

    One line that is not stops a pipeline from reading the rest.
    """
    uri = lab.place(kits.plain(), "iris", "v1")
    for each in (uri, uri.replace(":v1", ":v2")):
        result = lab.run(each, environment={"KIT_LOG_FORMAT": "json"}).ended()
        lines = result.outcome.output.splitlines()
        try:
            if not lines or not all({"level", "message"} <= json.loads(line).keys() for line in lines):
                raise Finding("a line has no level or no message", lines)
        except (ValueError, AttributeError) as error:
            raise Finding(f"a line is no JSON object: {error}", lines) from error


@case("kit-initializer.memory", level=MUST, since="0.1", ref=refs.INITIALIZER_OPERATE, any_registry=True)
def test_memory(lab: Lab) -> None:
    """96 MiB of memory are enough for any kit.

    Memory that is requested and not used is paid for on every node.
    """
    limit = 96 * kits.MIB
    source = lab.scratch("large") / "weights.bin"
    with source.open("wb") as file:
        file.truncate(128 * kits.MIB)
    kit = kits.of({"weights.bin": source}, directory=lab.scratch("layers"))
    result = lab.run(lab.place(kit), memory=limit).brought(kit)
    if result.outcome.peak > limit:
        raise Finding(f"it held {result.outcome.peak // kits.MIB} MiB in memory")


@case("kit-initializer.tag-and-digest", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES)
def test_tag_and_digest(lab: Lab) -> None:
    """A digest that no kit of the repository has is not replaced by what the tag is.

    A pinned reference never brings another model.
    """
    kit = kits.plain()
    uri = lab.registry().add(kit, "iris", "v1")
    lab.run(f"{uri}@{kit.digest}").brought(kit)
    lab.run(f"{uri}@sha256:{'0' * 64}").failed().brought_nothing()


@case(
    "kit-initializer.unsafe-kept-apart",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_OPERATE,
    any_registry=True,
)
def test_unsafe_kept_apart(lab: Lab) -> None:
    """After a failed run nothing of it is in the destination, not even in hidden folders.

    What was staged takes up the volume, and the next run would have to know whose it is.
    """
    uri = lab.place(single(kits.large().layers[0].read()[: 8 * kits.MIB], "."), "cut")
    result = lab.run(uri).failed_with(8)
    if result.tree:
        raise Finding("something was left", sorted(result.tree))
