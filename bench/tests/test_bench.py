"""What the numbers rest on: trees are compared, ratios are of neighbours, links are slow, the budget bites."""

from __future__ import annotations

import http.client
import os
import sys
import time
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench import plot, results, tables
from bench.machine import HASH, Limit
from bench.measure import FailedError, Sample, pull
from bench.origin import Origin, image, slowed
from bench.peers import KIT, OURS, Command, Job, Peer, find
from bench.shapes import SHAPES, Link, Shape, build, weights
from kit_conformance.testbed.registry import Registry

TWO_FILES = Shape("two", "2 files", 1000, files=2)


def peer(script: str) -> Peer:
    """Return a peer that runs some Python in the destination."""
    code = f"import os, sys; os.chdir(sys.argv[1]); {script}"

    def command(job: Job) -> Command:
        return Command((sys.executable, "-c", code, str(job.destination)), {})

    return Peer("it", "1", command)


def measured(ours: list[float], theirs: list[float | None], name: str = "tar") -> results.Measured:
    samples: dict[str, list[Sample | None]] = {
        OURS: [Sample(wall, 0.1, 30 << 20) for wall in ours],
        KIT: [None if wall is None else Sample(wall, 0.1, 10 << 20) for wall in theirs],
    }
    return results.Measured(name, "400 MB, tar", samples, {}, (0.1, 0.2))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("", None),
        ("open('models/00000.bin', 'r+b').write(b'another')", "brought models/00000.bin, which is not"),
        ("os.unlink('models/00001.bin')", "did not bring 1 files, such as models/00001.bin"),
        ("open('models/more', 'wb')", "brought models/more, which is not"),
        ("sys.exit('no luck')", "no luck"),
    ],
    ids=["right", "wrong byte", "missing", "more", "failed"],
)
def test_a_run_counts_only_when_its_tree_is_the_kits(
    tmp_path: Path, change: str, complaint: str | None
) -> None:
    kit = build(TWO_FILES, tmp_path)
    tar = str(tmp_path / "layer.tar")
    (tmp_path / "layer.tar").write_bytes(kit.layers[0].read())
    ready = f"import tarfile; it = tarfile.open({tar!r}); it.extraction_filter = lambda entry, _: entry"
    unpacking = peer(f"{ready}; it.extractall(); {change}")
    if complaint is None:
        sample = pull(unpacking, Origin(""), TWO_FILES, kit, tmp_path)
        assert 0 < sample.wall < 60
        assert 5 << 20 < sample.peak < 100 << 20
        return
    with pytest.raises(FailedError, match=complaint):
        pull(unpacking, Origin(""), TWO_FILES, kit, tmp_path)


def test_memory_is_that_of_the_command_and_not_of_the_benchmark(tmp_path: Path) -> None:
    ballast = bytearray(os.urandom(1024)) * (96 * 1024)
    kit = build(Shape("none", "nothing", 0), tmp_path)
    sample = pull(
        peer("os.mkdir('models'); open('models/00000.bin', 'wb')"), Origin(""), TWO_FILES, kit, tmp_path
    )
    assert sample.peak < 64 << 20 < len(ballast)


def test_ratios_are_of_the_same_round() -> None:
    ratio = measured([1.0, 4.0, 1.0], [2.0, None, 4.0]).ratio(KIT)
    assert ratio == results.Ratio(0.375, 0.25, 0.5, 2)


@pytest.mark.parametrize(("ours", "word"), [(0.9, "goal met"), (1.1, "within"), (1.2, "over")])
def test_the_budget_judges(ours: float, word: str) -> None:
    verdict = next(v for v in results.judge([measured([ours] * 3, [1.0] * 3)]) if v.what.endswith(KIT))
    assert (verdict.word, verdict.within) == (word, word != "over")


@pytest.mark.parametrize(("rate", "slow"), [(2000, False), (1600, False), (800, True)])
def test_a_machine_that_hashes_slowly_is_named_beside_the_budget(rate: float, slow: bool) -> None:
    verdicts = results.judge([measured([1.2] * 3, [1.0] * 3)])
    limits = [Limit("copy", "", 1.0), Limit(HASH, "SHA-256", rate)]
    text = tables.Report({}, {}, [], [], [], limits, verdicts).budget()
    assert "over |" in text
    assert ("SHA-256 does" in text) is slow
    assert ("400 MB take 0.25 s longer" in text) is slow


def test_every_line_of_the_budget_is_of_a_shape_that_exists() -> None:
    text = results.BUDGET.read_text(encoding="utf-8")
    names = {line.partition('"')[2].rstrip('"') for line in text.splitlines() if line.startswith("shape =")}
    assert names
    assert names <= {shape.name for shape in SHAPES}


def test_weights_shrink_by_a_fifth() -> None:
    content = b"".join(weights(2_000_000))
    assert len(content) == 2_000_000
    assert 0.75 < len(zlib.compress(content, 6)) / len(content) < 0.85


def test_a_link_has_its_rate_and_its_delay(tmp_path: Path) -> None:
    kit = build(Shape("one", "1 MB", 1_000_000), tmp_path)
    with Registry() as registry:
        registry.add(kit, "model", "v1")
        with slowed(Origin(registry.host), Link(4_000_000, 0.05)) as slow:
            connection = http.client.HTTPConnection(slow.host, timeout=30)
            began = time.monotonic()
            connection.request("GET", f"/v2/model/blobs/{kit.layers[0].digest}")
            response = connection.getresponse()
            first = time.monotonic() - began
            assert response.read() == kit.layers[0].read()
            whole = time.monotonic() - began
            connection.close()
    assert first >= 0.1  # once for the connection, once for the request
    assert whole - first >= 0.2  # 1 MB at 4 MB/s, less what was under way already


def test_the_image_has_the_kits_own_blobs(tmp_path: Path) -> None:
    kit = build(Shape("gz", "gz", 1000, compression="gzip-fastest"), tmp_path)
    body = image(kit).decode()
    assert kit.layers[0].digest in body
    assert "application/vnd.oci.image.layer.v1.tar+gzip" in body
    assert "modelkit.model" not in body


def test_plots_are_xml_and_name_what_they_show() -> None:
    shape = measured([1.0, 1.1, 0.9], [2.0, 2.0, 2.0])
    names = {OURS: OURS, KIT: f"{KIT} *"}
    points = [shape._replace(at=at) for at in (1, 10)]
    curves = [("size", "MB & more", points)]
    for drawn in (plot.shapes([shape], names, "<note>"), plot.growth(curves, names, "<note>")):
        root = ET.fromstring(drawn)
        words = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
        assert {OURS, f"{KIT} *", "<note>"} <= words


def test_a_page_keeps_what_is_not_its_tables() -> None:
    page = "a\n<!-- bench: shapes -->\nold\n<!-- end -->\nb\n<!-- bench: other -->\nkept\n<!-- end -->\n"
    shapes = tables.times([measured([1.0], [2.0])], {OURS: OURS, KIT: KIT})
    filled = bench.filled(page, {"shapes": shapes, "other": ""})
    assert "old" not in filled
    assert "| 400 MB, tar | 1.00 | 2.00 |" in filled
    assert filled.startswith("a\n")
    assert "kept" in filled


def test_a_peer_is_found_from_whatever_folder_it_is_run_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\necho 0.2.43\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    initializer = Path(sys.executable).with_name("kit-initializer")
    here = os.path.relpath(initializer, tmp_path)
    chosen = bench.options_of(["--initializer", here, "--oras", "./python", "--kit=/nonexistent"])
    ours, oras = (each for each in find(chosen)[0] if each.name in {OURS, "oras-py"})
    job = Job(Origin("127.0.0.1:5000"), TWO_FILES, build(TWO_FILES, tmp_path), tmp_path, tmp_path)
    assert oras.command(job).argv[0] == str(tmp_path / "python")
    run = Path(ours.command(job).argv[0])
    assert run.is_absolute()
    assert run.samefile(initializer)


def test_a_peer_that_is_not_here_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--shapes=", "--growth=", "--peers=unpack", "--kit=/nonexistent"]) == 2
    assert "--peers: unpack is not here; these are: kit-initializer" in capsys.readouterr().err
