"""WWW-Authenticate, as RFC 9110 (11.6.1) writes it: a list of challenges, in any number of header fields.

    WWW-Authenticate = #challenge
    challenge        = scheme [ 1*SP ( token68 / #( token BWS "=" BWS ( token / quoted-string ) ) ) ]

Both lists have the same comma, and may have empty members. What follows a comma is a parameter where it reads as one,
and begins the next challenge otherwise.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# As texts, which `re` compiles and keeps at their first use: most runs are asked to log in nowhere.
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+)"'
_END = r"[ \t]*(?=,|\Z)"
_PARAMETER = rf"({_NAME})[ \t]*=[ \t]*(?:({_NAME})|{_QUOTED}){_END}"
_SCHEME = rf"({_NAME})(?:(?= )|{_END})"
_TOKEN68 = rf"([0-9A-Za-z._~+/-]+=*){_END}"
_BETWEEN = r"[ \t,]*"
_BLANKS = r" *"
_PAIR = r"(?s)\\(.)"


class Challenge(NamedTuple):
    """One way to log in. `scheme` and the names of parameters are in lower case; `token68` is "" in most schemes."""

    scheme: str
    parameters: dict[str, str]
    token68: str = ""


def parse(field: str) -> list[Challenge]:
    """Return the challenges of one header field. Raises ValueError for text that the grammar does not have."""
    challenges: list[Challenge] = []
    at = _skip(_BETWEEN, field, 0)
    while at < len(field):
        parameter = _match(_PARAMETER, field, at)
        if parameter and challenges:
            name, token, quoted = parameter.groups()
            known = challenges[-1].parameters
            if challenges[-1].token68 or name.lower() in known:
                raise ValueError(f"{name} cannot stand here")
            known[name.lower()] = token if token is not None else re.sub(_PAIR, r"\1", quoted)
            at = _skip(_BETWEEN, field, parameter.end())
            continue
        scheme = _match(_SCHEME, field, at)
        if not scheme:
            raise ValueError(f"no challenge at character {at}")
        at = _skip(_BLANKS, field, scheme.end())
        token68 = None if _match(_PARAMETER, field, at) else _match(_TOKEN68, field, at)
        challenges.append(Challenge(scheme[1].lower(), {}, token68[1] if token68 else ""))
        at = _skip(_BETWEEN, field, token68.end() if token68 else at)
    return challenges


def _match(what: str, field: str, at: int) -> re.Match[str] | None:
    return re.compile(what).match(field, at)


def _skip(what: str, field: str, at: int) -> int:
    found = _match(what, field, at)
    return found.end() if found else at
