"""One stream for several readers: what is needed in several places is downloaded once."""

from __future__ import annotations

from threading import Condition, Thread
from typing import TYPE_CHECKING

from kit_initializer.errors import no_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Reader = Callable[[Iterator[memoryview]], object]


def spread(chunks: Iterator[memoryview], readers: Sequence[Reader]) -> list[BaseException]:
    """Give all chunks to every reader, side by side, and return what they raised.

    A reader that ends early holds up no other one. A chunk is valid until its reader asks for the next one.
    """
    if len(readers) == 1:
        return _read(readers[0], chunks)
    shared = _Shared(chunks, len(readers))
    errors: list[BaseException] = []

    def work(reader: Reader) -> None:
        try:
            errors.extend(_read(reader, shared.read()))
        finally:
            shared.leave()

    threads = [Thread(target=work, args=(reader,), name="layer-copy", daemon=True) for reader in readers[1:]]
    started = 0
    try:
        for thread in threads:
            thread.start()
            started += 1
    except RuntimeError:
        errors.append(no_threads())
        for _ in threads[started:]:
            shared.leave()
    work(readers[0])
    for thread in threads[:started]:
        thread.join()
    return errors


def _read(reader: Reader, chunks: Iterator[memoryview]) -> list[BaseException]:
    try:
        reader(chunks)
    except BaseException as error:  # noqa: BLE001 - returned
        return [error]
    return []


class _Shared:
    """Chunks that are taken from their source when all readers have asked for the next one."""

    def __init__(self, chunks: Iterator[memoryview], readers: int) -> None:
        self._chunks = chunks
        self._readers = readers
        self._asking = 0
        self._round = 0
        self._chunk: memoryview | None = None
        self._error: BaseException | None = None
        self._changed = Condition()

    def read(self) -> Iterator[memoryview]:
        """Yield the chunks to one of the readers."""
        while (chunk := self._next()) is not None:
            yield chunk

    def leave(self) -> None:
        """Go on without one of the readers."""
        with self._changed:
            self._readers -= 1
            self._advance()

    def _next(self) -> memoryview | None:
        with self._changed:
            this = self._round
            self._asking += 1
            self._advance()
            self._changed.wait_for(
                lambda: self._round != this
            )  # the source ends, whatever happens: it has bounds
            if self._error is not None:
                raise self._error
            return self._chunk

    def _advance(self) -> None:
        if not self._asking or self._asking < self._readers:
            return
        try:
            self._chunk = next(self._chunks, None)
        except BaseException as error:  # noqa: BLE001 - raised by each reader
            self._error = error
        self._asking = 0
        self._round += 1
        self._changed.notify_all()
