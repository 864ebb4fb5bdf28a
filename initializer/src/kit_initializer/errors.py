"""Every way a run can fail: one base, a leaf per cause, each with a slug, an exit code and a hint.

The exit codes and slugs are a contract with those who read `kubectl get inferenceservice -o yaml`: KServe copies both
into `status.modelStatus.lastFailureInfo`.
"""

from __future__ import annotations


class InitializerError(Exception):
    """A failure with a cause that is known.

    `str(error)` names what and where in one line; `hint` says what to do and may be empty.
    """

    slug = "bug"
    exit_code = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def line(self) -> str:
        """Return the one line that is shown: `slug: what and where; what to do`."""
        text = " ".join(f"{self.slug}: {self}".split())
        return f"{text}; {self.hint}" if self.hint else text


class KitFailedError(InitializerError):
    """The Kit CLI failed and no cause of our own list could be established."""

    slug = "kit"
    exit_code = 1


class UsageError(InitializerError):
    """Arguments, environment or flags that cannot be acted on."""

    slug = "usage"
    exit_code = 2


def no_threads() -> UsageError:
    """Return the error for a thread that the system does not give us."""
    return UsageError(
        "the container may have no more threads",
        hint="raise its limit of processes (the node's podPidsLimit), or lower KIT_CONCURRENCY",
    )


class NotFoundError(InitializerError):
    """The registry answered that there is no such repository, tag, manifest or blob."""

    slug = "not-found"
    exit_code = 3


class DeniedError(InitializerError):
    """The registry refused us, with or without credentials."""

    slug = "denied"
    exit_code = 4


class UnreachableError(InitializerError):
    """The network or the server failed, and did so for as long as we were ready to wait."""

    slug = "unreachable"
    exit_code = 5


class TLSError(InitializerError):
    """No trust could be established with the server, or a certificate of ours is unusable."""

    slug = "tls"
    exit_code = 6


class IntegrityError(InitializerError):
    """Bytes that do not match their digest or size."""

    slug = "integrity"
    exit_code = 7


class SignatureError(InitializerError):
    """A kit that nobody signed whom the signature policy names for it."""

    slug = "signature"
    exit_code = 7


class UnsafeContentError(InitializerError):
    """Content that matches its digest but must not be unpacked, or cannot be."""

    slug = "unsafe"
    exit_code = 8


class NotAModelKitError(InitializerError):
    """An artifact that is not a ModelKit, or one of a kind that is not understood."""

    slug = "not-a-modelkit"
    exit_code = 9


class DestinationError(InitializerError):
    """The destination is full, read-only, or holds something that is not ours."""

    slug = "destination"
    exit_code = 10


class EmptyError(InitializerError):
    """Nothing was selected, or the kit holds no file."""

    slug = "empty"
    exit_code = 11
