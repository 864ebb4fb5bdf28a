"""What a run says of itself: log lines, progress, and the termination message that KServe shows."""

from __future__ import annotations

import json
import math
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from kit_initializer.sizes import size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kit_initializer.errors import InitializerError

# Kubernetes keeps 4 KiB of all containers' messages together 12 KiB; one line on a screen is what is read.
MESSAGE_BYTES = 1024
PROGRESS_S = 5.0
_BAR_S = 0.25
_BAR_CHARACTERS = 24
_LEVELS = ("debug", "info", "warn", "error")


class Outcome(NamedTuple):
    """One kit that is in place. `unchanged`: it was there already, and nothing was downloaded.

    `signature` is why the signature policy let it in, "" without one.
    """

    uri: str
    digest: str
    engine: str
    files: int
    bytes: int
    seconds: float
    unchanged: bool
    signature: str = ""


class Reporter:
    """Log lines as text or JSON, from `level` on, each given to `write`.

    `status` shows a line that the next one replaces, where there is a terminal; None elsewhere.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        level: str = "info",
        json_lines: bool = False,
        status: Callable[[str], None] | None = None,
    ) -> None:
        self._write = write
        self.status = status
        self._level = _LEVELS.index(level)
        self._json = json_lines

    def log(self, level: str, message: str, **fields: object) -> None:
        """Say one thing; `fields` are what a machine would want of it (JSON only)."""
        if _LEVELS.index(level) < self._level:
            return
        text = " ".join(message.split())
        if self._json:
            self._write_json(level, text, fields)
        else:
            self._write(text if level == "info" else f"{level}: {text}")

    def _write_json(self, level: str, text: str, fields: Mapping[str, object]) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._write(
            json.dumps({"time": stamp, "level": level, "message": text, **fields}, ensure_ascii=False)
        )

    @property
    def tracing(self) -> bool:
        """Whether single requests are of interest."""
        return self._level == 0

    def debug(self, message: str) -> None:
        """Say what only a search for a fault needs."""
        self.log("debug", message)

    def info(self, message: str) -> None:
        """Say what happens."""
        self.log("info", message)

    def warn(self, message: str) -> None:
        """Say what may surprise."""
        self.log("warn", message)

    def failed(self, error: InitializerError) -> None:
        """Say why the run ends: the last line, as the termination message has it."""
        if self._json:
            self._write_json("error", error.line(), {"cause": error.slug, "exit_code": error.exit_code})
        else:
            self._write(error.line())

    def done(self, outcome: Outcome) -> None:
        """Say what is in place."""
        if outcome.unchanged:
            text = f"{outcome.uri} is in place already ({outcome.digest}), nothing to download"
        else:
            rate = outcome.bytes / outcome.seconds if outcome.seconds else 0.0
            text = (
                f"{outcome.uri} is in place ({outcome.digest}): {outcome.files} files, {size(outcome.bytes)}"
                f" in {outcome.seconds:.2f} s, {size(rate)}/s, engine {outcome.engine}"
            )
        fields = {name: value for name, value in outcome._asdict().items() if value or name != "signature"}
        self.log("info", text, **fields)
        if outcome.signature:
            self.info(f"{outcome.uri} is let in by the signature policy: {outcome.signature}")


class Progress:
    """How far a download is: done of total, rate, what is left.

    A line every few seconds, or a bar on a terminal; `every_s` of math.inf is neither.
    """

    def __init__(self, reporter: Reporter, total: int, *, every_s: float = PROGRESS_S) -> None:
        self._reporter = reporter
        self._total = total
        self._bar = reporter.status if every_s < math.inf else None
        self._every_s = min(every_s, _BAR_S) if self._bar is not None else every_s
        self._last = time.monotonic()
        self._last_done = 0

    def update(self, done: int) -> None:
        """Say how far it is, when it is time to."""
        now = time.monotonic()
        if now - self._last < self._every_s:
            return
        rate = (done - self._last_done) / (now - self._last)
        left = self._total - done
        eta = f"about {left / rate:.0f} s left" if rate > 0 else "nothing is coming"
        share = 100 * done // self._total if self._total else 100
        text = f"{size(done)} of {size(self._total)} ({share} %), {size(rate)}/s, {eta}"
        if self._bar is not None:
            filled = share * _BAR_CHARACTERS // 100
            self._bar(f"[{'#' * filled}{'.' * (_BAR_CHARACTERS - filled)}] {text}")
        else:
            self._reporter.log("info", text, done=done, total=self._total, rate=int(rate))
        self._last, self._last_done = now, done

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar("")


def success(outcomes: Sequence[Outcome]) -> str:
    """Return the termination message of a run that succeeded: JSON, at most MESSAGE_BYTES.

    `{"engine": …, "kits": [{"uri", "digest", "files", "bytes", "seconds"}], "more": N}`: kits for which there was
    no room are counted. With a signature policy each has its `signature` as well: why it was let in.
    """
    kits: list[dict[str, object]] = []
    message = ""
    for outcome in outcomes:
        kits.append(
            {
                "uri": outcome.uri,
                "digest": outcome.digest,
                "files": outcome.files,
                "bytes": outcome.bytes,
                "seconds": round(outcome.seconds, 2),
                **({"signature": outcome.signature} if outcome.signature else {}),
            }
        )
        longer = _message(outcome.engine, kits, len(outcomes) - len(kits))
        if len(longer.encode()) > MESSAGE_BYTES:
            break
        message = longer
    return message or _message(outcomes[0].engine if outcomes else "native", [], len(outcomes))


def _message(engine: str, kits: list[dict[str, object]], more: int) -> str:
    return json.dumps({"engine": engine, "kits": kits, "more": more}, ensure_ascii=False)


def leave_message(path: str, message: str, *, create: bool) -> None:
    """Write the termination message; a container without such a file is none, and is no failure."""
    text = message.encode(errors="backslashreplace")[:MESSAGE_BYTES].decode(errors="ignore")
    flags = os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_CREAT if create else 0)
    try:
        with open(os.open(path, flags, 0o644), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return
