"""Starting, waiting for, asking and stopping a model server.

What is started here is a stand-in for MLServer, of which only Python is at hand: it speaks V2 and behaves as
told. The quickstart runs the same code over the real one.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed.serving import MLServer, ServingError, outputs

if TYPE_CHECKING:
    from pathlib import Path

SERVER = """#!{python}
import http.server, json, os, sys, time
print("starting with", json.dumps(sys.argv[1:]), flush=True)
mode = open(os.environ["MLSERVER_MODEL_URI"] + "/mode").read()
if mode == "fails":
    print("no such model", flush=True)
    sys.exit(7)
if mode == "in use":
    print("[Errno 98] Address already in use", flush=True)
    with open(os.environ["MLSERVER_MODEL_URI"] + "/tries", "a") as file:
        file.write("x")
    sys.exit(1)
if mode == "hangs":
    time.sleep(60)

class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self):
        self.answer(200 if self.path == f"/v2/models/{{os.environ['MLSERVER_MODEL_NAME']}}/ready" else 404, {{}})
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if request.get("inputs") is None:
            return self.answer(422, {{"error": "inputs"}})
        environment = {{key: value for key, value in os.environ.items()}}
        self.answer(200, {{"outputs": [{{"name": "predict", "data": [1, 2]}}], "environment": environment}})
    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["MLSERVER_HTTP_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Return the interpreter of an environment, as far as its folder goes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "mlserver"
    script.write_text(SERVER.format(python=sys.executable))
    script.chmod(0o755)
    return folder / "python"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "mode").write_text("works")
    return folder


def test_predict(python: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_PASSWORD", "s3cret")
    with MLServer(python, model, "iris") as server:
        response = server.predict_v2({"inputs": []})
        assert outputs(response) == {"predict": [1, 2]}
        environment = response["environment"]
        assert environment["MLSERVER_MODEL_NAME"] == "iris"
        assert environment["MLSERVER_MODEL_URI"] == str(model)
        assert environment["MLSERVER_MODEL_IMPLEMENTATION"] == "mlserver_sklearn.SKLearnModel"
        assert len({environment[f"MLSERVER_{kind}_PORT"] for kind in ("HTTP", "GRPC", "METRICS")}) == 3
        assert "KIT_PASSWORD" not in environment
        assert f'starting with ["start", "{model}"]' in server.log
        with pytest.raises(ServingError, match="422"):
            server.predict_v2({})
        server.stop()
        with pytest.raises(ServingError, match="does not answer"):
            server.predict_v2({"inputs": []})
    assert sorted(path.name for path in model.iterdir()) == ["mode"]


def test_early_end_is_told_at_once_with_the_log(python: Path, model: Path) -> None:
    (model / "mode").write_text("fails")
    started = time.monotonic()
    with (
        pytest.raises(ServingError, match=r"(?s)ended with 7.*no such model"),
        MLServer(python, model, "iris"),
    ):
        pass
    assert time.monotonic() - started < 10


def test_a_server_that_never_is_ready(python: Path, model: Path) -> None:
    (model / "mode").write_text("hangs")
    with (
        pytest.raises(ServingError, match=r"not ready after 0\.5 s"),
        MLServer(python, model, "iris", timeout=0.5),
    ):
        pass


def test_a_port_that_was_taken_is_tried_again(python: Path, model: Path) -> None:
    (model / "mode").write_text("in use")
    with pytest.raises(ServingError, match="in use"), MLServer(python, model, "iris"):
        pass
    assert (model / "tries").read_text() == "xxx"


def test_no_server_there(tmp_path: Path) -> None:
    with (
        pytest.raises(ServingError, match="no mlserver beside"),
        MLServer(tmp_path / "python", tmp_path, "iris"),
    ):
        pass
