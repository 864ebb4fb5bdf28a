"""Profiles that had another name before 0.1: the old one is understood, with a warning."""

from __future__ import annotations

import sys
from functools import cache
from typing import Final

_PROFILES: Final = {"house": "kit-initializer"}


def current(name: str) -> str:
    """Return the name by which a profile, a case or a pattern of cases is known now."""
    profile, dot, rest = name.partition(".")
    if profile not in _PROFILES:
        return name
    _warn(profile)
    return _PROFILES[profile] + dot + rest


@cache
def _warn(profile: str) -> None:
    sys.stderr.write(
        f"kit-conformance: the profile {profile} is now called {_PROFILES[profile]}: write that\n"
    )
