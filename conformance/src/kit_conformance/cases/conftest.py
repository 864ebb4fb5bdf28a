"""What a case is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kit_conformance.session import session_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from kit_conformance.lab import Lab


def pytest_collection_modifyitems(config: pytest.Config) -> None:
    """Refuse to run cases without a subject."""
    session_of(config)


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Generator[Lab]:
    """Give registries, destinations and the subject, all for this case alone."""
    yield from session_of(request.config).lab(request)
