"""The logins of a run, looked up when a registry asks: the sources take a quarter of a small pull to import."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kit_initializer.deadline import call_within

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_initializer.credentials import Login, Wanted
    from kit_initializer.http import Transport
    from kit_initializer.settings import Settings


class Logins:
    """Who we are at registries. `warn` is given what cannot be read but says nothing of the one in question."""

    def __init__(self, settings: Settings, transport: Transport, warn: Callable[[str], None]) -> None:
        self._settings = settings
        self._transport = transport
        self._warn = warn

    def find(self, wanted: Wanted) -> Login | None:
        """Return the login of the first source that has one. Raises InitializerError when it cannot be used."""
        from kit_initializer.credentials import sources  # noqa: PLC0415 - 8 ms

        until = self._transport.nearer("KIT_PROGRESS_TIMEOUT", self._settings.progress_timeout)
        try:
            return call_within(
                until, partial(sources.find, wanted, self._settings, self._transport, self._warn)
            )
        except TimeoutError:
            raise until.error(f"getting a login for {wanted.host}") from None

    def advice(self, wanted: Wanted) -> str:
        """Return what to do where no source has a login."""
        from kit_initializer.credentials import sources  # noqa: PLC0415

        return sources.advice(wanted, self._settings)
