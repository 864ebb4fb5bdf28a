"""What kit-initializer promises beyond KServe, OCI and Kit: exit codes, messages, variables, its own record."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Final

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.cases.steps import stalled
from kit_conformance.catalog import MUST, case
from kit_conformance.result import Finding
from kit_conformance.testbed.kits import assemble, hostile
from kit_conformance.testbed.registry import Basic, faults, refusing

if TYPE_CHECKING:
    from kit_conformance.lab import Lab
    from kit_conformance.result import Result

_MESSAGE: Final = 1024  # bytes
_USERS: Final = {"ann": "a-good-password"}
_LOGIN: Final = ("ann", "a-good-password")


def _ends(result: Result, code: int, slug: str) -> Result:
    """Assert an exit code, and a message of one line that begins with its slug and fits."""
    result.failed_with(code)
    message = result.outcome.message
    if not message.startswith(f"{slug}: ") or "\n" in message.strip():
        raise Finding(f"the message should be one line that begins with {slug!r}", [message or "(none)"])
    if len(message.encode()) > _MESSAGE:
        raise Finding(f"the message has {len(message.encode())} bytes", [message[:200]])
    if message.strip() not in result.outcome.output:
        raise Finding("the log does not end with what the message says", result.outcome.log.splitlines()[-2:])
    return result


@case("kit-initializer.usage", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES, any_registry=True)
def test_usage(lab: Lab) -> None:
    """Wrong arguments and settings are exit code 2.

    The reader knows then that the manifest is wrong, not the registry.
    """
    uri = lab.place(kits.plain())
    _ends(lab.run(arguments=[uri]), 2, "usage")
    _ends(lab.run(uri, environment={"KIT_UNPACK_FLAGS": "--no-such-flag"}), 2, "usage")
    _ends(lab.run(uri, environment={"KIT_CONCURRENCY": "many"}), 2, "usage")


@case(
    "kit-initializer.half-login", level=MUST, since="0.1", ref=refs.INITIALIZER_CREDENTIALS, any_registry=True
)
def test_half_login(lab: Lab) -> None:
    """A user without a password, and a password without a user, are exit code 2.

    Half of a secret must not turn into an anonymous pull.
    """
    uri = lab.place(kits.plain())
    _ends(lab.run(uri, environment={"KIT_USER": "ann"}), 2, "usage")
    _ends(lab.run(uri, environment={"KIT_PASSWORD": "a-good-password"}), 2, "usage")


@case("kit-initializer.not-found", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES)
def test_not_found(lab: Lab) -> None:
    """What is not there is exit code 3, and the message names it.

    A typing error is found by reading the status.
    """
    registry = lab.registry()
    uri = registry.add(kits.plain(), "iris", "v1")
    _ends(lab.run(uri.replace(":v1", ":v2")), 3, "not-found").says("iris:v2")
    registry.inject(faults.Status(404), kind="blob")
    _ends(lab.run(uri), 3, "not-found")


@case("kit-initializer.denied", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES)
def test_denied(lab: Lab) -> None:
    """What a registry refuses is exit code 4: no login, a wrong one, or one without rights.

    The secret is what is to be looked at.
    """
    registry = lab.registry(auth=Basic(_USERS))
    uri = registry.add(kits.plain(), "iris", "v1")
    _ends(lab.run(uri), 4, "denied")
    _ends(lab.run(uri, login=("ann", "a-wrong-password")), 4, "denied")
    registry.inject(faults.Status(403), kind="manifest")
    _ends(lab.run(uri, login=_LOGIN), 4, "denied")


@case("kit-initializer.unreachable", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES)
def test_unreachable(lab: Lab) -> None:
    """A network or a registry that fails for good is exit code 5.

    The next try may succeed without anybody changing anything.
    """
    registry = lab.registry()
    uri = registry.add(kits.plain(), "iris", "v1")
    host = lab.enter(refusing(lab.subject.address))
    _ends(lab.run(f"kit://{host}/iris:v1", patience=True), 5, "unreachable").says(host)
    registry.inject(faults.Status(503), kind="blob")
    _ends(lab.run(uri, patience=True), 5, "unreachable")


@case("kit-initializer.tls", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES)
def test_tls(lab: Lab) -> None:
    """A certificate that is not trusted is exit code 6.

    It is the authority that is missing, not the kit.
    """
    uri = lab.registry(tls=True).add(kits.plain(), "iris", "v1")
    _ends(lab.run(uri, trust=False, plain_http=False, patience=True), 6, "tls")


@case("kit-initializer.integrity", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES)
def test_integrity(lab: Lab) -> None:
    """Bytes that do not match their digest are exit code 7, and the message names the layer.

    Somebody has to look into the registry, and should not be told that the network was bad.
    """
    kit = kits.model()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Tamper(2000), kind="blob")
    _ends(lab.run(uri, patience=True), 7, "integrity").says(kits.layer_of(kit))


@case("kit-initializer.integrity-before-content", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES)
def test_integrity_before_content(lab: Lab) -> None:
    """A layer that is both broken and not what its digest says is exit code 7.

    What is malformed by damage was not packed that way; exit code 8 would accuse the packer.
    """
    kit = kits.large()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Tamper(10), kind="blob")
    _ends(lab.run(uri, patience=True), 7, "integrity")


@case("kit-initializer.unsafe", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES, any_registry=True)
def test_unsafe(lab: Lab) -> None:
    """Content that must not be unpacked, or cannot be, is exit code 8.

    The kit has to be packed again; ask those who packed it.
    """
    for name in ("path-parent", "link-absolute", "clash-different", "tar-no-tar"):
        uri = lab.place(hostile.BY_NAME[name].kit(), name)
        _ends(lab.run(uri), 8, "unsafe")


@case(
    "kit-initializer.not-a-modelkit", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES, any_registry=True
)
def test_not_a_modelkit(lab: Lab) -> None:
    """What is no ModelKit is exit code 9.

    kit:// was written before the reference of an image.
    """
    kit = kits.plain()
    image = type(kit)(
        kit.manifest.replace(b"vnd.kitops.modelkit.config", b"vnd.oci.image.config"), kit.config, kit.layers
    )
    _ends(lab.run(lab.place(image, "image")), 9, "not-a-modelkit")


@case("kit-initializer.destination", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES, any_registry=True)
def test_destination(lab: Lab) -> None:
    """A destination that cannot be used is exit code 10.

    The volume is full, read-only, or is a file.
    """
    uri = lab.place(kits.plain())
    folder = lab.destination()
    (folder / "file").write_bytes(b"x")
    _ends(lab.run(uri, to=[folder / "file"]), 10, "destination")


@case("kit-initializer.collision", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES, any_registry=True)
def test_collision(lab: Lab) -> None:
    """A file of somebody else's in the way is exit code 10, and it and everything stays as it was.

    What is there may be the only copy.
    """
    kit = kits.plain()
    uri = lab.place(kit)
    folder = lab.destination()
    (folder / kits.MODEL).write_bytes(b"somebody else's")
    before = {kits.MODEL: kits.of({"x": b"somebody else's"}).files["x"]}
    result = _ends(lab.run(uri, to=folder), 10, "destination")
    result.brought_nothing(also=before)


@case(
    "kit-initializer.collision-equal", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES, any_registry=True
)
def test_collision_equal(lab: Lab) -> None:
    """A file in the way that is equal to the kit's is taken for it.

    An initializer of another kind has brought the same kit before.
    """
    kit = kits.of({"weights.bin": b"weights", "config.json": b"{}"}, path=".")
    uri = lab.place(kit)
    folder = lab.destination()
    (folder / "weights.bin").write_bytes(b"weights")
    lab.run(uri, to=folder).brought(kit)


@case(
    "kit-initializer.overwrite",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_FLAGS,
    features={"overwrite"},
    any_registry=True,
)
def test_overwrite(lab: Lab) -> None:
    """With --overwrite a file in the way is replaced.

    The user has said so.
    """
    kit = kits.plain()
    uri = lab.place(kit)
    folder = lab.destination()
    (folder / kits.MODEL).write_bytes(b"older")
    lab.run(uri, to=folder, ask={"overwrite": {}}).brought(kit)


@case(
    "kit-initializer.keep",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_FLAGS,
    features={"keep"},
    any_registry=True,
)
def test_keep(lab: Lab) -> None:
    """With --ignore-existing a file in the way stays.

    The user has said so.
    """
    kit = kits.plain()
    uri = lab.place(kit)
    folder = lab.destination()
    (folder / kits.MODEL).write_bytes(b"mine")
    files = {**kit.files, kits.MODEL: kits.of({"x": b"mine"}).files["x"]}
    lab.run(uri, to=folder, ask={"keep": {}}).brought(files)


@case("kit-initializer.empty", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES, any_registry=True)
def test_empty(lab: Lab) -> None:
    """A kit without files, and a filter that matches nothing, are exit code 11.

    The server would start over an empty folder, and say something else.
    """
    empty = assemble({"manifestVersion": "1.0.0", "package": {}}, [])
    _ends(lab.run(lab.place(empty, "empty")), 11, "empty")
    uri = lab.place(kits.plain(), "iris", "v1")
    _ends(lab.run(uri, ask={"filter": {"filter": "model:other"}}), 11, "empty")


@case("kit-initializer.terminated", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES)
def test_terminated(lab: Lab) -> None:
    """SIGTERM is exit code 143, and the message says so.

    A pod that was deleted is no failure to look into.
    """
    registry = lab.registry()
    running = stalled(lab, registry.add(kits.large(), "iris", "v1"), registry, to=lab.destination())
    running.terminate(signal.SIGTERM)
    result = running.finish().failed_with(143)
    if "SIGTERM" not in result.outcome.message:
        raise Finding("the message does not name the signal", [result.outcome.message])


@case(
    "kit-initializer.success-message",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_OPERATE,
    any_registry=True,
)
def test_success_message(lab: Lab) -> None:
    """The message of a success is a JSON object with reference, digest, files and bytes of each kit.

    It is how one sees later which digest a tag was when the pod started.
    """
    kit = kits.plain()
    uri = lab.place(kit)
    message = lab.run(uri).brought(kit).outcome.message
    try:
        document = json.loads(message)
        found = document["kits"][0]
        seen = (
            found["uri"],
            found["digest"],
            found["bytes"] >= sum(each.size for each in kit.files.values()),
        )
        complete = {"files", "bytes", "seconds"} <= found.keys() and document["more"] == 0
    except (ValueError, LookupError, TypeError) as error:
        raise Finding(f"the message is not what is promised: {error!r}", [message]) from error
    if seen != (uri, kit.digest, True) or not complete:
        raise Finding("the message does not say what was brought", [message])


@case(
    "kit-initializer.message-is-short",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_OPERATE,
    any_registry=True,
)
def test_message_is_short(lab: Lab) -> None:
    """Messages never have more than 1,024 bytes, and stay what they are.

    All containers of a pod share 12 KiB; a JSON object that was cut is none.
    """
    kit = kits.model()
    root = lab.destination()
    uris = [lab.place(kit, f"{'long-name/' * 8}kit-{number}", "v1") for number in range(8)]
    result = lab.run(*uris, to=[root / str(number) for number in range(8)]).succeeded()
    try:
        document = json.loads(result.outcome.message)
        total = len(document["kits"]) + document["more"]
    except (ValueError, LookupError, TypeError) as error:
        raise Finding(f"the message is no whole object: {error!r}", [result.outcome.message]) from error
    if len(result.outcome.message.encode()) > _MESSAGE or total != len(uris):
        raise Finding("the message is too long, or does not count all kits", [result.outcome.message])


@case(
    "kit-initializer.in-place-asks-nothing",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_OPERATE,
    features={"record"},
)
def test_in_place_asks_nothing(lab: Lab) -> None:
    """A kit pinned by its digest that is in place needs no request at all.

    The pod restarts while the registry is down.
    """
    kit = kits.plain()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1").replace(":v1", f"@{kit.digest}")
    folder = lab.destination()
    lab.run(uri, to=folder).brought(kit)
    registry.stop()
    lab.run(uri, to=folder, patience=True).brought(kit)
    registry.start()


@case(
    "kit-initializer.record",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_OPERATE,
    features={"record"},
    any_registry=True,
)
def test_record(lab: Lab) -> None:
    """The record in the destination is JSON and names the digest and every file.

    It is what tells ours from what was there before.
    """
    kit = kits.plain()
    folder = lab.destination()
    lab.run(lab.place(kit), to=folder).brought(kit)
    text = (folder / lab.subject.config.record).read_text("utf-8")
    try:
        json.loads(text)
    except ValueError as error:
        raise Finding(f"the record is no JSON: {error}") from error
    missing = [each for each in (kit.digest, *kit.files) if json.dumps(each) not in text]
    if missing:
        raise Finding("the record does not name everything", missing)
