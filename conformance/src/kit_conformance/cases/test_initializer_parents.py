"""What kit-initializer promises of parent kits in other registries."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Final

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.catalog import MUST, case
from kit_conformance.testbed.registry import Basic, Bearer

if TYPE_CHECKING:
    from kit_conformance.lab import Lab

_OURS: Final = ("ann", "a-good-password")
_THEIRS: Final = ("bob", "another-password")


def _auth(login: tuple[str, str]) -> dict[str, str]:
    return {"auth": b64encode(":".join(login).encode()).decode()}


@case(
    "kit-initializer.parent-docker-config",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_CREDENTIALS,
    features={"parents", "docker-config"},
)
def test_parent_docker_config(lab: Lab) -> None:
    """A private parent kit in another registry is brought with the login that a Docker config has for its host.

    The config names that host itself, so nobody learns a password that he should not.
    """
    mine, other = lab.registry(auth=Basic(dict([_OURS]))), lab.registry(auth=Bearer(dict([_THEIRS])))
    base = kits.model()
    other.add(base, "base", "v1")
    child = kits.child(f"{other.host}/base:v1")
    docker = {"auths": {mine.host: _auth(_OURS), other.host: _auth(_THEIRS)}}
    result = lab.run(mine.add(child, "child", "v1"), docker=docker)
    result.brought({"c.py": child.files["c.py"], kits.MODEL: base.files[kits.MODEL]})
