"""One ordinary kit before any case: a subject that does not download it cannot be judged, and no case need be run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kit_conformance import lab
from kit_conformance.subject import ConfigError, SubjectError, builtin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kit_conformance.catalog import Case
    from kit_conformance.selection import Options
    from kit_conformance.subject import Config, Subject

_SECONDS: Final = 60.0
_LINES: Final = 20
_WITHOUT: Final = frozenset({"manifest", "kit"})  # profiles that judge something else than the subject


def check(subject: Subject, settings: lab.Settings, cases: Iterable[Case], options: Options) -> None:
    """Raise SubjectError when an ordinary kit does not arrive, with the subject's output and what to do."""
    if options.on("--no-preflight") or all(each.profile in _WITHOUT for each in cases):
        return
    from kit_conformance.cases import kits  # noqa: PLC0415  (imports the whole testbed)

    with lab.new(subject, settings) as made:
        try:
            result = made.run(made.place(kits.plain()), seconds=_SECONDS)
        except (ConfigError, SubjectError) as error:
            raise SubjectError(f"an ordinary kit cannot be asked for: {error}") from error
        if result.outcome.code == 0 and any(node.kind == "file" for node in result.tree.values()):
            return
        run = made.runs[-1]
        log = [str(line) for line in run["log"]][-_LINES:]
        ended = run["exit"] if result.outcome.code else "0, and the folder is empty"
    said = [f"  | {line}" for line in log] or ["  | (no output)"]
    variables = " ".join(f"{name}={value}" for name, value in sorted(run["environment"].items()))
    lines = [
        "an ordinary kit does not arrive, so no case was run",
        f"  command: {' '.join([*variables.split(), *run['command']])}",
        f"  exit code: {ended}",
        "  output:",
        *said,
        *_hints(subject.config, options),
    ]
    raise SubjectError("\n".join(lines))


def _hints(config: Config, options: Options) -> list[str]:
    given = options.text("--subject")
    hints = []
    if config.source == "bare":
        if config.name in builtin():
            hints.append(f"  try: --subject-config {config.name}, which ships with the suite")
        hints.append(f"  try: kit-conformance init --subject '{given}', which writes a subject.yaml")
    else:
        hints.append(f"  check: how {config.source} asks for plain HTTP and passes the URI and the folder")
    return [*hints, "  --no-preflight runs the cases all the same"]
