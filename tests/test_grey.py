"""The whole life of a grey network: trained on Y, tested, fine-tuned for int8, released, compared, and used."""

import json

import cv2
import pytest
import torch
from helpers.extras import needs_basicsr
from helpers.training import run_aethernet, tiny_options, write_options, write_pairs

from aethernet import load_network
from aethernet.cli import main
from aethernet.data.calibration import CalibrationInputs

GREY = {
    "model_type": "AetherModel",
    "network_g:in_channels": 1,
    "datasets:train:color": "y",
    "datasets:val:color": "y",
    "train:total_iter": 2,
}


def test_a_grey_network_is_calibrated_on_the_channels_that_it_will_enlarge(tmp_path):
    write_pairs(tmp_path, count=1)
    (colours,), (channels,) = (list(CalibrationInputs([tmp_path / "gt"], 2, number, 1)) for number in (3, 1))
    assert colours.shape == (1, 3, 16, 16) and channels.shape == (3, 1, 16, 16)
    assert torch.equal(colours[0], channels[:, 0])


@needs_basicsr
@pytest.mark.slow
def test_the_life_of_a_grey_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_pairs(tmp_path, count=4, size=48)
    start = {"path:pretrain_network_g": "experiments/tiny/models/net_g_latest.pth", "path:param_key_g": "params_ema"}
    weights = start["path:pretrain_network_g"]
    for name, changes in (("tiny", {}), ("qat", {**start, "network_g:stage": "qat"})):
        opt = tiny_options(tmp_path, **{**GREY, **changes, "name": name})
        run_aethernet("train", "-opt", write_options(opt, tmp_path / f"{name}.yml"), cwd=tmp_path)
    opt = tiny_options(tmp_path, **{**GREY, **start, "name": "tested"})
    opt = {key: opt[key] for key in opt if key not in ("train", "logger")}
    opt |= {"datasets": {"test": opt["datasets"]["val"]}, "val": {**opt["val"], "save_img": True, "suffix": None}}
    result = run_aethernet("test", "-opt", write_options(opt, tmp_path / "test.yml"), cwd=tmp_path)
    assert "psnr: " in result.stderr
    saved = sorted((tmp_path / "results/tested/visualization/val").glob("*.png"))
    assert [cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape for path in saved] == [(48, 48)] * 4
    assert load_network(weights).config.in_channels == 1

    onnx = "exported/aether_custom_x2_fp32.onnx"
    release = ["release", weights, "--qat", "experiments/qat/models/net_g_latest.pth", "--data", "gt", "-o", "released"]
    for command in (
        ["calibrate", weights, "--data", "gt", "-o", "ptq.pth"],
        ["export", weights, "--data", "gt", "-o", "exported"],
        ["verify", "ptq.pth", onnx, "--against", weights, "--data", "gt", "--max-drop", "3"],
        ["bench", "quality", weights, onnx, "--sets", "gt", "--json", "quality.json"],
        [*release, "--max-drop", "3", "--rounds", "1"],
    ):
        assert main(command) == 0, capsys.readouterr()
    network, file = (score["mean"]["psnr"] for score in json.loads((tmp_path / "quality.json").read_text())["scores"])
    assert network == pytest.approx(file, abs=0.01)

    colours = cv2.imread("lq/00.png")
    cv2.imwrite("grey.png", colours[:, :, 0])
    for model in (weights, "released/aether_custom_x2_int8_ort.onnx"):
        assert main(["upscale", "grey.png", "lq/00.png", "--model", model, "-o", "enlarged", "--force"]) == 0
        grey, all_three = (cv2.imread(f"enlarged/{name}.png", cv2.IMREAD_UNCHANGED) for name in ("grey", "00"))
        assert grey.shape == (48, 48)
        assert (all_three[:, :, 0] == grey).all(), "blue is enlarged as the same samples in grey are"
