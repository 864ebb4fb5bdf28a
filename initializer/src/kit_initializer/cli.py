"""argv, signals, exit code: the only room that prints.

KServe's contract: `SRC DEST [SRC DEST …]` as arguments, exit code 0 when every model is in place, and a message for
people in the termination log, which it copies to the InferenceService's status.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, NoReturn

from kit_initializer import __version__, early_end, reference, settings
from kit_initializer.console import Console
from kit_initializer.errors import InitializerError, UsageError
from kit_initializer.pull import Pair, pull_all
from kit_initializer.report import Reporter, leave_message, success
from kit_initializer.secret import printable
from kit_initializer.settings.variables import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

    from kit_initializer.reference import Reference

_OUT_OF_MEMORY = UsageError(
    "the run needs more memory than the container has",
    hint="raise the memory limit of the ClusterStorageContainer, or lower KIT_CONCURRENCY",
)
USAGE = "usage: kit-initializer SRC DEST [SRC DEST …]    (SRC: kit://host/repository:tag)"
CHECK = "usage: kit-initializer check SRC… [DEST]"
_MODELS = "/mnt/models"  # where KServe wants them
_console = Console()
_write = _console.write
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do one run and return its exit code."""
    asked = _asked(arguments, environ)
    if asked is not None:
        return asked
    os.umask(0)  # modes are set where files are made, and servers run as other users
    reporter = Reporter(_write)
    message_path = environ.get("KIT_TERMINATION_LOG") or DEFAULTS["KIT_TERMINATION_LOG"]

    def stop(number: int, _: FrameType | None) -> NoReturn:
        _stop(number, reporter, message_path, environ)

    for number in _SIGNALS:
        signal.signal(number, stop)
    try:
        chosen = settings.read(environ)
        live = chosen.progress == "fancy" and chosen.log_format == "text" and _console.terminal
        reporter = Reporter(
            _write,
            level=chosen.log_level,
            json_lines=chosen.log_format == "json",
            status=_console.status if live else None,
        )
        for warning in chosen.warnings:
            reporter.warn(warning)
        outcomes = pull_all(_pairs(arguments, reporter), chosen, reporter)
        for outcome in outcomes:
            reporter.done(outcome)
        _leave(message_path, success(outcomes), environ)
    except InitializerError as error:
        return _fail(error, reporter, message_path, environ)
    except MemoryError:
        return _fail(_OUT_OF_MEMORY, reporter, message_path, environ)
    except Exception as error:  # noqa: BLE001 - no traceback ever reaches a user
        return _fail(_bug(error), reporter, message_path, environ)
    return 0


def _asked(arguments: Sequence[str], environ: Mapping[str, str]) -> int | None:
    """Answer what people ask for and return an exit code; None where it is a run."""
    if arguments and arguments[0] in {"-h", "--help"}:
        from kit_initializer import help as helping  # noqa: PLC0415 - 5 ms, for people alone

        return _print(helping.text(USAGE))
    if list(arguments) == ["--version"]:
        return _print(f"kit-initializer {__version__}\n")
    return _check(arguments[1:], environ) if arguments and arguments[0] == "check" else None


def _check(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Look at kits and print what is found to standard output; what is in the way is told as a run tells it."""
    from kit_initializer.pull.check import check  # noqa: PLC0415 - for people alone

    reporter = Reporter(_write)
    try:
        chosen = settings.read(environ)
        lines = chosen.log_format == "json"
        reporter = Reporter(_write, level=chosen.log_level, json_lines=lines)
        for warning in chosen.warnings:
            reporter.warn(warning)
        references, folder = _looked_at(arguments)
        for found in check(references, folder, chosen, reporter):
            _print("\n".join([found.json()] if lines else found.lines()) + "\n")
    except InitializerError as error:
        reporter.failed(error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - no traceback ever reaches a user
        reporter.failed(bug := _bug(error))
        return bug.exit_code
    return 0


def _looked_at(arguments: Sequence[str]) -> tuple[list[Reference], str]:
    """Return the kits that are to be looked at, and the folder that they are meant for."""
    _refuse_flags(arguments)
    uris = [each for each in arguments if "://" in each]
    folders = [each for each in arguments if "://" not in each]
    if not uris or len(folders) > 1:
        raise UsageError("check takes URIs, and at most one folder", hint=CHECK)
    return [reference.parse(uri) for uri in uris], folders[0] if folders else _MODELS


def _refuse_flags(arguments: Sequence[str]) -> None:
    flag = next((each.partition("=")[0] for each in arguments if each.startswith("--")), "")
    if flag:
        raise UsageError(
            f"{flag} is an argument, and the initializer takes none but SRC and DEST",
            hint=f"set the environment variable KIT_UNPACK_FLAGS to {flag}",
        )


def _print(text: str) -> int:
    """Print to standard output what was asked for, whatever the locale, and whether or not somebody reads it."""
    with contextlib.suppress(OSError):
        os.write(1, text.encode())
    return 0


def _pairs(arguments: Sequence[str], reporter: Reporter) -> list[Pair]:
    """Return the pairs of argv; nothing is fetched unless all of them make sense."""
    _refuse_flags(arguments)
    if not arguments or len(arguments) % 2:
        raise UsageError(
            f"expected pairs of SRC and DEST, got {len(arguments) or 'no'} arguments", hint=USAGE
        )
    pairs = []
    for source, folder in zip(arguments[::2], arguments[1::2], strict=True):
        parsed = reference.parse(source)
        if parsed.tag is None and parsed.digest is None:
            reporter.warn(
                f"{parsed} names no tag: taking {reference.DEFAULT_TAG}, which may change at any time"
            )
        if not folder or "\0" in folder:
            raise UsageError(f"the destination of {parsed} is empty", hint=USAGE)
        pairs.append(Pair(parsed, folder))
    return pairs


def _fail(error: InitializerError, reporter: Reporter, path: str, environ: Mapping[str, str]) -> int:
    reporter.failed(error)
    _leave(path, error.line(), environ)
    return error.exit_code


def _bug(error: Exception) -> InitializerError:
    """Return a failure that nobody has thought of, with the place where it happened."""
    place, trace = "", error.__traceback__
    while trace is not None:
        place = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return InitializerError(f"{type(error).__name__} at {place}: {error}", hint="please report this")


def _stop(number: int, reporter: Reporter, path: str, environ: Mapping[str, str]) -> NoReturn:
    """End at once, from within the handler: no thread is waited for, and the next run sweeps the staging."""
    for other in _SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    early_end.happen()
    text = f"stopped by {signal.Signals(number).name} before everything was published; the next run resumes"
    reporter.info(text)
    _leave(path, text, environ)
    os._exit(128 + number)


def _leave(path: str, message: str, environ: Mapping[str, str]) -> None:
    leave_message(path, printable(message), create=bool(environ.get("KIT_TERMINATION_LOG")))
