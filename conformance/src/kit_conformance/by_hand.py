"""The fixture registry by hand: `kit-conformance serve-registry --fault cut:after=1000`."""

from __future__ import annotations

import inspect
import re
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kit_conformance.nearest import meant
from kit_conformance.testbed.registry import TLS, Basic, Registry, faults

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

_KINDS: Final = ("manifest", "blob", "token")
_READ: Final[Mapping[str, Callable[[str], object]]] = {
    "int": int,
    "float": float,
    "str": str,
    "bytes": str.encode,
    "bool": lambda text: text.lower() in {"1", "true", "yes", "on"},
}


class FaultError(Exception):
    """A fault that there is not, or that cannot be made like this."""


def known() -> dict[str, Any]:
    """Return what makes each fault, by its name on the command line: `no-head`, `status`, `cut`."""
    found = {}
    for name in faults.__all__:
        made = getattr(faults, name)
        if made in {faults.Fault, faults.BodyFault, faults.Exchange}:
            continue
        if all(each.annotation in _READ or each.default is not each.empty for each in _parameters(made)):
            found[re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).replace("_", "-").lower()] = made
    return found


def _parameters(made: Any) -> list[inspect.Parameter]:  # noqa: ANN401  (a class or a function)
    return list(inspect.signature(made).parameters.values())


def make(text: str) -> faults.Fault:
    """Make a fault of `NAME` or `NAME:key=value,key=value`. Raises FaultError."""
    name, _, rest = text.partition(":")
    made = known().get(name)
    if made is None:
        names = ", ".join(known())
        raise FaultError(f"there is no fault {name!r}{meant(name, known()) or f': {names}'}")
    parameters = {each.name: each for each in _parameters(made) if each.annotation in _READ}
    values: dict[str, object] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key not in parameters:
            raise FaultError(f"{name} takes {usage(name).partition(':')[2] or 'nothing'}, not {part!r}")
        try:
            values[key] = _READ[parameters[key].annotation](value)
        except ValueError as error:
            raise FaultError(f"{name}: {key} is {parameters[key].annotation}, not {value!r}") from error
    needed = [each.name for each in parameters.values() if each.default is each.empty]
    if missing := [each for each in needed if each not in values]:
        raise FaultError(f"{name} needs {', '.join(missing)}: {usage(name)}")
    fault: faults.Fault = made(**values)
    return fault


def usage(name: str) -> str:
    """Return how a fault is written, with the defaults of what it takes."""
    parts = [
        f"{each.name}={each.annotation.upper() if each.default is each.empty else each.default}"
        for each in _parameters(known()[name])
        if each.annotation in _READ
    ]
    return f"{name}:{','.join(parts)}" if parts else name


def add(verbs: Any) -> None:  # noqa: ANN401  (argparse has no public name for it)
    """Add the verb."""
    serving = verbs.add_parser(
        "serve-registry",
        help="run the fixture registry by hand, with sample kits and faults",
        description="Run a registry on loopback with a sample kit, until Ctrl-C, and print each request.",
    )
    serving.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME",
        help="inject a fault: NAME or NAME:key=value,…",
    )
    serving.add_argument("--faults", action="store_true", help="list the faults and what they take")
    serving.add_argument("--kind", choices=_KINDS, default="", help="let faults concern only these requests")
    serving.add_argument(
        "--times", type=int, default=None, metavar="N", help="inject each fault only N times"
    )
    serving.add_argument("--skip", type=int, default=0, metavar="N", help="let N requests pass before")
    serving.add_argument("--tls", action="store_true", help="serve HTTPS with its own CA")
    serving.add_argument("--login", default="", metavar="USER:PASSWORD", help="ask for a login")
    serving.add_argument(
        "--size", type=int, default=1_000_000, metavar="BYTES", help="size of the kit's model"
    )
    serving.set_defaults(verb=_serve)


def _serve(given: argparse.Namespace) -> int:
    if given.faults:
        for name in sorted(known()):
            title = (inspect.getdoc(known()[name]) or "").partition("\n")[0]
            _say(f"{usage(name)}\n  {title}")
        return 0
    try:
        injected = [make(text) for text in given.fault]
    except FaultError as error:
        sys.stderr.write(f"kit-conformance: {error}\n")
        return 2
    from kit_conformance.cases import kits  # noqa: PLC0415

    user, colon, password = given.login.partition(":")
    auth = Basic({user: password}) if colon else None
    with Registry(auth=auth, tls=TLS() if given.tls else None) as registry:
        for fault in injected:
            registry.inject(fault, kind=given.kind, times=given.times, skip=given.skip)
        _say(f"registry: {registry.url}")
        _say(f"kit: {registry.add(kits.model(given.size), 'iris', 'v1')}")
        if registry.tls is not None:
            _say(f"CA: {Path(registry.tls.ca_file)}")
        for text in given.fault:
            _say(f"fault: {text}")
        _say("Ctrl-C ends it")
        return _follow(registry)


def _follow(registry: Registry) -> int:
    """Print each request when it has ended, until somebody ends this."""
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    shown: set[int] = set()
    while not over.wait(0.2):
        for place, entry in enumerate(registry.ledger):
            if place not in shown and entry.ended:
                shown.add(place)
                faulty = f" ({', '.join(entry.faults)})" if entry.faults else ""
                _say(f"{entry}{faulty}")
    registry.heal()
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
