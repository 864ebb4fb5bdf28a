"""Who we are at a registry: one module a source, one order of precedence (`sources.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kit_initializer.secret import Secret


class Login(NamedTuple):
    """A login at one registry.

    `identity_token` stands in for user and password at a token service (OAuth 2.0). `source` says where the
    login came from in words that may be printed.
    """

    username: str
    password: Secret
    identity_token: Secret | None
    source: str


class Wanted(NamedTuple):
    """What a login is for: a repository at `host` ("r.example:5000").

    `parent`: its host was not given to the run, but by the kit that takes its model from there.
    """

    host: str
    repository: str
    parent: bool = False
