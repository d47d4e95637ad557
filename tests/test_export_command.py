"""`aethernet export`: what it writes, what it refuses, and that a file which is not good enough is not left behind."""

import json

import numpy as np
import pytest
import torch
from helpers.bundles import write_networks
from helpers.networks import PLAIN, picture

import aethernet
from aethernet import aether_custom
from aethernet.cli import main

onnx = pytest.importorskip("onnx", reason="ONNX export is an extra")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX export is an extra")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures, a float network, the same on int8 grids and converted, one beside another, and one too large for fp16."""
    root = tmp_path_factory.mktemp("export")
    write_networks(root)
    aethernet.write_checkpoint(root / "x3.pth", aether_custom(3, **PLAIN))
    weights = {"params": "other.pth", "params_ema": "float.pth"}
    torch.save(
        {key: aethernet.load_network(root / name).state_dict() for key, name in weights.items()}, root / "both.pth"
    )
    with torch.no_grad():
        large = aethernet.load_network(root / "float.pth")
        large.reconstruction.weight.mul_(1e6)
        large.reconstruction.bias.mul_(1e6)
        large.upsample.last_conv.weight.div_(1e6)
    aethernet.write_checkpoint(root / "large.pth", large)
    return root


def export(folder, weights: str, out, *arguments: object) -> int:
    arguments = [str(folder / part) if str(part).endswith((".pth", "pictures")) else str(part) for part in arguments]
    return main(["export", str(folder / weights), "-o", str(out), "--threads", "1", *arguments])


def names(out) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def test_float_weights_and_pictures_give_verified_files(folder, tmp_path, capsys):
    out, record = tmp_path / "deep" / "out", tmp_path / "x.json"
    arguments = ["--precision", "fp32", "fp16", "int8", "--data", "pictures", "--name", "mine", "--json", record]
    assert export(folder, "float.pth", out, *arguments, "--max-drop", "3") == 0
    assert names(out) == ["mine_fp16.onnx", "mine_fp32.onnx", "mine_int8_ort.onnx"]
    text = capsys.readouterr().out
    assert text.count("passed") == 3 and "5 of 5" in text and "fp16 is safe: largest number" in text
    records = json.loads(record.read_text())
    fp32, fp16, int8 = records["verification"]["rows"]
    # ONNX Runtime and PyTorch differ by roundings of float32 alone, both in float16 by those of float16.
    figures = [row["check"]["figures"] for row in (fp32, fp16, int8)]
    assert figures[0]["max_error"] <= 1e-4 and figures[1]["agreement"] >= 60 and 30 < figures[2]["agreement"] < 70
    layers = {layer["name"]: layer for layer in records["half_ranges"]["layers"]}
    assert {"shallow", "reconstruction", "image_skip"} <= set(layers)
    # The int8 file is that of `aethernet calibrate` with the same pictures.
    session = onnxruntime.InferenceSession(out / "mine_int8_ort.onnx", providers=["CPUExecutionProvider"])
    x = picture(1, 3, 9, 7)
    with torch.no_grad():
        expected = aethernet.load_network(folder / "int8.pth")(x)
    assert np.abs(session.run(None, {"input": x.numpy()})[0] - expected.numpy()).max() < 1e-2


@pytest.mark.slow
def test_a_file_over_budget_is_not_left(folder, tmp_path, capsys):
    (tmp_path / "aether_custom_x2_int8_ort.onnx").write_bytes(b"older")
    assert export(folder, "qat.pth", tmp_path, "--data", "pictures", "--against", "other.pth", "--force") == 1
    text = capsys.readouterr().out
    assert "FAILED" in text and "NOT written" in text and "the older file stays" in text
    assert names(tmp_path) == ["aether_custom_x2_int8_ort.onnx"]
    assert (tmp_path / "aether_custom_x2_int8_ort.onnx").read_bytes() == b"older"


def test_weights_of_stage_int8_are_compared_with_the_float_ones(folder, tmp_path):
    base = ["--data", "pictures", "--against", "float.pth", "--max-drop", "3", "--target", "openvino"]
    assert export(folder, "int8.pth", tmp_path, *base) == 0
    assert names(tmp_path) == ["aether_custom_x2_int8_openvino.onnx"]


def test_fp16_that_overflows_is_left_out(folder, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    base = ["--data", "pictures", "--precision", "fp16"]
    assert export(folder, "large.pth", out, *base) == 1
    text = capsys.readouterr().out
    assert "fp16 overflows in" in text and "reconstruction" in text and "Take fp32" in text
    assert not out.parent.exists()
    # Without pictures the weights alone show it here.
    assert export(folder, "large.pth", out, "--precision", "fp16") == 1
    assert "export fp32" in capsys.readouterr().err and not out.parent.exists()


def test_the_other_files_are_written_where_fp16_overflows(folder, tmp_path, capsys):
    assert export(folder, "large.pth", tmp_path, "--data", "pictures") == 1
    assert names(tmp_path) == ["aether_custom_x2_fp32.onnx"]
    assert "fp16.onnx (fp16 overflows in" in capsys.readouterr().out


def test_fixed_sizes_and_bytes_are_verified_too(folder, tmp_path, capsys):
    base = ["--precision", "fp32", "--static", "20x15", "--batch", "2", "--pixels", "uint8_nhwc", "--data", "pictures"]
    assert export(folder, "both.pth", tmp_path, *base, "--key", "params_ema") == 0
    assert names(tmp_path) == ["aether_custom_x2_fp32_20x15_batch2_uint8_nhwc.onnx"]
    text = capsys.readouterr().out
    assert "the 20x15 middles of the pictures" in text and "| both.pth " in text
    agreement = float(text.split("_nhwc.onnx |")[1].split("|")[4].split()[0])
    # Half a level at most is lost: 10 log10(12 * 255^2) = 58.9 dB, if all fractions are as frequent.
    assert 56 < agreement < 62
    quality = ["bench", "quality", str(tmp_path / names(tmp_path)[0]), "--sets", str(folder / "pictures")]
    assert main(quality) == 1 and "takes pictures of 20x15 only" in capsys.readouterr().err


def test_without_pictures_nothing_is_claimed(folder, tmp_path, capsys):
    assert export(folder, "float.pth", tmp_path, "--precision", "fp16") == 0
    text = capsys.readouterr().out
    assert "nobody has looked whether this network fits into float16; --data" in text and "passed" not in text
    before = (tmp_path / names(tmp_path)[0]).read_bytes()
    assert export(folder, "other.pth", tmp_path, "--precision", "fp16") == 1
    assert "--force to overwrite" in capsys.readouterr().err
    assert (tmp_path / names(tmp_path)[0]).read_bytes() == before


@pytest.mark.parametrize(
    ("weights", "arguments", "message"),
    [
        ("qat.pth", ["--precision", "fp32", "int8"], "fp32 files are written from the float network"),
        ("float.pth", ["--precision", "fp32", "--target", "ort"], "--target is for int8"),
        ("float.pth", ["--target", "ort"], "--target is for int8"),
        ("float.pth", ["--precision", "int8"], "aethernet calibrate WEIGHTS --data DIR -o OUT"),
        ("qat.pth", ["--data", "pictures"], "name them with --against WEIGHTS"),
        ("float.pth", ["--against", "float.pth", "--data", "pictures"], "--against is for weights on int8 grids"),
        ("float.pth", ["--max-drop", "0.2"], "--max-drop says how to use pictures"),
        ("qat.pth", ["--preset", "ort"], "--preset is for calibrating"),
        ("float.pth", ["--percentile", "100", "--data", "pictures"], "--percentile is for calibrating"),
        ("float.pth", ["--precision", "fp8"], "precision must be one of fp32, fp16, int8, not 'fp8'"),
        ("qat.pth", ["--target", "coreml"], "target must be one of ort, openvino, tensorrt, not 'coreml'"),
        ("float.pth", ["--opset", "11"], "opset must be at least 17, not 11"),
        ("float.pth", ["--opset", "30"], "opset must be at most 22, not 30"),
        ("float.pth", ["--pixels", "uint8"], "pixels must be one of float, uint8_nchw, uint8_nhwc, not 'uint8'"),
        ("float.pth", ["--name", "a/b"], "give the folder apart"),
        ("float.pth", ["--data", "nowhere"], "nowhere is not a folder"),
        ("float.pth", ["--data", "pictures", "--max-drop", "-1"], "max-drop must be 0 dB or more"),
        ("qat.pth", ["--data", "pictures", "--against", "x3.pth"], "does not come from"),
        ("missing.pth", [], "is not a file"),
    ],
)
def test_refusals_leave_nothing(folder, tmp_path, capsys, weights, arguments, message):
    assert export(folder, weights, tmp_path / "out", *arguments) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["--static", "20"], ["--static", "0x4"], ["--batch", "0"]])
def test_wrong_usage(folder, tmp_path, capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        export(folder, "float.pth", tmp_path, *arguments)
    assert stop.value.code == 2 and arguments[0] in capsys.readouterr().err


def test_a_file_is_no_folder(folder, tmp_path, capsys):
    (tmp_path / "out").write_text("")
    assert export(folder, "float.pth", tmp_path / "out") == 1
    assert "is a file: give a folder" in capsys.readouterr().err
