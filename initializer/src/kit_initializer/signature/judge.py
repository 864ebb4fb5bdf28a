"""The verdict: whether what is beside a kit in the registry satisfies the policy's rule for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kit_initializer.deadline import Deadline, Started
from kit_initializer.errors import SignatureError
from kit_initializer.secret import printable
from kit_initializer.signature import bundle, simplesigning
from kit_initializer.signature.finding import MOST, Finder
from kit_initializer.signature.policy import EITHER, INDEX, repository_name
from kit_initializer.signature.statement import SIGN, UnfitError, json_object, member
from kit_initializer.verify import digest_of

if TYPE_CHECKING:
    from kit_initializer.reference import Reference
    from kit_initializer.registry import Registry, Repository
    from kit_initializer.signature.finding import Candidate
    from kit_initializer.signature.policy import Attestation, Policy, Rule
    from kit_initializer.signature.statement import Statement

_REASONS = 3  # that a message has room for


class Subject(NamedTuple):
    """A kit that is to be judged: the manifest that it is unpacked by, and the index it was chosen from, as bytes."""

    reference: Reference
    repository: Repository
    manifest: bytes
    chosen_from: bytes | None


class Judge:
    """Judges kits beside the rest of a run: `begin` as soon as one is resolved, `end` before a layer is asked for."""

    def __init__(self, policy: Policy, registry: Registry, timeout_s: float) -> None:
        self.policy = policy
        self._registry = registry
        self._timeout_s = timeout_s

    def begin(self, subject: Subject) -> Trial:
        """Start to judge a kit. Raises SignatureError at once where no signature could help."""
        pattern, rule = self.policy.rule(subject.reference)
        deadline = self._registry.transport.deadline.nearer("KIT_SIGNATURE_TIMEOUT", self._timeout_s)
        return Trial(self, subject, pattern, rule, deadline)

    def repository(self, subject: Subject, rule: Rule) -> Repository:
        """Return where a kit's signatures are."""
        other = rule.signatures_in
        if other is None:
            return subject.repository
        return self._registry.repository(
            other.host, other.repository, parent=other.host != subject.reference.host
        )


class Trial:
    """One kit before the judge, in another thread."""

    def __init__(self, judge: Judge, subject: Subject, pattern: str, rule: Rule, deadline: Deadline) -> None:
        self._judge = judge
        self._subject = subject
        self._pattern = pattern
        self._rule = rule
        self._deadline = deadline
        self._needed = list(rule.attestations)
        self._signer = ""
        self._unfit: list[str] = []
        self._task = None if rule.accept else Started(self._run)

    def verdict(self) -> str:
        """Wait, and return why the kit is let in: the rule, and the key or identity.

        Raises SignatureError, or what kept signatures from being fetched (UnreachableError, DeniedError, TLSError).
        """
        if self._task is None:
            return f"accepted unsigned by rule {self._pattern}"
        try:
            return self._task.result(self._deadline)
        except TimeoutError:
            raise self._deadline.error(f"{self._subject.reference}: looking for its signatures") from None

    def _run(self) -> str:
        failures, more = [], 0
        for sha256 in self._digests():
            finder = Finder(
                self._judge.repository(self._subject, self._rule),
                sha256,
                f"a signature of {self._subject.reference}",
                attestations=bool(self._needed),
                deadline=self._deadline,
            )
            for candidate in finder.candidates():
                self._deadline.check(f"{self._subject.reference}: looking for its signatures")
                content = finder.fetch(candidate)
                if content is not None:
                    self._weigh(candidate, content, sha256)
                if self._signer and not self._needed:
                    return f"rule {self._pattern}, {self._signer}"
            self._unfit += finder.unfit
            failures += finder.failures
            more += finder.more
        if failures:
            raise failures[0]
        raise self._refusal(more)

    def _digests(self) -> list[str]:
        """Return the SHA-256 of the manifests whose signatures count, as the rule has it: computed, not believed."""
        subject, signed = self._subject, self._rule.signed
        bodies = [subject.manifest] if signed != INDEX or subject.chosen_from is None else []
        if signed in {INDEX, EITHER} and subject.chosen_from is not None:
            bodies.append(subject.chosen_from)
        return [digest_of(body).partition(":")[2] for body in bodies]

    def _weigh(self, candidate: Candidate, content: bytes, sha256: str) -> None:
        """Note what a candidate is good for, or why it is good for nothing."""
        try:
            statement = self._read(candidate, content, sha256)
            if statement.predicate_type == SIGN:
                self._signer = self._signer or statement.signer
                return
            met = [each for each in self._needed if _meets(each, statement)]
            _check_wanted(statement, self._rule)
        except UnfitError as unfit:
            self._unfit.append(f"{candidate.name}: {unfit}")
            return
        self._needed = [each for each in self._needed if each not in met]

    def _read(self, candidate: Candidate, content: bytes, sha256: str) -> Statement:
        rule, policy = self._rule, self._judge.policy
        if candidate.media_type == simplesigning.MEDIA_TYPE:
            name = repository_name(self._subject.reference, policy.port)
            return simplesigning.read(
                content, candidate.annotations, rule, sha256, name=name, port=policy.port
            )
        if candidate.media_type == bundle.ENVELOPE:
            statement = bundle.read_envelope(json_object(content, "it"), rule.keys, sha256)
            if statement.predicate_type == SIGN:
                raise UnfitError("it lies among the attestations")
            return statement
        return bundle.read(content, rule, policy.keyless, sha256)

    def _refusal(self, more: int) -> SignatureError:
        subject, pattern = self._subject, self._pattern
        digest = digest_of(subject.manifest)
        problem = f"no signature satisfies rule {pattern}"
        if self._signer:
            missing = ", ".join(sorted({each.predicate_type for each in self._needed}))
            problem = (
                f"signed by {self._signer}, but no attestation of type {missing} satisfies rule {pattern}"
            )
        shown = "; ".join(self._unfit[:_REASONS])
        found = f"found {len(self._unfit)}: {shown}" if self._unfit else "found none"
        if len(self._unfit) > _REASONS:
            found += f"; and {len(self._unfit) - _REASONS} more"
        if more:
            found += f"; {more} beyond the first {MOST} were not looked at"
        where = self._rule.signatures_in
        there = f" in {where.host}/{where.repository}" if where is not None else ""
        name = f"{subject.reference.host}/{subject.reference.repository}@{digest}"
        return SignatureError(
            f"{subject.reference} ({digest}): {problem}{there}; {found}",
            hint=f"sign {name} with cosign, by whom the policy names"
            if len(name) < 200
            else "sign it with cosign",
        )


def _check_wanted(statement: Statement, rule: Rule) -> None:
    """Raise UnfitError for an attestation that nobody asks for: a key that attests has not signed."""
    if statement.predicate_type not in {each.predicate_type for each in rule.attestations}:
        raise UnfitError(f"an attestation of type {printable(statement.predicate_type, 100)} is no signature")


def _meets(attestation: Attestation, statement: Statement) -> bool:
    """Say whether a statement is an attestation that meets all conditions. Raises UnfitError with what it lacks."""
    if statement.predicate_type == attestation.predicate_type:
        for path, wish in attestation.where:
            if not wish.met(member(statement.predicate, path)):
                raise UnfitError(f"its {path} is not {wish}")
        return True
    return False
