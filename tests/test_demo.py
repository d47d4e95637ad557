"""The demo: its parts quickly, and the whole of it as a slow test."""

import json

import cv2
import numpy as np
import pytest
from helpers.networks import PLAIN

from aethernet import aether_custom, write_checkpoint
from aethernet.cli import main
from aethernet.conditions import measurement_conditions
from aethernet.data.embedded import embedded_pictures, write_embedded
from aethernet.demo import figures, int8, life, options
from aethernet.demo.commands import run_command
from aethernet.errors import ProcessError
from aethernet.progress import silent

ROWS = [
    figures.Row("bicubic", 30.0, 0.8),
    figures.Row("trained", 31.0, 0.9),
    figures.Row("aethernet test", 31.0, 0.9),
    figures.Row("fused", 31.0, 0.9),
]


def replace_row(stage: str, psnr: float) -> list[figures.Row]:
    return [figures.Row(row.stage, psnr, row.ssim) if row.stage == stage else row for row in ROWS]


def test_the_demo_checks_what_it_promises():
    assert life.problems(ROWS) == []
    for rows, message in (
        (replace_row("trained", 29.5), "bicubic 30.00 dB"),
        (replace_row("fused", 30.9), "fused gives 30.9000 dB"),
        (replace_row("aethernet test", 31.1), "aethernet test gives 31.1000 dB"),
        ([*ROWS, figures.Row("int8 ONNX, QAT", 30.8, 0.9)], "int8 ONNX, QAT gives 30.80 dB"),
    ):
        assert any(message in problem for problem in life.problems(rows)), message


def test_a_failed_gate_is_the_last_thing_said(tmp_path, monkeypatch, capsys):
    """Everything that is known stands above it, and the exit code is 1."""
    conditions = measurement_conditions(threads=1, precision="float32", size="256x256", command="test")
    problem = "net_int8_ort.onnx is not in the bundle: mean drop 0.300 dB in ONNX Runtime, mean drop at most 0.15 dB"
    result = life.DemoResult(ROWS, ["chelsea"], conditions, {"curve": tmp_path / "curve.png"}, [problem])
    monkeypatch.setattr("aethernet.demo.run_demo", lambda *_, **__: result)
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 1
    *_, before, last = capsys.readouterr().out.splitlines()
    assert last == f"FAILED: {problem}" and before.endswith("curve.png")


def test_the_table_stands_before_there_are_onnx_files(tmp_path):
    weights = tmp_path / "net.pth"
    write_checkpoint(weights, aether_custom(2, **PLAIN))
    picture = embedded_pictures("val")["chelsea"][:40, :48]
    rows = figures.measure({"trained": weights}, {}, {"chelsea": picture}, 2, (30.0, 0.9))
    assert [row.stage for row in rows] == ["bicubic", "trained", "aethernet test"]
    assert rows[1].ms_256 > 0 and rows[1].ms_onnx is None


def test_a_release_that_lacks_files_does_not_end_the_demo(tmp_path, monkeypatch):
    def released(folder, title, command, *_, succeeded=lambda code: code == 0, **__):
        if command == "release":
            (folder / "release").mkdir()
            records = [{"file": "a", "passed": True, "problem": ""}, {"file": "b", "passed": False, "problem": "why"}]
            (folder / "release" / "report.json").write_text(json.dumps({"files": records}))
            assert succeeded(1) and succeeded(0) and not succeeded(2)

    for name, fake in {
        "run_command": released,
        "load_network": lambda *_, **__: None,
        "export_onnx": lambda *_: None,
    }.items():
        monkeypatch.setattr(int8, name, fake)
    release = int8.quantize_and_release(tmp_path, tmp_path, tmp_path / "x.pth", scale=2, iterations=20, progress=silent)
    assert release.problems == ["b is not in the bundle: why"]


def test_options_come_from_the_recipes(tmp_path):
    opt = options.train_options(tmp_path, 4, 300)
    assert opt["network_g"] == {"type": "aether_tiny", "scale": 4, "stage": "train"}
    assert opt["model_type"] == "AetherModel"
    assert opt["train"]["scheduler"]["periods"] == [300]
    assert opt["datasets"]["train"]["gt_size"] == 128


def test_a_failing_command_shows_its_last_lines(tmp_path):
    with pytest.raises(ProcessError, match=r"(?s)exit code 1.*absent\.pth is not a file"):
        run_command(tmp_path, "fuse", "fuse", "absent.pth", "-o", "out.pth", progress=silent)
    assert (tmp_path / "logs" / "fuse.txt").exists()


def test_too_few_iterations(capsys):
    assert main(["demo", "--iterations", "5"]) == 1
    assert "at least 60" in capsys.readouterr().err


def test_an_earlier_run_is_kept(tmp_path, monkeypatch, capsys):
    out = tmp_path / "demo"
    out.mkdir()
    (out / "table.json").write_text("earlier")
    conditions = measurement_conditions(threads=1, precision="float32", size="256x256", command="test")
    monkeypatch.setattr(
        "aethernet.demo.run_demo", lambda *_, **__: life.DemoResult(ROWS, ["chelsea"], conditions, {}, [])
    )
    assert main(["demo", "--out", str(out)]) == 0
    (archived,) = tmp_path.glob("demo_archived_*")
    assert (archived / "table.json").read_text() == "earlier"
    assert "30.00 dB" in capsys.readouterr().out


def test_validation_pictures_are_not_trained_on(tmp_path):
    write_embedded(tmp_path, (2,))
    names = {split: {path.name for path in (tmp_path / split / "HR").iterdir()} for split in ("train", "val")}
    assert not names["train"] & names["val"]


@pytest.mark.slow
def test_the_whole_demo(tmp_path, capsys):
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--iterations", "400"]) == 0
    printed = capsys.readouterr().out
    rows = {row["stage"]: row for row in json.loads((out / "table.json").read_text())["rows"]}
    onnx = ["fp32 ONNX", "int8 ONNX, PTQ", "int8 ONNX, QAT"]
    assert list(rows) == ["bicubic", "half-way", "trained", "aethernet test", "fused", *onnx]
    assert rows["fp32 ONNX"]["psnr"] == pytest.approx(rows["trained"]["psnr"], abs=0.01)
    assert all(rows["trained"]["psnr"] - rows[stage]["psnr"] < 0.15 for stage in onnx)
    assert all(rows[stage]["file_bytes"] < 0.4 * rows["fp32 ONNX"]["file_bytes"] for stage in onnx[1:])
    assert rows["trained"]["psnr"] > rows["bicubic"]["psnr"]
    assert rows["fused"]["psnr"] == pytest.approx(rows["trained"]["psnr"], abs=1e-4)
    assert rows["fused"]["params"] < rows["trained"]["params"]
    assert all(stage in printed for stage in rows)
    report = json.loads((out / "release" / "report.json").read_text())
    assert report["passed"] and report["int8"].startswith("Fine-tuned for int8 (QAT)")
    assert str(out / "release" / "report.html") in printed
    card = (out / "release" / "README.md").read_text()
    assert "- iterations: 400" in card and "scikit-image" in card
    for name in ("curve.png", "comparison.png"):
        picture = cv2.imread(str(out / name))
        assert picture.shape[0] > 300
        assert np.std(picture) > 10
