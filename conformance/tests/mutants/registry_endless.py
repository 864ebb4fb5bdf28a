"""Mutants that wait for ever where something keeps coming: the limits of the real initializer are taken away."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from unittest import mock

from conformance.tests.mutants.world import World, mutant
from kit_initializer.deadline import Deadline
from kit_initializer.http import wire
from kit_initializer.http.retry import Pace
from kit_initializer.registry import auth, download

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MORE, _LINE = wire.Wire._more, wire.Wire._line
_ONE_HEAD, _TOKEN = wire.Wire._one_head, auth.Authorizer._token


def _anew(until: Deadline) -> Deadline:
    return Deadline(until.seconds, variable=until.variable)


def _more(connection: wire.Wire, until: Deadline) -> bytes:
    """Begin the time anew with each read."""
    return _MORE(connection, _anew(until))


@contextlib.contextmanager
def _patched(name: str, broken: Callable[..., object]) -> Iterator[None]:
    with mock.patch.object(wire.Wire, name, broken):
        yield


def _head(connection: wire.Wire) -> object:
    with _patched("_more", _more):
        return _ONE_HEAD(connection)


@mutant("registry.endless-head", "registry.endless-token")
def each_read_of_a_head(world: World) -> int:
    """Limits each read of a head, and not the whole."""
    with _patched("_one_head", _head):
        return world.run().code


@mutant("registry.endless-interim")
def any_number(world: World) -> int:
    """Takes any number of interim responses, each with a time of its own."""

    def one(connection: wire.Wire) -> object:
        connection.until = _anew(connection.until)
        return _ONE_HEAD(connection)

    with mock.patch.object(wire, "_INTERIM_RESPONSES", 1_000_000), _patched("_one_head", one):
        return world.run().code


@mutant("registry.endless-chunk-size", "registry.endless-trailers")
def each_read_of_a_line(world: World) -> int:
    """Limits each read of a chunk's size, and not the whole."""

    def line(connection: wire.Wire, until: Deadline) -> bytes:
        with _patched("_more", _more):
            return _LINE(connection, until)

    with _patched("_line", line):
        return world.run().code


@mutant("registry.endless-trailers")
def each_trailer(world: World) -> int:
    """Limits each trailer, and not all of them."""

    def line(connection: wire.Wire, until: Deadline) -> bytes:
        return _LINE(connection, _anew(until))

    with _patched("_line", line):
        return world.run().code


@mutant("registry.endless-token")
def forgets_the_token_service(world: World) -> int:
    """Limits each read of a token service's head, and not the whole."""

    def token(authorizer: auth.Authorizer, *arguments: object) -> object:
        with _patched("_one_head", _head):
            return _TOKEN(authorizer, *arguments)  # type: ignore[arg-type]

    with mock.patch.object(auth.Authorizer, "_token", token):
        return world.run().code


@mutant("registry.endless-restart")
def passes_over(world: World) -> int:
    """Passes over what it has for as long as that takes."""

    class Patient(Pace):
        def moved(self, count: int, what: object) -> None:
            """Let it come as slowly as it likes."""

    with mock.patch.object(download, "Pace", Patient):
        return world.run().code
