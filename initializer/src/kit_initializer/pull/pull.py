"""One kit on its way from a reference to a folder: a value that is filled as the run goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from kit_initializer.archive import Tree
from kit_initializer.publish import RECORD_NAME, STAGING_PREFIX, Delivery, PublishedKit, Staging, explain
from kit_initializer.pull.resolve import Contents
from kit_initializer.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_initializer.archive import Limits
    from kit_initializer.publish import Destination
    from kit_initializer.pull.resolve import Resolved
    from kit_initializer.reference import Reference


# Names by which a later run would take a kit's file for a record or for staging. A kit that was packed from a folder
# of an initializer has them.
_RESERVED = (RECORD_NAME, STAGING_PREFIX)


class Pair(NamedTuple):
    """A kit and the folder it goes to, as they were asked for."""

    reference: Reference
    folder: str


class Place:
    """A destination and the kits that go there, in order. `staging` is made when the first of them needs it."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.pulls: list[Pull] = []
        self._staging: Staging | None = None

    @property
    def staging(self) -> Staging:
        """Where the kits of this destination are gathered. Raises DestinationError when the volume takes nothing."""
        if self._staging is None:
            self._staging = self.destination.staging()
        return self._staging

    def close(self) -> None:
        """Give the destination up; what is still in staging goes."""
        if self._staging is not None:
            self._staging.remove()
        self.destination.close()


class Pull:
    """One kit: asked for, resolved, gathered in a staged tree, delivered, and what came of it.

    `resolved` is the manifest that the registry gave, None as long as none was needed; `contents` are the layers and
    the Kitfile that it comes to. `signature` is why the policy with the fingerprint `policy` lets it in, and
    `judged` are the manifests that it has judged, None without a policy. `kit` is what the record of the
    destination says of it: of an earlier run where it is in place already, else of this one.
    """

    def __init__(self, pair: Pair, place: Place, selection: str) -> None:
        self.pair = pair
        self.place = place
        self.selection = selection
        self.resolved: Resolved | None = None
        self.contents = Contents((), None, "", ())
        self.kit: PublishedKit | None = None
        self.unchanged = False
        self.signature = ""
        self.policy = ""
        self.judged: frozenset[str] | None = None
        self._tree: Tree | None = None

    @property
    def reference(self) -> Reference:
        """The kit as it was asked for."""
        return self.pair.reference

    @property
    def digest(self) -> str:
        """The manifest's digest: what the registry gave, or the one that the reference pins."""
        return self.resolved.digest if self.resolved is not None else self.reference.digest or ""

    @property
    def manifest(self) -> Resolved:
        """What was resolved; only asked for when it was."""
        assert self.resolved is not None, "resolved before it is gathered"
        return self.resolved

    @property
    def tree(self) -> Tree:
        """Where its files are gathered; only asked for when it was staged."""
        assert self._tree is not None, "staged before it is gathered"
        return self._tree

    def stage(self, limits: Limits, keep: Callable[[str], bool] | None) -> None:
        """Give it a folder of its own in its destination's staging. Raises DestinationError."""
        staging, destination = self.place.staging, self.place.destination
        try:
            root = staging.new_root()
        except OSError as error:
            raise explain(error, destination.path) from error
        self._tree = Tree(root, limits, keep=keep, folder_mode=destination.folder_mode, reserved=_RESERVED)

    def delivery(self) -> Delivery:
        """Return it as it is to be published, when its tree is complete."""
        files = self.tree.files
        self.kit = PublishedKit(
            *(str(self.reference), self.digest, self.selection, len(files), files.bytes),
            *(self.signature, self.policy),
        )
        return Delivery(self.place.staging, self.tree.root, self.kit, files)

    def outcome(self, engine: str, began: float) -> Outcome:
        """Return what came of it; `began` is when the run did, of time.monotonic()."""
        return Outcome(
            uri=str(self.reference),
            digest=self.digest,
            engine=engine,
            files=self.kit.files if self.kit is not None else 0,
            bytes=self.kit.bytes if self.kit is not None else 0,
            seconds=time.monotonic() - began,
            unchanged=self.unchanged,
            signature=self.kit.signature if self.kit is not None and self.policy else "",
        )
