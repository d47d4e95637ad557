"""The accuracy gate: what it computes, what it counts, and its exit code."""

import json
import shutil

import numpy as np
import pytest
from helpers.bundles import write_networks
from helpers.networks import PLAIN, randomise

import aethernet
from aethernet import aether_custom
from aethernet.cli import main
from aethernet.export.onnx import export_onnx
from aethernet.quality.evaluation import evaluate, network_upscaler
from aethernet.quality.sets import PictureFolder
from aethernet.verify.verification import verify_files

pytest.importorskip("onnx", reason="ONNX export is an extra")
pytest.importorskip("onnxruntime", reason="ONNX export is an extra")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures, a float network, its int8 file, and one of other weights."""
    root = tmp_path_factory.mktemp("verify")
    write_networks(root)
    aethernet.write_checkpoint(root / "other.pth", randomise(aether_custom(2, **PLAIN)))  # worse by 3 dB
    export_onnx(aethernet.load_network(root / "int8.pth"), 2, "int8", root / "int8.onnx")
    return root


def test_figures_are_those_of_bench_quality(folder):
    names = [str(folder / name) for name in ("float.pth", "qat.pth", "int8.onnx")]
    report = verify_files(names, str(folder / "float.pth"), [folder / "pictures"], threads=1)
    equal, qat, int8 = (row.check.figures for row in report.rows)
    assert (equal.drop, equal.agreement, equal.max_error) == (0.0, float("inf"), 0.0)
    for row, name in ((equal, "float.pth"), (qat, "qat.pth")):
        upscale = network_upscaler(aethernet.load_network(folder / name).fuse_model())
        records = evaluate(upscale, PictureFolder(folder / "pictures"), 2)
        assert row.psnr == pytest.approx(np.mean([record.psnr for record in records]), abs=1e-9)
        assert row.ssim == pytest.approx(np.mean([record.ssim for record in records]), abs=1e-9)
    assert qat.agreement == pytest.approx(int8.agreement, abs=0.5) and 30 < qat.agreement < 70
    assert qat.drop == pytest.approx(report.psnr - qat.psnr) and qat.worst_drop >= qat.drop
    assert [(row.check.integers, row.check.convolutions) for row in report.rows[1:]] == [(None, None), (5, 5)]
    assert [row.x86 != "" for row in report.rows] == [False, False, True]


def test_the_command_passes_and_fails(folder, tmp_path, capsys):
    base = ["--against", str(folder / "float.pth"), "--data", str(folder / "pictures"), "--threads", "1"]
    records = tmp_path / "x.json"
    assert main(["verify", str(folder / "int8.onnx"), *base, "--max-drop", "3", "--json", str(records)]) == 0
    printed = capsys.readouterr().out
    assert "5 of 5" in printed and "int8.onnx: right on every x86 CPU" in printed
    (row,) = json.loads(records.read_text())["rows"]
    assert row["check"]["passed"] and row["check"]["integers"] == 5
    assert main(["verify", str(folder / "int8.onnx"), str(folder / "other.pth"), *base, "--max-drop", "3"]) == 1
    out = capsys.readouterr().out
    assert out.count("FAILED") == 1 and out.count("passed") == 1


def test_damaged_pictures_are_told_at_the_figures(folder, tmp_path, capsys):
    name = sorted((folder / "pictures").iterdir())[0].name
    (tmp_path / "set").mkdir()
    shutil.copy(folder / "pictures" / name, tmp_path / "set")
    base = [
        "verify",
        str(folder / "qat.pth"),
        "--against",
        str(folder / "float.pth"),
        "--threads",
        "1",
        "--max-drop",
        "3",
    ]
    assert main([*base, "--data", str(tmp_path / "set"), "--json", str(tmp_path / "whole.json")]) == 0
    assert "- 1 picture; gate: " in capsys.readouterr().out
    (tmp_path / "set" / "page.png").write_bytes(b"<html>")
    assert main([*base, "--data", str(tmp_path / "set"), "--json", str(tmp_path / "left.json")]) == 0
    assert (
        "- 1 more picture, damaged and left out of all figures: set/page.png (not a picture" in capsys.readouterr().out
    )
    whole, left = (json.loads((tmp_path / f"{each}.json").read_text()) for each in ("whole", "left"))
    assert [each["file"] for each in left["damaged"]] == ["set/page.png"] and whole["damaged"] == []
    assert (left["psnr"], left["rows"], left["pictures"]) == (whole["psnr"], whole["rows"], 1)
    assert main([*base, "--data", str(tmp_path / "set"), "--max-damaged", "0"]) == 1
    assert "none may be left out of the figures (--max-damaged): " in capsys.readouterr().err


def test_files_of_one_name_are_told_apart(folder, tmp_path):
    shutil.copy(folder / "qat.pth", tmp_path / "float.pth")
    files = [str(tmp_path / "float.pth"), str(folder / "int8.onnx")]
    report = verify_files(files, str(folder / "float.pth"), [folder / "pictures"], threads=1)
    assert (report.reference, [row.label for row in report.rows]) == (
        str(folder / "float.pth"),
        [files[0], "int8.onnx"],
    )


@pytest.mark.parametrize(
    ("files", "change", "message"),
    [
        (["float.pth"], ["--max-drop", "-1"], "max-drop must be 0 dB or more"),
        (["x4.pth"], [], "do not come from one another"),
        (["missing.onnx"], [], "is not a file"),
        (["float.pth"], ["--against", "aether_small_x2"], "random weights"),
        (["float.pth"], ["--data", "nowhere"], "nowhere is not a folder"),
    ],
)
def test_refusals(folder, capsys, files, change, message):
    aethernet.write_checkpoint(folder / "x4.pth", aether_custom(4, **PLAIN))
    base = ["--against", str(folder / "float.pth"), "--data", str(folder / "pictures")]
    assert main(["verify", *(str(folder / name) for name in files), *base, *change]) == 1
    assert message in capsys.readouterr().err
