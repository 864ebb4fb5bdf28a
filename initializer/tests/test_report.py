"""What a run says of itself: lines, JSON, progress, and a termination message that fits."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit_initializer.errors import IntegrityError
from kit_initializer.report import (
    MESSAGE_BYTES,
    Outcome,
    Progress,
    Reporter,
    leave_message,
    success,
)
from kit_initializer.sizes import size

OUTCOME = Outcome("kit://r.example/k:v1", "sha256:1", "native", 3, 2_500_000, 0.5, unchanged=False)
ERROR = IntegrityError("layer sha256:1\nof kit://r.example/k:v1  does not match", hint="push the kit again")


def test_lines() -> None:
    lines: list[str] = []
    reporter = Reporter(lines.append)
    reporter.log("debug", "too much")
    reporter.info("a\n b\tc")
    reporter.warn("odd")
    reporter.done(OUTCOME)
    reporter.done(OUTCOME._replace(unchanged=True))
    reporter.done(OUTCOME._replace(seconds=0.0))
    reporter.failed(ERROR)
    assert lines == [
        "a b c",
        "warn: odd",
        "kit://r.example/k:v1 is in place (sha256:1): 3 files, 2.5 MB in 0.50 s, 5.0 MB/s, engine native",
        "kit://r.example/k:v1 is in place already (sha256:1), nothing to download",
        "kit://r.example/k:v1 is in place (sha256:1): 3 files, 2.5 MB in 0.00 s, 0 B/s, engine native",
        "integrity: layer sha256:1 of kit://r.example/k:v1 does not match; push the kit again",
    ]


def test_json() -> None:
    lines: list[str] = []
    reporter = Reporter(lines.append, json_lines=True, level="debug")
    reporter.log("debug", "dä\nta", rate=3)
    reporter.warn("odd")
    reporter.done(OUTCOME)
    reporter.failed(ERROR)
    assert "\n" not in "".join(lines)
    assert "dä ta" in lines[0]
    debug, warn, done, failed = (json.loads(line) for line in lines)
    moment = time.strptime(debug.pop("time"), "%Y-%m-%dT%H:%M:%SZ")
    assert abs(time.mktime(moment) - time.mktime(time.gmtime())) < 60
    assert debug == {"level": "debug", "message": "dä ta", "rate": 3}
    assert warn["level"] == "warn"
    assert done["message"].startswith("kit://r.example/k:v1 is in place")
    without = {name: value for name, value in OUTCOME._asdict().items() if name != "signature"}
    assert {name: done[name] for name in done if name in OUTCOME._fields} == without
    assert (failed["level"], failed["message"]) == ("error", ERROR.line())
    assert (failed["cause"], failed["exit_code"]) == ("integrity", 7)


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ("debug", ["debug: d", "i", "warn: w"]),
        ("info", ["i", "warn: w"]),
        ("warn", ["warn: w"]),
        ("error", []),
    ],
)
def test_levels(level: str, said: list[str]) -> None:
    lines: list[str] = []
    reporter = Reporter(lines.append, level=level)
    reporter.log("debug", "d")
    reporter.info("i")
    reporter.warn("w")
    reporter.failed(ERROR)
    assert lines == [*said, ERROR.line()]


def test_progress() -> None:
    lines: list[str] = []
    reporter = Reporter(lines.append, json_lines=True)
    progress = Progress(reporter, 1000, every_s=0.05)
    progress.update(1)
    assert lines == []
    time.sleep(0.06)
    progress.update(250)
    progress.update(300)
    time.sleep(0.06)
    progress.update(250)
    first, second = (json.loads(line) for line in lines)
    assert (first["done"], first["total"]) == (250, 1000)
    assert first["message"].startswith("250 B of 1.0 kB (25 %), ")
    assert first["message"].endswith(" s left")
    assert 0 < first["rate"] < 250 / 0.05
    assert second["message"].endswith("0 B/s, nothing is coming")


def test_progress_of_nothing() -> None:
    lines: list[str] = []
    progress = Progress(Reporter(lines.append), 0, every_s=0)
    progress.update(0)
    assert lines == ["0 B of 0 B (100 %), 0 B/s, nothing is coming"]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_250_000, "1.2 MB"),
        (4_700_000_000, "4.7 GB"),
        (12_000_000_000_000, "12.0 TB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@given(
    st.lists(
        st.builds(
            Outcome,
            uri=st.text(max_size=300),
            digest=st.just("sha256:" + "0" * 64),
            engine=st.sampled_from(["native", "kit"]),
            files=st.integers(0, 10**6),
            bytes=st.integers(0, 10**13),
            seconds=st.floats(0, 10**5),
            unchanged=st.booleans(),
        ),
        max_size=20,
    )
)
def test_any_success_fits(outcomes: list[Outcome]) -> None:
    text = success(outcomes)
    assert len(text.encode(errors="backslashreplace")) <= MESSAGE_BYTES
    message = json.loads(text)
    assert len(message["kits"]) + message["more"] == len(outcomes)
    assert [kit["uri"] for kit in message["kits"]] == [each.uri for each in outcomes[: len(message["kits"])]]


def test_as_many_kits_as_fit_are_named() -> None:
    message = json.loads(success([OUTCOME] * 30))
    assert 5 < len(message["kits"]) < 30
    assert len(json.dumps(message)) > MESSAGE_BYTES - 120
    (kit,) = json.loads(success([OUTCOME]))["kits"]
    assert kit == {"uri": OUTCOME.uri, "digest": "sha256:1", "files": 3, "bytes": 2_500_000, "seconds": 0.5}


def test_a_message_is_left_where_there_is_a_file_or_one_may_be_made(tmp_path: Path) -> None:
    path = tmp_path / "log"
    leave_message(str(path), "one", create=False)
    assert not path.exists()
    leave_message(str(path), "a longer one", create=True)
    leave_message(str(path), "short", create=False)
    assert path.read_text(encoding="utf-8") == "short"
    assert path.stat().st_mode & 0o777 == 0o644
    leave_message(str(tmp_path / "no" / "folder"), "one", create=True)


@given(st.text(st.characters(), max_size=2000))
def test_any_message_fits_and_is_text(message: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        leave_message(str(path), message, create=True)
        body = path.read_bytes()
    assert len(body) <= MESSAGE_BYTES
    assert message.encode(errors="backslashreplace").startswith(body)
    assert len(body) > MESSAGE_BYTES - 4 or body == message.encode(errors="backslashreplace")
    body.decode()
