"""Metrics against BasicSR's, closed forms and fixed figures; sets, models and errors of the quality table."""

import importlib.util
import json
import math
import re
import shutil

import numpy as np
import pytest
import torch
from helpers.networks import randomise

from aethernet import AetherConfig, AetherNet, load_network, write_checkpoint
from aethernet.checkpoint import pretrained
from aethernet.data.bicubic import bicubic_downsample, bicubic_upscale, modcrop
from aethernet.data.embedded import embedded_pictures
from aethernet.data.luma import luma
from aethernet.data.pictures import read_rgb, write_png
from aethernet.errors import CheckpointError, DataError, UnusableOutputError, UsageError
from aethernet.integrations.basicsr import compat
from aethernet.quality.evaluation import (
    PictureQuality,
    evaluate,
    evaluate_bicubic_luma,
    mean_quality,
    network_upscaler,
)
from aethernet.quality.inputs import InputFolder
from aethernet.quality.metrics import y_psnr_ssim
from aethernet.quality.report import quality_markdown
from aethernet.quality.scores import measure_quality
from aethernet.quality.sets import PictureFolder, PictureFolders

# The reference implementation is BasicSR's: imresize of its matlab_functions on [0, 1], rounded to uint8 after the
# shrinking and after the enlarging, then its rgb2ycbcr, calculate_psnr and calculate_ssim. Both paths, 1.4.2.
BICUBIC = {
    (2, "astronaut"): (33.078, 0.9458, 33.097, 0.9472),
    (2, "coffee"): (30.583, 0.8848, 30.597, 0.8861),
    (3, "chelsea"): (32.866, 0.8530, 32.891, 0.8542),
    (3, "rocket"): (30.586, 0.8726, 30.593, 0.8737),
    (4, "astronaut"): (28.214, 0.8541, 28.218, 0.8558),
    (4, "chelsea"): (31.459, 0.8054, 31.476, 0.8064),
}


@pytest.fixture(scope="module")
def photographs() -> dict[str, np.ndarray]:
    return embedded_pictures("val")


@pytest.fixture
def folder(tmp_path, photographs):
    """A set of one colour and one grey picture, of sizes that no scale divides."""
    write_png(tmp_path / "set" / "colour.png", photographs["coffee"][100:163, 100:171])
    import cv2

    cv2.imwrite(str(tmp_path / "set" / "grey.png"), photographs["astronaut"][40:99, 60:121, 0])
    return tmp_path / "set"


def network(scale: int = 2, **changes) -> AetherNet:
    torch.manual_seed(0)
    config = AetherConfig(width=8, depths=(1,), kernel_size=5, scale=scale, tail_channels=4, **changes)
    return randomise(AetherNet(config)).eval()


@pytest.mark.parametrize(("scale", "name"), BICUBIC)
def test_bicubic_figures(scale, name, photographs):
    picture = {name: photographs[name]}
    on_y = evaluate_bicubic_luma(picture, scale)[0]
    on_rgb = evaluate(lambda lr: bicubic_upscale(lr, scale), picture, scale)[0]
    psnr_y, ssim_y, psnr_rgb, ssim_rgb = BICUBIC[scale, name]
    # 0.02 dB leaves room for another rounding of ties, not for another kernel, border or conversion.
    assert (on_y.psnr, on_rgb.psnr) == pytest.approx((psnr_y, psnr_rgb), abs=0.02)
    assert (on_y.ssim, on_rgb.ssim) == pytest.approx((ssim_y, ssim_rgb), abs=0.0005)


def test_equal_pictures():
    picture = np.random.default_rng(0).integers(0, 256, (40, 41, 3), dtype=np.uint8)
    assert y_psnr_ssim(picture, picture, 4) == (math.inf, pytest.approx(1.0))


@pytest.mark.parametrize("crop_border", [0, 3])
def test_constant_offset_has_a_closed_form(crop_border):
    """An offset of d in red, green and blue moves Y by 219/255 d, so PSNR is 20 log10(255 / (219/255 d))."""
    picture = np.random.default_rng(0).integers(0, 200, (32, 40, 3), dtype=np.uint8)
    psnr, _ = y_psnr_ssim(picture + np.uint8(10), picture, crop_border)
    assert psnr == pytest.approx(20 * math.log10(255 / (10 * 219 / 255)), abs=1e-3)
    grey = picture[:, :, 0]
    assert y_psnr_ssim(grey + np.uint8(10), grey, crop_border)[0] == pytest.approx(20 * math.log10(25.5), abs=1e-9)


def test_the_border_is_left_out():
    picture = np.full((40, 40, 3), 100, np.uint8)
    damaged = picture.copy()
    damaged[:3] = damaged[:, -3:] = 0
    assert y_psnr_ssim(damaged, picture, 3)[0] == math.inf
    assert y_psnr_ssim(damaged, picture, 2)[0] < 40


def test_same_figures_as_basicsr(photographs):
    """To what BasicSR's conversion to Y in float32 costs."""
    compat.apply()
    pytest.importorskip("basicsr", reason="BasicSR is not installed")
    from basicsr.metrics import calculate_psnr, calculate_ssim

    picture, reference = photographs["chelsea"][:80, :90], photographs["chelsea"][1:81, :90]
    bgr = np.ascontiguousarray(picture[:, :, ::-1]), np.ascontiguousarray(reference[:, :, ::-1])
    psnr, ssim = y_psnr_ssim(picture, reference, 4)
    assert psnr == pytest.approx(calculate_psnr(*bgr, crop_border=4, test_y_channel=True), abs=1e-4)
    assert ssim == pytest.approx(calculate_ssim(*bgr, crop_border=4, test_y_channel=True), abs=1e-6)


def test_luma_is_that_of_the_standard():
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert luma(colours).tolist() == [[16, 235, 81, 145, 41]]
    grey = colours[:, :, 0]
    assert luma(grey) is grey


def test_evaluate_crops_shrinks_and_reports(photographs):
    picture = photographs["coffee"][:63, :71]
    seen, inputs = [], []

    def upscale(lr):
        inputs.append(lr)
        return modcrop(picture, 4)

    records = evaluate(upscale, {"a": picture, "b": picture}, 4, lambda *args: seen.append(args))
    assert [record.name for record in records] == ["a", "b"]
    assert records[0].psnr == math.inf
    assert np.array_equal(inputs[0], bicubic_downsample(picture[:60, :68], 4))
    assert seen == [(1, 2, "a"), (2, 2, "b")]


def test_evaluate_takes_ready_made_inputs(photographs):
    picture, ready = photographs["coffee"][:64, :64], np.zeros((32, 32, 3), np.uint8)
    inputs = []
    evaluate(lambda lr: inputs.append(lr) or picture, {"a": picture}, 2, lr_pictures={"a": ready})
    assert inputs[0] is ready
    with pytest.raises(DataError, match=r"a: the input of 32x32 at scale 3 does not belong to a reference of 63x63"):
        evaluate(lambda lr: lr, {"a": picture}, 3, lr_pictures={"a": ready})


def test_evaluate_refuses_what_cannot_be_compared(photographs):
    picture = photographs["coffee"]
    with pytest.raises(DataError, match=r"a: the upscaler made .* it should be"):
        evaluate(lambda lr: lr, {"a": picture[:64, :64]}, 2)
    with pytest.raises(DataError, match=r"a: a picture of 16x16 is too small.*at least 19x19"):
        evaluate(lambda lr: bicubic_upscale(lr, 4), {"a": picture[:18, :19]}, 4)


def test_evaluate_takes_levels_of_eight_bits_alone(photographs):
    picture = photographs["chelsea"]
    for wrong, kind in ((picture / 255, "float64"), (picture.astype(np.uint16), "uint16")):
        with pytest.raises(DataError, match=rf"x: the picture is an array of {kind}: give uint8"):
            evaluate(lambda lr: lr, {"x": wrong}, 2)
        with pytest.raises(DataError, match=rf"an array of {kind} cannot be compared: give uint8"):
            y_psnr_ssim(picture, wrong, 2)
    with pytest.raises(DataError, match=r"x: the upscaler's output is an array of float64"):
        evaluate(lambda lr: bicubic_upscale(lr, 2) / 255, {"x": picture}, 2)


def test_a_network_without_numbers_gets_no_figure(photographs):
    """Rounded, its NaN would be black, and PSNR a figure like any other."""

    class Overflowing(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.interpolate(x, scale_factor=2) * torch.tensor(float("nan"))

    with pytest.raises(UnusableOutputError, match=r"x: the model gives values that are not finite numbers"):
        evaluate(network_upscaler(Overflowing()), {"x": photographs["chelsea"]}, 2)


def test_grey_spans_fewer_levels_on_the_rgb_path(photographs):
    """Y of RGB spans 219 levels, so the same grey picture scores 20 log10(255 / 219) = 1.32 dB higher there."""
    grey = {"grey": photographs["coffee"][:120, :120, 1]}
    on_y = evaluate_bicubic_luma(grey, 2)[0]
    on_rgb = evaluate(lambda lr: bicubic_upscale(lr, 2), grey, 2)[0]
    assert on_rgb.psnr - on_y.psnr == pytest.approx(20 * math.log10(255 / 219), abs=0.01)


def test_mean():
    mean = mean_quality([PictureQuality("a", 30.0, 0.8), PictureQuality("b", 31.0, 0.9)])
    assert (mean.psnr, mean.ssim) == pytest.approx((30.5, 0.85))


@pytest.mark.parametrize("in_channels", [1, 3])
def test_network_upscaler(in_channels):
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    net = network(in_channels=in_channels)
    output = network_upscaler(net)(picture)
    x = torch.from_numpy(picture).permute(2, 0, 1).float() / 255
    with torch.no_grad():
        expected = net(x[None])[0] if in_channels == 3 else net(x[:, None])[:, 0]
    expected = (expected.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    assert output.dtype == np.uint8
    assert np.array_equal(output, expected)


def test_training_and_fused_checkpoints_score_alike(tmp_path, folder):
    net = network()
    write_checkpoint(tmp_path / "train.pth", net)
    write_checkpoint(tmp_path / "fused.safetensors", load_network(tmp_path / "train.pth", stage="fused"))
    report = measure_quality([str(tmp_path / "train.pth"), str(tmp_path / "fused.safetensors")], [folder])
    first, second = report.scores
    assert (first.model, first.scale, first.set_name) == ("train.pth", 2, "set")
    assert [picture.name for picture in first.pictures] == ["colour", "grey"]
    # A float32 difference of 1e-6 can tip a pixel over a rounding edge, no more.
    assert first.mean.psnr == pytest.approx(second.mean.psnr, abs=1e-3)
    direct = evaluate(network_upscaler(net), PictureFolder(folder), 2)
    assert first.mean.psnr == pytest.approx(mean_quality(direct).psnr, abs=1e-3)


@pytest.fixture
def damaged_set(folder, tmp_path):
    """A set with a picture that is cut off and one whose ready-made input is a web page, beside two that are sound."""
    place, lr = tmp_path / "damaged" / "four", tmp_path / "lr"
    shutil.copytree(folder, place)
    for name in ("cut", "page"):
        shutil.copy(place / "colour.png", place / f"{name}.png")
    for path in place.iterdir():
        rgb = read_rgb(path)[0]
        write_png(lr / path.name, bicubic_downsample(modcrop(rgb, 2), 2))
    (place / "cut.png").write_bytes((place / "cut.png").read_bytes()[:2000])
    (lr / "page.png").write_bytes(b"<html>")
    return place, lr


def test_damaged_pictures_are_left_out_for_all_and_told_at_the_figures(folder, damaged_set, tmp_path, caplog):
    place, lr = damaged_set
    write_checkpoint(tmp_path / "net.pth", network())
    models = ["bicubic_rgb", str(tmp_path / "net.pth")]
    sound = measure_quality(models, [folder])
    report = measure_quality(models, [place], lr=[lr], max_damaged=2)
    assert [score.mean for score in report.scores] == [score.mean for score in sound.scores]
    for score in report.scores:
        assert score.set_name == "four (2 of 4)"
        assert [picture.name for picture in score.pictures] == ["colour", "grey"]
        assert [each.file for each in score.damaged] == ["four/cut.png", "four/page.png"]
    table = quality_markdown(report)
    assert (
        "| four (2 of 4) " in table and "four: 2 of 4 pictures; damaged and left out for all: four/cut.png (" in table
    )
    assert "cut.png: " in caplog.text and "lr/page.png: " in caplog.text
    with pytest.raises(
        DataError, match=r"^2 pictures are damaged, and at most 1 may be left out .*\(--max-damaged\): .*cut"
    ):
        measure_quality(models, [place], lr=[lr], max_damaged=1)
    (made,) = measure_quality(["bicubic"], [place], scale=2).scores
    assert made.set_name == "four (3 of 4)", "without ready-made inputs only one is damaged"


def test_a_set_of_damaged_pictures_alone(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"every picture of .*set is damaged"):
        measure_quality(["bicubic"], [tmp_path / "set"], scale=2)


def test_of_chosen_pictures_the_damaged_ones_are_left_out(damaged_set):
    place, _ = damaged_set
    (place / "page.png").write_bytes(b"<html>")
    pictures = PictureFolders([place], 3, max_damaged=5)  # of colour, cut, grey, page
    assert [title for title, _ in pictures] == ["four/colour", "four/grey"] and len(pictures) == 2
    assert [each.file for each in pictures.damaged] == ["four/page.png"], "what is not wanted is not opened"
    with pytest.raises(DataError, match=r"^2 pictures are damaged, and none may be left out of the figures: "):
        PictureFolders([place])


def test_the_command_allows_so_many_damaged_pictures(bench, damaged_set):
    arguments = ("bicubic", "--scale", 2, "--sets", damaged_set[0])
    code, out, _ = bench("quality", *arguments)
    assert code == 0 and "four (3 of 4)" in out
    code, out, err = bench("quality", *arguments, "--max-damaged", 0)
    assert code == 1 and not out and "1 picture is damaged, and none may be" in err


def test_files_of_one_name_have_a_row_each(tmp_path, folder, bench):
    """As the trainings of an afternoon leave them: experiments/NAME/models/net_g_latest.pth."""
    files = [tmp_path / name / "net_g_latest.pth" for name in ("first", "second")]
    for file in files:
        write_checkpoint(file, network())
    code, out, _ = bench("quality", *files, "--sets", folder, "--summary")
    assert code == 0
    assert all(f"| {file} " in out for file in files), out


def test_an_onnx_file_scores_like_its_network(tmp_path, folder):
    pytest.importorskip("onnxruntime", reason="the extra `bench` is not installed")
    pytest.importorskip("onnxscript", reason="the extra `bench` is not installed")
    from aethernet.bench.complexity import network_complexity
    from aethernet.bench.onnx_complexity import onnx_complexity
    from aethernet.export.onnx import export_onnx

    net = network()
    write_checkpoint(tmp_path / "net.pth", net)
    export_onnx(net, scale=2, path=tmp_path / "net.onnx")
    report = measure_quality([str(tmp_path / "net.pth"), str(tmp_path / "net.onnx")], [folder])
    assert report.scores[1].scale == 2
    assert report.scores[0].mean.psnr == pytest.approx(report.scores[1].mean.psnr, abs=1e-3)
    by_graph, by_network = onnx_complexity(tmp_path / "net.onnx", 24, 20), network_complexity(net.fuse_model(), 24, 20)
    assert (by_graph.macs, by_graph.activations) == (by_network.macs, by_network.activations)
    # The graph stores the input mean and the like, a handful of numbers, beside the weights.
    assert 0 <= by_graph.parameters - by_network.parameters < 10


def test_picture_folder(folder, tmp_path):
    pictures = PictureFolder(folder)
    assert list(pictures) == ["colour", "grey"]
    assert pictures["colour"].shape == (63, 71, 3)
    assert pictures["grey"].shape == (59, 61)
    assert pictures.name == "set"
    (folder / "colour.bmp").write_bytes((folder / "colour.png").read_bytes())
    with pytest.raises(DataError, match=r"colour\.bmp and colour\.png: names must differ"):
        PictureFolder(folder)
    with pytest.raises(DataError, match=r"no picture right inside .*; give the folder itself: .*set"):
        PictureFolder(tmp_path)
    (tmp_path / "Set9" / "HR").mkdir(parents=True)
    (tmp_path / "Set9" / "HR" / "bad.png").write_bytes(b"text")
    pictures = PictureFolder(tmp_path / "Set9" / "HR")
    assert pictures.name == "Set9/HR"
    with pytest.raises(DataError, match=r"bad\.png: not a picture"):
        pictures["bad"]


def test_sets_of_one_name_are_told_apart(folder, tmp_path):
    other = tmp_path / "other" / "set"
    shutil.copytree(folder, other)
    report = measure_quality(["bicubic"], [folder, other], scale=2)
    assert [score.set_name for score in report.scores] == [f"{folder.parent.name}/set", "other/set"]
    assert {name.rpartition("/")[0] for name, _ in PictureFolders([folder, other])} == {
        f"{folder.parent.name}/set",
        "other/set",
    }
    link = tmp_path / "link"
    link.symlink_to(folder)
    for again in (folder, link):
        with pytest.raises(UsageError, match="is given twice"):
            PictureFolders([folder, again])


def test_pictures_below_a_set_are_told(folder, tmp_path, caplog):
    (tmp_path / "more").mkdir()
    shutil.copy(folder / "grey.png", tmp_path / "more")
    (folder / "linked").symlink_to(tmp_path / "more")
    assert len(PictureFolders([folder])) == 2
    assert "2 of 3 pictures; those in folders below it (linked) are not part of the set" in caplog.text


def test_input_folder(folder, tmp_path):
    references = PictureFolder(folder)
    for name, picture in references.items():
        rgb = picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)
        write_png(tmp_path / "lr" / f"{name}x2.png", bicubic_downsample(modcrop(rgb, 2), 2))
    inputs = InputFolder(tmp_path / "lr", references, 2)
    assert list(inputs) == ["colour", "grey"]
    ready = measure_quality(["bicubic_rgb"], [folder], scale=2, lr=[tmp_path / "lr"])
    made = measure_quality(["bicubic_rgb"], [folder], scale=2)
    assert ready.scores[0].mean == made.scores[0].mean
    with pytest.raises(DataError, match=r"has no input for colour: expected a picture named colour or colourx3"):
        InputFolder(tmp_path / "lr", references, 3)
    with pytest.raises(UsageError, match="1 set, but 2 folders"):
        measure_quality(["bicubic_rgb"], [folder], scale=2, lr=["a", "b"])
    with pytest.raises(UsageError, match="leave out --lr"):
        measure_quality(["bicubic"], [folder], scale=2, lr=[tmp_path / "lr"])


def test_command_prints_tables_and_writes_json(bench, folder, tmp_path):
    write_checkpoint(tmp_path / "net.pth", network())
    out_file = tmp_path / "deep" / "quality.json"
    code, out, err = bench(
        "quality", "bicubic", tmp_path / "net.pth", "bicubic_rgb", "--sets", folder, "--json", out_file
    )
    assert code == 0
    assert re.search(r"^\| colour +\| +\d+\.\d\d / 0\.\d{4} \|", out, re.M)
    assert re.search(r"^\| net\.pth +\| +x2 \|", out, re.M)
    assert "grey pictures: " in out and "torch" in out
    assert err == "", "a pipe gets no bars"
    content = json.loads(out_file.read_text())
    assert content["kind"] == "quality"
    assert set(content) == {"kind", "scores", "notes", "conditions"}
    assert [score["model"] for score in content["scores"]] == ["bicubic", "net.pth", "bicubic_rgb"]
    assert set(content["scores"][0]) == {"model", "scale", "set_name", "path", "mean", "pictures", "inputs", "damaged"}
    assert set(content["scores"][0]["pictures"][0]) == {"name", "psnr", "ssim"}
    assert {"device", "threads", "torch", "precision", "size", "date", "command"} <= set(content["conditions"])
    code, out, _ = bench("quality", "bicubic", "--sets", folder, "--scale", 3, "--summary")
    assert code == 0
    assert "colour" not in out


def test_infinite_psnr_is_null_in_json(tmp_path):
    from aethernet.conditions import measurement_conditions
    from aethernet.quality.scores import QualityReport, SetScore
    from aethernet.tables import write_json

    same = PictureQuality("a", math.inf, 1.0)
    conditions = measurement_conditions(threads=1, precision="fp32", size="whole pictures")
    write_json(
        tmp_path / "a.json", "quality", QualityReport([SetScore("m", 2, "s", "p", same, [same])], [], conditions)
    )
    assert json.loads((tmp_path / "a.json").read_text())["scores"][0]["mean"]["psnr"] is None


def test_command_refuses(bench, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "no packaged weights")
    write_checkpoint(tmp_path / "x2.pth", network(2))
    write_checkpoint(tmp_path / "x3.pth", network(3))
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged.pth").write_bytes(b"<html>")
    cases = {
        ("bicubic",): r"bicubic needs --scale$",
        ("bicubic", tmp_path / "x2.pth", tmp_path / "x3.pth"): r"bicubic needs --scale: the models have \[2, 3\]",
        (tmp_path / "x2.pth", "--scale", 4): r"x2\.pth upscales by 2, but --scale 4 was given",
        ("aether_tiny_x4",): r"aether_tiny_x4 has random weights.*; or give a file of trained weights",
        ("aether_tini_x4",): r"no variant 'tini' \(did you mean 'tiny'\?\); of weights, the package has none",
        (
            "nothing.txt",
        ): r"'nothing\.txt' is not a model; the package has none in this installation; or give a variant such as",
        (tmp_path / "missing.pth",): r"missing\.pth is not a file",
        (tmp_path / "damaged.pth",): r"damaged\.pth is not a file of plain tensors",
        (tmp_path / "x2.pth", "--device", "cuda"): r"needs an NVIDIA GPU",
        (
            "aether_tiny_x5",
        ): r"'aether_tiny_x5' is not a model \(scale must be one of 1, 2, 3, 4, 8, not 5\); .*package has",
        (tmp_path / "x2.pth", "--device", "meta"): r"PyTorch cannot use device 'meta' here",
        (tmp_path / "x2.pth", "--device", "gpu0"): r"there is no device 'gpu0': give cpu",
    }
    if torch.cuda.is_available():
        del cases[tmp_path / "x2.pth", "--device", "cuda"]
    for arguments, message in cases.items():
        code, out, err = bench("quality", *arguments, "--sets", folder)
        assert (code, out) == (1, "")
        assert re.search(message, err, re.M), err
    code, _, err = bench("quality", "bicubic", "--scale", 2, "--sets", tmp_path / "empty")
    assert code == 1
    assert re.search("no picture below .*empty", err)


def test_usage_errors_exit_with_2(bench, folder):
    for arguments in (["bicubic"], ["--sets", folder], ["bicubic", "--sets", folder, "--threads", "0"]):
        with pytest.raises(SystemExit) as exit_info:
            bench("quality", *arguments)
        assert exit_info.value.code == 2


def test_weights_of_others(tmp_path, folder):
    if importlib.util.find_spec("spandrel") is None:
        pytest.skip("the extra `bench` is not installed")
    torch.save({"params": {"conv.weight": torch.zeros(1)}}, tmp_path / "unknown.pth")
    with pytest.raises(CheckpointError, match=r"holds no AetherNet weights.*spandrel does not know"):
        measure_quality([str(tmp_path / "unknown.pth")], [folder])
