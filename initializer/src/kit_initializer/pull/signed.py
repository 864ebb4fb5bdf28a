"""The signature policy over the kits of a run: each is judged once, by the manifest that it is unpacked by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_initializer import signature
from kit_initializer.pull.resolve import contents, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit_initializer.pull.pull import Pair, Place, Pull
    from kit_initializer.pull.resolve import Chosen, Contents, Resolved
    from kit_initializer.registry import Registry
    from kit_initializer.settings import Settings
    from kit_initializer.signature.judge import Trial

    _Trial = tuple[Chosen, Trial]


class Signed:
    """Lets kits in as the policy says.

    It is made before any request: a policy that leaves a doubt raises UsageError, and a kit that no rule could let in
    SignatureError.
    """

    def __init__(self, pairs: Sequence[Pair], registry: Registry, settings: Settings) -> None:
        policy = signature.read(settings.environ, plain_http=settings.plain_http)
        for pair in pairs:
            policy.rule(pair.reference)
        self._judge = signature.Judge(policy, registry, settings.signature_timeout)
        self._registry = registry
        self._settings = settings
        self._trials: dict[Pull, list[_Trial]] = {}

    def contents(self, pull: Pull) -> Contents:
        """Return what a kit consists of, and begin to judge it and its parents meanwhile."""
        trials = self._trials[pull] = []
        return self._contents(pull.manifest, trials)

    def look(self, resolved: Resolved) -> tuple[Contents, str]:
        """Return what a kit consists of, and why it is let in. Raises what `wait` does."""
        trials: list[_Trial] = []
        found = self._contents(resolved, trials)
        return found, _said([(chosen, trial.verdict()) for chosen, trial in trials])

    def _contents(self, resolved: Resolved, trials: list[_Trial]) -> Contents:
        def judge(chosen: Chosen) -> None:
            subject = signature.Subject(
                chosen.reference, chosen.repository, chosen.manifest, chosen.chosen_from
            )
            trials.append((chosen, self._judge.begin(subject)))

        return contents(self._registry, resolved, self._settings, judge)

    def wait(self) -> None:
        """Wait for all verdicts, and note them. Raises SignatureError, or why signatures could not be fetched."""
        for pull, trials in self._trials.items():
            verdicts = [(chosen, trial.verdict()) for chosen, trial in trials]
            pull.judged = frozenset(chosen.digest for chosen, _ in verdicts)
            pull.signature = _said(verdicts)
            pull.policy = self._judge.policy.fingerprint
        self._trials.clear()

    def review(self, place: Place) -> None:
        """Judge kits that are in place already, unless this very policy has let them in; no layer is asked for."""
        record = place.destination.record
        kits = record.kits if record is not None else ()
        for pull, kit in zip(place.pulls, kits, strict=True):
            if kit.policy == self._judge.policy.fingerprint:
                pull.signature, pull.policy = kit.signature, kit.policy
                continue
            if pull.resolved is None:
                pull.resolved = resolve(self._registry, pull.reference)
            self.contents(pull)
        self.wait()
        place.destination.note(
            tuple(
                kit._replace(signature=pull.signature, policy=pull.policy)
                for pull, kit in zip(place.pulls, kits, strict=True)
            )
        )


def _said(verdicts: Sequence[tuple[Chosen, str]]) -> str:
    """Return the verdicts over a kit and its parents as one text."""
    return "; ".join(
        f"parent {chosen.reference}: {verdict}" if number else verdict
        for number, (chosen, verdict) in enumerate(verdicts)
    )
