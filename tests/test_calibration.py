"""`aethernet calibrate`, its pictures, and `aethernet.calibrate`."""

import copy

import numpy as np
import pytest
import torch
from helpers.networks import PLAIN, picture, randomise

import aethernet
from aethernet import aether_custom
from aethernet.cli import main
from aethernet.data.bicubic import bicubic_downsample
from aethernet.data.calibration import LARGEST_SIDE, CalibrationInputs
from aethernet.data.pictures import write_png
from aethernet.errors import DataError, StageError
from aethernet.quantization.fake import quantizers
from aethernet.quantization.settings import QuantizationConfig


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(5):
        write_png(folder / f"{index}.png", random.integers(0, 256, (24 + index, 30, 3), dtype=np.uint8))
    return folder


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "net.pth"
    torch.manual_seed(0)
    aethernet.write_checkpoint(path, randomise(aether_custom(2, **PLAIN)))
    return path


def test_the_command_writes_a_calibrated_checkpoint(tmp_path, pictures, weights, capsys):
    out = tmp_path / "qat.safetensors"
    assert main(["calibrate", str(weights), "--data", str(pictures), "-n", "3", "-o", str(out)]) == 0
    assert "on 3 pictures" in capsys.readouterr().out
    network = aethernet.load_network(out)
    assert network.config.stage == "qat"
    expected = aethernet.calibrate(aethernet.load_network(weights), CalibrationInputs([pictures], 2, 3, 3))
    x = picture(1, 3, 9, 7)
    with torch.no_grad():
        assert torch.equal(network(x), expected(x))
        assert torch.equal(aethernet.load_network(out, stage="int8")(x), expected.convert_to_quantized()(x))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--preset", "quality", "--percentile", "100"], QuantizationConfig.read("quality")),
        (["--float", "last", "gate"], QuantizationConfig(last="float", gate="float")),
    ],
)
def test_presets_and_single_parts_travel(tmp_path, pictures, weights, options, expected):
    out = tmp_path / "qat.pth"
    assert main(["calibrate", str(weights), "--data", str(pictures), "-o", str(out), *options]) == 0
    assert aethernet.load_network(out).config.quantization == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["-n", "0"], "the number of pictures for calibration must be a whole number of at least 1, not 0"),
        (["--preset", "tflite"], "no quantization preset 'tflite'"),
        (["--percentile", "99"], "percentile must be between 99.99 and 100"),
        (["--data", "nowhere"], "nowhere is not a folder"),
        (["-o", "net.onnx"], "-o must end in .pth or .safetensors"),
    ],
)
def test_refusals(tmp_path, pictures, weights, capsys, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main(["calibrate", str(weights), "--data", str(pictures), "-o", "out.pth", *change]) == 1
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_an_existing_file_stays(tmp_path, pictures, weights, capsys):
    before = weights.read_bytes()
    assert main(["calibrate", str(weights), "--data", str(pictures), "-o", str(weights)]) == 1
    assert "exists" in capsys.readouterr().err and weights.read_bytes() == before


def test_any_float_stage_can_be_calibrated_and_again():
    network = randomise(aether_custom(2, **PLAIN))
    fused = copy.deepcopy(network).fuse_model()
    pictures = [picture(1, 3, 8, 9, seed=seed) for seed in range(2)]
    ranges = []
    for start in (network, fused, fused):  # fused is of stage qat the second time
        assert aethernet.calibrate(start, pictures) is start
        ranges.append([quantizer.range.item() for _, quantizer in quantizers(start)])
    assert ranges[0] == pytest.approx(ranges[1], rel=1e-5) and ranges[1] == ranges[2]
    with pytest.raises(StageError, match="cannot be trained"):
        aethernet.calibrate(network.convert_to_quantized(), pictures)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), r"picture 1 \(counted from 0\) to calibrate on has values that are not finite numbers"),
        (float("inf"), r"picture 1 .* not finite"),
        (255.0, r"picture 1 .* has values up to 255, and \[0, 1\] is taken: divide 8-bit samples by 255"),
        (-255.0, r"picture 1 .* has values down to -255"),
    ],
)
def test_values_that_no_picture_has_are_refused(value, message):
    picture, damaged = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)
    damaged[0, 0, 3, 3] = value
    network = aethernet.aether_tiny(2)
    with pytest.raises(DataError, match=message):
        aethernet.calibrate(network, [picture, damaged])
    aethernet.calibrate(network, [picture, damaged.fill_(1.2)])  # as noise may


def test_inputs_are_spread_reduced_and_cut(tmp_path, pictures):
    inputs = CalibrationInputs([pictures], 3, 1, 2)
    assert [path.name for path in inputs.paths] == ["0.png", "4.png"]
    assert [tuple(x.shape) for x in inputs] == [(3, 1, 8, 10), (3, 1, 9, 10)]
    large = np.random.default_rng(1).integers(0, 256, (2 * LARGEST_SIDE + 40, 900, 3), dtype=np.uint8)
    (tmp_path / "large").mkdir()
    write_png(tmp_path / "large" / "x.png", large)
    (x,) = CalibrationInputs([tmp_path / "large"], 2, 3, 200)
    middle = large[20:-20, 450 - LARGEST_SIDE : 450 + LARGEST_SIDE]
    assert torch.equal(x[0].permute(1, 2, 0), torch.from_numpy(bicubic_downsample(middle, 2)) / 255)
    (tmp_path / "large" / "y.png").write_bytes(b"no picture")
    assert len(list(CalibrationInputs([tmp_path / "large"], 2, 3, 200))) == 1
