"""What pod: does on this side of the API: archives that go to a node and come back, addresses, words."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import tarfile
import urllib.request
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from kit_conformance import tree
from kit_conformance.subject import SubjectError, connect, load, node, pod

if TYPE_CHECKING:
    from pathlib import Path


def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    return entry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a volume with everything in it that a run may leave."""
    made = tmp_path / "kc-x" / "volume-1"
    (made / "model" / "deep").mkdir(parents=True)
    (made / "model" / "deep" / ("n" * 150)).write_bytes(b"a long name")
    (made / "model" / "ümlaut").write_bytes(b"x" * 3000)
    (made / "tool").write_bytes(b"#!")
    (made / "tool").chmod(0o6755)
    (made / "link").symlink_to("../../etc")
    (made / "closed").mkdir(mode=0o555)
    os.mkfifo(made / "pipe")
    made.chmod(0o777)
    return made


def there_and_back(folder: Path, elsewhere: Path) -> bytes:
    """Do what the helper pod does with an archive, with this machine's tar; return what it would send."""
    place = elsewhere / folder.parent.name / folder.name
    place.mkdir(parents=True)
    data = node.archive(folder, plain)
    subprocess.run(["tar", "-xpf", "-", "-C", str(place)], input=data, check=True, timeout=30)
    command = ["tar", "-czf", "-", folder.name]
    return subprocess.run(command, cwd=place.parent, stdout=subprocess.PIPE, check=True, timeout=30).stdout


def test_volume_survives_the_way(folder: Path, tmp_path: Path) -> None:
    before = tree.read(folder)
    data = there_and_back(folder, tmp_path / "node")
    (folder / "only here").write_bytes(b"must go")
    owners = node.extract(data, folder.parent, [folder.name])
    assert tree.read(folder) == before
    assert before["tool"].mode == 0o6755
    assert owners[f"{folder.name}/tool"] == (os.geteuid(), os.getegid())
    assert folder.stat().st_mode & 0o777 == 0o777


def test_change_is_noticed(folder: Path) -> None:
    before = node.stamp(folder)
    assert node.stamp(folder) == before
    for change in (
        lambda: (folder / "tool").chmod(0o700),
        lambda: (folder / "new").write_bytes(b""),
        lambda: (folder / "new").write_bytes(b"1"),
        (folder / "new").unlink,
        lambda: folder.chmod(0o755),
        (folder / "link").unlink,
    ):
        change()
        after = node.stamp(folder)
        assert after != before
        before = after


@pytest.mark.parametrize("name", ["../outside", "/outside", "volume-1/../../outside"])
def test_no_way_out_of_an_archive(tmp_path: Path, name: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(SubjectError, match="sent an archive with the name"):
        node.extract(buffer.getvalue(), tmp_path, ["volume-1"])
    assert not (tmp_path.parent / "outside").exists()


def test_device_is_neither_file_nor_folder(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo("volume-1/null")
        entry.type, entry.devmajor, entry.devminor = tarfile.CHRTYPE, 1, 3
        tar.addfile(entry)
    (tmp_path / "volume-1").mkdir()
    node.extract(buffer.getvalue(), tmp_path, ["volume-1"])
    assert tree.read(tmp_path / "volume-1")["null"].kind == "other"


def test_own_files_of_a_run_can_be_read_by_anybody(tmp_path: Path) -> None:
    for name, mode in (("home", 0o700), ("no-home", 0o555)):
        (tmp_path / name).mkdir(mode=mode)
    (tmp_path / "ca.pem").write_bytes(b"x")
    (tmp_path / "ca.pem").chmod(0o600)
    with tarfile.open(fileobj=io.BytesIO(node.archive(tmp_path, pod._readable))) as tar:
        modes = {entry.name: entry.mode for entry in tar}
    assert modes == {".": 0o777, "./home": 0o777, "./no-home": 0o555, "./ca.pem": 0o644}


@pytest.mark.parametrize(
    ("text", "meant"), [("plain", "plain"), ("$(HOME)", "$$(HOME)"), ("a$b$$c", "a$$b$$$$c"), ("$", "$$")]
)
def test_dollars_mean_themselves(text: str, meant: str) -> None:
    """Kubernetes reads $(NAME) as a variable and $$ as a dollar, in arguments and in values."""
    assert pod._literal(text) == meant


def item(name: str, *, ready: str = "True", taints: int = 0, address: str = "10.0.0.1") -> Any:  # noqa: ANN401
    return SimpleNamespace(
        metadata=SimpleNamespace(name=name, labels={"kubernetes.io/os": "linux"}),
        spec=SimpleNamespace(taints=[object()] * taints or None),
        status=SimpleNamespace(
            conditions=[SimpleNamespace(type="Ready", status=ready)],
            addresses=[
                SimpleNamespace(type="Hostname", address=name),
                SimpleNamespace(type="InternalIP", address=address),
            ],
        ),
    )


def test_node_that_takes_ordinary_pods() -> None:
    items = [item("a", taints=1), item("c", address="10.0.0.3"), item("b", ready="False")]
    assert pod._node(items) == ("c", "10.0.0.3")
    with pytest.raises(SubjectError, match="no node that is ready"):
        pod._node([item("b", ready="Unknown")])


def test_way_to_a_node() -> None:
    assert pod._way_to("127.0.0.1") == "127.0.0.1"
    with pytest.raises(SubjectError, match="--address"):
        pod._way_to("")


def test_probe_answers_where_it_says() -> None:
    with pod._listening("127.0.0.1") as url:
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert answer.status == 204
        port = int(url.rstrip("/").rpartition(":")[2])
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        pass


@pytest.mark.parametrize(
    ("reason", "phase", "said"),
    [("ImagePullBackOff", "Pending", "ImagePullBackOff"), ("", "Failed", "refused by its node: Evicted")],
)
def test_pod_that_never_starts(reason: str, phase: str, said: str) -> None:
    waiting = SimpleNamespace(reason=reason, message="why") if reason else None
    state = SimpleNamespace(waiting=waiting, running=None, terminated=None)
    status = SimpleNamespace(
        phase=phase,
        reason="Evicted",
        message="why",
        init_container_statuses=[SimpleNamespace(image="x", state=state)],
        container_statuses=None,
    )
    with pytest.raises(SubjectError, match=said):
        node.trouble(SimpleNamespace(status=status))


class NoHelper:
    """What the client gives for a command in a pod whose container never started: it reads a number in any status."""

    @property
    def returncode(self) -> int:
        return int('unable to upgrade connection: container not found ("helper")')


def test_helper_that_never_started_is_a_fault_of_the_set_up() -> None:
    assert [node.exit_code(SimpleNamespace(returncode=code)) for code in (None, 0, 3)] == [0, 0, 3]
    with pytest.raises(SubjectError, match="container not found"):
        node.exit_code(NoHelper())


def test_no_cluster_is_a_fault_of_the_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is a suite that was installed without the extra, as it is where these tests usually run."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(SubjectError, match=r"kubeconfig|kit-conformance\[cluster\]"):
        connect("pod:x", load("bare"), context="no-such-context")
