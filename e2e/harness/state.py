"""What a bring-up made, in a file, so that tests and the bring-down find it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from e2e.harness.registry import Private, Registry
from e2e.harness.versions import CACHE

if TYPE_CHECKING:
    from pathlib import Path


class State(NamedTuple):
    """One cluster and what is in it.

    `images` tells of each image how it was had: `found`, `pulled`, `built`, `given` or `absent: why`. `runtimes`
    are KServe's, each with its image. `private` is None on a cluster that is not ours, and `run` is
    the label of what is made there. `kserve` and `kit` are
    versions; `kit_binary` is the Kit that packs; any of the three is "" when there is none. `timeline` has
    each step with its start and end in seconds since `began`, which is seconds since 1970. `upstream` is the image that
    is tried in the place of ours ("" for none), and `about` has the name, version and digest of either image.
    """

    name: str
    registry: Registry
    private: Private | None
    run: str
    initializer: str
    images: dict[str, str]
    runtimes: dict[str, str]
    upstream: str
    about: dict[str, dict[str, str]]
    kubernetes: str
    kserve: str
    kserve_absent: str
    kit: str
    kit_binary: str
    began: float
    timeline: list[tuple[str, float, float]]

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of this cluster alone."""
        return folder(self.name) / "kubeconfig"

    def save(self) -> None:
        """Write the state where `load` finds it."""
        (folder(self.name) / "state.json").write_text(
            json.dumps(self._asdict(), indent=1) + "\n", encoding="utf-8"
        )


def folder(name: str) -> Path:
    """Return where everything about a cluster of that name is kept."""
    return CACHE / name


def load(name: str) -> State | None:
    """Return the state of a cluster that was brought up, or None."""
    try:
        data: dict[str, Any] = json.loads((folder(name) / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    data["registry"] = Registry(*data["registry"])
    data["private"] = Private(*data["private"]) if data["private"] else None
    data["timeline"] = [(step, start, end) for step, start, end in data["timeline"]]
    return State(**data)
