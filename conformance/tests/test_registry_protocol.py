"""The fixture registry answers as the OCI distribution specification has it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import ssl
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed.kits import PushError, index, pack, push
from kit_conformance.testbed.registry import TLS, Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conformance.tests.conftest import Client
    from kit_conformance.testbed.kits import ModelKit

    Connect = Callable[..., Client]

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def errors_of(body: bytes) -> list[str]:
    return [error["code"] for error in json.loads(body)["errors"]]


def test_ping(client: Client) -> None:
    assert client("GET", "/v2/").status == 200
    assert client("POST", "/v2/").status == 405


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_manifest_by_tag_and_by_digest(
    registry: Registry, client: Client, kit: ModelKit, method: str
) -> None:
    assert registry.add(kit, "team/iris", "v1") == f"kit://{registry.host}/team/iris:v1"
    for reference in ("v1", kit.digest):
        answer = client(method, f"/v2/team/iris/manifests/{reference}")
        assert answer.status == 200
        assert answer.body == (kit.manifest if method == "GET" else b"")
        assert answer.headers["Content-Length"] == str(len(kit.manifest))
        assert answer.headers["Content-Type"] == OCI_MANIFEST
        assert answer.headers["Docker-Content-Digest"] == kit.digest


def test_manifest_is_not_given_to_who_does_not_accept_its_type(
    registry: Registry, client: Client, kit: ModelKit
) -> None:
    registry.add(kit, "iris")
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    assert client("GET", "/v2/iris/manifests/latest", headers={"Accept": docker}).status == 404
    both = f"{docker}, {OCI_MANIFEST};q=0.5"
    assert client("GET", "/v2/iris/manifests/latest", headers={"Accept": both}).status == 200


def test_unknown_things_have_their_codes(registry: Registry, client: Client, kit: ModelKit) -> None:
    registry.add(kit, "iris")
    for target, code in {
        "/v2/nobody/tags/list": "NAME_UNKNOWN",
        "/v2/nobody/manifests/latest": "MANIFEST_UNKNOWN",
        f"/v2/nobody/blobs/sha256:{'0' * 64}": "BLOB_UNKNOWN",
        "/v2/iris/manifests/v9": "MANIFEST_UNKNOWN",
        f"/v2/iris/blobs/sha256:{'0' * 64}": "BLOB_UNKNOWN",
        "/v2/iris/blobs/uploads/none": "BLOB_UPLOAD_UNKNOWN",
        "/elsewhere": "NOT_FOUND",
        "/token": "NOT_FOUND",
    }.items():
        answer = client("GET", target)
        assert (answer.status, errors_of(answer.body)) == (404, [code]), target
    assert errors_of(client("GET", "/v2/iris/blobs/sha256:12").body) == ["DIGEST_INVALID"]


def test_blobs_belong_to_their_repository(registry: Registry, client: Client, kit: ModelKit) -> None:
    registry.add(kit, "iris")
    registry.add(pack({"model.bin": b"other"}, json.dumps({"model": {"path": "model.bin"}})), "other")
    assert client("GET", f"/v2/other/blobs/{kit.layers[0].digest}").status == 404


@pytest.mark.parametrize(
    ("part", "start", "stop"),
    [("0-0", 0, 1), ("100-199", 100, 200), ("100-", 100, None), ("-5", -5, None), ("0-99999999", 0, None)],
)
@pytest.mark.parametrize("stored", ["memory", "file"])
def test_ranges(
    registry: Registry, client: Client, tmp_path: Path, part: str, start: int, stop: int | None, stored: str
) -> None:
    made = pack(
        {"a": bytes(range(256)) * 40},
        {"model": {"path": "a"}},
        directory=tmp_path if stored == "file" else None,
    )
    registry.add(made, "iris")
    whole = made.layers[0].read()
    answer = client("GET", f"/v2/iris/blobs/{made.layers[0].digest}", part=part)
    first = start % len(whole)
    assert (answer.status, answer.body) == (206, whole[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(answer.body) - 1}/{len(whole)}"
    assert registry.ledger.requests(kind="blob")[0].range == f"bytes={part}"
    assert registry.ledger.requests(kind="blob")[0].sent == len(answer.body)


def test_range_after_the_end_is_416(registry: Registry, client: Client, kit: ModelKit) -> None:
    registry.add(kit, "iris")
    answer = client("GET", f"/v2/iris/blobs/{kit.layers[0].digest}", part=f"{kit.layers[0].size}-")
    assert answer.status == 416
    assert answer.headers["Content-Range"] == f"bytes */{kit.layers[0].size}"


@pytest.mark.parametrize("part", ["5-4", "a-b", "0-1,4-5", "-"])
def test_what_is_no_single_range_is_answered_in_full(
    registry: Registry, client: Client, kit: ModelKit, part: str
) -> None:
    registry.add(kit, "iris")
    assert client("GET", f"/v2/iris/blobs/{kit.layers[0].digest}", part=part).status == 200


def test_if_range(registry: Registry, client: Client, kit: ModelKit) -> None:
    registry.add(kit, "iris")
    target, etag = f"/v2/iris/blobs/{kit.layers[0].digest}", f'"{kit.layers[0].digest}"'
    assert client("GET", target, part="0-9", headers={"If-Range": etag}).status == 206
    assert client("GET", target, part="0-9", headers={"If-Range": '"other"'}).status == 200


def test_connection_is_kept(registry: Registry, client: Client, kit: ModelKit) -> None:
    registry.add(kit, "iris")
    for _ in range(3):
        client("GET", f"/v2/iris/blobs/{kit.layers[0].digest}")
        client("HEAD", "/v2/iris/manifests/latest")
        client("GET", "/v2/iris/manifests/none")
    assert registry.connections == 1
    assert {entry.connection for entry in registry.ledger} == {1}


def test_tags_in_pages(registry: Registry, client: Client, kit: ModelKit) -> None:
    for tag in ("v2", "v1", "v3"):
        registry.add(kit, "iris", tag)
    first = client("GET", "/v2/iris/tags/list?n=2")
    assert json.loads(first.body) == {"name": "iris", "tags": ["v1", "v2"]}
    following = first.headers["Link"].partition("<")[2].partition(">")[0]
    second = client("GET", following)
    assert json.loads(second.body)["tags"] == ["v3"]
    assert "Link" not in second.headers


@pytest.mark.parametrize("absolute", [False, True])
def test_upload_in_chunks(connect: Connect, absolute: bool, kit: ModelKit) -> None:
    with Registry(absolute=absolute) as registry:
        client = connect(registry.host)
        data = kit.layers[0].read()
        begun = client("POST", "/v2/iris/blobs/uploads/")
        assert begun.status == 202
        assert begun.headers["Location"].startswith(registry.url if absolute else "/v2/")
        target = begun.headers["Location"].removeprefix(registry.url)
        assert (
            client("PATCH", target, data[:1000], headers={"Content-Range": "0-999"}).headers["Range"]
            == "0-999"
        )
        assert client("GET", target).headers["Range"] == "0-999"
        assert client("PATCH", target, b"x", headers={"Content-Range": "5-5"}).status == 416
        done = client("PUT", f"{target}?digest={digest_of(data)}", data[1000:])
        assert done.status == 201
        assert client("GET", f"/v2/iris/blobs/{digest_of(data)}").body == data


def test_upload_at_once_mount_and_delete(client: Client) -> None:
    data, target = b"some bytes", f"/v2/b/blobs/{digest_of(b'some bytes')}"
    assert client("POST", f"/v2/a/blobs/uploads/?digest={digest_of(data)}", data).status == 201
    assert client("POST", f"/v2/b/blobs/uploads/?mount={digest_of(data)}&from=nobody").status == 202
    assert client("POST", f"/v2/b/blobs/uploads/?mount={digest_of(data)}&from=a").status == 201
    assert client("GET", target).body == data
    assert client("DELETE", target).status == 202
    assert client("GET", target).status == 404


def test_upload_in_chunked_encoding(client: Client) -> None:
    target = client("POST", "/v2/a/blobs/uploads/").headers["Location"]
    client._connection.request(
        "PUT", f"{target}?digest={digest_of(b'abcdef')}", iter([b"ab", b"cdef"]), encode_chunked=True,
        headers={"Transfer-Encoding": "chunked"},
    )  # fmt: skip
    with contextlib.closing(client._connection.getresponse()) as response:
        assert response.status == 201
        response.read()
    assert client("GET", f"/v2/a/blobs/{digest_of(b'abcdef')}").body == b"abcdef"


def test_what_does_not_match_is_not_taken(client: Client, kit: ModelKit) -> None:
    target = client("POST", "/v2/iris/blobs/uploads/").headers["Location"]
    wrong = client("PUT", f"{target}?digest={digest_of(b'other')}", b"bytes")
    assert (wrong.status, errors_of(wrong.body)) == (400, ["DIGEST_INVALID"])
    put = client("PUT", "/v2/iris/manifests/v1", kit.manifest, headers={"Content-Type": OCI_MANIFEST})
    assert (put.status, errors_of(put.body)) == (404, ["MANIFEST_BLOB_UNKNOWN"])
    assert client("PUT", f"/v2/iris/manifests/{digest_of(b'')}", kit.manifest).status == 400
    assert client("PUT", "/v2/iris/manifests/v1", b"no JSON").status == 400
    assert client("POST", "/v2/Upper/blobs/uploads/").status == 400


def test_push_and_referrers(registry: Registry, client: Client, kit: ModelKit) -> None:
    push(kit, registry.host, "iris", "v1")
    assert client("GET", f"/v2/iris/blobs/{kit.layers[0].digest}").body == kit.layers[0].read()
    subject = {"mediaType": OCI_MANIFEST, "digest": kit.digest, "size": len(kit.manifest)}
    signature = json.dumps({**json.loads(kit.manifest), "subject": subject, "artifactType": "a/b"}).encode()
    put = client("PUT", "/v2/iris/manifests/signature", signature, headers={"Content-Type": OCI_MANIFEST})
    assert put.headers["OCI-Subject"] == kit.digest
    found = json.loads(client("GET", f"/v2/iris/referrers/{kit.digest}?artifactType=a/b").body)["manifests"]
    assert [descriptor["digest"] for descriptor in found] == [digest_of(signature)]
    assert client("DELETE", "/v2/iris/manifests/v1").status == 202
    assert client("GET", "/v2/iris/manifests/v1").status == 404
    assert client("GET", f"/v2/iris/manifests/{kit.digest}").status == 200


def test_push_of_a_kit_in_files_brings_only_what_is_missing(
    registry: Registry, client: Client, tmp_path: Path
) -> None:
    files = {"a": bytes(range(256)) * 40, "b": b"b"}
    made = pack(files, {"model": {"path": "a"}, "docs": [{"path": "b"}]}, directory=tmp_path)
    push(made, registry.host, "iris", "v1")
    first = len(registry.ledger.requests(method="PUT", kind="upload"))
    push(made, registry.host, "iris", "v2")
    assert first == 3
    assert len(registry.ledger.requests(method="PUT", kind="upload")) == 3
    assert [client("GET", f"/v2/iris/blobs/{layer.digest}").body for layer in made.layers] == [
        layer.read() for layer in made.layers
    ]


def test_upload_can_be_given_up(client: Client) -> None:
    target = client("POST", "/v2/iris/blobs/uploads/").headers["Location"]
    assert client("DELETE", target).status == 204
    assert client("PATCH", target, b"x").status == 404
    assert client("POST", target).status == 404
    assert client("PUT", "/v2/iris/tags/list").status == 405
    assert client("PATCH", "/v2/iris/manifests/v1").status == 405


def test_push_of_an_index(registry: Registry, client: Client, kit: ModelKit) -> None:
    family = index((kit, {"precision": "fp16"}))
    push(family, registry.host, "iris", "all")
    assert client("GET", "/v2/iris/manifests/all").body == family.manifest
    assert client("GET", f"/v2/iris/manifests/{kit.digest}").body == kit.manifest


def test_push_says_what_went_wrong(registry: Registry, kit: ModelKit) -> None:
    with pytest.raises(PushError, match="NAME_INVALID"):
        push(kit, registry.host, "NOT/valid")


def test_what_is_no_http_is_400(registry: Registry) -> None:
    import socket  # noqa: PLC0415

    host, _, port = registry.host.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(b"\x16\x03\x01\x02\x00 hello\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400 ")


def test_ipv6(connect: Connect, kit: ModelKit) -> None:
    with Registry(address="::1") as registry:
        assert registry.host.startswith("[::1]:")
        push(kit, registry.host, "iris")
        assert connect(registry.host)("GET", "/v2/iris/manifests/latest").body == kit.manifest


def test_tls(connect: Connect, kit: ModelKit) -> None:
    with Registry(tls=TLS()) as registry:
        assert registry.tls is not None
        push(kit, registry.host, "iris", plain_http=False, ca_file=registry.tls.ca_file)
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(registry.host, ssl.create_default_context())("GET", "/v2/")
        client = connect(registry.host, ssl.create_default_context(cadata=registry.tls.ca_pem))
        assert client("GET", f"/v2/iris/blobs/{kit.layers[0].digest}").body == kit.layers[0].read()
    assert registry.handshake_failures == 1


def test_tls_with_client_certificate(connect: Connect) -> None:
    with Registry(tls=TLS(client_auth=True)) as registry:
        assert registry.tls is not None
        context = ssl.create_default_context(cadata=registry.tls.ca_pem)
        with pytest.raises(OSError):
            connect(registry.host, context)("GET", "/v2/")
        context.load_cert_chain(registry.tls.client_cert, registry.tls.client_key)
        assert connect(registry.host, context)("GET", "/v2/").status == 200


def test_restart_keeps_port_and_contents(registry: Registry, client: Client, kit: ModelKit) -> None:
    registry.add(kit, "iris")
    host = registry.host
    client("GET", "/v2/")
    registry.stop()
    with pytest.raises(OSError):
        client("GET", "/v2/")
    registry.start()
    assert registry.host == host
    assert client("GET", "/v2/iris/manifests/latest").body == kit.manifest


def test_ledger_shows_no_secrets(registry: Registry, client: Client) -> None:
    client("GET", "/v2/iris/manifests/v1?x=1", token="s3cret", headers={"Cookie": "s3cret"})
    entry = next(iter(registry.ledger))
    assert entry.authorization == "bearer"
    assert (entry.kind, entry.repository, entry.reference, entry.query) == ("manifest", "iris", "v1", "x=1")
    assert entry.headers["authorization"] == "***"
    assert "s3cret" not in f"{entry!r} {registry.ledger}"
    assert registry.ledger.settle()
    registry.ledger.clear()
    assert not registry.ledger


def test_accept_may_be_said_in_several_lines(registry: Registry, kit: ModelKit) -> None:
    registry.add(kit, "iris", "v1")
    connection = http.client.HTTPConnection(registry.host, timeout=10)
    try:
        connection.putrequest("GET", "/v2/iris/manifests/v1")
        for each in ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"):
            connection.putheader("Accept", each)
        connection.endheaders()
        assert connection.getresponse().status == 200
    finally:
        connection.close()


def test_layers_that_are_not_distributed_need_not_be_there(client: Client) -> None:
    layer = {
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "digest": digest_of(b"x"),
    }
    for media_type, status in ((layer["mediaType"], 201), ("application/vnd.oci.image.layer.v1.tar", 404)):
        body = json.dumps({"schemaVersion": 2, "layers": [{**layer, "mediaType": media_type}]}).encode()
        assert client("PUT", "/v2/iris/manifests/v1", body).status == status
