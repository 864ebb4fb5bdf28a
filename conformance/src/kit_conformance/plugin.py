"""The pytest plugin. Without `--subject` it does nothing but to know its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_conformance.selection import OPTIONS, read

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; each but the subject has a variable KIT_CONFORMANCE_… that stands in for it."""
    group = parser.getgroup("kit-conformance", "the conformance suite for storage initializers of ModelKits")
    for option in OPTIONS:
        group.addoption(option.pytest, default=None, **option.action)


def pytest_configure(config: pytest.Config) -> None:
    """Begin a run of the suite, if there is a subject."""
    options = read(config.getoption)
    if not options.subject:
        return
    from kit_conformance.session import Session  # noqa: PLC0415  (nobody else pays for it)

    config.pluginmanager.register(Session(config, options), "kit-conformance-session")
