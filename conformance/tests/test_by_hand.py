"""What people run by hand: `init`, which finds out about a subject, and `serve-registry`."""

from __future__ import annotations

import base64
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kit_conformance import by_hand, cli
from kit_conformance.subject import load
from kit_conformance.subject.config import parse
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conformance.tests.conftest import Client

# An initializer that downloads nothing but what is on the registry under one name, and wants a flag and a login.
SCRIPT = """#!{python}
import base64, hashlib, json, os, sys, tarfile, urllib.request
if sys.argv[1:] == ["version"]:
    print("Version: 3.2.1")
    sys.exit(0)
if sys.argv[1] != "unpack" or "--plain-http" not in sys.argv:
    sys.exit("usage: unpack REFERENCE -d FOLDER --plain-http")
host, _, rest = sys.argv[2].partition("/")
name, _, tag = rest.rpartition(":")
def get(path):
    request = urllib.request.Request(f"http://{{host}}/v2/{{name}}/{{path}}")
    request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
    if "FETCH_USER" in os.environ:
        login = base64.b64encode(f"{{os.environ['FETCH_USER']}}:{{os.environ['FETCH_PASSWORD']}}".encode()).decode()
        request.add_header("Authorization", f"Basic {{login}}")
    for each in sys.argv:
        user, equals, value = each.partition("=")
        if user == "--username":
            word = next(a for a in sys.argv if a.startswith("--password=")).partition("=")[2]
            request.add_header("Authorization", "Basic " + base64.b64encode(f"{{value}}:{{word}}".encode()).decode())
    return urllib.request.urlopen(request, timeout=10)
for layer in json.load(get(f"manifests/{{tag}}"))["layers"]:
    with tarfile.open(fileobj=get(f"blobs/{{layer['digest']}}"), mode="r|*") as tar:
        tar.extractall(sys.argv[4])
open(os.path.join(sys.argv[4], ".mine"), "w").close()
"""


def test_init_writes_how_a_subject_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script, path = tmp_path / "fetch", tmp_path / "subject.yaml"
    script.write_text(SCRIPT.format(python=sys.executable), "utf-8")
    script.chmod(0o755)
    words = ["init", "--subject", f"command:{script}", "--file", str(path)]
    assert cli.main(words) == 0
    text = path.read_text("utf-8")
    config = load(str(path))
    assert (config.name, config.before, config.version) == ("fetch", ("unpack",), ("version",))
    assert config.arguments == ("{reference}", "-d", "{destination}")
    assert config.ask["plain-http"].arguments == ("--plain-http",)
    assert config.ask["login"].arguments == ("--username={user}", "--password={password}")
    assert config.record == ".mine"
    assert config.features == {"login", "overwrite"} & config.features
    assert "login" in config.features
    assert "# Not claimed" in text
    assert parse(text, "again") == parse(text, "again")
    capsys.readouterr()
    assert cli.main(words) == 2
    assert "exists" in capsys.readouterr().err


def test_init_says_why_nothing_arrives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "it"
    script.write_text("#!/bin/sh\necho I want tea\nexit 1\n", "utf-8")
    script.chmod(0o755)
    assert cli.main(["init", "--subject", f"command:{script}", "--file", "-"]) == 2
    assert "its last words: I want tea" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("no-head", faults.NoHead()),
        ("cut:after=1000", faults.Cut(1000)),
        ("status:status=429,retry_after=2", faults.Status(429, "2")),
        ("drop:reset=true", faults.Drop(reset=True)),
        ("latency:seconds=0.5", faults.Latency(0.5)),
        ("no-digest-header", faults.no_digest_header()),
    ],
)
def test_faults_by_name(text: str, made: faults.Fault) -> None:
    found = by_hand.make(text)
    assert type(found) is type(made)
    assert vars(found) == vars(made)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no-haed", "did you mean no-head?"),
        ("qqq", "there is no fault 'qqq': "),
        ("cut:before=1", "cut takes after=0, not 'before=1'"),
        ("cut:after=x", "after is int, not 'x'"),
        ("latency", "latency needs seconds: latency:seconds=FLOAT"),
    ],
)
def test_faults_that_there_are_not(text: str, said: str) -> None:
    with pytest.raises(by_hand.FaultError, match=re.escape(said)):
        by_hand.make(text)


def test_every_fault_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve-registry", "--faults"]) == 0
    text = capsys.readouterr().out
    assert {"stall:after=0", "hang", "crowded:most=1,status=503,retry_after="} <= set(text.splitlines())


def test_a_registry_by_hand(connect: Callable[..., Client]) -> None:
    words = ["serve-registry", "--fault", "status:status=418", "--kind", "blob", "--login", "ann:a-word"]
    command = [sys.executable, "-u", "-m", "kit_conformance", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = {}
        for line in process.stdout:
            name, _, value = line.strip().partition(": ")
            found[name] = value
            if line.startswith("Ctrl-C"):
                break
        assert found["fault"] == "status:status=418"
        assert found["kit"].endswith("/iris:v1")
        ask = connect(found["registry"].removeprefix("http://"))
        login = {"Authorization": "Basic " + base64.b64encode(b"ann:a-word").decode()}
        assert ask("GET", "/v2/iris/tags/list").status == 401
        assert b"v1" in ask("GET", "/v2/iris/tags/list", headers=login).body
        assert ask("GET", f"/v2/iris/blobs/sha256:{'0' * 64}", headers=login).status == 418
        seen = next(line for line in process.stdout if "418" in line)
        assert "Status" in seen
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
