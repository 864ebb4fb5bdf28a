"""Whether a kit is signed by somebody who may sign it: the policy, the signatures beside a kit, and the verdict.

Nothing here is imported by a run without a policy. `Policy` says who may sign what, `finding` where signatures lie in a
registry, `simplesigning` and `bundle` read cosign's two formats, `keys` and `keyless` check them, `judge` decides.

Doubt is refusal: whatever cannot be fetched, read or understood never lets a kit in.
"""

from kit_initializer.signature.judge import Judge, Subject
from kit_initializer.signature.policy import Policy, read

__all__ = ["Judge", "Policy", "Subject", "read"]
